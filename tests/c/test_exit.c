/*
 * A process may end while handles are open, in every way there is and at any moment: with the
 * status that it chose, in bounded time and without a crash (G10, G12). Each child here ends in the
 * middle of renewals, requests, handshakes, and handles that come and go.
 */

#define _GNU_SOURCE
#include "support.h"
#include "tls.h"

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Each way of ending is taken so often, or for so long where that is shorter, but once at least.
 */
enum { ROUNDS = 15, SECONDS_FOR_A_WAY = 1 };

/* What a child ends with: the status that it chose, or that of a handler that found a fault. */
enum { CHOSEN = 42, FAULT_IN_HANDLER = 91 };

/* Not those of support.c: it frees its texts at exit, while the storm goes on. */
static char masters[2][PATH_MAX], live_link[PATH_MAX], next_link[PATH_MAX];
static char chain[PATH_MAX], key[PATH_MAX];
static const rustls_client_config *clients;

static certreload_handle *stormed; /* for the threads of the storm, and never closed under them */
static certreload_handle *own;     /* for the thread that ends the process */
static pthread_t storm_threads[6];
static atomic_bool calm;
static atomic_int renewals, handshakes, new_threads, waits, opens, wishes;
static atomic_int events_until_exit;

/* Both files at once: each look finds a pair. */
static void put_in_place(int which) {
    unlink(next_link);
    CHECK(symlink(masters[which], next_link) == 0 && rename(next_link, live_link) == 0);
}

static void *renew(void *unused) {
    while (!atomic_load(&calm)) {
        put_in_place(atomic_fetch_add(&renewals, 1) % 2);
        CHECK_OK(certreload_reload(stormed));
        usleep(500); /* what changes all the time cannot be read at all */
    }
    return unused;
}

static void *wait_for_answers(void *unused) {
    while (!atomic_load(&calm)) {
        certreload_reload_wait(stormed, CERTRELOAD_WAIT_FOREVER);
        atomic_fetch_add(&waits, 1);
    }
    return unused;
}

static void *open_and_close(void *unused) {
    while (!atomic_load(&calm)) {
        certreload_handle *handle = NULL;
        if (certreload_open_files(chain, key, &handle) == CERTRELOAD_RESULT_OK)
            certreload_close(handle);
        atomic_fetch_add(&opens, 1);
    }
    return unused;
}

static void *ask_for_the_status(void *unused) {
    while (!atomic_load(&calm)) {
        CHECK(status_of(stormed).generation > 0);
        CHECK_OK(certreload_reload(stormed));
        atomic_fetch_add(&wishes, 1);
    }
    return unused;
}

static void handshake(void) {
    int fds[2];
    socket_pair(fds);
    rustls_connection *server = NULL, *client = NULL;
    CHECK_OK(certreload_server_connection_new(stormed, &server));
    CHECK_INT(rustls_client_connection_new(clients, "one.test", &client), RUSTLS_RESULT_OK);
    tls_handshake(server, fds[0], client, fds[1]);
    rustls_connection_free(client);
    rustls_connection_free(server);
    close(fds[0]);
    close(fds[1]);
}

static void *serve(void *unused) {
    while (!atomic_load(&calm)) {
        handshake();
        atomic_fetch_add(&handshakes, 1);
    }
    return unused;
}

static void *shake_hands_once(void *unused) {
    handshake();
    return unused;
}

/* The first random bytes of a thread are a matter of their own. */
static void *serve_on_new_threads(void *unused) {
    while (!atomic_load(&calm)) {
        pthread_t thread;
        /* The kernel refuses while another thread is in execve(). */
        if (pthread_create(&thread, NULL, shake_hands_once, NULL) != 0)
            break;
        CHECK_INT(pthread_join(thread, NULL), 0);
        atomic_fetch_add(&new_threads, 1);
    }
    return unused;
}

static certreload_handle *open_watched(certreload_event_callback callback) {
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_debounce_ms(options, 0));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 1000));
    CHECK_OK(certreload_options_set_event_callback(options, callback, NULL, NULL));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

static void look_at_it(void *userdata, const certreload_event *event) {
    (void)userdata;
    CHECK(event->generation > 0);
}

/* The moment for the end: another one in each round. */
static void begin_the_storm(int round) {
    alarm(PATIENCE_SECONDS);
    put_in_place(0);
    stormed = open_watched(look_at_it);
    own = open_watched(look_at_it);
    void *(*bodies[])(void *) = {renew, wait_for_answers,    open_and_close, ask_for_the_status,
                                 serve, serve_on_new_threads};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        CHECK_INT(pthread_create(&storm_threads[i], NULL, bodies[i], NULL), 0);
    atomic_int *const counters[] = {&renewals, &waits, &opens, &wishes, &handshakes, &new_threads};
    while (atomic_load(counters[round % 6]) < round / 6)
        usleep(100);
}

