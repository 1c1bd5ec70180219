/*
 * A server without privileges: a directory that it may pass through and not read cannot be watched.
 * That is said, the rest is watched, and nothing goes round in circles.
 */

#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, RENEWALS = 4 };

static void as_user_nobody(void) {
    alarm(PATIENCE_SECONDS);
    CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    static recorder events = RECORDER_INITIALIZER;
    certreload_options *options = certreload_options_new();
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_options_add_identity(options, scratch("volume/live/chain"),
                                             scratch("volume/live/key"), NULL));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);

    const recorded_event *degraded = recorder_next(&events);
    CHECK_INT(degraded->kind, CERTRELOAD_EVENT_KIND_WATCH_DEGRADED);
    CHECK_STR(degraded->path, scratch("volume"));
    CHECK_CONTAINS(degraded->message, "permission denied");

    for (int i = 0; i < RENEWALS; i++) {
        CHECK(rename(scratch("volume/data/chain%d", i), scratch("volume/data/chain")) == 0);
        CHECK(rename(scratch("volume/data/key%d", i), scratch("volume/data/key")) == 0);
        CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    }
    /* An interval for nothing to happen in: the first poll is far away. */
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    uint64_t unchanged = status_of(handle).unchanged;
    usleep(500 * 1000);
    CHECK(status_of(handle).unchanged - unchanged <= 1);
    CHECK_INT(status_of(handle).watch, CERTRELOAD_WATCH_STATE_DEGRADED);
    certreload_close(handle);
}

int main(void) {
    test_begin("a_directory_that_cannot_be_watched_is_told_and_the_rest_is_watched");
    if (geteuid() != 0) {
        puts("NOT TESTED: privileges: only root can become another user");
        return 0;
    }
    CHECK(mkdir(scratch("volume"), 0711) == 0 && mkdir(scratch("volume/data"), 0755) == 0);
    CHECK(chmod(scratch("."), 0711) == 0 && chmod(scratch("volume"), 0711) == 0);
    CHECK(symlink("data", scratch("volume/live")) == 0);
    make_pair(scratch("volume/data/chain"), scratch("volume/data/key"), "one.test");
    for (int i = 0; i < RENEWALS; i++)
        make_pair(scratch("volume/data/chain%d", i), scratch("volume/data/key%d", i), "one.test");
    shell("chown -R %d volume/data", NOBODY);

    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        as_user_nobody();
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
    return 0;
}
