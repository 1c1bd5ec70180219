/*
 * chroot() after open: the handle serves on; what is read from then on is what is found under the
 * same path below the new root. Where that is nothing, the failure names the path, and says that
 * this is another root than the one that the handle was opened in (G3). Nothing of /dev, /proc or a
 * shell is needed below it.
 */

#define _GNU_SOURCE
#include "process.h"

#include <rustls.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SOON_MS = 50, ONE_DAY_MS = 86400000 };

static const char *chain, *key;
/* What a child below the root renames from; "jail" is prepared so that it holds the same
 * directories as lead to the files outside. */
static const char *jail, *outside_fingerprint, *inside_fingerprint;

static certreload_handle *open_one(certreload_watch watch, uint32_t poll_ms, recorder *events) {
    certreload_handle *handle = NULL;
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_watch(options, watch));
    CHECK_OK(certreload_options_set_poll_interval_ms(options, poll_ms));
    CHECK_OK(certreload_options_set_debounce_ms(options, 0));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 0));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, events, NULL));
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    CHECK_INT(recorder_next(events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    return handle;
}

static void change_root(void) {
    CHECK(chroot(jail) == 0 && chdir("/") == 0);
    CHECK(access(chain, F_OK) != 0 && access("/dev/null", F_OK) != 0);
}

static void move_into_place(void) {
    CHECK(rename("/ready.key", key) == 0 && rename("/ready.chain", chain) == 0);
}

static void serves(certreload_handle *handle, const char *fingerprint) {
    rustls_connection *connection = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &connection));
    rustls_connection_free(connection);
    CHECK_STR(serving_fingerprint(handle), fingerprint);
}

static void is_told(const recorded_event *event) {
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOAD_FAILED);
    CHECK_INT(event->result, CERTRELOAD_RESULT_FILE_NOT_FOUND);
    CHECK_STR(event->path, chain);
    CHECK_CONTAINS(event->message, chain);
    CHECK_CONTAINS(event->message, "in another root directory");
    CHECK_INT(event->generation, 1);
}

static void a_request_says_what_is_missing_and_takes_what_is_there(void) {
    static recorder events = RECORDER_INITIALIZER;
    certreload_handle *handle = open_one(CERTRELOAD_WATCH_OFF, ONE_DAY_MS, &events);
    change_root();
    serves(handle, outside_fingerprint);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FILE_NOT_FOUND);
    CHECK_CONTAINS(certreload_last_error(), chain);
    CHECK_CONTAINS(certreload_last_error(), "in another root directory");
    is_told(recorder_next(&events));
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_STALE);
    serves(handle, outside_fingerprint);

    move_into_place();
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    serves(handle, inside_fingerprint);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);
    certreload_close(handle);
}

static void a_poll_does_so_too(void) {
    static recorder events = RECORDER_INITIALIZER;
    certreload_handle *handle = open_one(CERTRELOAD_WATCH_POLL, SOON_MS, &events);
    change_root();
    is_told(recorder_next(&events));
    serves(handle, outside_fingerprint);
    move_into_place();
    CHECK_INT(recorder_next(&events)->generation, 2);
    serves(handle, inside_fingerprint);
    certreload_close(handle);
}

/* The ways below the new root are not watched before somebody looks there. */
static void after_a_look_the_watch_is_on_what_is_below_the_new_root(void) {
    static recorder events = RECORDER_INITIALIZER;
    certreload_handle *handle = open_one(CERTRELOAD_WATCH_AUTO, ONE_DAY_MS, &events);
    change_root();
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FILE_NOT_FOUND);
    is_told(recorder_next(&events));
    move_into_place();
    CHECK_INT(recorder_next(&events)->generation, 2);
    serves(handle, inside_fingerprint);
    certreload_close(handle);
}

static void a_handle_can_be_opened_below_it(void) {
    change_root();
    move_into_place();
    static recorder events = RECORDER_INITIALIZER;
    certreload_handle *handle = open_one(CERTRELOAD_WATCH_AUTO, ONE_DAY_MS, &events);
    serves(handle, inside_fingerprint);
    CHECK_INT(status_of(handle).watch, CERTRELOAD_WATCH_STATE_NOTIFIED);
    certreload_close(handle);
}

/* Each in a child: a process cannot come back. */
static void below_a_root(const char *name, void (*body)(void)) {
    test_begin(name);
    shell("rm -rf jail; mkdir -p 'jail%s'; cp -p inside.chain jail/ready.chain;"
          " cp -p inside.key jail/ready.key",
          scratch("."));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(PATIENCE_SECONDS);
        body();
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

int main(void) {
    if (geteuid() != 0) {
        puts("NOT TESTED: only root can change its root directory");
        return 0;
    }
    chain = scratch("one.chain"), key = scratch("one.key"), jail = scratch("jail");
    make_pair(chain, key, "one.test");
    make_pair(scratch("inside.chain"), scratch("inside.key"), "one.test");
    outside_fingerprint = fingerprint_of(chain);
    inside_fingerprint = fingerprint_of(scratch("inside.chain"));

    below_a_root("a_request_says_what_is_missing_and_takes_what_is_there",
                 a_request_says_what_is_missing_and_takes_what_is_there);
    below_a_root("a_poll_does_so_too", a_poll_does_so_too);
    below_a_root("after_a_look_the_watch_is_on_what_is_below_the_new_root",
                 after_a_look_the_watch_is_on_what_is_below_the_new_root);
    below_a_root("a_handle_can_be_opened_below_it", a_handle_can_be_opened_below_it);
    return 0;
}
