/*
 * Who waits for whom: unregistering and closing wait for a callback that runs, callbacks that would
 * wait for each other do not, and nobody sees what was given back (G7).
 */

#define _GNU_SOURCE
#include "gate.h"
#include "pairs.h"

#include <stdatomic.h>
#include <unistd.h>

static void push(certreload_handle *handle, int turn) {
    CHECK_OK(certreload_push_identity(handle, 0, &plain_pairs[turn], sizeof plain_pairs[turn]));
}

/* One that is told of everything and does nothing. */
static void ignore_event(void *userdata, const certreload_event *event) {
    (void)userdata, (void)event;
}

static void start(pthread_t *thread, void *(*body)(void *), void *argument) {
    CHECK_INT(pthread_create(thread, NULL, body, argument), 0);
}

static void join(pthread_t thread) {
    CHECK_INT(pthread_join(thread, NULL), 0);
}

/* ------------------------------------------------------------------- a callback is waited for */

typedef struct {
    certreload_handle *handle;
    gate runs, returned;
    atomic_bool has_ended;
    bool closes;
} lingerer;

/* As long as it runs, nobody is through with waiting for it. */
static void linger(void *userdata, const certreload_event *event) {
    lingerer *l = userdata;
    if (event->trigger != CERTRELOAD_TRIGGER_PUSH)
        return;
    gate_open(&l->runs);
    CHECK(!gate_opens_within(&l->returned, A_MOMENT_MS));
    atomic_store(&l->has_ended, true);
}

static void *unregister_or_close(void *userdata) {
    lingerer *l = userdata;
    gate_wait(&l->runs);
    if (l->closes)
        certreload_close(l->handle);
    else
        CHECK_OK(certreload_set_event_callback(l->handle, NULL, NULL, NULL));
    gate_open(&l->returned);
    CHECK(l->has_ended);
    return NULL;
}

static void unregistering_and_closing_wait_for_the_callback_that_runs(void) {
    test_begin(__func__);
    /* The last close would wait for the threads, and so for the callback too. */
    certreload_handle *another = pairs_open(CERTRELOAD_RUNTIME_THREAD, NULL, NULL);
    for (int round = 0; round < 4; round++) {
        certreload_runtime runtime =
            round < 2 ? CERTRELOAD_RUNTIME_THREAD : CERTRELOAD_RUNTIME_HOST;
        lingerer l = {NULL, GATE_INITIALIZER, GATE_INITIALIZER, false, round % 2};
        l.handle = pairs_open(runtime, linger, &l);
        pthread_t thread;
        start(&thread, unregister_or_close, &l);
        push(l.handle, 1);
        if (runtime == CERTRELOAD_RUNTIME_HOST)
            CHECK_OK(certreload_dispatch(l.handle));
        join(thread);
        if (!l.closes)
            certreload_close(l.handle);
    }
    certreload_close(another);
}

/* --------------------------------------------------- callbacks that would wait for each other */

typedef struct actor {
    struct actor *other;
    void (*act)(struct actor *);
    certreload_handle *handle; /* its own, of which the other one does something */
    gate runs, done;
    certreload_result result;
    atomic_int acts, new_events, frees;
} actor;

/* One pair for each round: a callback may still be returning when its handle has been closed. */
static actor actors[64][2];

static void count_new_event(void *userdata, const certreload_event *event) {
    (void)event;
    atomic_fetch_add(&((actor *)userdata)->new_events, 1);
}

static void count_free(void *userdata) {
    atomic_fetch_add(&((actor *)userdata)->frees, 1);
}

/* Meets the other one, so that both callbacks run at the same time. */
static void meet_and_act(void *userdata, const certreload_event *event) {
    actor *me = userdata;
    if (event->trigger != CERTRELOAD_TRIGGER_PUSH || atomic_fetch_add(&me->acts, 1) > 0)
        return;
    gate_open(&me->runs);
    gate_wait(&me->other->runs);
    me->act(me);
    gate_open(&me->done);
}

