/* Open, look, renew, break, mend, close: what a server and its operator live through. */

#define _GNU_SOURCE
#include "support.h"
#include "tls.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *chain, *key;

/* A date of a certificate as `openssl x509` prints it. */
static int64_t date_of(const char *path, const char *which) {
    const char *line = shell_line(
        "date -u -d \"$(openssl x509 -in '%s' -noout -%s | cut -d= -f2)\" +%%s", path, which);
    long long seconds = 0;
    CHECK(sscanf(line, "%lld", &seconds) == 1);
    return seconds;
}

static void the_version_is_that_of_the_header(void) {
    test_begin(__func__);
    char expected[64];
    snprintf(expected, sizeof expected, "%d.%d.%d", CERTRELOAD_VERSION_MAJOR,
             CERTRELOAD_VERSION_MINOR, CERTRELOAD_VERSION_PATCH);
    CHECK_STR(certreload_version(), expected);
}

static void every_result_has_its_own_text(void) {
    test_begin(__func__);
    const char *seen[400];
    size_t known = 0;
    for (certreload_result result = 0; result < 400; result++) {
        const char *text = certreload_result_str(result);
        CHECK(text != NULL && text[0] != '\0');
        if (strcmp(text, certreload_result_str(9999)) == 0)
            continue;
        for (size_t i = 0; i < known; i++)
            CHECK(strcmp(text, seen[i]) != 0);
        seen[known++] = text;
    }
    CHECK_INT(known, 51);
}

static void every_number_has_a_word(void) {
    test_begin(__func__);
    CHECK_STR(certreload_event_kind_str(CERTRELOAD_EVENT_KIND_RELOADED), "reloaded");
    CHECK_STR(certreload_event_kind_str(CERTRELOAD_EVENT_KIND_RELOAD_FAILED), "reload-failed");
    CHECK_STR(certreload_event_kind_str(CERTRELOAD_EVENT_KIND_WATCH_DEGRADED), "watch-degraded");
    CHECK_STR(certreload_event_kind_str(CERTRELOAD_EVENT_KIND_WATCH_RESTORED), "watch-restored");
    CHECK_STR(certreload_event_kind_str(CERTRELOAD_EVENT_KIND_EXPIRING), "expiring");
    CHECK_STR(certreload_event_kind_str(CERTRELOAD_EVENT_KIND_EXPIRED), "expired");
    CHECK_STR(certreload_event_kind_str(CERTRELOAD_EVENT_KIND_RECOVERED), "recovered");
    CHECK_STR(certreload_event_kind_str(CERTRELOAD_EVENT_KIND_WARNING), "warning");
    CHECK_STR(certreload_trigger_str(CERTRELOAD_TRIGGER_OPEN), "open");
    CHECK_STR(certreload_trigger_str(CERTRELOAD_TRIGGER_WATCH), "watch");
    CHECK_STR(certreload_trigger_str(CERTRELOAD_TRIGGER_POLL), "poll");
    CHECK_STR(certreload_trigger_str(CERTRELOAD_TRIGGER_REQUEST), "request");
    CHECK_STR(certreload_trigger_str(CERTRELOAD_TRIGGER_CLOCK), "clock");
    CHECK_STR(certreload_health_str(CERTRELOAD_HEALTH_OK), "ok");
    CHECK_STR(certreload_health_str(CERTRELOAD_HEALTH_EXPIRING), "expiring");
    CHECK_STR(certreload_health_str(CERTRELOAD_HEALTH_STALE), "stale");
    CHECK_STR(certreload_health_str(CERTRELOAD_HEALTH_EXPIRED), "expired");
    CHECK_STR(certreload_health_str(CERTRELOAD_HEALTH_MISSING), "missing");
    CHECK_STR(certreload_watch_state_str(CERTRELOAD_WATCH_STATE_OFF), "off");
    CHECK_STR(certreload_watch_state_str(CERTRELOAD_WATCH_STATE_POLLING), "polling");
    CHECK_STR(certreload_watch_state_str(CERTRELOAD_WATCH_STATE_NOTIFIED), "notified");
    CHECK_STR(certreload_watch_state_str(CERTRELOAD_WATCH_STATE_DEGRADED), "degraded");
    CHECK_STR(certreload_log_level_str(CERTRELOAD_LOG_LEVEL_ERROR), "error");
    CHECK_STR(certreload_log_level_str(CERTRELOAD_LOG_LEVEL_WARN), "warn");
    CHECK_STR(certreload_log_level_str(CERTRELOAD_LOG_LEVEL_INFO), "info");
    CHECK_STR(certreload_log_level_str(CERTRELOAD_LOG_LEVEL_DEBUG), "debug");
    CHECK_STR(certreload_log_level_str(CERTRELOAD_LOG_LEVEL_TRACE), "trace");
    CHECK_STR(certreload_warning_str(CERTRELOAD_WARNING_KEY_READABLE), "key-readable");
    CHECK_STR(certreload_warning_str(CERTRELOAD_WARNING_NAMES_LOST), "names-lost");
    CHECK_STR(certreload_warning_str(CERTRELOAD_WARNING_EXPIRES_EARLIER), "expires-earlier");
    CHECK_STR(certreload_warning_str(CERTRELOAD_WARNING_OCSP_UNUSABLE), "ocsp-unusable");
    CHECK_STR(certreload_warning_str(CERTRELOAD_WARNING_CHAIN_REORDERED), "chain-reordered");
    CHECK_STR(certreload_warning_str(CERTRELOAD_WARNING_CHAIN_INCOMPLETE), "chain-incomplete");
    CHECK_STR(certreload_warning_str(CERTRELOAD_WARNING_CHAIN_UNRELATED), "chain-unrelated");
    CHECK_STR(certreload_warning_str(CERTRELOAD_WARNING_CHAIN_EXPIRED), "chain-expired");
    CHECK_STR(certreload_warning_str(CERTRELOAD_WARNING_KEY_USAGE), "key-usage");
    CHECK_STR(certreload_warning_str(CERTRELOAD_WARNING_DUPLICATE_NAME), "duplicate-name");
    CHECK_STR(certreload_warning_str(CERTRELOAD_WARNING_POLLED_PATH), "polled-path");
    CHECK_STR(certreload_warning_str(CERTRELOAD_WARNING_FILE_DELETED), "file-deleted");
    CHECK_STR(certreload_warning_str(0), "unknown");
    CHECK_STR(certreload_warning_str(1u | 2u), "unknown");
    CHECK_STR(certreload_event_kind_str(9999), "unknown");
    CHECK_STR(certreload_trigger_str(9999), "unknown");
    CHECK_STR(certreload_health_str(9999), "unknown");
    CHECK_STR(certreload_watch_state_str(9999), "unknown");
    CHECK_STR(certreload_log_level_str(9999), "unknown");
}

