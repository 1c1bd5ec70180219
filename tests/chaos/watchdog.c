/* Tells when a thread does not come back, and where everybody is then. */

#define _GNU_SOURCE
#include "chaos.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WATCHED = 32 };

static struct life {
    const char *_Atomic name;
    const char *_Atomic doing;
    _Atomic time_t since;
} lives[WATCHED];
static _Thread_local struct life *mine;
static pthread_t watchdog;
static atomic_bool is_over;

void alive_begin(const char *name) {
    for (struct life *one = lives; mine == NULL && one < lives + WATCHED; one++) {
        const char *nobody = NULL;
        if (atomic_compare_exchange_strong(&one->name, &nobody, name))
            mine = one;
    }
    CHECK(mine != NULL);
    alive(name);
}

void alive(const char *doing) {
    atomic_store(&mine->doing, doing);
    atomic_store(&mine->since, time(NULL));
}

void alive_end(void) {
    atomic_store(&mine->since, 0);
    atomic_store(&mine->name, NULL);
    mine = NULL;
}

void show_hang(pid_t process) {
    char command[256];
    snprintf(command, sizeof command,
             "exec >&2; for task in /proc/%d/task/*; do cat $task/comm $task/wchan; echo; done;"
             " gdb -p %d -batch -ex 'thread apply all bt 24' 2>/dev/null",
             (int)process, (int)process);
    if (system(command) != 0)
        fprintf(stderr, "no gdb to tell more\n");
}

static void *watch(void *argument) {
    (void)argument;
    while (!atomic_load(&is_over)) {
        struct timespec second = {.tv_nsec = 200000000};
        nanosleep(&second, NULL);
        for (struct life *one = lives; one < lives + WATCHED; one++) {
            time_t since = atomic_load(&one->since);
            if (since == 0 || time(NULL) <= since + 2 * (time_t)patience_seconds)
                continue;
            fprintf(stderr, "thread %s hangs at: %s\n", atomic_load(&one->name),
                    atomic_load(&one->doing));
            show_hang(getpid());
            violation("the watchdog fired");
        }
    }
    return NULL;
}

void watchdog_begin(void) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK(pthread_create(&watchdog, NULL, watch, NULL) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void watchdog_end(void) {
    atomic_store(&is_over, true);
    CHECK(pthread_join(watchdog, NULL) == 0);
}
