/*
 * A fork at a bad moment (G11): while a reload is running, while a callback is, inside one, and
 * hundreds of times under threads that call everything. Whatever the threads held that stayed with
 * the parent, the child waits for none of it: it takes the handle over, renews, and ends.
 */

#define _GNU_SOURCE
#include "children.h"
#include "tls.h"

#include <rustls.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Under valgrind everything takes a hundred times as long, so time is a limit as well. */
enum { FORKS = 300, ENOUGH_FORKS = 5, STORM_SECONDS = 6, FORKING_THREADS = 2 };

static const char *chain, *key;
static certreload_handle *handle;

/* What a server's child does: takes the handle over, serves, reloads, and ends. */
static void take_over(void *unused) {
    (void)unused;
    CHECK_OK(certreload_after_fork(handle));
    CHECK_OK(certreload_set_event_callback(handle, NULL, NULL, NULL));
    certreload_result result = certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER);
    CHECK(result == CERTRELOAD_RESULT_OK || result == CERTRELOAD_RESULT_UNCHANGED);
    fingerprint_shown(handle, "one.test");
    certreload_close(handle);
}

/* And one that has no use for it. */
static void close_only(void *unused) {
    (void)unused;
    certreload_close(handle);
}

/* A thread of the parent that is in a callback until it is told to go on. */
static pid_t owner;
static gate inside, go_on;
static atomic_bool blocks;

static void block_in_the_owner(void) {
    if (getpid() == owner && atomic_load(&blocks)) {
        gate_let_through(&inside, 1);
        gate_pass(&go_on);
    }
}

static bool give_password(void *userdata, const char *key_path, char *password_out,
                          size_t password_size, size_t *length_out) {
    (void)key_path;
    block_in_the_owner();
    *length_out = (size_t)snprintf(password_out, password_size, "%s", (const char *)userdata);
    return true;
}

static void block_on_event(void *unused, const certreload_event *event) {
    (void)unused, (void)event;
    block_in_the_owner();
}

static void encrypt_key(void) {
    shell("openssl pkcs8 -topk8 -in '%s' -out encrypted.key -passout pass:secret -iter 1000"
          " && mv encrypted.key '%s'",
          key, key);
}

static certreload_options *unwatched(void) {
    make_pair(chain, key, "one.test");
    /* Callbacks that block for longer than this would be reported. */
    return unwatched_options(chain, key, 60000);
}

static void open_and_free(certreload_options *options) {
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
}

/* Children of a process whose background thread is held where it is. */
static void fork_while_blocked(void) {
    gate_pass(&inside);
    child_run(take_over, NULL);
    child_run(close_only, NULL);
    atomic_store(&blocks, false);
    gate_let_through(&go_on, 1);
}

static void while_a_reload_is_running(void) {
    test_begin(__func__);
    atomic_store(&blocks, false);
    certreload_options *options = unwatched();
    encrypt_key();
    CHECK_OK(certreload_options_set_key_password_callback(options, give_password, "secret", NULL));
    open_and_free(options);
    make_pair(chain, key, "one.test");
    encrypt_key();
    atomic_store(&blocks, true);
    CHECK_OK(certreload_reload(handle));
    fork_while_blocked();
    /* The first reload may publish before this call or after it. */
    certreload_result result = certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER);
    CHECK(result == CERTRELOAD_RESULT_OK || result == CERTRELOAD_RESULT_UNCHANGED);
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
    certreload_close(handle);
}

static void while_a_callback_is_running(void) {
    test_begin(__func__);
    certreload_options *options = unwatched();
    CHECK_OK(certreload_options_set_event_callback(options, block_on_event, NULL, NULL));
    atomic_store(&blocks, true);
    open_and_free(options);
    fork_while_blocked();
    certreload_close(handle);
}

static void block_on_line(void *unused, certreload_log_level level, const char *line) {
    (void)unused, (void)level, (void)line;
    block_in_the_owner();
}

static void silence_the_log(void *unused) {
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, CERTRELOAD_LOG_LEVEL_ERROR));
    take_over(unused);
}

static void while_a_log_line_is_written(void) {
    test_begin(__func__);
    atomic_store(&blocks, false);
    open_and_free(unwatched());
    CHECK_OK(certreload_set_log_callback(block_on_line, NULL, NULL, CERTRELOAD_LOG_LEVEL_INFO));
    make_pair(chain, key, "one.test");
    atomic_store(&blocks, true);
    CHECK_OK(certreload_reload(handle));
    gate_pass(&inside);
    child_run(silence_the_log, NULL);
    child_run(take_over, NULL);
    atomic_store(&blocks, false);
    gate_let_through(&go_on, 1);
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, CERTRELOAD_LOG_LEVEL_ERROR));
    certreload_close(handle);
}

static atomic_int forked_inside;

static void fork_inside(void) {
    if (getpid() != owner)
        return;
    child_run(take_over, NULL);
    child_run(close_only, NULL);
    atomic_fetch_add(&forked_inside, 1);
    gate_let_through(&inside, 1);
}

static void fork_on_event(void *unused, const certreload_event *event) {
    (void)unused, (void)event;
    fork_inside();
}

