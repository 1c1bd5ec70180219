/*
 * A server that opens as root and then becomes somebody else, with the handle open: what it may
 * still read goes on reloading; of what it may not, the last version serves, and the failure says
 * who could read it and who cannot. A privileged helper hands that over in memory.
 */

#define _GNU_SOURCE
#include "children.h"
#include "host.h"
#include "tls.h"

#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NOBODY = 65534, MAY = 0, MAY_NOT = 1, NO_POLL = 86400000 };

static const char *const names[] = {"may.test", "may-not.test"};
static const char *chains[2], *keys[2], *next_chain, *next_key;
static certreload_handle *handle;
static recorder events = RECORDER_INITIALIZER;
/* The parent stays root: it renews when it is asked to. */
static gate renew[2], renewed;

static void open_as_root(uint32_t poll_interval) {
    /* The parent is told of what it renews for a child, too. */
    events = (recorder)RECORDER_INITIALIZER;
    certreload_options *options = certreload_options_new();
    for (int which = MAY; which <= MAY_NOT; which++)
        CHECK_OK(certreload_options_add_identity(options, chains[which], keys[which], NULL));
    CHECK_OK(certreload_options_set_debounce_ms(options, 50));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 200));
    CHECK_OK(certreload_options_set_poll_interval_ms(options, poll_interval));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    events.count = events.taken = 0; /* what was told of the handle before */
    handle = open_and_free(options);
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
}

/* With the threads of the library running, each of which has to become somebody else, too. */
static void become_user_nobody(void) {
    CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    CHECK(access(keys[MAY], R_OK) == 0 && access(keys[MAY_NOT], R_OK) != 0);
}

static void ask_for_renewal(int which) {
    gate_let_through(&renew[which], 1);
    gate_pass(&renewed);
}

/* What was told of a failure; that may be long before the test comes to it. */
static const recorded_event *failure;

static const recorded_event *next_event(void) {
    const recorded_event *event = recorder_next(&events);
    if (event->kind == CERTRELOAD_EVENT_KIND_RELOAD_FAILED)
        failure = event;
    return event;
}

static const recorded_event *next_reload(void) {
    const recorded_event *event = next_event();
    while (event->kind != CERTRELOAD_EVENT_KIND_RELOADED)
        event = next_event();
    return event;
}

static const recorded_event *wait_for_failure(void) {
    while (failure == NULL)
        next_event();
    return failure;
}

static certreload_identity_status standing_of(int which) {
    certreload_identity_status status;
    CHECK_OK(certreload_get_identity_status(handle, (size_t)which, &status, sizeof status));
    return status;
}

static void check_failure(const char *path, const char *message) {
    CHECK_STR(path, keys[MAY_NOT]);
    CHECK_CONTAINS(message, keys[MAY_NOT]);
    CHECK_CONTAINS(message, "permission denied");
    CHECK_CONTAINS(message, "user 0 (now 65534)");
}

static void what_may_be_read_reloads(void) {
    ask_for_renewal(MAY);
    const recorded_event *event = next_reload();
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_WATCH);
    CHECK_STR(fingerprint_shown(handle, names[MAY]), serving_fingerprint(handle));
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chains[MAY]));
    CHECK_INT(standing_of(MAY).health, CERTRELOAD_HEALTH_OK);
}

static void what_may_not_be_read_is_stale(void) {
    ask_for_renewal(MAY_NOT);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FILE_PERMISSION);
    check_failure(keys[MAY_NOT], certreload_last_error());
    const recorded_event *failed = wait_for_failure();
    CHECK_INT(failed->result, CERTRELOAD_RESULT_FILE_PERMISSION);
    check_failure(failed->path, failed->message);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_STALE);
    CHECK_INT(standing_of(MAY_NOT).health, CERTRELOAD_HEALTH_STALE);
    fingerprint_shown(handle, names[MAY_NOT]);
}

static void what_is_handed_over_heals(void) {
    size_t index = 0;
    CHECK_OK(certreload_find_identity(handle, names[MAY_NOT], &index));
    CHECK_INT(index, MAY_NOT);
    CHECK_OK(push_files(handle, index, next_chain, next_key));
    CHECK_INT(standing_of(MAY_NOT).health, CERTRELOAD_HEALTH_OK);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK_RESULT(push_files(handle, index, next_chain, next_key), UNCHANGED);
    CHECK_INT(next_reload()->trigger, CERTRELOAD_TRIGGER_PUSH);
    fingerprint_shown(handle, names[MAY_NOT]);
}