/* A pointer that was kept shows the newest text, and never memory that was given back. */
static void a_last_error_that_is_kept_is_stale_at_worst(void) {
    test_begin(__func__);
    certreload_handle *none = NULL;
    CHECK_RESULT(certreload_check(NULL), NULL_PARAMETER);
    const char *kept = certreload_last_error();
    CHECK_CONTAINS(kept, "options");
    CHECK_RESULT(certreload_open_files("/no/such/file", key, &none), FILE_NOT_FOUND);
    CHECK(kept == certreload_last_error());
    CHECK_CONTAINS(kept, "/no/such/file");
}

static void an_identity_is_what_openssl_says_it_is(void) {
    test_begin(__func__);
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open_files(chain, key, &handle));

    const certreload_generation *generation = certreload_generation_acquire(handle);
    CHECK_INT(certreload_generation_number(generation), 1);
    CHECK_INT(certreload_generation_identity_count(generation), 1);
    CHECK(certreload_generation_borrow_server_config(generation) != NULL);
    CHECK(certreload_generation_identity(generation, 1) == NULL);
    const certreload_identity *identity = certreload_generation_identity(generation, 0);
    CHECK(certreload_generation_select(generation, NULL) == identity);
    CHECK(certreload_generation_select(generation, "nobody.example") == identity);

    CHECK_INT(certreload_identity_name_count(identity), 1);
    CHECK_STR(certreload_identity_name(identity, 0), "one.test");
    CHECK(certreload_identity_name(identity, 1) == NULL);
    CHECK_INT(certreload_identity_not_before(identity), date_of(chain, "startdate"));
    CHECK_INT(certreload_identity_not_after(identity), date_of(chain, "enddate"));
    CHECK_STR(certreload_identity_sha256(identity), fingerprint_of(chain));
    CHECK_STR(certreload_identity_serial(identity),
              shell_line("openssl x509 -in '%s' -noout -serial | cut -d= -f2 | tr A-F a-f", chain));

    CHECK_INT(certreload_identity_certificate_count(identity), 1);
    size_t length = 0;
    const uint8_t *der = certreload_identity_certificate_der(identity, 0, &length);
    FILE *file = fopen(scratch("leaf.der"), "wb");
    CHECK(file != NULL && fwrite(der, 1, length, file) == length && fclose(file) == 0);
    shell("openssl x509 -in '%s' -outform DER | cmp - leaf.der", chain);
    CHECK(certreload_identity_certificate_der(identity, 1, &length) == NULL);
    CHECK_INT(length, 0);
    length = 1;
    CHECK(certreload_identity_ocsp_der(identity, &length) == NULL);
    CHECK_INT(length, 0);

    certreload_close(handle);
    /* What was acquired outlives the handle (G8). */
    CHECK_STR(certreload_identity_name(identity, 0), "one.test");
    certreload_generation_release(generation);
}

