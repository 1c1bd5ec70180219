/*
 * Every function from inside the library's callbacks: it works, or says that it would wait for
 * ever, and never does wait for ever (G7). From the event callback all of it works; from password
 * and log callbacks, where the header forbids it, nothing hangs.
 */

#define _GNU_SOURCE
#include "gate.h"
#include "pairs.h"

#include <rustls.h>
#include <stdatomic.h>
#include <unistd.h>

/* Two handles, and what a callback of the first one's does. */
typedef struct scene {
    void (*act)(struct scene *);
    certreload_runtime runtime, other_runtime;
    certreload_handle *own, *other;
    atomic_int acts, events, events_of_other;
    gate done;
    recorder later;
} scene;

static scene *new_scene(certreload_runtime runtime, certreload_runtime other) {
    scene *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    pthread_mutex_init(&s->done.mutex, NULL);
    pthread_cond_init(&s->done.opened, NULL);
    pthread_mutex_init(&s->later.mutex, NULL);
    pthread_cond_init(&s->later.arrived, NULL);
    s->runtime = runtime;
    s->other_runtime = other;
    return s;
}

static void end_scene(scene *s) {
    certreload_close(s->own);
    certreload_close(s->other);
    free(s);
}

/* Acts once. */
static void act(scene *s) {
    if (atomic_fetch_add(&s->acts, 1) == 0) {
        s->act(s);
        gate_open(&s->done);
    }
}

static void on_event(void *userdata, const certreload_event *event) {
    scene *s = userdata;
    atomic_fetch_add(&s->events, 1);
    if (event->trigger == CERTRELOAD_TRIGGER_PUSH)
        act(s);
}

static void count_event(void *userdata, const certreload_event *event) {
    (void)event;
    atomic_fetch_add((atomic_int *)userdata, 1);
}

static void dispatch_if_host(certreload_handle *handle, certreload_runtime runtime) {
    if (runtime == CERTRELOAD_RUNTIME_HOST)
        CHECK_OK(certreload_dispatch(handle));
}

static void renew(certreload_handle *handle, certreload_runtime runtime, int turn) {
    CHECK_OK(certreload_push_identity(handle, 0, &plain_pairs[turn], sizeof plain_pairs[turn]));
    dispatch_if_host(handle, runtime);
}

static const char *name_of(const char *test, certreload_runtime runtime, certreload_runtime other) {
    static const char *const words[] = {"thread", "host"};
    static char name[128];
    snprintf(name, sizeof name, "%s: %s beside %s", test, words[runtime], words[other]);
    return name;
}

/* ------------------------------------------------------------------ what event callbacks do */

static void closes_own(scene *s) {
    certreload_close(s->own);
    s->own = NULL;
}

static void closes_other(scene *s) {
    certreload_close(s->other);
    s->other = NULL;
}

static void closes_both(scene *s) {
    closes_other(s);
    closes_own(s);
}

static void replaces_own(scene *s) {
    CHECK_OK(certreload_set_event_callback(s->own, recorder_callback, &s->later, NULL));
}

static void unregisters_own(scene *s) {
    CHECK_OK(certreload_set_event_callback(s->own, NULL, NULL, NULL));
}

static void replaces_other(scene *s) {
    CHECK_OK(certreload_set_event_callback(s->other, recorder_callback, &s->later, NULL));
}

static void unregisters_other(scene *s) {
    CHECK_OK(certreload_set_event_callback(s->other, NULL, NULL, NULL));
}

