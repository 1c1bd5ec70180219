#include <stdint.h>

/*
 * Fences. ThreadSanitizer takes no notice of them, and Rust's Arc frees after
 *
 *     if (fetch_sub(&count, 1, release) == 1) { fence(acquire); free(...); }
 *
 * so that every last user would be reported. An acquire fence makes the atomic reads before it
 * acquire; here it does so for the thread's last fetch_sub, which is what these fences are for.
 * Code that forgets the fence is reported as ever: planted_release_without_acquire.
 */
enum { release = 3 }; /* C11's; a relaxed fence there is none */

void __tsan_acquire(void *address);
uint64_t __real___tsan_atomic64_fetch_sub(volatile uint64_t *, uint64_t, int);
void __real___tsan_atomic_thread_fence(int);

static _Thread_local void *last_fetch_sub;

uint64_t __wrap___tsan_atomic64_fetch_sub(volatile uint64_t *value, uint64_t less, int order) {
    last_fetch_sub = (void *)(uintptr_t)value;
    return __real___tsan_atomic64_fetch_sub(value, less, order);
}

void __wrap___tsan_atomic_thread_fence(int order) {
    if (order != release && last_fetch_sub)
        __tsan_acquire(last_fetch_sub);
    __real___tsan_atomic_thread_fence(order);
}