static void names_are_selected_as_sni_does(void) {
    test_begin(__func__);
    make_pair(scratch("two.chain"), scratch("two.key"), "two.test");
    make_pair(scratch("wild.chain"), scratch("wild.key"), "*.wild.test");
    certreload_options *options = unwatched_options(chain, key, 100);
    CHECK_OK(
        certreload_options_add_identity(options, scratch("two.chain"), scratch("two.key"), NULL));
    CHECK_OK(
        certreload_options_add_identity(options, scratch("wild.chain"), scratch("wild.key"), NULL));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);

    const certreload_generation *generation = certreload_generation_acquire(handle);
    CHECK_INT(certreload_generation_identity_count(generation), 3);
    static const struct {
        const char *name;
        size_t index;
    } cases[] = {
        {"one.test", 0},    {"two.test", 1},      {"TWO.Test", 1},  {"a.wild.test", 2},
        {"A.WILD.TEST", 2}, {"a.b.wild.test", 0}, {"wild.test", 0}, {"", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(certreload_generation_select(generation, cases[i].name) ==
              certreload_generation_identity(generation, cases[i].index));
    certreload_generation_release(generation);

    CHECK_STR(fingerprint_seen_by_openssl(handle, "two.test"),
              fingerprint_of(scratch("two.chain")));
    CHECK_STR(fingerprint_seen_by_openssl(handle, "a.wild.test"),
              fingerprint_of(scratch("wild.chain")));
    CHECK_STR(fingerprint_seen_by_openssl(handle, "nobody.test"), fingerprint_of(chain));
    certreload_close(handle);
}

static void a_failed_pair_is_reported_once(recorder *events, certreload_handle *handle) {
    const char *good_chain = scratch("good.chain"), *good_key = scratch("good.key");
    replace_file(good_chain, chain);
    replace_file(good_key, key);
    make_pair(scratch("stray.chain"), scratch("stray.key"), "one.test");

    /* A key that belongs to another certificate. */
    replace_file(key, scratch("stray.key"));
    const recorded_event *event = recorder_next(events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOAD_FAILED);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_WATCH);
    CHECK_RESULT(event->result, KEY_MISMATCH);
    CHECK_INT(event->generation, 2);
    CHECK_STR(event->path, key);
    CHECK_CONTAINS(event->message, key);
    CHECK_CONTAINS(event->message, "does not match");

    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), KEY_MISMATCH);
    const char *text = certreload_last_error();
    CHECK_CONTAINS(text, key);
    CHECK_CONTAINS(text, "does not match");
    for (const char *c = text; *c != '\0'; c++)
        CHECK(!iscntrl((unsigned char)*c));

    certreload_status status = status_of(handle);
    CHECK_INT(status.generation, 2);
    CHECK_INT(status.health, CERTRELOAD_HEALTH_STALE);
    CHECK_RESULT(status.last_result, KEY_MISMATCH);
    CHECK_INT(status.failures, 1);
    CHECK_STR(fingerprint_seen_by_openssl(handle, "one.test"), fingerprint_of(good_chain));

    /* The good pair back. It was asked twice about the failure, which was reported once: another
     * event would come before this one. */
    replace_file(key, good_key);
    event = recorder_next(events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RECOVERED);
    CHECK_RESULT(event->result, OK);
    CHECK_INT(event->generation, 2);
    CHECK_STR(event->path, key);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    status = status_of(handle);
    CHECK_INT(status.health, CERTRELOAD_HEALTH_OK);
    CHECK_RESULT(status.last_result, UNCHANGED);
    CHECK_INT(status.failures, 1);
    CHECK_INT(status.generation, 2);
}

