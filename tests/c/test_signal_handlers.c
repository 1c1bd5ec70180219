/*
 * certreload_reload() from handlers that interrupt anything (G9): threads in the middle of calls on
 * the same handle, of malloc, of opening and closing others; and on a stack that has just enough
 * room. errno is kept, and calls that signals interrupt go on.
 */

#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <rustls.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Under valgrind everything takes a hundred times as long, so time is a limit as well. */
enum { TURNS = 300, ENOUGH_TURNS = 3, STORM_SECONDS = 3 };

/* What the handler, its caller and certreload_reload() may take of a stack, beside what the system
 * puts there. Those who check memory and threads add words of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_CHECKED 1
#endif
#endif
#ifndef IS_CHECKED
#define IS_CHECKED 0
#endif
enum { ROOM = IS_CHECKED ? 65536 : 2048, LEAST = 8192, UNTOUCHED = 0xa5 };

static const char *chain, *key;
static certreload_handle *handle;
static atomic_int handled, refused, errno_lost, finished;

/* Without SA_RESTART, so that whatever the system lets signals interrupt is interrupted. */
static void handle_signal(int number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK_INT(sigaction(number, &action, NULL), 0);
}

static void request(int number) {
    (void)number;
    int interrupted_errno = errno;
    errno = EDOM;
    if (certreload_reload(handle) != CERTRELOAD_RESULT_OK)
        atomic_fetch_add(&refused, 1);
    if (errno != EDOM)
        atomic_fetch_add(&errno_lost, 1);
    atomic_fetch_add(&handled, 1);
    errno = interrupted_errno;
}

static void open_and_close(void) {
    certreload_handle *other = NULL;
    CHECK_OK(certreload_open_files(chain, key, &other));
    certreload_close(other);
}

static void reload_and_wait(void) {
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
}

static void acquire_and_connect(void) {
    for (int turn = 0; turn < 20; turn++) {
        rustls_connection *connection = NULL;
        CHECK_OK(certreload_server_connection_new(handle, &connection));
        rustls_connection_free(connection);
        certreload_generation_release(certreload_generation_acquire(handle));
    }
}

static void ask_and_listen(void) {
    static recorder unused = RECORDER_INITIALIZER;
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);
    CHECK_OK(certreload_set_event_callback(handle, recorder_callback, &unused, NULL));
    CHECK_OK(certreload_set_event_callback(handle, NULL, NULL, NULL));
}

static void allocate_and_fail(void) {
    certreload_handle *none = NULL;
    for (int turn = 0; turn < 20; turn++)
        CHECK_RESULT(certreload_open_files("/nowhere", key, &none), FILE_NOT_FOUND);
    CHECK_CONTAINS(certreload_last_error(), "/nowhere");
}

static void (*const calls[])(void) = {open_and_close, reload_and_wait, acquire_and_connect,
                                      ask_and_listen, allocate_and_fail};
enum { CALLS = sizeof calls / sizeof calls[0] };

static void *call_on(void *call) {
    time_t end = time(NULL) + STORM_SECONDS;
    for (int turn = 0; turn < TURNS && (turn < ENOUGH_TURNS || time(NULL) < end); turn++)
        (*(void (*const *)(void))call)();
    atomic_fetch_add(&finished, 1);
    /* Stays where signals can find it until the others are done. */
    while (atomic_load(&finished) < CALLS)
        sched_yield();
    return NULL;
}

static void requests_may_interrupt_any_call(void) {
    test_begin(__func__);
    handle_signal(SIGHUP, request, 0);
    pthread_t threads[CALLS];
    for (size_t i = 0; i < CALLS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, call_on, (void *)&calls[i]), 0);
    int sent = 0;
    while (atomic_load(&finished) < CALLS) {
        /* One at a time for each thread, so that they come to their calls in between. */
        for (size_t i = 0; i < CALLS; i++, sent++)
            pthread_kill(threads[i], SIGHUP);
        nanosleep(&(struct timespec){.tv_nsec = 30 * 1000}, NULL);
    }
    for (size_t i = 0; i < CALLS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    printf("%d signals, %d handled\n", sent, handled);
    CHECK(handled > 0);
    CHECK_INT(refused, 0);
    CHECK_INT(errno_lost, 0);
}

static void do_nothing(int number) {
    (void)number;
    atomic_fetch_add(&handled, 1);
}

/* How many bytes of the stack a handler takes, the system's share included. `seen` are the bytes of
 * the stack by another address: those of a stack that is not in use are nobody's to look at. */
static size_t stack_taken(void (*handler)(int), unsigned char *seen, size_t size) {
    int handled_before = handled;
    memset(seen, UNTOUCHED, size);
    handle_signal(SIGUSR1, handler, SA_ONSTACK);
    CHECK_INT(raise(SIGUSR1), 0);
    CHECK_INT(handled, handled_before + 1);
    size_t free_bytes = 0;
    while (free_bytes < size && seen[free_bytes] == UNTOUCHED)
        free_bytes++;
    return size - free_bytes;
}

static void *on_a_small_stack(void *unused) {
    long page = sysconf(_SC_PAGESIZE), least = sysconf(_SC_MINSIGSTKSZ);
    if (least < LEAST) /* valgrind does not tell how much it needs */
        least = LEAST;
    size_t size = (size_t)((least + ROOM + page - 1) / page * page);
    int memory = memfd_create("stack", MFD_CLOEXEC);
    CHECK(memory >= 0 && ftruncate(memory, (off_t)size) == 0);
    /* Below the stack is a page that nobody may touch. */
    unsigned char *guard =
        mmap(NULL, size + (size_t)page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(guard != MAP_FAILED);
    int may = PROT_READ | PROT_WRITE;
    CHECK(mmap(guard + page, size, may, MAP_SHARED | MAP_FIXED, memory, 0) == guard + page);
    unsigned char *seen = mmap(NULL, size, may, MAP_SHARED, memory, 0);
    CHECK(seen != MAP_FAILED);
    stack_t small = {.ss_sp = guard + page, .ss_size = size}, none = {.ss_flags = SS_DISABLE};
    CHECK_INT(sigaltstack(&small, NULL), 0);

    size_t for_nothing = stack_taken(do_nothing, seen, size);
    size_t for_request = stack_taken(request, seen, size);
    printf("%zu bytes; %zu for an empty handler, %zu for one that requests\n", size, for_nothing,
           for_request);
    CHECK(for_nothing > 0);
    CHECK(IS_CHECKED || for_request < for_nothing + 1024);
    for (int turn = 0; turn < 1000; turn++)
        CHECK_INT(raise(SIGUSR1), 0);
    CHECK_INT(sigaltstack(&none, NULL), 0);
    CHECK(munmap(guard, size + (size_t)page) == 0 && munmap(seen, size) == 0);
    close(memory);
    return unused;
}

static void a_request_fits_on_a_small_stack(void) {
    test_begin(__func__);
    /* The loader's own work at the first call of a function is not what is measured. */
    request(SIGUSR1);
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, on_a_small_stack, NULL), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_INT(refused, 0);
    CHECK_INT(errno_lost, 0);
    reload_and_wait();
}

int main(void) {
    alarm(4 * PATIENCE_SECONDS);
    chain = scratch("one.chain"), key = scratch("one.key");
    make_pair(chain, key, "one.test");
    certreload_options *options = unwatched_options(chain, key, 100);
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);

    a_request_fits_on_a_small_stack();
    requests_may_interrupt_any_call();
    CHECK_INT(status_of(handle).failures, 0);
    CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
    certreload_close(handle);
    return 0;
}
