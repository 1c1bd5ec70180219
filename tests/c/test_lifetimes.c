/*
 * Closing waits for the calls that have begun, lets those go that wait, and takes nothing away from
 * whoever still holds a connection, a config, a generation or an event (G7, G8).
 */

#define _GNU_SOURCE
#include "gate.h"
#include "pairs.h"
#include "tls.h"

#include <stdatomic.h>
#include <unistd.h>

static void start(pthread_t *thread, void *(*body)(void *), void *argument) {
    CHECK_INT(pthread_create(thread, NULL, body, argument), 0);
}

static void handshake(rustls_connection *server) {
    rustls_connection *client = client_connection_new("one.test", NULL);
    int fds[2];
    socket_pair(fds);
    tls_handshake(server, fds[0], client, fds[1]);
    rustls_connection_free(client);
    rustls_connection_free(server);
    close(fds[0]);
    close(fds[1]);
}

static void what_was_given_out_outlives_the_handle(certreload_runtime runtime) {
    test_begin(__func__);
    certreload_handle *handle = pairs_open(runtime, NULL, NULL);
    CHECK(certreload_event_fd(handle) >= 0);
    rustls_connection *connection = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &connection));
    const rustls_server_config *config = certreload_acquire_server_config(handle);
    const certreload_generation *old = certreload_generation_acquire(handle);
    CHECK_OK(certreload_push_identity(handle, 0, &plain_pairs[1], sizeof plain_pairs[1]));
    const certreload_generation *new = certreload_generation_acquire(handle);
    const certreload_event *event = NULL;
    do
        CHECK_OK(certreload_next_event(handle, &event));
    while (event->generation != 2);
    certreload_close(handle);

    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_CONTAINS(event->message, "one.test");
    handshake(connection);
    CHECK_INT(rustls_server_connection_new(config, &connection), RUSTLS_RESULT_OK);
    rustls_server_config_free(config);
    handshake(connection);
    for (int turn = 0; turn < 2; turn++) {
        const certreload_generation *generation = turn ? new : old;
        CHECK_INT(certreload_generation_number(generation), turn + 1);
        CHECK_INT(certreload_generation_identity_count(generation), 1);
        const certreload_identity *identity = certreload_generation_select(generation, "one.test");
        CHECK_STR(certreload_identity_name(identity, 0), "one.test");
        CHECK_STR(certreload_identity_sha256(identity),
                  fingerprint_of(scratch("turn%d.chain", turn)));
        size_t length = 0;
        CHECK(certreload_identity_certificate_der(identity, 0, &length) != NULL && length > 0);
        config = certreload_generation_borrow_server_config(generation);
        CHECK_INT(rustls_server_connection_new(config, &connection), RUSTLS_RESULT_OK);
        certreload_generation_release(generation);
        handshake(connection);
    }
}

/* Many threads in calls on one handle. The first has the work, and is in the password callback; the
 * others wait for it, or for an answer, or for the event callback. */
enum { CALLERS = 9 };

typedef struct {
    certreload_handle *handle;
    certreload_runtime runtime;
    atomic_bool is_armed, is_closed;
    atomic_int passwords, begun, ended;
    gate has_work, may_go, has_closed;
} crowd;

static bool on_password(void *userdata, const char *key_path, char *password_out,
                        size_t password_size, size_t *length_out) {
    (void)key_path, (void)password_size;
    crowd *c = userdata;
    if (c->is_armed) {
        atomic_fetch_add(&c->passwords, 1);
        gate_open(&c->has_work);
        gate_wait(&c->may_go);
        CHECK(!c->is_closed);
    }
    memcpy(password_out, PAIRS_PASSWORD, strlen(PAIRS_PASSWORD));
    *length_out = strlen(PAIRS_PASSWORD);
    return true;
}

static void *push_and_hold(void *userdata) {
    crowd *c = userdata;
    atomic_fetch_add(&c->begun, 1);
    CHECK_OK(certreload_push_identity(c->handle, 0, &locked_pairs[1], sizeof locked_pairs[1]));
    atomic_fetch_add(&c->ended, 1);
    return NULL;
}

static void *push(void *userdata) {
    crowd *c = userdata;
    atomic_fetch_add(&c->begun, 1);
    CHECK_RESULT(certreload_push_identity(c->handle, 0, &locked_pairs[0], sizeof locked_pairs[0]),
                 CLOSED);
    atomic_fetch_add(&c->ended, 1);
    return NULL;
}

static void *reload_and_wait(void *userdata) {
    crowd *c = userdata;
    atomic_fetch_add(&c->begun, 1);
    CHECK_RESULT(certreload_reload_wait(c->handle, CERTRELOAD_WAIT_FOREVER), CLOSED);
    atomic_fetch_add(&c->ended, 1);
    return NULL;
}

static void *close_handle(void *userdata) {
    crowd *c = userdata;
    certreload_close(c->handle);
    atomic_store(&c->is_closed, true);
    gate_open(&c->has_closed);
    return NULL;
}

