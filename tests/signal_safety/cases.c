/*
 * A function as certreload_reload() is, with one mistake at a time: what check.py has to see, and
 * what it has to say of it, stands behind the name of each.
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* MISTAKE_LOCK: calls pthread_mutex_lock */
/* MISTAKE_SPIN: a loop */
/* MISTAKE_ALLOCATION: calls malloc */
/* MISTAKE_BELOW: calls free */
/* MISTAKE_TAIL: calls abort */
/* MISTAKE_SYMBOL: calls getppid */
/* MISTAKE_POINTER: known at run time only */
/* MISTAKE_CHANGEABLE: known at run time only */
/* MISTAKE_RECURSION: recursion */
/* MISTAKE_SYSTEM_CALL: syscall */
/* MISTAKE_TRAP: ud2 */
/* MISTAKE_THREAD_LOCAL: calls __tls_get_addr */
/* MISTAKE_LAZY: looked up at the first call */

struct handle {
    atomic_bool requested;
    atomic_int descriptor;
    void (*hook)(void);
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
void *volatile place;
__attribute__((visibility("hidden"))) void (*hook_of_all)(void) = abort;
_Thread_local int calls;

__attribute__((noinline)) static void below(struct handle *handle) {
#ifdef MISTAKE_BELOW
    free(place);
#endif
#ifdef MISTAKE_RECURSION
    if (handle->hook != NULL) {
        below(handle + 1);
        atomic_store(&handle->requested, 0);
    }
#endif
    atomic_store(&handle->requested, 1);
}

static void one_write(struct handle *handle) {
    int before = errno;
    uint64_t one = 1;
    ssize_t written = write(atomic_load(&handle->descriptor), &one, sizeof one);
    (void)written;
    errno = before;
}

unsigned certreload_reload(struct handle *handle) {
    if (handle == NULL)
        return 3;
    below(handle);
#ifdef MISTAKE_LOCK
    pthread_mutex_lock(&mutex);
#endif
#ifdef MISTAKE_SPIN
    while (atomic_exchange(&handle->requested, 1)) {
    }
#endif
#ifdef MISTAKE_ALLOCATION
    place = malloc(8);
#endif
#ifdef MISTAKE_SYMBOL
    if (getppid() == 1)
        return 0;
#endif
#ifdef MISTAKE_POINTER
    handle->hook();
#endif
#ifdef MISTAKE_CHANGEABLE
    hook_of_all();
#endif
#ifdef MISTAKE_SYSTEM_CALL
    __asm__ volatile("syscall" ::"a"(39) : "rcx", "r11", "memory");
#endif
#ifdef MISTAKE_TRAP
    if (handle->hook == NULL)
        __builtin_trap();
#endif
#ifdef MISTAKE_THREAD_LOCAL
    calls++;
#endif
    one_write(handle);
#ifdef MISTAKE_TAIL
    abort();
#endif
    return 0;
}
