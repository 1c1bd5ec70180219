/*
 * What the host has set stays as it is (G10): the disposition of every signal, the signal mask of
 * every thread that calls, and SIGPIPE, which nothing here raises: the library writes to
 * descriptors of its own alone.
 */

#define _GNU_SOURCE
#include "host.h"
#include "support.h"

#include <rustls.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *chain, *key;
static atomic_int broken_pipes;

static void count_broken_pipe(int number) {
    (void)number;
    atomic_fetch_add(&broken_pipes, 1);
}

/* Handlers, flags and masks of all kinds, so that any change shows. */
static void set_dispositions(void) {
    for (int number = 1; number <= SIGRTMAX; number++) {
        struct sigaction action = {.sa_handler = count_broken_pipe};
        if (number == SIGALRM || number == SIGCHLD)
            continue; /* this program's own */
        sigaddset(&action.sa_mask, number % 31 + 1);
        if (number % 3 == 1)
            action.sa_flags = SA_RESTART;
        if (number % 3 == 2)
            action.sa_handler = number % 2 == 0 ? SIG_IGN : SIG_DFL;
        /* Those that nobody may set, and the C library's own, are refused. */
        sigaction(number, &action, NULL);
    }
}

static void read_dispositions(struct sigaction *dispositions) {
    for (int number = 1; number <= SIGRTMAX; number++) {
        memset(&dispositions[number], 0, sizeof *dispositions);
        sigaction(number, NULL, &dispositions[number]);
    }
}

static bool is_same_mask(const sigset_t *one, const sigset_t *other) {
    for (int number = 1; number <= SIGRTMAX; number++)
        if (sigismember(one, number) != sigismember(other, number))
            return false;
    return true;
}

static void check_dispositions(const struct sigaction *expected) {
    struct sigaction now[SIGRTMAX + 1];
    read_dispositions(now);
    for (int number = 1; number <= SIGRTMAX; number++) {
        CHECK(now[number].sa_handler == expected[number].sa_handler);
        CHECK_INT(now[number].sa_flags, expected[number].sa_flags);
        CHECK(is_same_mask(&now[number].sa_mask, &expected[number].sa_mask));
    }
}

/* One statement that calls the library, between two looks at this thread's mask. */
#define WITH_MASK_KEPT(statement)                                                                  \
    do {                                                                                           \
        sigset_t before, after;                                                                    \
        CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);                                 \
        statement;                                                                                 \
        CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);                                  \
        CHECK(is_same_mask(&before, &after));                                                      \
    } while (0)

static void log_nothing(void *userdata, certreload_log_level level, const char *message) {
    (void)userdata, (void)level, (void)message;
}

static void options_keep_the_mask(certreload_options **options, certreload_runtime runtime) {
    WITH_MASK_KEPT(*options = certreload_options_new());
    WITH_MASK_KEPT(CHECK_RESULT(certreload_check(*options), NOTHING_TO_LOAD));
    WITH_MASK_KEPT(CHECK_OK(certreload_options_add_identity(*options, chain, key, NULL)));
    WITH_MASK_KEPT(
        CHECK_RESULT(certreload_options_set_poll_interval_ms(*options, 0), INVALID_PARAMETER));
    WITH_MASK_KEPT(CHECK_RESULT(certreload_options_error(*options), INVALID_PARAMETER));
    WITH_MASK_KEPT(CHECK_RESULT(certreload_options_clear_error(*options), INVALID_PARAMETER));
    WITH_MASK_KEPT(CHECK_OK(certreload_options_set_debounce_ms(*options, 0)));
    WITH_MASK_KEPT(CHECK_OK(certreload_options_set_incomplete_timeout_ms(*options, 100)));
    WITH_MASK_KEPT(CHECK_OK(certreload_options_set_runtime(*options, runtime)));
    WITH_MASK_KEPT(CHECK_OK(certreload_check(*options)));
}

static void a_handle_keeps_the_mask(certreload_handle *handle) {
    const certreload_generation *generation = NULL;
    rustls_connection *connection = NULL;
    certreload_status status;
    char metrics[16384];
    size_t size = 0, index = 0;

    WITH_MASK_KEPT(CHECK_OK(certreload_reload(handle)));
    WITH_MASK_KEPT(
        CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED));
    renew_pair(chain, key, "one.test");
    WITH_MASK_KEPT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));
    WITH_MASK_KEPT(generation = certreload_generation_acquire(handle));
    WITH_MASK_KEPT(certreload_generation_release(generation));
    WITH_MASK_KEPT(CHECK_OK(certreload_server_connection_new(handle, &connection)));
    WITH_MASK_KEPT(rustls_connection_free(connection));
    WITH_MASK_KEPT(CHECK_OK(certreload_get_status(handle, &status, sizeof status)));
    WITH_MASK_KEPT(CHECK_OK(certreload_write_metrics(handle, metrics, sizeof metrics, &size)));
    WITH_MASK_KEPT(CHECK_OK(certreload_find_identity(handle, "one.test", &index)));
    WITH_MASK_KEPT(CHECK_OK(certreload_after_fork(handle)));
    replace_file(key, chain);
    WITH_MASK_KEPT(
        CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), NO_PRIVATE_KEY));
    make_pair(chain, key, "one.test");
    /* The watch may have been faster. */
    WITH_MASK_KEPT(CHECK(push_files(handle, index, chain, key) <= CERTRELOAD_RESULT_UNCHANGED));
}