static void closing_waits_for_every_call_that_has_begun(certreload_runtime runtime) {
    test_begin(__func__);
    crowd c = {.runtime = runtime,
               .has_work = GATE_INITIALIZER,
               .may_go = GATE_INITIALIZER,
               .has_closed = GATE_INITIALIZER};
    certreload_options *options = certreload_options_new();
    CHECK_OK(
        certreload_options_add_identity_memory(options, &locked_pairs[0], sizeof locked_pairs[0]));
    CHECK_OK(certreload_options_set_key_password_callback(options, on_password, &c, NULL));
    CHECK_OK(certreload_options_set_runtime(options, runtime));
    CHECK_OK(certreload_open(options, &c.handle));
    certreload_options_free(options);
    c.is_armed = true;

    pthread_t callers[CALLERS], closer;
    start(&callers[0], push_and_hold, &c);
    gate_wait(&c.has_work);
    for (int i = 1; i < CALLERS; i++)
        start(&callers[i], i % 2 ? push : reload_and_wait, &c);
    /* Nobody gets past the first one; a moment later all are in the middle of their calls. */
    gate never = GATE_INITIALIZER;
    CHECK(!gate_opens_within(&never, A_MOMENT_MS));
    CHECK_INT(c.begun, CALLERS);
    CHECK_INT(c.ended, 0);
    start(&closer, close_handle, &c);
    CHECK(!gate_opens_within(&c.has_closed, A_MOMENT_MS));
    CHECK_RESULT(certreload_invalidate_sessions(c.handle), CLOSED);
    gate_open(&c.may_go);
    CHECK_INT(pthread_join(closer, NULL), 0);
    for (int i = 0; i < CALLERS; i++)
        CHECK_INT(pthread_join(callers[i], NULL), 0);
    CHECK_INT(c.passwords, 1);
}

/* The last that a reload_wait() does is to log its answer, on the thread that called it. */
static void hold_the_answer(void *userdata, certreload_log_level level, const char *message) {
    (void)level;
    crowd *c = userdata;
    if (strstr(message, "unchanged") == NULL)
        return;
    gate_open(&c->has_work);
    gate_wait(&c->may_go);
    CHECK(!c->is_closed);
}

static void *reload_unchanged(void *userdata) {
    crowd *c = userdata;
    CHECK_RESULT(certreload_reload_wait(c->handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    return NULL;
}

static void closing_waits_for_a_call_that_has_nothing_left_to_do(certreload_runtime runtime) {
    test_begin(__func__);
    crowd c = {
        .has_work = GATE_INITIALIZER, .may_go = GATE_INITIALIZER, .has_closed = GATE_INITIALIZER};
    c.handle = pairs_open(runtime, NULL, NULL);
    CHECK_OK(certreload_set_log_callback(hold_the_answer, &c, NULL, CERTRELOAD_LOG_LEVEL_INFO));
    pthread_t caller, closer;
    start(&caller, reload_unchanged, &c);
    gate_wait(&c.has_work);
    start(&closer, close_handle, &c);
    CHECK(!gate_opens_within(&c.has_closed, A_MOMENT_MS));
    gate_open(&c.may_go);
    CHECK_INT(pthread_join(closer, NULL), 0);
    CHECK_INT(pthread_join(caller, NULL), 0);
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 0));
}

static void close_in_destructor(void *handle) {
    CHECK_INT(status_of(handle).generation, 1);
    CHECK_OK(certreload_push_identity(handle, 0, &plain_pairs[1], sizeof plain_pairs[1]));
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    certreload_close(handle);
}

static void *leave_to_destructor(void *key) {
    certreload_handle *handle = pairs_open(CERTRELOAD_RUNTIME_THREAD, NULL, NULL);
    const certreload_event *event = NULL;
    CHECK_OK(certreload_next_event(handle, &event));
    CHECK_INT(pthread_setspecific(*(pthread_key_t *)key, handle), 0);
    return NULL;
}

/* Where the library's own variables of the thread are gone already. */
static void a_thread_that_ends_may_call_and_close_in_its_destructors(void) {
    test_begin(__func__);
    int before = threads();
    pthread_key_t key;
    CHECK_INT(pthread_key_create(&key, close_in_destructor), 0);
    pthread_t thread;
    start(&thread, leave_to_destructor, &key);
    CHECK_INT(pthread_join(thread, NULL), 0);
    wait_until_threads_are(before);
    CHECK_INT(pthread_key_delete(key), 0);
}

int main(void) {
    pairs_make();
    /* Ends the process where something waits for ever. */
    alarm(10 * PATIENCE_SECONDS);
    for (int runtime = CERTRELOAD_RUNTIME_THREAD; runtime <= CERTRELOAD_RUNTIME_HOST; runtime++) {
        what_was_given_out_outlives_the_handle(runtime);
        closing_waits_for_every_call_that_has_begun(runtime);
        closing_waits_for_a_call_that_has_nothing_left_to_do(runtime);
    }
    a_thread_that_ends_may_call_and_close_in_its_destructors();
    return 0;
}
