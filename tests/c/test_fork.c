/*
 * A handle that was opened before a fork(), in the child (G11): it serves, says that it does not
 * reload, and is closed without a hang; certreload_after_fork() brings watching, requests and
 * events back. The child can open handles of its own, and the parent notices nothing.
 */

#define _GNU_SOURCE
#include "children.h"
#include "tls.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534, NO_POLL = 86400000 };

static const char *chain, *key;
static certreload_handle *handle;
static recorder events = RECORDER_INITIALIZER;

/* Renewals are found by the kernel's notifications and by requests, or by nothing. */
static certreload_handle *open_watched(const char *own_chain, const char *own_key,
                                       recorder *listener) {
    certreload_options *options = certreload_options_new();
    certreload_handle *opened = NULL;
    CHECK_OK(certreload_options_add_identity(options, own_chain, own_key, NULL));
    CHECK_OK(certreload_options_set_poll_interval_ms(options, NO_POLL));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, listener, NULL));
    CHECK_OK(certreload_open(options, &opened));
    certreload_options_free(options);
    CHECK_INT(recorder_next(listener)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    return opened;
}

static void renew_and_see(certreload_handle *watched, const char *own_chain, const char *own_key,
                          const char *name, recorder *listener) {
    uint64_t generation = serving_generation(watched);
    renew_pair(own_chain, own_key, name);
    const recorded_event *event = recorder_next(listener);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_WATCH);
    CHECK_INT(event->generation, generation + 1);
    CHECK_STR(fingerprint_shown(watched, name), fingerprint_of(own_chain));
}

static void check_serves_and_does_not_reload(const char *fingerprint) {
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint);
    CHECK_OK(certreload_reload(handle));
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FORKED);
    CHECK_CONTAINS(certreload_last_error(), "before a fork");
    certreload_identity_bytes bytes = {"chain", 5, "key", 3, NULL, 0};
    CHECK_RESULT(certreload_push_identity(handle, 0, &bytes, sizeof bytes), FORKED);
    CHECK_RESULT(certreload_dispatch(handle), FORKED);
    CHECK_INT(certreload_event_fd(handle), -1);
    CHECK_CONTAINS(certreload_last_error(), "before a fork");
    const certreload_event *event = NULL;
    CHECK_RESULT(certreload_next_event(handle, &event), NO_EVENT);
    certreload_status status = status_of(handle);
    CHECK_INT(status.watch, CERTRELOAD_WATCH_STATE_OFF);
    CHECK_INT(status.health, CERTRELOAD_HEALTH_STALE);
    CHECK_INT(status.last_result, CERTRELOAD_RESULT_FORKED);
}

static void check_reloads(void) {
    renew_and_see(handle, chain, key, "one.test", &events);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    certreload_status status = status_of(handle);
    CHECK_INT(status.watch, CERTRELOAD_WATCH_STATE_NOTIFIED);
    CHECK_INT(status.health, CERTRELOAD_HEALTH_OK);
}

