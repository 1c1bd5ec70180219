/* Linked into every program: keeps what the sanitizers' runtimes do from what the tests look at. */
#include <pthread.h>
#include <unistd.h>

void __sanitizer_sandbox_on_notify(void *);
int __lsan_is_turned_off(void);

static pid_t first;

static void *nothing(void *argument) {
    return argument;
}

__attribute__((constructor)) static void begin(void) {
    first = getpid();
    /* ThreadSanitizer starts a thread of its own with the program's first, and ends it for a
     * sandbox. Tests count threads. */
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL) == 0)
        pthread_join(thread, NULL);
    __sanitizer_sandbox_on_notify(NULL);
}

/* LeakSanitizer asks at exit. In a forked child, what the parent's threads owned is lost: they are
 * not there to free it. */
int __lsan_is_turned_off(void) {
    return getpid() != first;
}
