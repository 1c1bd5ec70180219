/*
 * Handles without threads, and identities without files, across a fork (G10, G11): a child that
 * took a handle up dispatches for itself, with a descriptor of its own, and what it is handed in
 * memory is its own affair.
 */

#define _GNU_SOURCE
#include "children.h"
#include "tls.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RENEWALS = 3, NO_POLL = 86400000 };

static const char *chain, *key;
static certreload_handle *handle;
static recorder events = RECORDER_INITIALIZER;
static gate ready, go_on;

static void open_without_threads(recorder *listener) {
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_runtime(options, CERTRELOAD_RUNTIME_HOST));
    CHECK_OK(certreload_options_set_poll_interval(options, NO_POLL));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, listener));
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
}

static void wait_and_dispatch(void) {
    struct pollfd work = {.fd = certreload_event_fd(handle), .events = POLLIN};
    CHECK(work.fd >= 0);
    CHECK_INT(poll(&work, 1, PATIENCE_SECONDS * 1000), 1);
    CHECK_OK(certreload_dispatch(handle));
}

/* The next event that is told here, on this thread, for it is the only one. */
static const recorded_event *dispatch_until_event(void) {
    while (events.taken == events.count)
        wait_and_dispatch();
    return recorder_next(&events);
}

static void see_renewal(void) {
    const recorded_event *event = dispatch_until_event();
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_WATCH);
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
}

static int thread_count(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks))
        count += task->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static void without_after_fork(void *unused) {
    (void)unused;
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
    CHECK_RESULT(certreload_dispatch(handle), FORKED);
    CHECK_INT(certreload_event_fd(handle), -1);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FORKED);
    certreload_close(handle);
}

static void with_after_fork(void *unused) {
    (void)unused;
    CHECK_OK(certreload_after_fork(handle));
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    for (int i = 0; i < RENEWALS; i++) {
        gate_let_through(&ready, 1);
        gate_pass(&go_on);
        see_renewal();
    }
    CHECK_INT(thread_count(), 1);
    certreload_close(handle);
}

static void a_child_dispatches_for_itself(void) {
    test_begin(__func__);
    open_without_threads(&events);
    CHECK_INT(dispatch_until_event()->trigger, CERTRELOAD_TRIGGER_OPEN);
    child_run(without_after_fork, NULL);
    pid_t first = child_start(with_after_fork, NULL), second = child_start(with_after_fork, NULL);
    for (int i = 0; i < RENEWALS; i++) {
        gate_pass(&ready);
        gate_pass(&ready);
        renew_pair(chain, key, "one.test");
        gate_let_through(&go_on, 2);
        see_renewal();
    }
    child_join(first);
    child_join(second);
    CHECK_INT(thread_count(), 1);
}

/* The PEM files of a pair, as a host would hand them over. */
typedef struct {
    char chain[8192], key[8192];
    certreload_identity_bytes bytes;
} pair_in_memory;

static size_t read_text(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    size_t length = fread(text, 1, size, file);
    CHECK(length > 0 && length < size);
    fclose(file);
    return length;
}

static void read_pair(pair_in_memory *pair) {
    size_t chain_size = read_text(chain, pair->chain, sizeof pair->chain);
    size_t key_size = read_text(key, pair->key, sizeof pair->key);
    pair->bytes = (certreload_identity_bytes){
        sizeof pair->bytes, pair->chain, chain_size, pair->key, key_size, NULL, 0};
}

static void push_in_the_child(void *pair) {
    const pair_in_memory *other = pair;
    const char *inherited = serving_fingerprint(handle);
    CHECK_RESULT(certreload_push_identity(handle, 0, &other->bytes), FORKED);
    CHECK_OK(certreload_after_fork(handle));
    /* Its files were looked at no more in the parent, and are not here. */
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK_STR(serving_fingerprint(handle), inherited);
    CHECK_OK(certreload_push_identity(handle, 0, &other->bytes));
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
    CHECK_RESULT(certreload_push_identity(handle, 0, &other->bytes), UNCHANGED);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);
    certreload_close(handle);
}

static void what_is_pushed_is_the_affair_of_each_process(void) {
    test_begin(__func__);
    static pair_in_memory pair;
    make_pair(chain, key, "one.test");
    read_pair(&pair);
    CHECK_OK(certreload_push_identity(handle, 0, &pair.bytes));
    const char *pushed = fingerprint_of(chain);

    make_pair(chain, key, "one.test");
    read_pair(&pair);
    child_run(push_in_the_child, &pair);
    CHECK_STR(fingerprint_shown(handle, "one.test"), pushed);
    CHECK_OK(certreload_push_identity(handle, 0, &pair.bytes));
    CHECK_STR(fingerprint_shown(handle, "one.test"), fingerprint_of(chain));
}

int main(void) {
    alarm(4 * PATIENCE_SECONDS);
    chain = scratch("one.chain"), key = scratch("one.key");
    make_pair(chain, key, "one.test");
    ready = gate_new(), go_on = gate_new();
    a_child_dispatches_for_itself();
    what_is_pushed_is_the_affair_of_each_process();
    certreload_close(handle);
    gate_free(&ready);
    gate_free(&go_on);
    return 0;
}