static void everything(void) {
    what_may_be_read_reloads();
    what_may_not_be_read_is_stale();
    what_may_be_read_reloads();
    what_is_handed_over_heals();
    what_may_be_read_reloads();
    certreload_close(handle);
}

static void dropped_in_the_process_that_opened(void *unused) {
    (void)unused;
    open_as_root(NO_POLL);
    become_user_nobody();
    everything();
}

static void dropped_in_a_child_of_it(void *unused) {
    (void)unused;
    become_user_nobody();
    CHECK_OK(certreload_after_fork(handle));
    everything();
}

static void dropped_after_it_was_taken_up(void *unused) {
    (void)unused;
    CHECK_OK(certreload_after_fork(handle));
    become_user_nobody();
    everything();
}

/* Not a file changes, and nobody asks: what cannot be read any more is told of all the same. */
static void noticed_at_the_next_poll(void *unused) {
    (void)unused;
    open_as_root(50);
    become_user_nobody();
    const recorded_event *failed = wait_for_failure();
    CHECK_INT(failed->trigger, CERTRELOAD_TRIGGER_POLL);
    check_failure(failed->path, failed->message);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_STALE);
    certreload_close(handle);
}

/* Files that are old enough are not read at each poll, as long as their time stamps stay. */
static void wait_until_time_stamps_are_trusted(void) {
    struct stat key;
    CHECK_INT(stat(keys[MAY_NOT], &key), 0);
    while (time(NULL) < key.st_ctim.tv_sec + 4)
        usleep(50 * 1000);
}

/* Makes what the child asks for, in the order of everything(). */
static void renew_for(pid_t child) {
    static const int order[] = {MAY, MAY_NOT, MAY, MAY};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        int which = order[i];
        gate_pass(&renew[which]);
        const char *chain = scratch("ready.chain"), *key = scratch("ready.key");
        make_pair(chain, key, names[which]);
        if (which == MAY)
            CHECK(chown(chain, NOBODY, NOBODY) == 0 && chown(key, NOBODY, NOBODY) == 0);
        CHECK(chmod(chain, 0644) == 0);
        CHECK(rename(chain, chains[which]) == 0 && rename(key, keys[which]) == 0);
        gate_let_through(&renewed, 1);
    }
    child_join(child);
}

int main(void) {
    if (geteuid() != 0) {
        puts("NOT TESTED: dropped privileges: only root can become another user");
        return 0;
    }
    alarm(4 * PATIENCE_SECONDS);
    CHECK_INT(chmod(scratch("."), 0711), 0);
    CHECK_INT(mkdir(scratch("tls"), 0755), 0);
    CHECK_INT(chmod(root_certificate(), 0644), 0);
    for (int which = MAY; which <= MAY_NOT; which++) {
        chains[which] = scratch("tls/%s.chain", names[which]);
        keys[which] = scratch("tls/%s.key", names[which]);
        renew[which] = gate_new();
    }
    next_chain = scratch("next.chain"), next_key = scratch("next.key");
    renewed = gate_new();

    static const struct {
        const char *name;
        void (*body)(void *);
        bool is_opened_by_parent;
    } cases[] = {
        {"dropped_in_the_process_that_opened", dropped_in_the_process_that_opened, false},
        {"dropped_in_a_child_of_it", dropped_in_a_child_of_it, true},
        {"dropped_after_it_was_taken_up", dropped_after_it_was_taken_up, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_begin(cases[i].name);
        for (int which = MAY; which <= MAY_NOT; which++)
            make_pair(chains[which], keys[which], names[which]);
        shell("chmod 644 tls/*.chain && chown %d tls/%s.*", NOBODY, names[MAY]);
        make_pair(next_chain, next_key, names[MAY_NOT]);
        shell("chown %d next.*", NOBODY);
        if (cases[i].is_opened_by_parent)
            open_as_root(NO_POLL);
        renew_for(child_start(cases[i].body, NULL));
        if (cases[i].is_opened_by_parent)
            certreload_close(handle);
    }
    test_begin("noticed_at_the_next_poll");
    make_pair(chains[MAY_NOT], keys[MAY_NOT], names[MAY_NOT]);
    wait_until_time_stamps_are_trusted();
    child_run(noticed_at_the_next_poll, NULL);
    gate_free(&renew[MAY]);
    gate_free(&renew[MAY_NOT]);
    gate_free(&renewed);
    return 0;
}
