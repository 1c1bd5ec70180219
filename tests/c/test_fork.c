/*
 * A handle that was opened before a fork(): in the child it serves, says that it does not reload,
 * and is closed without a hang; the child can open handles of its own; the parent notices nothing.
 */

#define _GNU_SOURCE
#include "support.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static certreload_handle *open_watched(const char *chain, const char *key, recorder *events) {
    certreload_options *options = certreload_options_new();
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, events));
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    CHECK_INT(recorder_next(events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    return handle;
}

static void in_the_child(certreload_handle *inherited, const char *chain) {
    alarm(PATIENCE_SECONDS);
    CHECK_STR(serving_fingerprint(inherited), fingerprint_of(chain));
    CHECK_OK(certreload_reload(inherited));
    CHECK_RESULT(certreload_reload_wait(inherited, CERTRELOAD_WAIT_FOREVER), FORKED);
    CHECK_CONTAINS(certreload_last_error(), "before a fork");
    certreload_status status = status_of(inherited);
    CHECK_INT(status.watch, CERTRELOAD_WATCH_STATE_OFF);
    CHECK_INT(status.health, CERTRELOAD_HEALTH_STALE);
    CHECK_INT(status.last_result, CERTRELOAD_RESULT_FORKED);

    /* One of its own, before and after the inherited one is closed. */
    scratch_renew();
    for (int round = 0; round < 2; round++) {
        const char *own_chain = scratch("own.chain"), *own_key = scratch("own.key");
        make_pair(own_chain, own_key, "child.test");
        static recorder events = RECORDER_INITIALIZER;
        certreload_handle *own = open_watched(own_chain, own_key, &events);
        renew_pair(own_chain, own_key, "child.test");
        CHECK_INT(recorder_next(&events)->generation, 2);
        CHECK_STR(serving_fingerprint(own), fingerprint_of(own_chain));
        if (round == 0) {
            CHECK_OK(certreload_set_event_callback(inherited, NULL, NULL));
            certreload_close(inherited);
        }
        CHECK_RESULT(certreload_reload_wait(own, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
        certreload_close(own);
    }
}

int main(void) {
    const char *chain = scratch("one.chain"), *key = scratch("one.key");
    make_pair(chain, key, "one.test");
    static recorder events = RECORDER_INITIALIZER;
    certreload_handle *handle = open_watched(chain, key, &events);

    test_begin("a_forked_child_serves_and_says_that_it_does_not_reload");
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        in_the_child(handle, chain);
        exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);

    test_begin("the_parent_notices_nothing_of_a_child");
    renew_pair(chain, key, "one.test");
    CHECK_INT(recorder_next(&events)->generation, 2);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));
    certreload_close(handle);
    return 0;
}
