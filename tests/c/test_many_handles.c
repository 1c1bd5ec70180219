/*
 * A thousand handles in one process: the threads, the descriptors and the inotify instances are
 * those of one (G10); all open and close within seconds; a renewal reaches whom it is about.
 */

#define _GNU_SOURCE
#include "process.h"

#include <rustls.h>
#include <sched.h>

#include <fcntl.h>
#include <sys/stat.h>

enum {
    MOST_HANDLES = 1000,
    HANDLES_UNDER_A_TOOL = 50,
    HANDLES_OF_A_HOST = 100, /* who does the work: within the usual limit of descriptors */
    MOST_DESCRIPTORS_OF_ONE = 5,
    MOST_SECONDS = 30, /* so that it is not minutes, on whatever machine */
    MOST_KIB_OF_A_HANDLE = 64,
};

static size_t count = MOST_HANDLES;
static certreload_runtime runtime = CERTRELOAD_RUNTIME_THREAD;
static certreload_handle *handles[MOST_HANDLES];

/* The reloads after open that were told, of each handle and of all. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    size_t of[MOST_HANDLES], all;
} reloads = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {0}, 0};

static void on_event(void *userdata, const certreload_event *event) {
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    if (event->trigger == CERTRELOAD_TRIGGER_OPEN)
        return;
    pthread_mutex_lock(&reloads.mutex);
    ++*(size_t *)userdata;
    reloads.all++;
    pthread_cond_broadcast(&reloads.arrived);
    pthread_mutex_unlock(&reloads.mutex);
}

static void wait_for_reloads(size_t all) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += PATIENCE_SECONDS;
    pthread_mutex_lock(&reloads.mutex);
    int late = 0;
    while (reloads.all < all && late == 0)
        late = pthread_cond_timedwait(&reloads.arrived, &reloads.mutex, &deadline);
    CHECK_INT(reloads.all, all);
    pthread_mutex_unlock(&reloads.mutex);
}

struct pair {
    char chain[512], key[512];
};

/* Each in a directory of its own. */
static struct pair pair_of(size_t number) {
    struct pair pair;
    snprintf(pair.chain, sizeof pair.chain, "%s/%zu/chain.pem", scratch("."), number);
    snprintf(pair.key, sizeof pair.key, "%s/%zu/key.pem", scratch("."), number);
    return pair;
}

static void copy_file(const char *from, const char *to) {
    char bytes[8192];
    FILE *file = fopen(from, "r");
    CHECK(file != NULL);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    CHECK(fclose(file) == 0 && size > 0 && size < sizeof bytes);
    int copy = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(copy >= 0 && write(copy, bytes, size) == (ssize_t)size && close(copy) == 0);
}

static void open_handle(size_t index, const struct pair *pair) {
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, pair->chain, pair->key, NULL));
    /* What is seen within a day is seen by notification. */
    CHECK_OK(certreload_options_set_poll_interval_ms(options, 86400000));
    CHECK_OK(certreload_options_set_runtime(options, runtime));
    CHECK_OK(certreload_options_set_event_callback(options, on_event, &reloads.of[index], NULL));
    CHECK_OK(certreload_open(options, &handles[index]));
    certreload_options_free(options);
}

/* Opens all of them, the handle at each index on the pair with that number, or all on one. */
static void open_all(bool same_pair) {
    size_t threads = threads_of_process();
    struct pair pair = pair_of(0);
    open_handle(0, &pair);
    /* On a slow machine, a thread that read the files may not have ended yet. */
    while (threads_of_process() > threads + 2)
        sched_yield();
    size_t threads_of_one = threads_of_process(), descriptors_of_one = open_descriptors();
    CHECK(threads_of_one > threads && threads_of_one <= threads + 2);
    CHECK_INT(descriptors_called("anon_inode:inotify"), 1);

    long memory_of_one = kib_of("/proc/self/smaps_rollup", "Pss:");
    double begun = seconds_now();
    for (size_t i = 1; i < count; i++) {
        pair = pair_of(same_pair ? 0 : i);
        open_handle(i, &pair);
    }
    double took = seconds_now() - begun;
    long memory = kib_of("/proc/self/smaps_rollup", "Pss:") - memory_of_one;
    printf("  %zu handles: opened in %.2f s, %.1f KiB each\n", count, took,
           (double)memory / (double)(count - 1));
    CHECK_INT(threads_of_process(), threads_of_one);
    CHECK_INT(open_descriptors(), descriptors_of_one);
    CHECK_INT(descriptors_called("anon_inode:inotify"), 1);
    if (!is_under_a_tool()) {
        CHECK(took < MOST_SECONDS);
        CHECK(memory < (long)count * MOST_KIB_OF_A_HANDLE);
    }
}

