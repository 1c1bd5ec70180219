/*
 * Every function from any thread: many threads call them all at once, on two handles, while
 * certificates are renewed. What each of them sees is one of the two pairs there are, whole.
 */

#define _GNU_SOURCE
#include "pairs.h"

#include <rustls.h>
#include <stdatomic.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 6, RENEWALS = 12 };

/* One with files that a background thread looks at, and one in memory that the host works for. */
static certreload_handle *watched, *driven;
static const char *fingerprints[2], *first_chain, *first_key;
static atomic_int events, lines;
static atomic_bool renewing;

static void count_event(void *userdata, const certreload_event *event) {
    CHECK(userdata == &events && event->size == sizeof *event);
    CHECK(event->kind == CERTRELOAD_EVENT_KIND_RELOADED && event->message[0] != '\0');
    atomic_fetch_add(&events, 1);
}

static void count_line(void *userdata, certreload_log_level level, const char *message) {
    CHECK(userdata == &lines && level >= CERTRELOAD_LOG_LEVEL_ERROR && message[0] != '\0');
    atomic_fetch_add(&lines, 1);
}

/* What a thread has seen of a handle: numbers only grow. */
typedef struct {
    certreload_handle *handle;
    uint64_t generation;
    int turn;
} view;

static void advance(view *v, uint64_t generation) {
    CHECK(generation >= v->generation);
    v->generation = generation;
}

static void connects(view *v) {
    rustls_connection *connection = NULL;
    CHECK_OK(certreload_server_connection_new(v->handle, &connection));
    CHECK(rustls_connection_wants_read(connection));
    rustls_connection_free(connection);
    const rustls_server_config *config = certreload_acquire_server_config(v->handle);
    CHECK_INT(rustls_server_connection_new(config, &connection), RUSTLS_RESULT_OK);
    rustls_server_config_free(config);
    rustls_connection_free(connection);
}

static void looks_inside(view *v) {
    const certreload_generation *generation = certreload_generation_acquire(v->handle);
    advance(v, certreload_generation_number(generation));
    CHECK(certreload_generation_borrow_server_config(generation) != NULL);
    CHECK_INT(certreload_generation_identity_count(generation), 1);
    const certreload_identity *identity = certreload_generation_identity(generation, 0);
    CHECK(certreload_generation_select(generation, "one.test") == identity);
    CHECK_INT(certreload_identity_name_count(identity), 1);
    CHECK_STR(certreload_identity_name(identity, 0), "one.test");
    CHECK(certreload_identity_not_before(identity) < certreload_identity_not_after(identity));
    CHECK(certreload_identity_expiring_from(identity) < certreload_identity_not_after(identity));
    CHECK(certreload_identity_serial(identity)[0] != '\0');
    const char *fingerprint = certreload_identity_sha256(identity);
    CHECK(strcmp(fingerprint, fingerprints[0]) == 0 || strcmp(fingerprint, fingerprints[1]) == 0);
    CHECK_INT(certreload_identity_certificate_count(identity), 1);
    size_t length = 0;
    CHECK(certreload_identity_certificate_der(identity, 0, &length) != NULL && length > 0);
    CHECK(certreload_identity_ocsp_der(identity, &length) == NULL);
    certreload_generation_release(generation);
}

static void asks_how_it_is(view *v) {
    certreload_status status = status_of(v->handle);
    advance(v, status.generation);
    CHECK_INT(status.health, CERTRELOAD_HEALTH_OK);
    CHECK_INT(status.failures, 0);
    CHECK(certreload_health_str(status.health)[0] != '\0');
    CHECK(certreload_watch_state_str(status.watch)[0] != '\0');
    certreload_identity_status identity;
    CHECK_OK(certreload_get_identity_status(v->handle, 0, &identity, sizeof identity));
    CHECK_RESULT(certreload_get_identity_status(v->handle, 1, &identity, sizeof identity),
                 INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_last_error(), "index 1");
    size_t index = 1;
    CHECK_OK(certreload_find_identity(v->handle, "one.test", &index));
    CHECK_INT(index, 0);
}

static void measures(view *v) {
    static const char begins_with[] = "# HELP ";
    char page[16384];
    size_t needed = 0;
    CHECK_OK(certreload_write_metrics(v->handle, page, sizeof page, &needed));
    CHECK(strncmp(page, begins_with, sizeof begins_with - 1) == 0 && strlen(page) + 1 == needed);
    certreload_handle *both[] = {watched, driven};
    CHECK_OK(certreload_write_metrics_page(both, 2, page, sizeof page, &needed));
    CHECK(strncmp(page, begins_with, sizeof begins_with - 1) == 0 && strlen(page) + 1 == needed);
}

