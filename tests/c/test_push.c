/*
 * Identities in memory: opened from bytes, and renewed by bytes that are handed over. They go the
 * way that files go, but for the waiting; and what was handed over once is the host's to renew.
 */

#define _GNU_SOURCE
#include "support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The files of one identity, read. */
typedef struct {
    char chain[16 * 1024], key[16 * 1024], ocsp[64];
    certreload_identity_bytes bytes;
} loaded_pair;

static size_t load(const char *path, char *room, size_t size) {
    const int file = open(path, O_RDONLY);
    CHECK(file >= 0);
    const ssize_t count = read(file, room, size);
    CHECK(count >= 0 && (size_t)count < size);
    close(file);
    return (size_t)count;
}

static loaded_pair *load_pair(const char *chain, const char *key) {
    loaded_pair *pair = calloc(1, sizeof *pair);
    CHECK(pair != NULL);
    pair->bytes.chain_pem = pair->chain;
    pair->bytes.chain_pem_size = load(chain, pair->chain, sizeof pair->chain);
    pair->bytes.key_pem = pair->key;
    pair->bytes.key_pem_size = load(key, pair->key, sizeof pair->key);
    return pair;
}

/* A pair with files of its own; the chain is at scratch("<file>.chain"). */
static loaded_pair *new_pair(const char *file, const char *name) {
    const char *chain = scratch("%s.chain", file), *key = scratch("%s.key", file);
    make_pair(chain, key, name);
    return load_pair(chain, key);
}

static certreload_options *memory_options(const loaded_pair *pair, recorder *events) {
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity_memory(options, &pair->bytes, sizeof pair->bytes));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, events, NULL));
    return options;
}

static void a_handle_lives_from_memory_alone(void) {
    test_begin(__func__);
    static recorder events = RECORDER_INITIALIZER;
    loaded_pair *first = new_pair("first", "one.test"), *next = new_pair("next", "one.test");
    certreload_options *options = memory_options(first, &events);
    certreload_handle *handle = NULL;
    /* Copied: what the caller does to its own bytes is its own affair. */
    memset(first->key, 'x', sizeof first->key);
    CHECK_OK(certreload_check(options));
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(scratch("first.chain")));
    CHECK_STR(recorder_next(&events)->path, "memory:0/chain");
    /* There is nothing to read, so nothing can be wrong with it. */
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);

    CHECK_OK(certreload_push_identity(handle, 0, &next->bytes, sizeof next->bytes));
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(scratch("next.chain")));
    const recorded_event *pushed = recorder_next(&events);
    CHECK_INT(pushed->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(pushed->trigger, CERTRELOAD_TRIGGER_PUSH);
    CHECK_INT(pushed->generation, 2);
    CHECK_RESULT(certreload_push_identity(handle, 0, &next->bytes, sizeof next->bytes), UNCHANGED);
    CHECK_INT(serving_generation(handle), 2);
    certreload_close(handle);
    free(first);
    free(next);
}

