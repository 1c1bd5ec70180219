/*
 * certreload_reload() straight from a SIGHUP handler: as many signals as the kernel takes, and the
 * last change is live (G9). Nothing watches the files here, so only requests can find a change.
 */

#define _GNU_SOURCE
#include "support.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A storm is a stretch of signals around each renewal, and one after the last. */
enum { STORM = 100000, RENEWALS = 20, STRETCH = STORM / (RENEWALS + 1), ROUNDS = 100 };

static certreload_handle *handle;
static atomic_int kills, renewals;
static atomic_int handled, refused, errno_lost, on_foreign_threads;
static _Thread_local volatile sig_atomic_t is_host_thread;

static void on_hangup(int signal) {
    (void)signal;
    int interrupted_errno = errno;
    errno = EDOM;
    if (certreload_reload(handle) != CERTRELOAD_RESULT_OK)
        atomic_fetch_add(&refused, 1);
    if (errno != EDOM)
        atomic_fetch_add(&errno_lost, 1);
    if (!is_host_thread)
        atomic_fetch_add(&on_foreign_threads, 1);
    atomic_fetch_add(&handled, 1);
    errno = interrupted_errno;
}

static void *storm(void *unused) {
    is_host_thread = 1;
    for (int i = 0; i < STORM; i++) {
        /* Not ahead of the renewals, so that signals follow the last one however slow it is. */
        while (i >= (atomic_load(&renewals) + 1) * STRETCH && atomic_load(&renewals) < RENEWALS)
            sched_yield();
        kill(getpid(), SIGHUP);
        atomic_fetch_add(&kills, 1);
    }
    return unused;
}

static void put_in_place(const char *chain, const char *key, const char *name) {
    CHECK(rename(scratch("%s.chain", name), chain) == 0);
    CHECK(rename(scratch("%s.key", name), key) == 0);
}

/* Waits for events until what serves is what is on the disk; no failure may come on the way. */
static void wait_until_live(recorder *events, const char *fingerprint) {
    while (strcmp(serving_fingerprint(handle), fingerprint) != 0) {
        const recorded_event *event = recorder_next(events);
        CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
        CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_REQUEST);
    }
}

static void a_storm_loses_nothing(recorder *events, const char *chain, const char *key) {
    test_begin(__func__);
    const char *names[RENEWALS], *last = NULL;
    for (int i = 0; i < RENEWALS; i++) {
        names[i] = scratch("storm%d", i);
        names[i] = strrchr(names[i], '/') + 1;
        make_pair(scratch("storm%d.chain", i), scratch("storm%d.key", i), "one.test");
        last = fingerprint_of(scratch("storm%d.chain", i));
    }

    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, storm, NULL), 0);
    for (int i = 0; i < RENEWALS; i++) {
        while (atomic_load(&kills) < i * STRETCH + STRETCH / 2)
            sched_yield();
        put_in_place(chain, key, names[i]);
        atomic_fetch_add(&renewals, 1);
    }
    CHECK_INT(pthread_join(thread, NULL), 0);
    wait_until_live(events, last);

    CHECK_INT(kills, STORM);
    CHECK(handled > 0);
    CHECK_INT(refused, 0);
    CHECK_INT(errno_lost, 0);
    CHECK_INT(on_foreign_threads, 0);
    certreload_status status = status_of(handle);
    CHECK_INT(status.failures, 0);
    CHECK_INT(status.health, CERTRELOAD_HEALTH_OK);
    printf("%d signals, %d handled, %llu reloads, %llu found nothing new\n", STORM, handled,
           (unsigned long long)status.reloads, (unsigned long long)status.unchanged);
}

/* One signal for one change, at once after the one before was seen: while the worker may be
 * anywhere between looking and sleeping. */
static void one_signal_is_enough_each_time(recorder *events, const char *chain, const char *key) {
    test_begin(__func__);
    const char *names[2] = {"odd", "even"}, *fingerprints[2];
    for (int i = 0; i < 2; i++) {
        make_pair(scratch("%s.master.chain", names[i]), scratch("%s.master.key", names[i]),
                  "one.test");
        fingerprints[i] = fingerprint_of(scratch("%s.master.chain", names[i]));
    }
    for (int round = 0; round < ROUNDS; round++) {
        const char *name = names[round % 2];
        CHECK(link(scratch("%s.master.chain", name), scratch("%s.chain", name)) == 0);
        CHECK(link(scratch("%s.master.key", name), scratch("%s.key", name)) == 0);
        put_in_place(chain, key, name);
        CHECK_INT(raise(SIGHUP), 0);
        wait_until_live(events, fingerprints[round % 2]);
    }
}

int main(void) {
    const char *chain = scratch("one.chain"), *key = scratch("one.key");
    make_pair(chain, key, "one.test");
    static recorder events = RECORDER_INITIALIZER;
    certreload_options *options = unwatched_options(chain, key, 5000);
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    CHECK_INT(recorder_next(&events)->trigger, CERTRELOAD_TRIGGER_OPEN);

    is_host_thread = 1;
    struct sigaction action = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};
    CHECK_INT(sigaction(SIGHUP, &action, NULL), 0);
    a_storm_loses_nothing(&events, chain, key);
    one_signal_is_enough_each_time(&events, chain, key);

    CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
    certreload_close(handle);
    return 0;
}
