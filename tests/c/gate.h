/* Threads that wait for one another: a gate is shut until somebody opens it, and then stays open.
 */

#ifndef CERTRELOAD_TEST_GATE_H
#define CERTRELOAD_TEST_GATE_H

#include "support.h"

#include <dirent.h>
#include <sched.h>
#include <time.h>

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    bool is_open;
} gate;

#define GATE_INITIALIZER                                                                           \
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false }

static inline void gate_open(gate *gate) {
    pthread_mutex_lock(&gate->mutex);
    gate->is_open = true;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->mutex);
}

/* Tells whether it opens within that time. */
static inline bool gate_opens_within(gate *gate, int milliseconds) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += milliseconds / 1000;
    deadline.tv_nsec += milliseconds % 1000 * 1000000L;
    if (deadline.tv_nsec >= 1000000000L) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&gate->mutex);
    int late = 0;
    while (!gate->is_open && late == 0)
        late = pthread_cond_timedwait(&gate->opened, &gate->mutex, &deadline);
    bool is_open = gate->is_open;
    pthread_mutex_unlock(&gate->mutex);
    return is_open;
}

/* Waits until it is open. */
static inline void gate_wait(gate *gate) {
    CHECK(gate_opens_within(gate, PATIENCE_SECONDS * 1000));
}

/* For what must not happen: a moment in which it would, if it could. */
enum { A_MOMENT_MS = 100 };

/* Threads of this process. */
static inline int threads(void) {
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    int count = 0;
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks))
        count += task->d_name[0] != '.';
    closedir(tasks);
    return count;
}

/* A thread that has been waited for may still be listed for a moment. */
static inline void wait_until_threads_are(int expected) {
    for (time_t begun = time(NULL); threads() != expected; sched_yield())
        CHECK(time(NULL) - begun < PATIENCE_SECONDS);
}

#endif
