/*
 * A prefork server's family (G11): a parent, children and grandchildren that inherited one handle
 * and called certreload_after_fork(), each with a watch, requests and events of its own. All renew,
 * none takes anything from another, and any of them may end at any time.
 */

#define _GNU_SOURCE
#include "children.h"
#include "host.h"
#include "tls.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 3, RENEWALS = 3, NO_POLL = 86400000 };

static const char *chain, *key;
static certreload_handle *handle;
static recorder events = RECORDER_INITIALIZER;
/* Those who are ready say so to the parent, which lets them go on. */
static gate ready, go_on;

/* Nothing but the kernel's notifications can find a renewal. */
static certreload_handle *open_watched(recorder *listener) {
    certreload_options *options = certreload_options_new();
    certreload_handle *opened = NULL;
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_poll_interval_ms(options, NO_POLL));
    if (listener != NULL)
        CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, listener, NULL));
    CHECK_OK(certreload_open(options, &opened));
    certreload_options_free(options);
    if (listener != NULL)
        CHECK_INT(recorder_next(listener)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    return opened;
}

static void wait_for(int count) {
    for (int i = 0; i < count; i++)
        gate_pass(&ready);
}

/* The next event is the next renewal, seen by this process itself, and clients see it. */
static void see_renewal(void) {
    const recorded_event *event = recorder_next(&events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_WATCH);
    CHECK_INT(event->generation, serving_generation(handle));
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
}

static void see_renewals(int count) {
    for (int i = 0; i < count; i++) {
        gate_let_through(&ready, 1);
        gate_pass(&go_on);
        see_renewal();
    }
}

static void after_fork_and_renewals(void *unused) {
    (void)unused;
    CHECK_OK(certreload_after_fork(handle));
    see_renewals(RENEWALS);
    certreload_close(handle);
}

static void every_process_sees_every_renewal(void) {
    test_begin(__func__);
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++)
        children[i] = child_start(after_fork_and_renewals, NULL);
    for (int renewal = 0; renewal < RENEWALS; renewal++) {
        wait_for(CHILDREN);
        renew_pair(chain, key, "one.test");
        gate_let_through(&go_on, CHILDREN);
        see_renewal();
    }
    for (int i = 0; i < CHILDREN; i++)
        child_join(children[i]);
}

static void late_after_fork(void *unused) {
    (void)unused;
    const char *inherited = fingerprint_shown(handle, "one.test");
    gate_let_through(&ready, 1);
    gate_pass(&go_on);
    CHECK_STR(fingerprint_shown(handle, "one.test"), inherited);
    CHECK_OK(certreload_after_fork(handle));
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
    certreload_close(handle);
}

/* G1 holds for children, too. */
static void what_changed_before_after_fork_is_not_missed(void) {
    test_begin(__func__);
    pid_t child = child_start(late_after_fork, NULL);
    wait_for(1);
    renew_pair(chain, key, "one.test");
    see_renewal();
    gate_let_through(&go_on, 1);
    child_join(child);
}

static void grandchild(void *unused) {
    (void)unused;
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FORKED);
    CHECK_OK(certreload_after_fork(handle));
    see_renewals(1);
}

/* One that calls after_fork, or not, before it forks. */
static void child_with_children(void *calls_after_fork) {
    if (calls_after_fork != NULL)
        CHECK_OK(certreload_after_fork(handle));
    pid_t children[2];
    for (int i = 0; i < 2; i++)
        children[i] = child_start(grandchild, NULL);
    if (calls_after_fork != NULL)
        see_renewals(1);
    for (int i = 0; i < 2; i++)
        child_join(children[i]);
    if (calls_after_fork != NULL)
        CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    else
        CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FORKED);
    CHECK_STR(fingerprint_shown(handle, "one.test"), serving_fingerprint(handle));
}

static void grandchildren_are_children_too(void) {
    test_begin(__func__);
    pid_t first = child_start(child_with_children, &handle);
    pid_t second = child_start(child_with_children, NULL);
    int waiting = 3 + 2;
    wait_for(waiting);
    renew_pair(chain, key, "one.test");
    gate_let_through(&go_on, waiting);
    see_renewal();
    child_join(first);
    child_join(second);
}

