/* What a host sees without being told: dates, health of each identity, metrics, the log line. */

#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *one_chain, *one_key, *two_chain, *two_key;

static certreload_identity_status identity_status_of(certreload_handle *handle, size_t index) {
    certreload_identity_status status;
    CHECK_OK(certreload_get_identity_status(handle, index, &status, sizeof status));
    CHECK_INT(status.size, sizeof status);
    return status;
}

static void a_certificate_near_its_end_is_reported_at_open(void) {
    test_begin(__func__);
    static recorder events = RECORDER_INITIALIZER;
    const char *chain = scratch("old.chain"), *key = scratch("old.key");
    make_pair_valid(chain, key, "old.test", -80, 5);
    certreload_options *options = unwatched_options(chain, key, 100);
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));

    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    const recorded_event *event = recorder_next(&events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_EXPIRING);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_CLOCK);
    CHECK_OK(event->result);
    CHECK_INT(event->generation, 1);
    CHECK_STR(event->path, chain);
    CHECK_CONTAINS(event->message, "old.test expires in ");
    CHECK_CONTAINS(event->message, "no renewal was found");

    certreload_status status = status_of(handle);
    CHECK_INT(status.health, CERTRELOAD_HEALTH_EXPIRING);
    CHECK_INT(status.health_since, status.expiring_from);
    CHECK(status.expiring_from < time(NULL));

    const certreload_generation *generation = certreload_generation_acquire(handle);
    const certreload_identity *identity = certreload_generation_identity(generation, 0);
    int64_t lifetime =
        certreload_identity_not_after(identity) - certreload_identity_not_before(identity);
    CHECK_INT(certreload_identity_expiring_from(identity),
              certreload_identity_not_after(identity) - lifetime / 3);
    certreload_generation_release(generation);
    certreload_close(handle);

    /* A window of an hour, and none. */
    const uint32_t windows[] = {3600, 0};
    for (size_t i = 0; i < 2; i++) {
        CHECK_OK(certreload_options_set_event_callback(options, NULL, NULL, NULL));
        CHECK_OK(certreload_options_set_expiry_warning_seconds(options, windows[i]));
        CHECK_OK(certreload_open(options, &handle));
        status = status_of(handle);
        CHECK_INT(status.health, CERTRELOAD_HEALTH_OK);
        CHECK_INT(status.expiring_from, windows[i] ? status.earliest_not_after - 3600 : 0);
        certreload_close(handle);
    }
    certreload_options_free(options);
}

static certreload_handle *open_two(const char *name) {
    certreload_options *options = unwatched_options(one_chain, one_key, 50);
    CHECK_OK(certreload_options_add_identity(options, two_chain, two_key, NULL));
    CHECK_OK(certreload_options_set_name(options, name));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

static void a_stale_identity_differs_from_a_good_one(void) {
    test_begin(__func__);
    certreload_handle *handle = open_two(NULL);
    int64_t before = time(NULL);
    shell("cp two.key kept.key; echo garbage > two.key");
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), NO_PRIVATE_KEY);

    certreload_identity_status one = identity_status_of(handle, 0);
    CHECK_INT(one.health, CERTRELOAD_HEALTH_OK);
    CHECK_OK(one.last_result);
    CHECK_STR(one.last_failure, "");
    CHECK_STR(one.chain_path, one_chain);
    CHECK_INT(one.renewed_generation, 1);
    certreload_identity_status two = identity_status_of(handle, 1);
    CHECK_INT(two.health, CERTRELOAD_HEALTH_STALE);
    CHECK_RESULT(two.last_result, NO_PRIVATE_KEY);
    CHECK_CONTAINS(two.last_failure, two_key);
    CHECK_STR(two.chain_path, two_chain);
    CHECK_INT(two.consecutive_failures, 1);
    CHECK(two.last_failure_at >= before && two.last_failure_at <= time(NULL));
    CHECK_INT(two.health_since, two.last_failure_at);
    certreload_status status = status_of(handle);
    CHECK_STR(status.last_failure, two.last_failure);
    CHECK_INT(status.consecutive_failures, 1);
    CHECK(status.last_checked_at >= two.last_failure_at);

    shell("mv kept.key two.key");
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    two = identity_status_of(handle, 1);
    CHECK_INT(two.health, CERTRELOAD_HEALTH_OK);
    CHECK_INT(two.consecutive_failures, 0);
    CHECK_STR(two.last_failure, "");
    CHECK_STR(status_of(handle).last_failure, "");

    /* A program with an older header knows of less. */
    certreload_identity_status cut;
    memset(&cut, 0xA5, sizeof cut);
    CHECK_OK(certreload_get_identity_status(handle, 1, &cut, 16));
    CHECK_INT(cut.size, 16);
    CHECK_INT(cut.health, CERTRELOAD_HEALTH_OK);
    CHECK(cut.health_since != two.health_since);
    certreload_close(handle);
}

