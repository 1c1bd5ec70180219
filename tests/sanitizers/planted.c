/* Calls the planted bug that it is told to: run.sh wants each of them found. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void planted_race(void);
void planted_release_without_acquire(void);
uint64_t planted_use_after_free(void);
_Bool planted_use_after_free_in_std(void);
void planted_leak(void);
void planted_nothing(void);

int main(int count, char **arguments) {
    const char *bug = count > 1 ? arguments[1] : "";
    if (strcmp(bug, "race") == 0)
        planted_race();
    else if (strcmp(bug, "release-without-acquire") == 0)
        planted_release_without_acquire();
    else if (strcmp(bug, "use-after-free") == 0)
        printf("%d\n", (int)planted_use_after_free());
    else if (strcmp(bug, "use-after-free-in-std") == 0)
        printf("%d\n", (int)planted_use_after_free_in_std());
    else if (strcmp(bug, "leak") == 0)
        planted_leak();
    else if (strcmp(bug, "nothing") == 0)
        planted_nothing();
    else
        return 2;
    return 0;
}