static void with_a_handle_of_its_own(void (*between)(void)) {
    const char *own_chain = scratch("own.chain"), *own_key = scratch("own.key");
    make_pair(own_chain, own_key, "child.test");
    static recorder own_events = RECORDER_INITIALIZER;
    certreload_handle *own = open_watched(own_chain, own_key, &own_events);
    if (between != NULL)
        between();
    renew_and_see(own, own_chain, own_key, "child.test", &own_events);
    CHECK_RESULT(certreload_reload_wait(own, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    certreload_close(own);
}

static void close_inherited(void) {
    CHECK_OK(certreload_set_event_callback(handle, NULL, NULL, NULL));
    certreload_close(handle);
}

static void without_after_fork(void *unused) {
    (void)unused;
    check_serves_and_does_not_reload(fingerprint_of(chain));
    with_a_handle_of_its_own(NULL);
    check_serves_and_does_not_reload(fingerprint_of(chain));
}

static void closed_without_after_fork(void *unused) {
    (void)unused;
    with_a_handle_of_its_own(close_inherited);
    with_a_handle_of_its_own(NULL);
}

/* 0 as long as this process does not know which generation renewed the identity. */
static uint64_t renewed_generation(void) {
    certreload_identity_status status;
    CHECK_OK(certreload_get_identity_status(handle, 0, &status, sizeof status));
    return status.renewed_generation;
}

static void with_after_fork(void *unused) {
    (void)unused;
    check_serves_and_does_not_reload(fingerprint_of(chain));
    CHECK_OK(certreload_after_fork(handle));
    CHECK_INT(renewed_generation(), 0);
    check_reloads();
    CHECK(renewed_generation() > 1);
    /* It is a handle of this process by now. */
    CHECK_OK(certreload_after_fork(handle));
    check_reloads();
    with_a_handle_of_its_own(close_inherited);
}

static volatile sig_atomic_t refused;

static void on_hangup(int number) {
    (void)number;
    int interrupted_errno = errno;
    errno = EDOM;
    if (certreload_reload(handle) != CERTRELOAD_RESULT_OK || errno != EDOM)
        refused = 1;
    errno = interrupted_errno;
}

static uint64_t looks(void) {
    return status_of(handle).unchanged;
}

/* Nothing has changed, so what a request does shows in how often the files were looked at. */
static void a_request_is_answered_by_a_look(void) {
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    uint64_t before = looks();
    CHECK_INT(raise(SIGHUP), 0);
    while (looks() == before)
        usleep(1000);
}

static void with_requests_from_handlers(void *unused) {
    (void)unused;
    CHECK(signal(SIGHUP, on_hangup) != SIG_ERR);
    for (int i = 0; i < 100; i++)
        raise(SIGHUP);
    CHECK_OK(certreload_after_fork(handle));
    for (int i = 0; i < 10; i++)
        a_request_is_answered_by_a_look();
    CHECK_INT(refused, 0);
}

static void the_parent_is_not_disturbed(void) {
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    check_reloads();
    CHECK_INT(events.taken, events.count);
}

/* What a child asks for is nothing that its parent would do. */
static void requests_of_a_child_are_its_own(void) {
    test_begin(__func__);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    uint64_t before = looks();
    child_run(with_requests_from_handlers, NULL);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK_INT(looks(), before + 1);
}

static void after_fork_is_nothing_in_the_process_that_opened(void) {
    test_begin(__func__);
    uint64_t generation = serving_generation(handle);
    CHECK_OK(certreload_after_fork(handle));
    CHECK_INT(serving_generation(handle), generation);
    the_parent_is_not_disturbed();
}

/* As nobody, for the limit is none for root. */
static void without_threads(void *unused) {
    (void)unused;
    CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_NPROC, &limit), 0);
    rlim_t before = limit.rlim_cur;
    const char *fingerprint = fingerprint_of(chain);
    limit.rlim_cur = 1;
    CHECK_INT(setrlimit(RLIMIT_NPROC, &limit), 0);
    for (int attempt = 0; attempt < 3; attempt++) {
        CHECK_RESULT(certreload_after_fork(handle), SYSTEM);
        CHECK_CONTAINS(certreload_last_error(), "thread");
        check_serves_and_does_not_reload(fingerprint);
    }
    limit.rlim_cur = before;
    CHECK_INT(setrlimit(RLIMIT_NPROC, &limit), 0);
    CHECK_OK(certreload_after_fork(handle));
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);
    certreload_close(handle);
}

static void a_child_that_gets_no_threads_serves_on(void) {
    test_begin(__func__);
    if (geteuid() != 0) {
        puts("NOT TESTED: a child without threads: only root can become another user");
        return;
    }
    CHECK_INT(chmod(scratch("."), 0711), 0);
    CHECK(chown(chain, NOBODY, NOBODY) == 0 && chown(key, NOBODY, NOBODY) == 0);
    child_run(without_threads, NULL);
}

int main(void) {
    alarm(4 * PATIENCE_SECONDS);
    chain = scratch("one.chain"), key = scratch("one.key");
    make_pair(chain, key, "one.test");
    handle = open_watched(chain, key, &events);

    test_begin("a_forked_child_serves_and_says_that_it_does_not_reload");
    child_run(without_after_fork, NULL);
    the_parent_is_not_disturbed();
    test_begin("an_inherited_handle_is_closed_without_a_hang");
    child_run(closed_without_after_fork, NULL);
    the_parent_is_not_disturbed();
    a_child_that_gets_no_threads_serves_on();
    requests_of_a_child_are_its_own();
    after_fork_is_nothing_in_the_process_that_opened();
    test_begin("after_fork_brings_watching_requests_and_events_back");
    child_run(with_after_fork, NULL);
    /* What the child renewed is renewed here, too. */
    for (int i = 0; i < 2; i++)
        CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    the_parent_is_not_disturbed();
    certreload_close(handle);
    return 0;
}