static void end_the_storm(void) {
    atomic_store(&calm, true);
    for (size_t i = 0; i < sizeof storm_threads / sizeof *storm_threads; i++)
        CHECK_INT(pthread_join(storm_threads[i], NULL), 0);
}

static int entries_of(const char *directory) {
    int count = 0;
    DIR *entries = opendir(directory);
    CHECK(entries != NULL);
    while (readdir(entries) != NULL)
        count++;
    closedir(entries);
    return count;
}

/* As CHECK, where the process is ending already and a second exit() would be a fault of its own. */
#define CHECK_AT_EXIT(condition)                                                                   \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: at exit, %s is not so; last error: %s\n", __FILE__, __LINE__,  \
                    #condition, certreload_last_error());                                          \
            _exit(FAULT_IN_HANDLER);                                                               \
        }                                                                                          \
    } while (0)

/* All that a server may do on its way out, while the storm goes on. */
static void use_and_close(void) {
    certreload_status status;
    CHECK_AT_EXIT(certreload_get_status(own, &status, sizeof status) == CERTRELOAD_RESULT_OK);
    CHECK_AT_EXIT(certreload_reload(own) == CERTRELOAD_RESULT_OK);
    certreload_result result = certreload_reload_wait(own, PATIENCE_SECONDS * 1000);
    CHECK_AT_EXIT(result == CERTRELOAD_RESULT_OK || result == CERTRELOAD_RESULT_UNCHANGED ||
                  result == CERTRELOAD_RESULT_FILE_UNSTABLE);
    CHECK_AT_EXIT(certreload_set_event_callback(own, NULL, NULL, NULL) == CERTRELOAD_RESULT_OK);
    rustls_connection *connection = NULL;
    CHECK_AT_EXIT(certreload_server_connection_new(own, &connection) == CERTRELOAD_RESULT_OK);
    rustls_connection_free(connection);
    certreload_close(own);
}

static int quiet_threads, quiet_descriptors;

/* A thread that has been waited for may still be listed for a moment; also in the count before. */
static bool is_quiet_again(void) {
    time_t limit = time(NULL) + PATIENCE_SECONDS;
    while (entries_of("/proc/self/task") > quiet_threads && time(NULL) < limit)
        sched_yield();
    return entries_of("/proc/self/task") <= quiet_threads;
}

/* The storm is over: the last handles go, and with them every thread and every descriptor. */
static void close_everything(void) {
    certreload_close(own);
    certreload_close(stormed);
    CHECK_AT_EXIT(is_quiet_again());
    CHECK_AT_EXIT(entries_of("/proc/self/fd") == quiet_descriptors);
    /* And a new life, however short. */
    certreload_handle *handle = NULL;
    CHECK_AT_EXIT(certreload_open_files(chain, key, &handle) == CERTRELOAD_RESULT_OK);
    CHECK_AT_EXIT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER) ==
                  CERTRELOAD_RESULT_UNCHANGED);
    certreload_close(handle);
    CHECK_AT_EXIT(is_quiet_again());
}

static void use_and_close_on_exit(int status, void *argument) {
    CHECK_AT_EXIT(status == CHOSEN && argument == &own);
    use_and_close();
}

static int by_return_from_main(void) {
    return CHOSEN;
}

static ssize_t write_slowly(void *unused, const char *bytes, size_t size) {
    (void)unused;
    (void)bytes;
    usleep(50 * 1000);
    return (ssize_t)size;
}

/* Streams are flushed when the destructors of every library have run: threads that go on meet what
 * these have left of the library. Here they have time to. */
static int by_return_with_slow_output(void) {
    cookie_io_functions_t functions = {.write = write_slowly};
    FILE *slow = fopencookie(NULL, "w", functions);
    CHECK(slow != NULL && fputs("to be flushed at exit", slow) >= 0);
    return CHOSEN;
}

static int by_exit_with_a_handler_that_closes(void) {
    CHECK_INT(atexit(use_and_close), 0);
    exit(CHOSEN);
}

static int by_return_with_an_on_exit_handler(void) {
    CHECK_INT(on_exit(use_and_close_on_exit, &own), 0);
    return CHOSEN;
}

/* A thread that used the library has lost its thread-local values when its exit handlers run. */
static int by_exit_with_a_handler_that_closes_everything(void) {
    end_the_storm();
    CHECK_INT(atexit(close_everything), 0);
    certreload_handle *handle = NULL;
    CHECK_RESULT(certreload_open_files("/no/such/file", key, &handle), FILE_NOT_FOUND);
    CHECK_OK(certreload_open_files(chain, key, &handle));
    certreload_close(handle);
    exit(CHOSEN);
}

static void *end_the_process(void *status) {
    exit(*(int *)status);
}

static int by_exit_in_another_thread(void) {
    int status = CHOSEN;
    pthread_t thread;
    CHECK_INT(atexit(use_and_close), 0);
    CHECK_INT(pthread_create(&thread, NULL, end_the_process, &status), 0);
    while (certreload_reload_wait(stormed, CERTRELOAD_WAIT_FOREVER) != CERTRELOAD_RESULT_CLOSED)
        continue;
    return 1;
}

