/*
 * Handles without threads, and identities without files, across a fork (G10, G11): a child that
 * took a handle up dispatches for itself, with a descriptor of its own, and what it is handed in
 * memory is its own affair.
 */

#define _GNU_SOURCE
#include "children.h"
#include "host.h"
#include "tls.h"

#include <unistd.h>

enum { RENEWALS = 3 };

static const char *chain, *key;
static certreload_handle *handle;
static recorder events = RECORDER_INITIALIZER;
static gate ready, go_on;

static void open_without_threads(recorder *listener) {
    certreload_options *options = host_options(chain, key);
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, listener, NULL));
    handle = open_and_free(options);
}

static void wait_and_dispatch(void) {
    wait_readable(certreload_event_fd(handle));
    CHECK_OK(certreload_dispatch(handle));
}

/* The next event that is told here, on this thread, for it is the only one. */
static const recorded_event *dispatch_until_event(void) {
    while (events.taken == events.count)
        wait_and_dispatch();
    return recorder_next(&events);
}

static void see_renewal(void) {
    const recorded_event *event = dispatch_until_event();
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_WATCH);
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
}

static void without_after_fork(void *unused) {
    (void)unused;
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
    CHECK_RESULT(certreload_dispatch(handle), FORKED);
    CHECK_INT(certreload_event_fd(handle), -1);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FORKED);
    certreload_close(handle);
}

static void with_after_fork(void *unused) {
    (void)unused;
    CHECK_OK(certreload_after_fork(handle));
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    for (int i = 0; i < RENEWALS; i++) {
        gate_let_through(&ready, 1);
        gate_pass(&go_on);
        see_renewal();
    }
    CHECK_INT(thread_count(), 1);
    certreload_close(handle);
}

static void a_child_dispatches_for_itself(void) {
    test_begin(__func__);
    open_without_threads(&events);
    CHECK_INT(dispatch_until_event()->trigger, CERTRELOAD_TRIGGER_OPEN);
    child_run(without_after_fork, NULL);
    pid_t first = child_start(with_after_fork, NULL), second = child_start(with_after_fork, NULL);
    for (int i = 0; i < RENEWALS; i++) {
        gate_pass(&ready);
        gate_pass(&ready);
        renew_pair(chain, key, "one.test");
        gate_let_through(&go_on, 2);
        see_renewal();
    }
    child_join(first);
    child_join(second);
    CHECK_INT(thread_count(), 1);
}

static void push_in_the_child(void *unused) {
    (void)unused;
    const char *inherited = serving_fingerprint(handle);
    CHECK_RESULT(push_files(handle, 0, chain, key), FORKED);
    CHECK_OK(certreload_after_fork(handle));
    /* Its files were looked at no more in the parent, and are not here. */
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK_STR(serving_fingerprint(handle), inherited);
    CHECK_OK(push_files(handle, 0, chain, key));
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
    CHECK_RESULT(push_files(handle, 0, chain, key), UNCHANGED);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);
    certreload_close(handle);
}

static void what_is_pushed_is_the_affair_of_each_process(void) {
    test_begin(__func__);
    make_pair(chain, key, "one.test");
    CHECK_OK(push_files(handle, 0, chain, key));
    const char *pushed = fingerprint_of(chain);

    make_pair(chain, key, "one.test");
    child_run(push_in_the_child, NULL);
    CHECK_STR(fingerprint_shown(handle, "one.test"), pushed);
    CHECK_OK(push_files(handle, 0, chain, key));
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
}

int main(void) {
    alarm(4 * PATIENCE_SECONDS);
    chain = scratch("one.chain"), key = scratch("one.key");
    make_pair(chain, key, "one.test");
    ready = gate_new(), go_on = gate_new();
    a_child_dispatches_for_itself();
    what_is_pushed_is_the_affair_of_each_process();
    certreload_close(handle);
    gate_free(&ready);
    gate_free(&go_on);
    return 0;
}