static void events_keep_the_mask(certreload_handle *handle, certreload_runtime runtime) {
    const certreload_event *event = NULL;
    WITH_MASK_KEPT(CHECK(certreload_event_fd(handle) >= 0));
    if (runtime == CERTRELOAD_RUNTIME_HOST)
        WITH_MASK_KEPT(CHECK_OK(certreload_dispatch(handle)));
    WITH_MASK_KEPT(CHECK_OK(certreload_next_event(handle, &event)));
    while (certreload_next_event(handle, &event) == CERTRELOAD_RESULT_OK)
        continue;
    WITH_MASK_KEPT(CHECK_RESULT(certreload_next_event(handle, &event), NO_EVENT));

    static recorder told = RECORDER_INITIALIZER;
    told.count = told.taken = 0;
    WITH_MASK_KEPT(CHECK_OK(certreload_set_event_callback(handle, recorder_callback, &told, NULL)));
    make_pair(chain, key, "one.test");
    CHECK_OK(push_files(handle, 0, chain, key));
    if (runtime == CERTRELOAD_RUNTIME_HOST)
        WITH_MASK_KEPT(CHECK_OK(certreload_dispatch(handle)));
    CHECK_INT(recorder_next(&told)->trigger, CERTRELOAD_TRIGGER_PUSH);
    WITH_MASK_KEPT(CHECK_OK(certreload_set_event_callback(handle, NULL, NULL, NULL)));
}

static void everything_is_called(certreload_runtime runtime) {
    certreload_options *options = NULL;
    certreload_handle *handle = NULL;
    make_pair(chain, key, "one.test");
    WITH_MASK_KEPT(
        CHECK_RESULT(certreload_open_files("/nowhere", "/nowhere", &handle), FILE_NOT_FOUND));
    WITH_MASK_KEPT(
        CHECK_OK(certreload_set_log_callback(log_nothing, NULL, NULL, CERTRELOAD_LOG_LEVEL_TRACE)));
    options_keep_the_mask(&options, runtime);
    WITH_MASK_KEPT(CHECK_OK(certreload_open(options, &handle)));
    WITH_MASK_KEPT(certreload_options_free(options));
    a_handle_keeps_the_mask(handle);
    events_keep_the_mask(handle, runtime);
    WITH_MASK_KEPT(certreload_close(handle));
    WITH_MASK_KEPT(
        CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, CERTRELOAD_LOG_LEVEL_ERROR)));
}

static void calls_leave_signals_as_they_are(void) {
    test_begin(__func__);
    struct sigaction before[SIGRTMAX + 1];
    set_dispositions();
    read_dispositions(before);

    /* No signal blocked, some, and all. */
    sigset_t mask;
    sigemptyset(&mask);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, &mask, NULL), 0);
    everything_is_called(CERTRELOAD_RUNTIME_THREAD);
    check_dispositions(before);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGPIPE);
    sigaddset(&mask, SIGRTMIN + 3);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, &mask, NULL), 0);
    everything_is_called(CERTRELOAD_RUNTIME_HOST);
    sigfillset(&mask);
    sigdelset(&mask, SIGALRM);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, &mask, NULL), 0);
    everything_is_called(CERTRELOAD_RUNTIME_THREAD);
    check_dispositions(before);
    CHECK_INT(broken_pipes, 0);
}

/* Whatever wrote to one of the three would be killed. */
static void standard_descriptors_may_be_broken(void) {
    test_begin(__func__);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int pipe_ends[2];
        CHECK_INT(pipe(pipe_ends), 0);
        close(pipe_ends[0]);
        for (int standard = 0; standard <= 2; standard++)
            dup2(pipe_ends[1], standard);
        close(pipe_ends[1]);
        signal(SIGPIPE, SIG_DFL);
        alarm(PATIENCE_SECONDS);
        everything_is_called(CERTRELOAD_RUNTIME_THREAD);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

int main(void) {
    alarm(4 * PATIENCE_SECONDS);
    chain = scratch("one.chain"), key = scratch("one.key");
    standard_descriptors_may_be_broken();
    calls_leave_signals_as_they_are();
    return 0;
}