static actor *two_actors(void (*act)(actor *)) {
    static size_t rounds;
    CHECK(rounds < sizeof actors / sizeof *actors);
    actor *pair = actors[rounds++];
    for (int i = 0; i < 2; i++) {
        pthread_mutex_init(&pair[i].runs.mutex, NULL);
        pthread_cond_init(&pair[i].runs.opened, NULL);
        pthread_mutex_init(&pair[i].done.mutex, NULL);
        pthread_cond_init(&pair[i].done.opened, NULL);
        pair[i].act = act;
        pair[i].other = &pair[1 - i];
    }
    for (int i = 0; i < 2; i++)
        pair[i].handle = pairs_open(CERTRELOAD_RUNTIME_THREAD, meet_and_act, &pair[i]);
    for (int i = 0; i < 2; i++)
        push(pair[i].handle, 1);
    for (int i = 0; i < 2; i++)
        gate_wait(&pair[i].done);
    return pair;
}

static void close_the_others(actor *me) {
    certreload_close(me->other->handle);
}

static void callbacks_close_each_others_handles(void) {
    test_begin(__func__);
    int before = threads();
    for (int round = 0; round < 5; round++)
        two_actors(close_the_others);
    wait_until_threads_are(before);
}

static void replace_the_others(actor *me) {
    me->result =
        certreload_set_event_callback(me->other->handle, count_new_event, me->other, count_free);
}

static void callbacks_replace_each_other(void) {
    test_begin(__func__);
    for (int round = 0; round < 8; round++) {
        actor *pair = two_actors(replace_the_others);
        CHECK(pair[0].result == CERTRELOAD_RESULT_OK || pair[1].result == CERTRELOAD_RESULT_OK);
        for (int i = 0; i < 2; i++) {
            certreload_result result = pair[1 - i].result;
            if (result != CERTRELOAD_RESULT_OK)
                CHECK_RESULT(result, WOULD_DEADLOCK);
            /* Where it was refused nothing is changed. */
            push(pair[i].handle, 0);
            certreload_close(pair[i].handle);
            if (result != CERTRELOAD_RESULT_OK) {
                CHECK_INT(pair[i].new_events, 0);
                CHECK_INT(pair[i].frees, 0);
            }
        }
    }
}

/* The last handle is closed while another callback, which has closed its own, waits for this one.
 */
static void close_own_and_wait_for_the_other(actor *me) {
    static gate first_is_closed = GATE_INITIALIZER;
    if (me < me->other) {
        certreload_close(me->handle);
        gate_open(&first_is_closed);
        me->result = certreload_set_event_callback(me->other->handle, ignore_event, NULL, NULL);
    } else {
        gate_wait(&first_is_closed);
        /* In which the first one gets to wait for this callback; if it does not, it will be told.
         */
        gate never = GATE_INITIALIZER;
        CHECK(!gate_opens_within(&never, A_MOMENT_MS));
        certreload_close(me->handle);
    }
}

static void the_last_close_does_not_wait_for_who_waits_for_it(void) {
    test_begin(__func__);
    int before = threads();
    actor *pair = two_actors(close_own_and_wait_for_the_other);
    CHECK_RESULT(pair[0].result, OK);
    wait_until_threads_are(before);
}

/* ----------------------------------------------------------------- reload_wait() is let go */

typedef struct {
    certreload_handle *handle;
    atomic_bool is_armed;
    gate asked, answered, closed;
    certreload_result result;
} waiter;

/* Called by the worker: until the gate opens no reload is answered. */
static bool hold_the_worker(void *userdata, const char *key_path, char *password_out,
                            size_t password_size, size_t *length_out) {
    (void)key_path, (void)password_size;
    waiter *w = userdata;
    if (w->is_armed) {
        gate_open(&w->asked);
        gate_wait(&w->answered);
    }
    memcpy(password_out, PAIRS_PASSWORD, strlen(PAIRS_PASSWORD));
    *length_out = strlen(PAIRS_PASSWORD);
    return true;
}

static void wait_in_callback(void *userdata, const certreload_event *event) {
    waiter *w = userdata;
    if (event->kind != CERTRELOAD_EVENT_KIND_RELOADED)
        return;
    gate_wait(&w->closed);
    w->result = certreload_reload_wait(w->handle, CERTRELOAD_WAIT_FOREVER);
    gate_open(&w->answered);
}