static void reloads(scene *s) {
    CHECK_RESULT(certreload_reload_wait(s->own, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK_RESULT(certreload_reload_wait(s->other, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK_OK(certreload_reload(s->own));
}

static void pushes(scene *s) {
    CHECK_OK(certreload_push_identity(s->own, 0, &plain_pairs[0], sizeof plain_pairs[0]));
    CHECK_RESULT(certreload_push_identity(s->own, 0, &plain_pairs[0], sizeof plain_pairs[0]),
                 UNCHANGED);
    CHECK_OK(certreload_push_identity(s->other, 0, &plain_pairs[1], sizeof plain_pairs[1]));
    CHECK_INT(serving_generation(s->own), 3);
}

static void asks(scene *s) {
    const certreload_event *event = NULL;
    CHECK_RESULT(certreload_next_event(s->own, &event), NO_EVENT);
    CHECK(certreload_event_fd(s->own) >= 0);
    CHECK_INT(status_of(s->own).generation, 2);
    certreload_identity_status status;
    CHECK_OK(certreload_get_identity_status(s->own, 0, &status, sizeof status));
    size_t index = 1, needed = 0;
    CHECK_OK(certreload_find_identity(s->own, "one.test", &index));
    char page[16384];
    certreload_handle *handles[] = {s->own};
    CHECK_OK(certreload_write_metrics(s->own, page, sizeof page, &needed));
    CHECK_OK(certreload_write_metrics_page(handles, 1, page, sizeof page, &needed));
    CHECK_OK(certreload_after_fork(s->own));
    rustls_connection *connection = NULL;
    CHECK_OK(certreload_server_connection_new(s->own, &connection));
    rustls_connection_free(connection);
    rustls_server_config_free(certreload_acquire_server_config(s->own));
    certreload_result dispatched = certreload_dispatch(s->own);
    if (s->runtime == CERTRELOAD_RUNTIME_HOST)
        CHECK_OK(dispatched);
    else
        CHECK_RESULT(dispatched, INVALID_PARAMETER);
}

static void on_log(void *userdata, certreload_log_level level, const char *message) {
    (void)level;
    CHECK(message != NULL);
    atomic_fetch_add((atomic_int *)userdata, 1);
}

static void opens(scene *s) {
    atomic_int lines = 0, events = 0;
    CHECK_OK(certreload_set_log_callback(on_log, &lines, NULL, CERTRELOAD_LOG_LEVEL_DEBUG));
    for (int runtime = CERTRELOAD_RUNTIME_THREAD; runtime <= CERTRELOAD_RUNTIME_HOST; runtime++) {
        certreload_handle *third = pairs_open(runtime, count_event, &events);
        renew(third, runtime, 1);
        CHECK_RESULT(certreload_reload_wait(third, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
        certreload_close(third);
    }
    certreload_options *options = pairs_options(s->runtime);
    CHECK_OK(certreload_check(options));
    certreload_options_free(options);
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 0));
    CHECK(lines > 0);
}

/* Once more: after whatever the callback did, events go where they should. */
static void what_comes_later(scene *s) {
    int events = atomic_load(&s->events);
    if (s->act == replaces_own || s->act == unregisters_own) {
        renew(s->own, s->runtime, 0);
        if (s->act == replaces_own)
            CHECK_INT(recorder_next(&s->later)->generation, 3);
        CHECK_INT(s->events, events);
    }
    if (s->act == replaces_other) {
        renew(s->other, s->other_runtime, 1);
        /* What waited for the callback before goes to the new one: that it was opened. */
        while (recorder_next(&s->later)->generation != 2)
            ;
    }
}

static void inside_event_callbacks(certreload_runtime runtime, certreload_runtime other) {
    test_begin(name_of(__func__, runtime, other));
    static void (*const acts[])(scene *) = {
        closes_own,     closes_other,      closes_both, replaces_own, unregisters_own,
        replaces_other, unregisters_other, reloads,     pushes,       asks,
        opens};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        scene *s = new_scene(runtime, other);
        s->act = acts[i];
        s->own = pairs_open(runtime, on_event, s);
        s->other = pairs_open(other, count_event, &s->events_of_other);
        renew(s->own, runtime, 1);
        gate_wait(&s->done);
        what_comes_later(s);
        end_scene(s);
    }
}

/* ------------------------------------------------- what password and log callbacks must not do */

/* Works, or says that it would be for ever. */
static void may_be_refused(certreload_result result) {
    if (result != CERTRELOAD_RESULT_OK && result != CERTRELOAD_RESULT_UNCHANGED)
        CHECK_RESULT(result, WOULD_DEADLOCK);
}

/* Of the handle whose work calls this. */
static void meddles_with_own(scene *s) {
    if (s->runtime == CERTRELOAD_RUNTIME_HOST) {
        CHECK_RESULT(certreload_reload_wait(s->own, CERTRELOAD_WAIT_FOREVER), WOULD_DEADLOCK);
        CHECK_RESULT(certreload_push_identity(s->own, 0, &plain_pairs[1], sizeof plain_pairs[1]),
                     WOULD_DEADLOCK);
        CHECK_RESULT(certreload_dispatch(s->own), WOULD_DEADLOCK);
    } else {
        /* On a reader or a delivery thread, which the work waits for only in part. */
        may_be_refused(certreload_reload_wait(s->own, CERTRELOAD_WAIT_FOREVER));
        may_be_refused(certreload_push_identity(s->own, 0, &plain_pairs[1], sizeof plain_pairs[1]));
    }
    CHECK_OK(certreload_set_event_callback(s->own, recorder_callback, &s->later, NULL));
    CHECK(status_of(s->own).generation > 0);
    CHECK_OK(certreload_reload(s->own));
}

static void meddles_with_other(scene *s) {
    may_be_refused(certreload_reload_wait(s->other, CERTRELOAD_WAIT_FOREVER));
    CHECK_OK(certreload_push_identity(s->other, 0, &plain_pairs[1], sizeof plain_pairs[1]));
    if (s->other_runtime == CERTRELOAD_RUNTIME_HOST)
        CHECK_OK(certreload_dispatch(s->other));
    CHECK_OK(certreload_set_event_callback(s->other, recorder_callback, &s->later, NULL));
    CHECK_RESULT(certreload_reload_wait(s->other, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
}

static void (*const meddling[])(scene *) = {meddles_with_own, meddles_with_other, closes_own,
                                            closes_other, closes_both};
enum { MEDDLINGS = sizeof meddling / sizeof *meddling };

/* Acts at the first load that is no opening, and knows the password. */
static bool on_password(void *userdata, const char *key_path, char *password_out,
                        size_t password_size, size_t *length_out) {
    (void)key_path;
    scene *s = userdata;
    if (s->own != NULL)
        act(s);
    CHECK(password_size >= strlen(PAIRS_PASSWORD));
    memcpy(password_out, PAIRS_PASSWORD, strlen(PAIRS_PASSWORD));
    *length_out = strlen(PAIRS_PASSWORD);
    return true;
}

/* Acts while the line is logged that tells of generation 2. */
static void on_line(void *userdata, certreload_log_level level, const char *message) {
    (void)level;
    scene *s = userdata;
    if (strstr(message, "generation 2 serves") != NULL && s->own != NULL)
        act(s);
}

/* Opens with files, so that reloading calls the password callback on whichever thread does it. */
static void open_locked(scene *s, bool logs) {
    shell("cp -p turn0.chain locked.chain && cp -p turn0.locked locked.key");
    certreload_options *options =
        unwatched_options(scratch("locked.chain"), scratch("locked.key"), 1000);
    CHECK_OK(certreload_options_set_key_password_callback(options, on_password, s, NULL));
    CHECK_OK(certreload_options_set_runtime(options, s->runtime));
    CHECK_OK(certreload_options_set_event_callback(options, count_event, &s->events, NULL));
    certreload_handle *own = NULL;
    CHECK_OK(certreload_open(options, &own));
    certreload_options_free(options);
    if (logs) {
        /* The one callback acts, and the other one does not. */
        CHECK_OK(certreload_set_log_callback(on_line, s, NULL, CERTRELOAD_LOG_LEVEL_INFO));
        atomic_store(&s->acts, 0);
    }
    s->other = pairs_open(s->other_runtime, count_event, &s->events_of_other);
    s->own = own;
}

static void in_a_reload(scene *s) {
    shell("cp -p turn1.chain locked.chain && cp -p turn1.locked locked.key");
    certreload_handle *own = s->own;
    CHECK_OK(certreload_reload(own));
    if (s->runtime == CERTRELOAD_RUNTIME_HOST) {
        /* The callback may close it meanwhile. */
        certreload_result result = certreload_dispatch(own);
        CHECK(result == CERTRELOAD_RESULT_OK || s->own == NULL);
    }
    gate_wait(&s->done);
}

static void in_a_push(scene *s) {
    certreload_result result =
        certreload_push_identity(s->own, 0, &locked_pairs[1], sizeof locked_pairs[1]);
    gate_wait(&s->done);
    CHECK(result == CERTRELOAD_RESULT_OK || s->own == NULL);
}

static void in_a_reload_that_is_waited_for(scene *s) {
    shell("cp -p turn1.chain locked.chain && cp -p turn1.locked locked.key");
    certreload_result result = certreload_reload_wait(s->own, CERTRELOAD_WAIT_FOREVER);
    gate_wait(&s->done);
    CHECK(result == CERTRELOAD_RESULT_OK || (result == CERTRELOAD_RESULT_CLOSED && s->own == NULL));
}

static void inside_password_and_log_callbacks(certreload_runtime runtime,
                                              certreload_runtime other) {
    test_begin(name_of(__func__, runtime, other));
    static void (*const works[])(scene *) = {in_a_reload, in_a_push,
                                             in_a_reload_that_is_waited_for};
    for (int i = 0; i < MEDDLINGS * 3 * 2; i++) {
        bool logs = i % 2;
        if (logs && runtime != other)
            continue;
        scene *s = new_scene(runtime, other);
        s->act = meddling[i / 6];
        open_locked(s, logs);
        works[i / 2 % 3](s);
        if (logs)
            CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 0));
        end_scene(s);
    }
}

static bool on_password_of_open(void *userdata, const char *key_path, char *password_out,
                                size_t password_size, size_t *length_out) {
    (void)key_path, (void)password_out, (void)password_size, (void)length_out;
    scene *s = userdata;
    act(s);
    return false;
}

static void inside_the_password_callback_of_open(certreload_runtime other) {
    test_begin(__func__);
    static void (*const acts[])(scene *) = {meddles_with_other, closes_other};
    for (int i = 0; i < 2; i++) {
        scene *s = new_scene(CERTRELOAD_RUNTIME_THREAD, other);
        s->act = acts[i];
        s->other = pairs_open(other, count_event, &s->events_of_other);
        certreload_options *options = certreload_options_new();
        CHECK_OK(certreload_options_add_identity_memory(options, &locked_pairs[0],
                                                        sizeof locked_pairs[0]));
        CHECK_OK(
            certreload_options_set_key_password_callback(options, on_password_of_open, s, NULL));
        certreload_handle *handle = NULL;
        CHECK_RESULT(certreload_open(options, &handle), KEY_ENCRYPTED);
        certreload_options_free(options);
        CHECK_INT(s->acts, 1);
        end_scene(s);
    }
}

int main(void) {
    pairs_make();
    for (int runtime = CERTRELOAD_RUNTIME_THREAD; runtime <= CERTRELOAD_RUNTIME_HOST; runtime++)
        for (int other = CERTRELOAD_RUNTIME_THREAD; other <= CERTRELOAD_RUNTIME_HOST; other++) {
            /* Ends the process where something waits for ever. */
            alarm(10 * PATIENCE_SECONDS);
            inside_event_callbacks(runtime, other);
            inside_password_and_log_callbacks(runtime, other);
        }
    inside_the_password_callback_of_open(CERTRELOAD_RUNTIME_THREAD);
    inside_the_password_callback_of_open(CERTRELOAD_RUNTIME_HOST);
    return 0;
}