static void metrics_fit_the_size_that_is_asked_for(void) {
    test_begin(__func__);
    certreload_handle *handle = open_two("public");
    size_t needed = 0;
    CHECK_RESULT(certreload_write_metrics(handle, NULL, 0, &needed), BUFFER_TOO_SMALL);
    char *page = malloc(needed);
    CHECK(page != NULL);
    CHECK_RESULT(certreload_write_metrics(handle, page, needed - 1, &needed), BUFFER_TOO_SMALL);
    CHECK_STR(page, "");
    CHECK_OK(certreload_write_metrics(handle, page, needed, &needed));
    CHECK_INT(strlen(page) + 1, needed);
    CHECK_CONTAINS(page, "certreload_health{handle=\"public\",state=\"ok\"} 1\n");
    CHECK_CONTAINS(page, "name=\"two.test\",state=\"ok\"} 1\n");
    free(page);

    certreload_handle *other = open_two("admin");
    certreload_handle *const both[] = {handle, other};
    CHECK_RESULT(certreload_write_metrics_page(both, 2, NULL, 0, &needed), BUFFER_TOO_SMALL);
    page = malloc(needed);
    CHECK(page != NULL);
    CHECK_OK(certreload_write_metrics_page(both, 2, page, needed, &needed));
    CHECK_CONTAINS(page, "certreload_generation{handle=\"public\"} 1\n");
    CHECK_CONTAINS(page, "certreload_generation{handle=\"admin\"} 1\n");
    free(page);
    certreload_close(other);
    certreload_close(handle);
}

/* What was logged: the lines below each other, each with its level. */
typedef struct {
    pthread_mutex_t mutex;
    char text[65536];
} log_lines;

static void keep_line(void *userdata, certreload_log_level level, const char *message) {
    log_lines *lines = userdata;
    pthread_mutex_lock(&lines->mutex);
    size_t used = strlen(lines->text);
    snprintf(lines->text + used, sizeof lines->text - used, "%s %s\n",
             certreload_log_level_str(level), message);
    pthread_mutex_unlock(&lines->mutex);
}

static void the_log_has_a_line_for_each_event(void) {
    test_begin(__func__);
    static log_lines lines = {PTHREAD_MUTEX_INITIALIZER, ""};
    CHECK_OK(certreload_set_log_callback(keep_line, &lines, NULL, CERTRELOAD_LOG_LEVEL_INFO));
    certreload_handle *handle = open_two(NULL);
    shell("cp one.key kept.key; echo garbage > one.key");
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), NO_PRIVATE_KEY);
    shell("mv kept.key one.key");
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 0));
    CHECK_CONTAINS(lines.text, "info generation 1 serves: ");
    CHECK_CONTAINS(lines.text, "error the reload failed: ");
    CHECK(strstr(lines.text, "debug ") == NULL);

    size_t used = strlen(lines.text);
    certreload_close(handle);
    certreload_close(open_two(NULL));
    CHECK_INT(strlen(lines.text), used);

    CHECK_OK(certreload_set_log_callback(keep_line, &lines, NULL, CERTRELOAD_LOG_LEVEL_TRACE));
    certreload_close(open_two(NULL));
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 0));
    CHECK_CONTAINS(lines.text, "debug handle ");
    CHECK(strstr(lines.text, " rustls::") == NULL); /* the library proves it; nobody connected */
}

int main(void) {
    one_chain = scratch("one.chain"), one_key = scratch("one.key");
    two_chain = scratch("two.chain"), two_key = scratch("two.key");
    make_pair(one_chain, one_key, "one.test");
    make_pair(two_chain, two_key, "two.test");

    a_certificate_near_its_end_is_reported_at_open();
    a_stale_identity_differs_from_a_good_one();
    metrics_fit_the_size_that_is_asked_for();
    the_log_has_a_line_for_each_event();
    return 0;
}