static void bad_bytes_are_refused_at_once_and_reported_once(void) {
    test_begin(__func__);
    static recorder events = RECORDER_INITIALIZER;
    loaded_pair *good = new_pair("good", "one.test"), *mixed = new_pair("mixed", "one.test");
    certreload_options *options = memory_options(good, &events);
    CHECK_OK(certreload_options_require_name(options, "one.test"));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    recorder_next(&events);

    /* The chain of one and the key of another: of files that would be waited for. */
    mixed->bytes.key_pem = good->key;
    mixed->bytes.key_pem_size = good->bytes.key_pem_size;
    for (int i = 0; i < 3; i++) {
        CHECK_RESULT(certreload_push_identity(handle, 0, &mixed->bytes, sizeof mixed->bytes),
                     KEY_MISMATCH);
        CHECK_CONTAINS(certreload_last_error(), "memory:0/key: the private key does not match");
    }
    const recorded_event *refused = recorder_next(&events);
    CHECK_INT(refused->kind, CERTRELOAD_EVENT_KIND_RELOAD_FAILED);
    CHECK_INT(refused->trigger, CERTRELOAD_TRIGGER_PUSH);
    CHECK_INT(refused->result, CERTRELOAD_RESULT_KEY_MISMATCH);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_STALE);
    CHECK_INT(status_of(handle).failures, 1);
    /* There is nothing to be waited for, and nothing wrong with what was taken. */
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    /* What is served, pushed again, ends the failure. */
    CHECK_RESULT(certreload_push_identity(handle, 0, &good->bytes, sizeof good->bytes), UNCHANGED);
    const recorded_event *recovered = recorder_next(&events);
    CHECK_INT(recovered->kind, CERTRELOAD_EVENT_KIND_RECOVERED);
    CHECK_INT(recovered->trigger, CERTRELOAD_TRIGGER_PUSH);
    CHECK_CONTAINS(recovered->message, "memory:0/key: does not matter any more");
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);

    loaded_pair *other = new_pair("other", "two.test");
    CHECK_RESULT(certreload_push_identity(handle, 0, &other->bytes, sizeof other->bytes),
                 NAME_MISSING);
    CHECK_INT(recorder_next(&events)->result, CERTRELOAD_RESULT_NAME_MISSING);

    make_pair_valid(scratch("old.chain"), scratch("old.key"), "one.test", -20, -10);
    loaded_pair *expired = load_pair(scratch("old.chain"), scratch("old.key"));
    CHECK_RESULT(certreload_push_identity(handle, 0, &expired->bytes, sizeof expired->bytes),
                 CERTIFICATE_EXPIRED);
    CHECK_INT(recorder_next(&events)->result, CERTRELOAD_RESULT_CERTIFICATE_EXPIRED);

    expired->bytes.key_pem_size = 0;
    CHECK_RESULT(certreload_push_identity(handle, 0, &expired->bytes, sizeof expired->bytes),
                 FILE_EMPTY);
    expired->bytes.key_pem_size = CERTRELOAD_MAX_FILE_SIZE + 1;
    char *large = calloc(1, expired->bytes.key_pem_size);
    CHECK(large != NULL);
    expired->bytes.key_pem = large;
    CHECK_RESULT(certreload_push_identity(handle, 0, &expired->bytes, sizeof expired->bytes),
                 FILE_TOO_LARGE);
    free(large);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(scratch("good.chain")));

    /* A size that is none, as that of a read that failed. */
    size_t *const sizes[] = {&expired->bytes.chain_pem_size, &expired->bytes.key_pem_size,
                             &expired->bytes.ocsp_der_size};
    expired->bytes.key_pem = expired->key;
    expired->bytes.ocsp_der = (const uint8_t *)expired->ocsp;
    for (size_t i = 0; i < 3; i++) {
        const size_t before = *sizes[i];
        *sizes[i] = (size_t)-1;
        CHECK_RESULT(certreload_push_identity(handle, 0, &expired->bytes, sizeof expired->bytes),
                     FILE_TOO_LARGE);
        CHECK_CONTAINS(certreload_last_error(), "bytes->");
        *sizes[i] = before;
    }

    /* What serves, once more: all is well. */
    CHECK_RESULT(certreload_push_identity(handle, 0, &good->bytes, sizeof good->bytes), UNCHANGED);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);
    CHECK_INT(serving_generation(handle), 1);
    certreload_close(handle);
    free(good);
    free(mixed);
    free(other);
    free(expired);
}

/* Opened from files; what is accepted takes their place, and what is refused leaves them theirs. */
static void files_are_left_alone_from_the_first_bytes_on(bool the_same_bytes) {
    test_begin(the_same_bytes ? "the_bytes_of_the_files_take_their_place"
                              : "other_bytes_take_the_place_of_files");
    static recorder all_events[2] = {RECORDER_INITIALIZER, RECORDER_INITIALIZER};
    recorder *events = &all_events[the_same_bytes];
    const char *chain = scratch("a.chain"), *key = scratch("a.key");
    make_pair(chain, key, "a.test");
    loaded_pair *same = load_pair(chain, key), *pushed = new_pair("pushed", "a.test");
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, events, NULL));
    CHECK_OK(certreload_options_set_debounce_ms(options, 5));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 50));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    recorder_next(events);

    pushed->bytes.chain_pem_size /= 2;
    for (int i = 0; i < 3; i++) {
        CHECK_RESULT(certreload_push_identity(handle, 0, &pushed->bytes, sizeof pushed->bytes),
                     PEM_TRUNCATED);
        CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);
    }
    CHECK_INT(recorder_next(events)->kind, CERTRELOAD_EVENT_KIND_RELOAD_FAILED);
    renew_pair(chain, key, "a.test");
    CHECK_INT(recorder_next(events)->generation, 2);

    pushed->bytes.chain_pem_size =
        load(scratch("pushed.chain"), pushed->chain, sizeof pushed->chain);
    free(same);
    same = load_pair(chain, key);
    const uint64_t generation = the_same_bytes ? 2 : 3;
    if (the_same_bytes) {
        CHECK_RESULT(certreload_push_identity(handle, 0, &same->bytes, sizeof same->bytes),
                     UNCHANGED);
    } else {
        CHECK_OK(certreload_push_identity(handle, 0, &pushed->bytes, sizeof pushed->bytes));
        CHECK_INT(recorder_next(events)->generation, generation);
    }
    const char *serving = serving_fingerprint(handle);
    CHECK(unlink(key) == 0);
    make_pair(chain, key, "a.test");
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK_INT(serving_generation(handle), generation);
    CHECK_STR(serving_fingerprint(handle), serving);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_OK);

    /* So it is in a child. */
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(PATIENCE_SECONDS);
        CHECK_OK(certreload_after_fork(handle));
        CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
        CHECK_STR(serving_fingerprint(handle), serving);
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
    certreload_close(handle);
    free(same);
    free(pushed);
}

static void *wait_for_reload(void *handle) {
    static certreload_result result;
    result = certreload_reload_wait(handle, PATIENCE_SECONDS * 1000);
    return &result;
}