static void exit_in_the_callback(void *userdata, const certreload_event *event) {
    look_at_it(userdata, event);
    if (atomic_fetch_sub(&events_until_exit, 1) == 1)
        exit(CHOSEN);
}

static int by_exit_in_a_callback(void) {
    CHECK_INT(atexit(use_and_close), 0);
    atomic_store(&events_until_exit, 2);
    CHECK_OK(certreload_set_event_callback(own, exit_in_the_callback, NULL, NULL));
    pause();
    return 1;
}

static int by_quick_exit(void) {
    CHECK_INT(at_quick_exit(use_and_close), 0);
    quick_exit(CHOSEN);
}

static int by_immediate_exit(void) {
    _exit(CHOSEN);
}

static int by_exec(void) {
    execl("/bin/sh", "sh", "-c", "exit 42", (char *)NULL);
    return 1;
}

static int by_signal(void) {
    raise(SIGTERM);
    return 1;
}

/* Not joined: sanitizers do not know of main as a thread. */
static void wait_until_main_has_ended(void) {
    char state = 0;
    while (state != 'Z') {
        FILE *file = fopen("/proc/self/stat", "r");
        CHECK(file != NULL && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
        fclose(file);
        sched_yield();
    }
}

/* Everything is as it was for the threads that are left. */
static void *outlive_main(void *unused) {
    (void)unused;
    wait_until_main_has_ended();
    handshake();
    end_the_storm();
    for (int i = 0; i < 3; i++) {
        put_in_place(i % 2);
        certreload_result result = certreload_reload_wait(own, CERTRELOAD_WAIT_FOREVER);
        CHECK(result == CERTRELOAD_RESULT_OK || result == CERTRELOAD_RESULT_UNCHANGED);
        CHECK_INT(status_of(own).health, CERTRELOAD_HEALTH_OK);
    }
    CHECK(serving_generation(own) >= 3);
    CHECK_INT(status_of(own).watch, CERTRELOAD_WATCH_STATE_NOTIFIED);
    CHECK_INT(atexit(use_and_close), 0);
    exit(CHOSEN);
}

static int by_pthread_exit_of_main(void) {
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, outlive_main, NULL), 0);
    pthread_exit(NULL);
}

static const struct {
    const char *name;
    int (*end)(void);
    int signal;
} ways[] = {
    {"return_from_main", by_return_from_main, 0},
    {"return_with_slow_output", by_return_with_slow_output, 0},
    {"return_with_an_on_exit_handler", by_return_with_an_on_exit_handler, 0},
    {"exit_with_a_handler_that_closes", by_exit_with_a_handler_that_closes, 0},
    {"exit_with_a_handler_that_closes_everything", by_exit_with_a_handler_that_closes_everything,
     0},
    {"exit_in_another_thread", by_exit_in_another_thread, 0},
    {"exit_in_a_callback", by_exit_in_a_callback, 0},
    {"quick_exit_with_a_handler", by_quick_exit, 0},
    {"immediate_exit", by_immediate_exit, 0},
    {"pthread_exit_of_main", by_pthread_exit_of_main, 0},
    {"exec", by_exec, 0},
    {"signal", by_signal, SIGTERM},
};

static int run_child(int (*end)(void), int round) {
    quiet_threads = entries_of("/proc/self/task");
    quiet_descriptors = entries_of("/proc/self/fd");
    clients = client_config_new(NULL);
    begin_the_storm(round);
    return end();
}

static double seconds_since(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

int main(void) {
    snprintf(live_link, sizeof live_link, "%s", scratch("live"));
    snprintf(next_link, sizeof next_link, "%s", scratch("next"));
    snprintf(chain, sizeof chain, "%s", scratch("live/chain"));
    snprintf(key, sizeof key, "%s", scratch("live/key"));
    for (int i = 0; i < 2; i++) {
        snprintf(masters[i], sizeof masters[i], "%s", scratch("pair%d", i));
        CHECK(mkdir(masters[i], 0700) == 0);
        make_pair(scratch("pair%d/chain", i), scratch("pair%d/key", i), "one.test");
    }
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        test_begin(ways[way].name);
        struct timespec start;
        clock_gettime(CLOCK_MONOTONIC, &start);
        int round = 0;
        for (; round < ROUNDS && (round == 0 || seconds_since(&start) < SECONDS_FOR_A_WAY);
             round++) {
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0)
                return run_child(ways[way].end, round);
            int status = 0;
            CHECK(waitpid(child, &status, 0) == child);
            CHECK_INT(WIFSIGNALED(status) ? WTERMSIG(status) : 0, ways[way].signal);
            CHECK_INT(ways[way].signal ? CHOSEN : WEXITSTATUS(status), CHOSEN);
        }
        printf("%d times, %.1f s\n", round, seconds_since(&start));
    }
    return 0;
}
