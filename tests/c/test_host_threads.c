/*
 * The HOST runtime with several threads of the host's, and beside handles with the library's own:
 * no wake-up is lost, callbacks are one at a time and in order, and closing waits for who is
 * inside.
 */

#define _GNU_SOURCE
#include "host.h"
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { DISPATCHERS = 2, RENEWALS = 40, PAIRS = 4 };

static const char *chain, *key;
static const char *fingerprints[PAIRS];

/* Threads that do nothing but wait for the descriptor and dispatch. */
struct crew {
    certreload_handle *handle;
    int stop;
    pthread_t threads[DISPATCHERS];
    atomic_int inside;
    atomic_ullong newest, dispatches;
};

static void on_event(void *userdata, const certreload_event *event) {
    struct crew *crew = userdata;
    CHECK_INT(atomic_fetch_add(&crew->inside, 1), 0);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    /* Each generation once, in order. */
    CHECK_INT(event->generation, atomic_load(&crew->newest) + 1);
    atomic_store(&crew->newest, event->generation);
    atomic_fetch_sub(&crew->inside, 1);
}

static void *dispatch_when_woken(void *argument) {
    struct crew *crew = argument;
    for (;;) {
        struct pollfd fds[] = {{.fd = certreload_event_fd(crew->handle), .events = POLLIN},
                               {.fd = crew->stop, .events = POLLIN}};
        /* For ever: one wake-up that is lost is a hang. */
        CHECK(poll(fds, 2, -1) > 0);
        if (fds[1].revents != 0)
            return NULL;
        CHECK_OK(certreload_dispatch(crew->handle));
        atomic_fetch_add(&crew->dispatches, 1);
    }
}

static void start(struct crew *crew, certreload_options *options) {
    CHECK_OK(certreload_options_set_event_callback(options, on_event, crew, NULL));
    crew->handle = open_and_free(options);
    crew->stop = eventfd(0, EFD_CLOEXEC);
    CHECK(crew->stop >= 0);
    for (int i = 0; i < DISPATCHERS; i++)
        CHECK_INT(pthread_create(&crew->threads[i], NULL, dispatch_when_woken, crew), 0);
}

static void stop(struct crew *crew) {
    uint64_t one = 1;
    CHECK(write(crew->stop, &one, sizeof one) == sizeof one);
    for (int i = 0; i < DISPATCHERS; i++)
        CHECK_INT(pthread_join(crew->threads[i], NULL), 0);
    certreload_close(crew->handle);
    close(crew->stop);
}

static void put_in_place(int which) {
    CHECK(link(scratch("pair%d.key", which), scratch("next.key")) == 0);
    CHECK(link(scratch("pair%d.chain", which), scratch("next.chain")) == 0);
    CHECK(rename(scratch("next.chain"), chain) == 0 && rename(scratch("next.key"), key) == 0);
    /* To rename one name of a file over another of the same leaves both. */
    (void)(unlink(scratch("next.chain")) + unlink(scratch("next.key")));
}

static void wait_until_served(certreload_handle *handle, const char *fingerprint) {
    for (int i = 0; strcmp(serving_fingerprint(handle), fingerprint) != 0; i++) {
        CHECK(i < PATIENCE_SECONDS * 1000);
        usleep(1000);
    }
}

static atomic_bool over;

static void *request_all_the_time(void *handle) {
    while (!atomic_load(&over)) {
        CHECK_OK(certreload_reload(handle));
        usleep(200);
    }
    return NULL;
}