/* The handle is not known before open has returned, and open asks, too. */
static bool fork_and_give_password(void *userdata, const char *key_path, char *password_out,
                                   size_t password_size, size_t *length_out) {
    if (handle != NULL)
        fork_inside();
    return give_password(userdata, key_path, password_out, password_size, length_out);
}

static void inside_callbacks(void) {
    test_begin(__func__);
    atomic_store(&blocks, false);
    certreload_options *options = unwatched();
    encrypt_key();
    handle = NULL;
    CHECK_OK(certreload_options_set_key_password_callback(options, fork_and_give_password, "secret",
                                                          NULL));
    open_and_free(options);
    make_pair(chain, key, "one.test");
    encrypt_key();
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    gate_pass(&inside);

    CHECK_OK(certreload_set_event_callback(handle, fork_on_event, NULL, NULL));
    make_pair(chain, key, "one.test");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    gate_pass(&inside);
    CHECK_OK(certreload_set_event_callback(handle, NULL, NULL, NULL));
    CHECK_INT(forked_inside, 2);
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
    certreload_close(handle);
}

/* The storm: pairs change places under a link, so that a reload is nearly always running. */
static const char *live_chain, *live_key, *link_path, *new_link_path;
static atomic_bool storming;
static atomic_int forks;

static void *renew_all_the_time(void *unused) {
    static const char *const targets[] = {"odd", "even"};
    for (int round = 0; atomic_load(&storming); round++) {
        CHECK(symlink(targets[round % 2], new_link_path) == 0);
        CHECK(rename(new_link_path, link_path) == 0);
        CHECK_OK(certreload_reload(handle));
        usleep(10 * 1000);
    }
    return unused;
}

static void *wait_all_the_time(void *unused) {
    while (atomic_load(&storming))
        certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER);
    return unused;
}

static void *serve_all_the_time(void *unused) {
    while (atomic_load(&storming)) {
        rustls_connection *connection = NULL;
        CHECK_OK(certreload_server_connection_new(handle, &connection));
        rustls_connection_free(connection);
        certreload_generation_release(certreload_generation_acquire(handle));
        status_of(handle);
    }
    return unused;
}

static void *open_all_the_time(void *unused) {
    while (atomic_load(&storming)) {
        certreload_handle *other = NULL;
        CHECK_OK(certreload_open_files(live_chain, live_key, &other));
        certreload_close(other);
    }
    return unused;
}

static void *fork_all_the_time(void *unused) {
    time_t end = time(NULL) + STORM_SECONDS;
    for (int count = atomic_fetch_add(&forks, 1);
         count < FORKS && (count < ENOUGH_FORKS || time(NULL) < end);
         count = atomic_fetch_add(&forks, 1))
        child_run(count % 4 == 3 ? close_only : take_over, NULL);
    return unused;
}

static void ignore_event(void *unused, const certreload_event *event) {
    (void)unused, (void)event;
}

static void under_threads_that_call_everything(void) {
    test_begin(__func__);
    shell("mkdir odd even && ln -s odd live");
    make_pair(scratch("odd/chain"), scratch("odd/key"), "one.test");
    make_pair(scratch("even/chain"), scratch("even/key"), "one.test");
    link_path = scratch("live"), new_link_path = scratch("live.new");
    live_chain = scratch("live/chain"), live_key = scratch("live/key");
    certreload_options *options = unwatched_options(live_chain, live_key, 5000);
    CHECK_OK(certreload_options_set_event_callback(options, ignore_event, NULL, NULL));
    open_and_free(options);

    static void *(*const work[])(void *) = {renew_all_the_time, wait_all_the_time,
                                            serve_all_the_time, open_all_the_time};
    enum { WORKERS = sizeof work / sizeof work[0] };
    pthread_t workers[WORKERS], forkers[FORKING_THREADS];
    atomic_store(&storming, true);
    for (int i = 0; i < WORKERS; i++)
        CHECK_INT(pthread_create(&workers[i], NULL, work[i], NULL), 0);
    for (int i = 0; i < FORKING_THREADS; i++)
        CHECK_INT(pthread_create(&forkers[i], NULL, fork_all_the_time, NULL), 0);
    for (int i = 0; i < FORKING_THREADS; i++)
        CHECK_INT(pthread_join(forkers[i], NULL), 0);
    atomic_store(&storming, false);
    for (int i = 0; i < WORKERS; i++)
        CHECK_INT(pthread_join(workers[i], NULL), 0);
    certreload_status status = status_of(handle);
    printf("%d forks, %llu reloads\n", atomic_load(&forks) - FORKING_THREADS,
           (unsigned long long)status.reloads);
    CHECK_INT(status.failures, 0);
    CHECK(status.reloads > 0);
    certreload_close(handle);
}

int main(void) {
    alarm(4 * PATIENCE_SECONDS);
    owner = getpid();
    chain = scratch("one.chain"), key = scratch("one.key");
    root_certificate();
    inside = gate_new(), go_on = gate_new();
    while_a_reload_is_running();
    while_a_callback_is_running();
    while_a_log_line_is_written();
    inside_callbacks();
    under_threads_that_call_everything();
    gate_free(&inside);
    gate_free(&go_on);
    return 0;
}