/* One that is killed while it holds whatever it may hold. */
static void until_killed(void *unused) {
    (void)unused;
    alarm(0);
    CHECK_OK(certreload_after_fork(handle));
    gate_let_through(&ready, 1);
    for (;;)
        certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER);
}

static void a_killed_child_does_not_harm_the_others(void) {
    test_begin(__func__);
    pid_t killed = child_start(until_killed, NULL);
    wait_for(1);
    pid_t child = child_start(grandchild, NULL);
    wait_for(1);
    CHECK_INT(kill(killed, SIGKILL), 0);
    CHECK_INT(waitpid(killed, NULL, 0), killed);
    renew_pair(chain, key, "one.test");
    gate_let_through(&go_on, 1);
    see_renewal();
    child_join(child);
}

static const certreload_event *next_event(certreload_handle *opened) {
    const certreload_event *event = NULL;
    int descriptor = certreload_event_fd(opened);
    CHECK(descriptor >= 0);
    wait_readable(descriptor);
    CHECK_OK(certreload_next_event(opened, &event));
    return event;
}

static void take_events_of_its_own(void *opened) {
    const certreload_event *event = NULL;
    CHECK_OK(certreload_after_fork(opened));
    while (certreload_next_event(opened, &event) == CERTRELOAD_RESULT_OK)
        continue;
    CHECK(!is_readable(certreload_event_fd(opened)));
    CHECK_RESULT(certreload_next_event(opened, &event), NO_EVENT);
    gate_let_through(&ready, 1);
    gate_pass(&go_on);
    CHECK_INT(next_event(opened)->trigger, CERTRELOAD_TRIGGER_WATCH);
    certreload_close(opened);
}

/* Without callbacks: what waits in the parent is not taken by a child, nor the other way round. */
static void each_process_has_a_descriptor_and_events_of_its_own(void) {
    test_begin(__func__);
    certreload_handle *opened = open_watched(NULL);
    CHECK(certreload_event_fd(opened) >= 0);
    renew_pair(chain, key, "one.test");
    see_renewal();
    wait_readable(certreload_event_fd(opened));

    pid_t child = child_start(take_events_of_its_own, opened);
    wait_for(1);
    CHECK(is_readable(certreload_event_fd(opened)));
    uint64_t generation = 0;
    while (generation < 2)
        generation = next_event(opened)->generation;
    CHECK(!is_readable(certreload_event_fd(opened)));
    renew_pair(chain, key, "one.test");
    see_renewal();
    CHECK_INT(next_event(opened)->generation, 3);
    gate_let_through(&go_on, 1);
    child_join(child);
    certreload_close(opened);
}

/* The last one here: the handle of this process is closed under the children's feet. */
static void children_outlive_their_parents_handle(void) {
    test_begin(__func__);
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++)
        children[i] = child_start(after_fork_and_renewals, NULL);
    wait_for(CHILDREN);
    certreload_close(handle);
    for (int renewal = 0; renewal < RENEWALS; renewal++) {
        renew_pair(chain, key, "one.test");
        gate_let_through(&go_on, CHILDREN);
        if (renewal + 1 < RENEWALS)
            wait_for(CHILDREN);
    }
    for (int i = 0; i < CHILDREN; i++)
        child_join(children[i]);
}

int main(void) {
    alarm(4 * PATIENCE_SECONDS);
    chain = scratch("one.chain"), key = scratch("one.key");
    make_pair(chain, key, "one.test");
    handle = open_watched(&events);
    ready = gate_new(), go_on = gate_new();

    every_process_sees_every_renewal();
    what_changed_before_after_fork_is_not_missed();
    grandchildren_are_children_too();
    a_killed_child_does_not_harm_the_others();
    each_process_has_a_descriptor_and_events_of_its_own();
    children_outlive_their_parents_handle();
    gate_free(&ready);
    gate_free(&go_on);
    return 0;
}