static void asks_for_reloads(view *v) {
    CHECK_OK(certreload_reload(v->handle));
    certreload_result result = certreload_reload_wait(v->handle, CERTRELOAD_WAIT_FOREVER);
    CHECK(result == CERTRELOAD_RESULT_OK || result == CERTRELOAD_RESULT_UNCHANGED);
    result = certreload_reload_wait(v->handle, 0);
    CHECK(result == CERTRELOAD_RESULT_OK || result == CERTRELOAD_RESULT_UNCHANGED ||
          result == CERTRELOAD_RESULT_TIMED_OUT);
    certreload_result expected =
        v->handle == driven ? CERTRELOAD_RESULT_OK : CERTRELOAD_RESULT_INVALID_PARAMETER;
    CHECK_INT(certreload_dispatch(v->handle), expected);
    CHECK_OK(certreload_after_fork(v->handle));
}

static void pushes(view *v) {
    if (v->handle != driven)
        return;
    v->turn = 1 - v->turn;
    certreload_result result =
        certreload_push_identity(driven, 0, &plain_pairs[v->turn], sizeof plain_pairs[v->turn]);
    CHECK(result == CERTRELOAD_RESULT_OK || result == CERTRELOAD_RESULT_UNCHANGED);
}

static void listens(view *v) {
    CHECK_OK(certreload_set_event_callback(v->handle, count_event, &events, NULL));
    const certreload_event *event = NULL;
    certreload_result result = certreload_next_event(v->handle, &event);
    if (result == CERTRELOAD_RESULT_OK)
        CHECK(event->generation > 0 && event->message[0] != '\0');
    else
        CHECK_RESULT(result, NO_EVENT);
    CHECK(certreload_event_fd(v->handle) >= 0);
    CHECK_OK(certreload_set_event_callback(v->handle, NULL, NULL, NULL));
    CHECK_OK(certreload_set_log_callback(count_line, &lines, NULL, CERTRELOAD_LOG_LEVEL_TRACE));
}

static void opens(view *v) {
    certreload_handle *own = NULL;
    CHECK_OK(certreload_open_files(first_chain, first_key, &own));
    CHECK_INT(serving_generation(own), 1);
    certreload_close(own);
    own = pairs_open(v->handle == driven ? CERTRELOAD_RUNTIME_HOST : CERTRELOAD_RUNTIME_THREAD,
                     count_event, &events);
    CHECK_OK(certreload_push_identity(own, 0, &plain_pairs[1], sizeof plain_pairs[1]));
    certreload_close(own);
    certreload_options *options = pairs_options(CERTRELOAD_RUNTIME_THREAD);
    CHECK_OK(certreload_check(options));
    certreload_options_free(options);
}

static void *call_everything(void *number) {
    static void (*const calls[])(view *) = {
        connects, looks_inside, asks_how_it_is, measures, asks_for_reloads, pushes, listens, opens};
    enum { CALLS = sizeof calls / sizeof *calls };
    view views[2] = {{.handle = watched}, {.handle = driven}};
    int round = 0;
    /* Each begins with another one, and all go on for as long as there are renewals. */
    for (size_t i = (size_t)(uintptr_t)number; round < ROUNDS || renewing; i++) {
        calls[i % CALLS](&views[0]);
        calls[i % CALLS](&views[1]);
        round += i % CALLS == 0;
    }
    return NULL;
}

static void open_both(void) {
    shell("cp -p turn0.chain now.chain && cp -p turn0.key now.key");
    certreload_options *options = certreload_options_new();
    CHECK_OK(
        certreload_options_add_identity(options, scratch("now.chain"), scratch("now.key"), NULL));
    CHECK_OK(certreload_options_set_debounce_ms(options, 0));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, PATIENCE_SECONDS * 1000));
    CHECK_OK(certreload_open(options, &watched));
    certreload_options_free(options);
    driven = pairs_open(CERTRELOAD_RUNTIME_HOST, NULL, NULL);
}

int main(void) {
    pairs_make();
    alarm(20 * PATIENCE_SECONDS);
    for (int turn = 0; turn < 2; turn++)
        fingerprints[turn] = fingerprint_of(scratch("turn%d.chain", turn));
    first_chain = scratch("turn0.chain");
    first_key = scratch("turn0.key");
    const char *chain = scratch("now.chain"), *key = scratch("now.key");
    open_both();

    test_begin("every_function_from_any_thread_while_certificates_are_renewed");
    renewing = true;
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, call_everything, (void *)i), 0);
    for (int i = 1; i <= RENEWALS; i++) {
        replace_file(chain, scratch("turn%d.chain", i % 2));
        replace_file(key, scratch("turn%d.key", i % 2));
        CHECK(certreload_reload_wait(watched, CERTRELOAD_WAIT_FOREVER) <=
              CERTRELOAD_RESULT_UNCHANGED);
        CHECK_STR(serving_fingerprint(watched), fingerprints[i % 2]);
    }
    renewing = false;
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK_INT(serving_generation(watched), RENEWALS + 1);
    CHECK(serving_generation(driven) > 1 && lines > 0);
    certreload_close(watched);
    certreload_close(driven);
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 0));
    return 0;
}
