/*
 * A start without certificates (CERTRELOAD_START_AVAILABLE): the server accepts connections, ends
 * their handshakes with an alert, and serves as soon as there is a certificate. Forked children do
 * the same.
 */

#include "children.h"
#include "tls.h"

#include <stdio.h>
#include <unistd.h>

static const char *chain, *key;
static certreload_handle *handle;
static recorder events = RECORDER_INITIALIZER;

static void open_without_files(void) {
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_start(options, CERTRELOAD_START_AVAILABLE));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 500));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    CHECK_RESULT(certreload_check(options), FILE_NOT_FOUND);
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    const recorded_event *event = recorder_next(&events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOAD_FAILED);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_OPEN);
    CHECK_INT(event->result, CERTRELOAD_RESULT_FILE_NOT_FOUND);
}

/* A client gets an alert, and the server lives on. */
static void check_refuses(void) {
    int fds[2];
    socket_pair(fds);
    rustls_connection *server = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &server));
    rustls_connection *client = client_connection_new("one.test", NULL);
    CHECK_INT(tls_turn(client, fds[1]), RUSTLS_RESULT_OK);
    CHECK(tls_turn(server, fds[0]) != RUSTLS_RESULT_OK);
    CHECK_INT(tls_turn(server, fds[0]), RUSTLS_RESULT_OK);
    CHECK_INT(tls_turn(client, fds[1]), RUSTLS_RESULT_ALERT_ACCESS_DENIED);
    rustls_connection_free(server);
    rustls_connection_free(client);
    close(fds[0]);
    close(fds[1]);
}

static void check_has_nothing(void) {
    check_refuses();
    certreload_status status = status_of(handle);
    CHECK_INT(status.identities, 0);
    CHECK_INT(status.identities_configured, 1);
    CHECK_INT(status.health, CERTRELOAD_HEALTH_MISSING);
    const certreload_generation *generation = certreload_generation_acquire(handle);
    CHECK_INT(certreload_generation_identity_count(generation), 0);
    CHECK(certreload_generation_identity(generation, 0) == NULL);
    CHECK(certreload_generation_select(generation, "one.test") == NULL);
    CHECK(certreload_generation_select(generation, NULL) == NULL);
    CHECK(certreload_generation_borrow_server_config(generation) != NULL);
    certreload_generation_release(generation);
}

static void wait_until_served(void) {
    while (recorder_next(&events)->kind != CERTRELOAD_EVENT_KIND_RELOADED) {
    }
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);
    CHECK_INT(status_of(handle).identities, 1);
}

static gate is_watching, is_there;

static void in_child(void *unused) {
    (void)unused;
    check_has_nothing();
    CHECK_OK(certreload_after_fork(handle));
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FILE_NOT_FOUND);
    check_has_nothing();
    gate_let_through(&is_watching, 1);
    gate_pass(&is_there);
    wait_until_served();
    certreload_close(handle);
}

int main(void) {
    chain = scratch("live.chain");
    key = scratch("live.key");
    open_without_files();
    check_has_nothing();
    is_watching = gate_new();
    is_there = gate_new();
    pid_t child = child_start(in_child, NULL);
    gate_pass(&is_watching);
    make_pair(chain, key, "one.test");
    gate_let_through(&is_there, 1);
    wait_until_served();
    child_join(child);
    gate_free(&is_watching);
    gate_free(&is_there);
    certreload_close(handle);
    return 0;
}