/* What somebody hands over for one identity is no answer to who waits for the files of another. */
static void a_push_answers_no_waiter_for_files(bool is_good, certreload_runtime runtime) {
    test_begin(is_good ? "a_good_push_answers_nobody_else" : "a_bad_push_answers_nobody_else");
    const char *chain = scratch("w.chain"), *key = scratch("w.key");
    make_pair(chain, key, "w.test");
    loaded_pair *pushed = new_pair("w2", "two.test");
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_add_identity_memory(options, &pushed->bytes, sizeof pushed->bytes));
    CHECK_OK(certreload_options_set_debounce_ms(options, 10));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, PATIENCE_SECONDS * 1000));
    CHECK_OK(certreload_options_set_runtime(options, runtime));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);

    make_pair(scratch("w3.chain"), scratch("w3.key"), "w.test");
    replace_file(chain, scratch("w3.chain"));
    CHECK_RESULT(certreload_reload_wait(handle, 100), TIMED_OUT);
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, wait_for_reload, handle), 0);
    free(pushed);
    pushed = new_pair("w4", "two.test");
    pushed->bytes.key_pem_size /= is_good ? 1 : 2;
    /* An interval in which the other thread is about to wait, or waits. */
    for (int i = 0; i < 20; i++) {
        const certreload_result result =
            certreload_push_identity(handle, 1, &pushed->bytes, sizeof pushed->bytes);
        CHECK(is_good ? result <= CERTRELOAD_RESULT_UNCHANGED
                      : result == CERTRELOAD_RESULT_PEM_TRUNCATED);
        usleep(10 * 1000);
    }
    replace_file(key, scratch("w3.key"));
    void *answer = NULL;
    CHECK_INT(pthread_join(thread, &answer), 0);
    CHECK_OK(*(certreload_result *)answer);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(scratch("w3.chain")));
    certreload_close(handle);
    free(pushed);
}

/* Its writer has the file open, of which nobody is told any more when it is closed. */
static void a_file_that_is_being_written_is_not_waited_for_any_more(void) {
    test_begin(__func__);
    const char *chain = scratch("h.chain"), *key = scratch("h.key");
    make_pair(chain, key, "h.test");
    loaded_pair *same = load_pair(chain, key);
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_debounce_ms(options, 10));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 600 * 1000));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    const int file = open(chain, O_WRONLY | O_APPEND);
    CHECK(file >= 0 && write(file, "\n", 1) == 1);
    CHECK_RESULT(certreload_reload_wait(handle, 100), TIMED_OUT);
    CHECK_RESULT(certreload_push_identity(handle, 0, &same->bytes, sizeof same->bytes), UNCHANGED);
    CHECK_RESULT(certreload_reload_wait(handle, PATIENCE_SECONDS * 1000), UNCHANGED);
    close(file);
    certreload_close(handle);
    free(same);
}

static void an_identity_is_found_by_its_names(void) {
    test_begin(__func__);
    static recorder events = RECORDER_INITIALIZER;
    loaded_pair *one = new_pair("n1", "one.test"), *two = new_pair("n2", "*.two.test");
    certreload_options *options = memory_options(one, &events);
    CHECK_OK(certreload_options_add_identity_memory(options, &two->bytes, sizeof two->bytes));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    const struct {
        const char *name;
        size_t index;
    } known[] = {{"one.test", 0}, {"ONE.test", 0}, {"a.two.test", 1}, {"*.two.test", 1}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t index = 77;
        CHECK_OK(certreload_find_identity(handle, known[i].name, &index));
        CHECK_INT(index, known[i].index);
    }
    size_t index = 77;
    CHECK_RESULT(certreload_find_identity(handle, "a.b.two.test", &index), INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_last_error(), "no identity has the name \"a.b.two.test\"");
    CHECK_INT(index, 77);

    /* A staple that is none is left out, and that is said. */
    loaded_pair *next = new_pair("n3", "*.two.test");
    memcpy(next->ocsp, "no staple", 9);
    next->bytes.ocsp_der = (const uint8_t *)next->ocsp;
    next->bytes.ocsp_der_size = 9;
    recorder_next(&events);
    CHECK_OK(certreload_push_identity(handle, 1, &next->bytes, sizeof next->bytes));
    const recorded_event *pushed = recorder_next(&events);
    CHECK_INT(pushed->warnings & CERTRELOAD_WARNING_OCSP_UNUSABLE,
              CERTRELOAD_WARNING_OCSP_UNUSABLE);
    CHECK_CONTAINS(pushed->message, "memory:1/ocsp");
    certreload_close(handle);
    free(one);
    free(two);
    free(next);
}

int main(void) {
    a_handle_lives_from_memory_alone();
    bad_bytes_are_refused_at_once_and_reported_once();
    files_are_left_alone_from_the_first_bytes_on(false);
    files_are_left_alone_from_the_first_bytes_on(true);
    a_push_answers_no_waiter_for_files(true, CERTRELOAD_RUNTIME_THREAD);
    a_push_answers_no_waiter_for_files(false, CERTRELOAD_RUNTIME_THREAD);
    a_push_answers_no_waiter_for_files(true, CERTRELOAD_RUNTIME_HOST);
    a_file_that_is_being_written_is_not_waited_for_any_more();
    an_identity_is_found_by_its_names();
    return 0;
}