static void close_all(void) {
    double begun = seconds_now();
    for (size_t i = 0; i < count; i++)
        certreload_close(handles[i]);
    double took = seconds_now() - begun;
    printf("  %zu handles: closed in %.2f s\n", count, took);
    CHECK(is_under_a_tool() || took < MOST_SECONDS);
}

static void all_serve(uint64_t generation) {
    for (size_t i = 0; i < count; i++) {
        rustls_connection *connection = NULL;
        CHECK_OK(certreload_server_connection_new(handles[i], &connection));
        rustls_connection_free(connection);
        CHECK_INT(serving_generation(handles[i]), generation);
    }
}

static void one_renewal_reaches_all_handles_on_its_pair(void) {
    test_begin(__func__);
    size_t threads = threads_of_process(), descriptors = open_descriptors();
    struct pair pair = pair_of(0);
    open_all(true);
    all_serve(1);
    double begun = seconds_now();
    renew_pair(pair.chain, pair.key, "one.test");
    wait_for_reloads(count);
    printf("  %zu handles: renewed in %.2f s\n", count, seconds_now() - begun);
    all_serve(2);
    for (size_t i = 0; i < count; i++)
        CHECK_INT(reloads.of[i], 1);
    close_all();
    wait_until_as_before(threads, descriptors);
}

/* Of the handles on pairs that nobody renews. */
static uint64_t looks_of_the_others(const size_t *renewed, size_t renewed_count) {
    uint64_t looks = 0;
    for (size_t i = 0; i < count; i++)
        looks += status_of(handles[i]).unchanged;
    for (size_t i = 0; i < renewed_count; i++)
        looks -= status_of(handles[renewed[i]]).unchanged;
    return looks;
}

static void a_renewal_reaches_the_one_handle_that_it_is_about(void) {
    test_begin(__func__);
    size_t threads = threads_of_process(), descriptors = open_descriptors();
    for (size_t i = 1; i < count; i++) {
        struct pair first = pair_of(0), pair = pair_of(i);
        CHECK(mkdir(scratch("%zu", i), 0700) == 0);
        copy_file(first.chain, pair.chain);
        copy_file(first.key, pair.key);
    }
    memset(reloads.of, 0, sizeof reloads.of);
    reloads.all = 0;
    open_all(false);
    /* A request takes with it what opening may have left to be looked at. */
    for (size_t i = 0; i < count; i++)
        CHECK_RESULT(certreload_reload_wait(handles[i], CERTRELOAD_WAIT_FOREVER), UNCHANGED);

    const size_t renewed[] = {count / 2, 0, count - 1}, rounds = sizeof renewed / sizeof *renewed;
    uint64_t looks = looks_of_the_others(renewed, rounds);
    for (size_t i = 0; i < rounds; i++) {
        struct pair pair = pair_of(renewed[i]);
        renew_pair(pair.chain, pair.key, "one.test");
        wait_for_reloads(i + 1);
        CHECK_INT(reloads.of[renewed[i]], 1);
    }
    CHECK_INT(looks_of_the_others(renewed, rounds), looks);
    close_all();
    wait_until_as_before(threads, descriptors);
}

/* Each has a descriptor of its own for the host to wait for, and what that stands for. */
static void hosts_that_do_the_work_share_one_inotify_instance(void) {
    test_begin(__func__);
    size_t threads = threads_of_process(), descriptors = open_descriptors();
    struct pair pair = pair_of(0);
    runtime = CERTRELOAD_RUNTIME_HOST;
    count = count < HANDLES_OF_A_HOST ? count : HANDLES_OF_A_HOST;
    for (size_t i = 0; i < count; i++) {
        open_handle(i, &pair);
        CHECK(certreload_event_fd(handles[i]) >= 0);
    }
    CHECK_INT(threads_of_process(), threads);
    CHECK_INT(descriptors_called("anon_inode:inotify"), 1);
    size_t of_one = (open_descriptors() - descriptors - 1) / count;
    printf("  %zu descriptors each\n", of_one);
    CHECK(of_one <= MOST_DESCRIPTORS_OF_ONE);
    close_all();
    wait_until_as_before(threads, descriptors);
}

int main(void) {
    if (is_under_a_tool())
        count = HANDLES_UNDER_A_TOOL;
    struct pair first = pair_of(0);
    CHECK(mkdir(scratch("0"), 0700) == 0);
    make_pair(first.chain, first.key, "one.test");
    one_renewal_reaches_all_handles_on_its_pair();
    a_renewal_reaches_the_one_handle_that_it_is_about();
    hosts_that_do_the_work_share_one_inotify_instance();
    return 0;
}
