/*
 * What every C test needs: checks that name their line, throw-away certificates, recorded events.
 * A check that fails prints and ends the process with status 1.
 */

#ifndef CERTRELOAD_TEST_SUPPORT_H
#define CERTRELOAD_TEST_SUPPORT_H

#include <certreload.h>
#include <pthread.h>

#define CHECK(condition) check_true(__FILE__, __LINE__, (condition), #condition)
#define CHECK_INT(actual, expected)                                                                \
    check_int(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))
#define CHECK_STR(actual, expected) check_str(__FILE__, __LINE__, #actual, (actual), (expected))
#define CHECK_CONTAINS(actual, part) check_contains(__FILE__, __LINE__, #actual, (actual), (part))
#define CHECK_RESULT(actual, expected)                                                             \
    check_result(__FILE__, __LINE__, #actual, (actual), CERTRELOAD_RESULT_##expected)
#define CHECK_OK(actual) CHECK_RESULT(actual, OK)

void check_true(const char *file, int line, bool condition, const char *text);
void check_int(const char *file, int line, const char *text, long long actual, long long expected);
void check_str(const char *file, int line, const char *text, const char *actual,
               const char *expected);
void check_contains(const char *file, int line, const char *text, const char *actual,
                    const char *part);
void check_result(const char *file, int line, const char *text, certreload_result actual,
                  certreload_result expected);

/* Names the test that runs from now on, in what a failed check prints. */
void test_begin(const char *name);

/* Waiting for something that has no end would hang: this ends the process after that long. */
enum { PATIENCE_SECONDS = 30 };

/* A path in this process's own directory, which is made at the first call and removed at exit.
 * The text lives until then. */
const char *scratch(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Starts over with a directory of its own: for a forked child. */
void scratch_renew(void);

/* Runs a shell command in the scratch directory; it has to succeed. */
void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Runs one like it and gives its first line of output, without the newline; lives until exit. */
const char *shell_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The root certificate that signs every pair here. */
const char *root_certificate(void);

/* Writes a new P-256 key and a certificate for a DNS name, valid from an hour ago for 90 days. */
void make_pair(const char *chain, const char *key, const char *name);

/* The same, with days from today, that may be negative, for notBefore and notAfter. */
void make_pair_valid(const char *chain, const char *key, const char *name, int from, int until);

/* Makes a new pair for the name and renames it over the files, key last. */
void renew_pair(const char *chain, const char *key, const char *name);

/* Puts a copy of a file in the place of another by renaming it over. */
void replace_file(const char *path, const char *source);

/* The SHA-256 fingerprint of the first certificate in a PEM file, as certreload spells it. */
const char *fingerprint_of(const char *chain);

/* The fingerprint and the number of what a handle serves at this moment. */
const char *serving_fingerprint(certreload_handle *handle);
uint64_t serving_generation(certreload_handle *handle);

certreload_status status_of(certreload_handle *handle);

/* Options with one identity and no watch: only requests find changes. A change that stays
 * half-written is reported after incomplete_ms. */
certreload_options *unwatched_options(const char *chain, const char *key, uint32_t incomplete_ms);

/* Fails if a message has debug output or names of Rust types in it: messages are for operators
 * (G24). The path is not searched, because file names may be anything. */
void check_for_operators(const char *message, const char *path);

/* A copy of an event, for after the callback. */
typedef struct {
    certreload_event_kind kind;
    certreload_trigger trigger;
    certreload_result result;
    uint32_t warnings;
    uint64_t generation;
    int64_t earliest_not_after;
    char path[512];
    char message[1024];
} recorded_event;

enum { RECORDER_CAPACITY = 1024 };

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    size_t count; /* events recorded */
    size_t taken; /* of those, how many recorder_next() gave out */
    recorded_event events[RECORDER_CAPACITY];
} recorder;

#define RECORDER_INITIALIZER                                                                       \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, {                               \
            { 0 }                                                                                  \
        }                                                                                          \
    }

/* The event callback; its userdata is the recorder. */
void recorder_callback(void *userdata, const certreload_event *event);

/* The next event in order; waits for it. Borrowed from the recorder. */
const recorded_event *recorder_next(recorder *events);

#endif