static void *reload_and_wait(void *userdata) {
    waiter *w = userdata;
    w->result = certreload_reload_wait(w->handle, CERTRELOAD_WAIT_FOREVER);
    gate_open(&w->answered);
    return NULL;
}

static void open_waiter(waiter *w, certreload_event_callback callback) {
    shell("cp -p turn0.chain locked.chain && cp -p turn0.locked locked.key");
    certreload_options *options =
        unwatched_options(scratch("locked.chain"), scratch("locked.key"), 1000);
    CHECK_OK(certreload_options_set_key_password_callback(options, hold_the_worker, w, NULL));
    CHECK_OK(certreload_options_set_event_callback(options, callback, w, NULL));
    CHECK_OK(certreload_open(options, &w->handle));
    certreload_options_free(options);
    shell("cp -p turn1.chain locked.chain && cp -p turn1.locked locked.key");
    w->is_armed = true;
}

/* The worker is inside a password callback, so the only answer there can be is that of close(). */
static void closing_lets_those_go_who_wait(void) {
    test_begin(__func__);
    waiter w = {.asked = GATE_INITIALIZER, .answered = GATE_INITIALIZER};
    open_waiter(&w, ignore_event);
    pthread_t thread;
    start(&thread, reload_and_wait, &w);
    gate_wait(&w.asked);
    certreload_close(w.handle);
    join(thread);
    CHECK_RESULT(w.result, CLOSED);
}

/* The same where it is the event callback that waits. */
static void closing_lets_a_callback_go_that_waits(void) {
    test_begin(__func__);
    waiter w = {
        .asked = GATE_INITIALIZER, .answered = GATE_INITIALIZER, .closed = GATE_INITIALIZER};
    open_waiter(&w, wait_in_callback);
    gate_open(&w.closed);
    gate_wait(&w.asked);
    certreload_close(w.handle);
    CHECK_RESULT(w.result, CLOSED);
}

/* ----------------------------------------------------------------------- what is given back */

enum { SOUND = 0x50554e44, FREED = 0xdead };

static void check_sound(void *userdata, const certreload_event *event) {
    (void)event;
    for (int i = 0; i < 100; i++)
        CHECK_INT(*(atomic_int *)userdata, SOUND);
}

static atomic_bool renewing;

static void *renew_all_the_time(void *handle) {
    for (int turn = 1; renewing; turn = 1 - turn)
        push(handle, turn);
    return NULL;
}

static atomic_int *new_userdata(void) {
    atomic_int *userdata = malloc(sizeof *userdata);
    CHECK(userdata != NULL);
    atomic_init(userdata, SOUND);
    return userdata;
}

static void forget(atomic_int *userdata) {
    atomic_store(userdata, FREED);
    free(userdata);
}

static void userdata_may_go_when_its_callback_is_replaced(void) {
    test_begin(__func__);
    atomic_int *userdata = new_userdata();
    certreload_handle *handle = pairs_open(CERTRELOAD_RUNTIME_THREAD, check_sound, userdata);
    renewing = true;
    pthread_t thread;
    start(&thread, renew_all_the_time, handle);
    uint64_t begun = serving_generation(handle);
    for (int round = 0; round < 50 || serving_generation(handle) < begun + 10; round++) {
        atomic_int *before = userdata;
        userdata = new_userdata();
        CHECK_OK(certreload_set_event_callback(handle, check_sound, userdata, NULL));
        forget(before);
    }
    renewing = false;
    join(thread);
    certreload_close(handle);
    forget(userdata);
}

int main(void) {
    pairs_make();
    /* Ends the process where something waits for ever. */
    alarm(10 * PATIENCE_SECONDS);
    unregistering_and_closing_wait_for_the_callback_that_runs();
    callbacks_close_each_others_handles();
    callbacks_replace_each_other();
    the_last_close_does_not_wait_for_who_waits_for_it();
    closing_lets_those_go_who_wait();
    closing_lets_a_callback_go_that_waits();
    userdata_may_go_when_its_callback_is_replaced();
    return 0;
}