static void a_certificate_lives_through_renewal_and_mishap(void) {
    test_begin(__func__);
    static recorder events = RECORDER_INITIALIZER;
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_debounce_ms(options, 50));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 500));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    int64_t before = time(NULL);
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);

    const recorded_event *event = recorder_next(&events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_OPEN);
    CHECK_RESULT(event->result, OK);
    CHECK_INT(event->generation, 1);
    CHECK_INT(event->warnings, 0);
    CHECK_INT(event->earliest_not_after, date_of(chain, "enddate"));
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);

    certreload_status status = status_of(handle);
    CHECK_INT(status.generation, 1);
    CHECK(status.loaded_at >= before && status.loaded_at <= time(NULL));
    CHECK_INT(status.earliest_not_after, date_of(chain, "enddate"));
    CHECK_INT(status.health, CERTRELOAD_HEALTH_OK);
    CHECK_RESULT(status.last_result, UNCHANGED);
    CHECK_INT(status.reloads, 0);
    CHECK_INT(status.failures, 0);
    CHECK(status.unchanged >= 1);
    CHECK_INT(status.identities, 1);
    CHECK_INT(status.generations_alive, 1);
    CHECK_INT(status.watch, CERTRELOAD_WATCH_STATE_NOTIFIED);
    CHECK_INT(status.warnings, 0);

    /* A connection of the first generation, to be looked at after the renewal (G8). */
    int fds[2];
    socket_pair(fds);
    rustls_connection *server = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &server));
    CHECK_INT(status_of(handle).generations_alive, 1);

    renew_pair(chain, key, "one.test");
    event = recorder_next(&events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_WATCH);
    CHECK_INT(event->generation, 2);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));
    CHECK_STR(fingerprint_seen_by_openssl(handle, "one.test"), fingerprint_of(chain));
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    status = status_of(handle);
    CHECK_INT(status.generation, 2);
    CHECK_INT(status.reloads, 1);
    CHECK_INT(status.generations_alive, 2);

    /* It was born before the renewal, and completes its handshake after it. */
    rustls_connection *client = client_connection_new("one.test", NULL);
    tls_handshake(server, fds[0], client, fds[1]);
    rustls_connection_free(client);
    rustls_connection_free(server);
    close(fds[0]);
    close(fds[1]);
    CHECK_INT(status_of(handle).generations_alive, 1);

    a_failed_pair_is_reported_once(&events, handle);

    renew_pair(chain, key, "one.test");
    event = recorder_next(&events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(event->generation, 3);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);
    certreload_close(handle);
    CHECK_INT(events.count, events.taken);
}

static void reload_wait_finds_changes_without_a_watch(void) {
    test_begin(__func__);
    static recorder events = RECORDER_INITIALIZER;
    certreload_options *options = unwatched_options(chain, key, 1000);
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    CHECK_INT(recorder_next(&events)->trigger, CERTRELOAD_TRIGGER_OPEN);
    CHECK_INT(status_of(handle).watch, CERTRELOAD_WATCH_STATE_OFF);

    renew_pair(chain, key, "one.test");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(serving_generation(handle), 2);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));
    const recorded_event *event = recorder_next(&events);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_REQUEST);
    CHECK_INT(event->generation, 2);

    renew_pair(chain, key, "one.test");
    CHECK_OK(certreload_reload(handle));
    event = recorder_next(&events);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_REQUEST);
    CHECK_INT(event->generation, 3);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));
    certreload_close(handle);
}

static void a_pair_that_lands_late_is_pending_and_then_one_reload(void) {
    test_begin(__func__);
    static recorder events = RECORDER_INITIALIZER;
    certreload_options *options = unwatched_options(chain, key, PATIENCE_SECONDS * 1000);
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    CHECK_INT(recorder_next(&events)->trigger, CERTRELOAD_TRIGGER_OPEN);

    make_pair(scratch("late.chain"), scratch("late.key"), "one.test");
    replace_file(chain, scratch("late.chain"));
    do
        CHECK_RESULT(certreload_reload_wait(handle, 50), TIMED_OUT);
    while (strstr(certreload_last_error(), "does not match") == NULL);
    CHECK_CONTAINS(certreload_last_error(), key);
    certreload_status status = status_of(handle);
    CHECK_INT(status.generation, 1);
    CHECK_INT(status.failures, 0);
    CHECK_INT(status.health, CERTRELOAD_HEALTH_OK);

    /* The rest of it lands. Nobody asks again, and still it was the request that found it. */
    replace_file(key, scratch("late.key"));
    const recorded_event *event = recorder_next(&events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_REQUEST);
    CHECK_INT(event->generation, 2);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));
    certreload_close(handle);
    CHECK_INT(events.count, events.taken);
}

static void a_status_may_be_smaller_than_the_library_knows(void) {
    test_begin(__func__);
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open_files(chain, key, &handle));
    certreload_status status;
    memset(&status, 0xA5, sizeof status);
    CHECK_OK(certreload_get_status(handle, &status, 16));
    CHECK_INT(status.size, 16);
    CHECK_INT(status.generation, 1);
    CHECK_INT((uint64_t)status.loaded_at, (uint64_t)0xA5A5A5A5A5A5A5A5);
    certreload_close(handle);
}

int main(void) {
    chain = scratch("one.chain");
    key = scratch("one.key");
    make_pair(chain, key, "one.test");

    the_version_is_that_of_the_header();
    every_result_has_its_own_text();
    every_number_has_a_word();
    a_last_error_that_is_kept_is_stale_at_worst();
    an_identity_is_what_openssl_says_it_is();
    names_are_selected_as_sni_does();
    a_certificate_lives_through_renewal_and_mishap();
    reload_wait_finds_changes_without_a_watch();
    a_pair_that_lands_late_is_pending_and_then_one_reload();
    a_status_may_be_smaller_than_the_library_knows();
    return 0;
}
