/*
 * A callback that blocks: it delays the events of its own handle, which wait in order and are
 * counted where they are too many; never handshakes, renewals, or the events of other handles (G7).
 */

#define _GNU_SOURCE
#include "gate.h"
#include "pairs.h"
#include "tls.h"

#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

/* A callback that blocks at its first event, and records those that come after it. */
typedef struct {
    gate blocks, may_go;
    atomic_int calls;
    struct {
        certreload_event_kind kind;
        uint64_t generation, count;
    } events[CERTRELOAD_MAX_WAITING_EVENTS + 1];
} blocker;

static void init_blocker(blocker *b) {
    memset(b, 0, sizeof *b);
    pthread_mutex_init(&b->blocks.mutex, NULL);
    pthread_cond_init(&b->blocks.opened, NULL);
    pthread_mutex_init(&b->may_go.mutex, NULL);
    pthread_cond_init(&b->may_go.opened, NULL);
}

static void block(void *userdata, const certreload_event *event) {
    blocker *b = userdata;
    int call = atomic_load(&b->calls);
    if (call == 0) {
        gate_open(&b->blocks);
        gate_wait(&b->may_go);
    }
    CHECK(call <= CERTRELOAD_MAX_WAITING_EVENTS);
    b->events[call].kind = event->kind;
    b->events[call].generation = event->generation;
    b->events[call].count = event->count;
    atomic_store(&b->calls, call + 1);
}

static void wait_for_calls(blocker *b, int expected) {
    for (time_t begun = time(NULL); b->calls < expected; sched_yield())
        CHECK(time(NULL) - begun < PATIENCE_SECONDS);
    CHECK_INT(b->calls, expected);
}

static void a_handshake_with(certreload_handle *handle) {
    rustls_connection *server = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &server));
    rustls_connection *client = client_connection_new("one.test", NULL);
    int fds[2];
    socket_pair(fds);
    tls_handshake(server, fds[0], client, fds[1]);
    rustls_connection_free(client);
    rustls_connection_free(server);
    close(fds[0]);
    close(fds[1]);
}

static void others_go_on_while_a_callback_blocks(void) {
    test_begin(__func__);
    static blocker a;
    static recorder b = RECORDER_INITIALIZER;
    init_blocker(&a);
    certreload_handle *blocked = pairs_open(CERTRELOAD_RUNTIME_THREAD, block, &a);
    gate_wait(&a.blocks);
    certreload_handle *free_one = pairs_open(CERTRELOAD_RUNTIME_THREAD, recorder_callback, &b);
    CHECK_INT(recorder_next(&b)->generation, 1);
    for (int turn = 1; turn <= 4; turn++) {
        CHECK_OK(certreload_push_identity(free_one, 0, &plain_pairs[turn % 2],
                                          sizeof plain_pairs[turn % 2]));
        CHECK_INT(recorder_next(&b)->generation, turn + 1);
        CHECK_OK(certreload_push_identity(blocked, 0, &plain_pairs[turn % 2],
                                          sizeof plain_pairs[turn % 2]));
        CHECK_INT(serving_generation(blocked), turn + 1);
        a_handshake_with(blocked);
        a_handshake_with(free_one);
    }
    CHECK_RESULT(certreload_reload_wait(blocked, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK_INT(a.calls, 0);
    gate_open(&a.may_go);
    wait_for_calls(&a, 5);
    for (int call = 0; call < 5; call++) {
        CHECK_INT(a.events[call].generation, call + 1);
        CHECK_INT(a.events[call].count, 1);
    }
    certreload_close(blocked);
    certreload_close(free_one);
}

/* Failures that differ from the one before, as quickly as they can be had. */
static void fail_to_push(certreload_handle *handle, int turn) {
    certreload_identity_bytes bytes = plain_pairs[0];
    char text[64];
    if (turn % 2 == 0) {
        bytes.chain_pem = text;
        bytes.chain_pem_size = (size_t)snprintf(text, sizeof text, "no chain, %d", turn);
    } else {
        bytes.key_pem = text;
        bytes.key_pem_size = (size_t)snprintf(text, sizeof text, "no key, %d", turn);
    }
    CHECK(certreload_push_identity(handle, 0, &bytes, sizeof bytes) != CERTRELOAD_RESULT_OK);
}

enum { FAILURES = CERTRELOAD_MAX_WAITING_EVENTS + 30, RENEWAL_EVERY = 50 };

static void where_too_many_wait_older_ones_go_into_newer_ones(void) {
    test_begin(__func__);
    static blocker a;
    init_blocker(&a);
    certreload_handle *handle = pairs_open(CERTRELOAD_RUNTIME_THREAD, block, &a);
    gate_wait(&a.blocks);
    uint64_t renewals = 0, failures = 0;
    for (int i = 1; i <= FAILURES; i++) {
        fail_to_push(handle, i);
        failures++;
        if (i % RENEWAL_EVERY == 0)
            CHECK_OK(certreload_push_identity(handle, 0, &plain_pairs[++renewals % 2],
                                              sizeof plain_pairs[++renewals % 2]));
    }
    CHECK_INT(status_of(handle).failures, failures);
    gate_open(&a.may_go);
    wait_for_calls(&a, CERTRELOAD_MAX_WAITING_EVENTS + 1);
    uint64_t told_renewals = 0, told_failures = 0, generation = 0;
    for (int call = 0; call < a.calls; call++) {
        CHECK(a.events[call].generation >= generation);
        generation = a.events[call].generation;
        if (a.events[call].kind == CERTRELOAD_EVENT_KIND_RELOADED)
            told_renewals += a.events[call].count;
        else
            told_failures += a.events[call].count;
    }
    CHECK_INT(generation, renewals + 1);
    CHECK_INT(told_renewals, renewals + 1);
    CHECK_INT(told_failures, failures);
    certreload_close(handle);
}

static void callbacks_that_block_do_not_delay_other_handles(void) {
    test_begin(__func__);
    enum { BLOCKED = 20, THREADS_OF_THE_LIBRARY = 2 };
    int before = threads();
    static blocker all[BLOCKED];
    static recorder events = RECORDER_INITIALIZER;
    certreload_handle *handles[BLOCKED];
    for (int i = 0; i < BLOCKED; i++) {
        init_blocker(&all[i]);
        handles[i] = pairs_open(CERTRELOAD_RUNTIME_THREAD, block, &all[i]);
    }
    certreload_handle *free_one = pairs_open(CERTRELOAD_RUNTIME_THREAD, recorder_callback, &events);
    for (int i = 0; i < BLOCKED; i++)
        gate_wait(&all[i].blocks);
    CHECK_INT(recorder_next(&events)->generation, 1);
    CHECK_OK(certreload_push_identity(free_one, 0, &plain_pairs[1], sizeof plain_pairs[1]));
    CHECK_INT(recorder_next(&events)->generation, 2);
    for (int i = 0; i < BLOCKED; i++)
        gate_open(&all[i].may_go);
    wait_until_threads_are(before + THREADS_OF_THE_LIBRARY);
    for (int i = 0; i < BLOCKED; i++) {
        wait_for_calls(&all[i], 1);
        certreload_close(handles[i]);
    }
    certreload_close(free_one);
    wait_until_threads_are(before);
}

int main(void) {
    pairs_make();
    /* Ends the process where something waits for ever. */
    alarm(10 * PATIENCE_SECONDS);
    others_go_on_while_a_callback_blocks();
    where_too_many_wait_older_ones_go_into_newer_ones();
    callbacks_that_block_do_not_delay_other_handles();
    return 0;
}