static void no_wake_up_is_lost(void) {
    test_begin(__func__);
    struct crew crew = {0};
    start(&crew, host_options(chain, key));
    pthread_t requests;
    atomic_store(&over, false);
    CHECK_INT(pthread_create(&requests, NULL, request_all_the_time, crew.handle), 0);
    /* With a rain of requests, and then by notification alone. */
    for (int renewal = 1; renewal <= RENEWALS; renewal++) {
        put_in_place(renewal % PAIRS);
        wait_until_served(crew.handle, fingerprints[renewal % PAIRS]);
        if (renewal == RENEWALS / 2) {
            atomic_store(&over, true);
            CHECK_INT(pthread_join(requests, NULL), 0);
        }
    }
    /* One request, one look: when nothing else wakes anybody. */
    for (int request = 0; request < 200; request++) {
        uint64_t before = status_of(crew.handle).unchanged;
        CHECK_OK(certreload_reload(crew.handle));
        for (int i = 0; status_of(crew.handle).unchanged == before; i++) {
            CHECK(i < PATIENCE_SECONDS * 10000);
            usleep(100);
        }
    }
    CHECK_OK(certreload_reload(crew.handle));
    CHECK_RESULT(certreload_reload_wait(crew.handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    while (atomic_load(&crew.newest) < RENEWALS + 1)
        sched_yield();
    printf("  %llu dispatches\n", atomic_load(&crew.dispatches));
    CHECK_INT(status_of(crew.handle).failures, 0);
    stop(&crew);
    CHECK_INT(crew.newest, RENEWALS + 1);
}

struct blocker {
    sem_t is_inside, may_go;
    atomic_int calls;
};

static void block(void *userdata, const certreload_event *event) {
    struct blocker *blocker = userdata;
    (void)event;
    if (atomic_fetch_add(&blocker->calls, 1) == 0) {
        sem_post(&blocker->is_inside);
        sem_wait(&blocker->may_go);
    }
}

static void *dispatch_once(void *handle) {
    CHECK_OK(certreload_dispatch(handle));
    return NULL;
}

static void a_callback_that_blocks_keeps_no_other_thread_busy_and_no_work_back(void) {
    test_begin(__func__);
    struct blocker blocker = {.calls = 0};
    CHECK(sem_init(&blocker.is_inside, 0, 0) == 0 && sem_init(&blocker.may_go, 0, 0) == 0);
    certreload_options *options = host_options(chain, key);
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF));
    CHECK_OK(certreload_options_set_event_callback(options, block, &blocker, NULL));
    certreload_handle *handle = open_and_free(options);
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, dispatch_once, handle), 0);
    CHECK_INT(sem_wait(&blocker.is_inside), 0);

    /* Here the work goes on, and its event waits without a wake-up that nobody could answer. */
    put_in_place(1);
    CHECK_OK(certreload_reload(handle));
    dispatch_until_generation(handle, 2);
    dispatch_all(handle);
    CHECK(!is_readable(certreload_event_fd(handle)));
    CHECK_INT(blocker.calls, 1);
    put_in_place(2);
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(blocker.calls, 1);

    sem_post(&blocker.may_go);
    CHECK_INT(pthread_join(thread, NULL), 0);
    wait_readable(certreload_event_fd(handle));
    dispatch_all(handle);
    CHECK_INT(blocker.calls, 3);
    certreload_close(handle);
    sem_destroy(&blocker.is_inside);
    sem_destroy(&blocker.may_go);
}

static void *wait_for_ever(void *handle) {
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), CLOSED);
    return NULL;
}

static void close_ends_the_wait_of_another_thread(void) {
    test_begin(__func__);
    put_in_place(0);
    certreload_options *options = host_options(chain, key);
    CHECK_OK(certreload_options_set_debounce_ms(options, 10));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 600000));
    certreload_handle *handle = open_and_free(options);
    shell("cp -p pair1.key half && mv -f half '%s'", key);
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, wait_for_ever, handle), 0);
    certreload_identity_status identity = {0};
    while (!identity.pending) {
        CHECK_OK(certreload_get_identity_status(handle, 0, &identity, sizeof identity));
        sched_yield();
    }
    certreload_close(handle);
    CHECK_INT(pthread_join(thread, NULL), 0);
    put_in_place(0);
}

static void a_wait_is_answered_whichever_thread_does_the_work(void) {
    test_begin(__func__);
    struct crew crew = {0};
    start(&crew, host_options(chain, key));
    for (int renewal = 1; renewal <= RENEWALS; renewal++) {
        put_in_place(renewal % PAIRS);
        certreload_result result = certreload_reload_wait(crew.handle, CERTRELOAD_WAIT_FOREVER);
        CHECK(result == CERTRELOAD_RESULT_OK || result == CERTRELOAD_RESULT_UNCHANGED);
        CHECK_STR(serving_fingerprint(crew.handle), fingerprints[renewal % PAIRS]);
    }
    stop(&crew);
}

static void both_runtimes_live_in_one_process(void) {
    test_begin(__func__);
    static recorder events = RECORDER_INITIALIZER;
    size_t threads = thread_count();
    certreload_options *options = host_options(chain, key);
    certreload_handle *driven = open_and_free(options);
    CHECK_INT(thread_count(), threads);
    options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    certreload_handle *threaded = open_and_free(options);
    CHECK_INT(recorder_next(&events)->generation, 1);
    CHECK(thread_count() > threads);
    dispatch_all(driven);
    for (uint64_t generation = 2; generation <= 5; generation++) {
        put_in_place((int)generation % PAIRS);
        CHECK_INT(recorder_next(&events)->generation, generation);
        CHECK_INT(serving_generation(driven), generation - 1);
        dispatch_until_generation(driven, generation);
        CHECK_STR(serving_fingerprint(driven), serving_fingerprint(threaded));
    }
    certreload_close(threaded);
    CHECK_INT(thread_count(), threads);
    put_in_place(2);
    dispatch_until_generation(driven, 6);
    certreload_close(driven);
}

int main(void) {
    chain = scratch("one.chain"), key = scratch("one.key");
    for (int i = 0; i < PAIRS; i++) {
        make_pair(scratch("pair%d.chain", i), scratch("pair%d.key", i), "one.test");
        fingerprints[i] = fingerprint_of(scratch("pair%d.chain", i));
    }
    put_in_place(0);
    no_wake_up_is_lost();
    put_in_place(0);
    a_callback_that_blocks_keeps_no_other_thread_busy_and_no_work_back();
    close_ends_the_wait_of_another_thread();
    a_wait_is_answered_whichever_thread_does_the_work();
    both_runtimes_live_in_one_process();
    return 0;
}
