/*
 * What a forked child has of its parent's descriptors (G11): none once it has closed an inherited
 * handle or taken it up, over any number of generations of processes. Nor does it write to them, or
 * to what has got their numbers since.
 */

#define _GNU_SOURCE
#include "children.h"
#include "host.h"
#include "process.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GENERATIONS = 3, FORKS = 100, NUMBERS = 64, NO_POLL = 86400000 };

static const char *chain, *key;
static certreload_handle *handles[2];
static size_t without, with;

/* All but files and sockets, which a thread of the library's may just be looking at. */
static size_t kept_descriptors(void) {
    return descriptors_called("anon_inode:[eventfd]") + descriptors_called("anon_inode:[timerfd]") +
           descriptors_called("anon_inode:[eventpoll]") + descriptors_called("anon_inode:inotify");
}

static void see_all_descriptors(certreload_handle *handle) {
    CHECK(certreload_event_fd(handle) >= 0);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    CHECK(certreload_event_fd(handle) >= 0);
}

static certreload_handle *open_one(certreload_runtime runtime) {
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_poll_interval_ms(options, NO_POLL));
    CHECK_OK(certreload_options_set_runtime(options, runtime));
    certreload_handle *handle = open_and_free(options);
    see_all_descriptors(handle);
    return handle;
}

static void open_both(certreload_runtime runtime) {
    for (int i = 0; i < 2; i++)
        handles[i] = open_one(runtime);
}

static void close_both(void) {
    for (int i = 0; i < 2; i++)
        certreload_close(handles[i]);
}

static void close_inherited(void *unused) {
    (void)unused;
    CHECK_INT(kept_descriptors(), with);
    close_both();
    CHECK_INT(kept_descriptors(), without);
    open_both(CERTRELOAD_RUNTIME_THREAD);
    close_both();
    CHECK_INT(kept_descriptors(), without);
}

static void take_up_and_fork(void *argument) {
    int *generations = argument;
    CHECK_INT(kept_descriptors(), with);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(certreload_after_fork(handles[i]));
        see_all_descriptors(handles[i]);
    }
    CHECK_INT(kept_descriptors(), with);
    if (--*generations > 0)
        child_run(take_up_and_fork, generations);
    child_run(close_inherited, NULL);
    for (int i = 0; i < 2; i++)
        see_all_descriptors(handles[i]);
    close_both();
    CHECK_INT(kept_descriptors(), without);
}

static void a_child_keeps_no_descriptor_of_its_parent(certreload_runtime runtime) {
    test_begin(__func__);
    if (is_under_a_tool()) {
        puts("NOT TESTED: a fork in the middle of a call: a sanitizer keeps descriptors");
        return;
    }
    /* What the process opens once, whatever for, is open then. */
    open_both(runtime);
    close_both();
    without = kept_descriptors();
    open_both(runtime);
    with = kept_descriptors();
    CHECK(with > without + 3);
    child_run(close_inherited, NULL);
    int generations = GENERATIONS;
    child_run(take_up_and_fork, &generations);
    CHECK_INT(kept_descriptors(), with);
    for (int i = 0; i < 2; i++)
        see_all_descriptors(handles[i]);
    close_both();
}

/* As daemons do, the child closes all that it inherited, and opens files of its own. */
static void with_files_of_its_own(void (*use)(certreload_handle *)) {
    const char *path = scratch("own.file");
    for (int i = 3; i < NUMBERS; i++)
        close(i);
    int last;
    do
        CHECK((last = open(path, O_RDWR | O_CREAT | O_APPEND, 0600)) >= 0);
    while (last < NUMBERS - 1);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(certreload_reload(handles[i]));
        use(handles[i]);
    }
    for (int i = 3; i < NUMBERS; i++) {
        struct stat file;
        CHECK_INT(fstat(i, &file), 0);
        CHECK(S_ISREG(file.st_mode));
        CHECK_INT(file.st_size, 0);
    }
}

static void take_up(certreload_handle *handle) {
    CHECK_OK(certreload_after_fork(handle));
    see_all_descriptors(handle);
}

static void closed_and_taken_up(void *unused) {
    (void)unused;
    with_files_of_its_own(take_up);
    close_both();
}

static void closed_and_closed(void *unused) {
    (void)unused;
    with_files_of_its_own(certreload_close);
}

static void files_of_a_child_are_let_alone(certreload_runtime runtime) {
    test_begin(__func__);
    open_both(runtime);
    child_run(closed_and_taken_up, NULL);
    child_run(closed_and_closed, NULL);
    close_both();
}

static void request(void *unused) {
    (void)unused;
    for (int i = 0; i < FORKS; i++)
        CHECK_OK(certreload_reload(handles[0]));
}

static void a_request_of_a_child_does_not_wake_its_parent(void) {
    test_begin(__func__);
    open_both(CERTRELOAD_RUNTIME_HOST);
    dispatch_all(handles[0]);
    CHECK(!is_readable(certreload_event_fd(handles[0])));
    child_run(request, NULL);
    CHECK(!is_readable(certreload_event_fd(handles[0])));
    CHECK_OK(certreload_reload(handles[0]));
    CHECK(is_readable(certreload_event_fd(handles[0])));
    close_both();
}

static void ignore_line(void *userdata, certreload_log_level level, const char *message) {
    (void)userdata;
    (void)level;
    (void)message;
}

static int stop;

static void *set_and_set(void *unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
        CHECK_OK(
            certreload_set_log_callback(ignore_line, unused, NULL, CERTRELOAD_LOG_LEVEL_ERROR));
    return NULL;
}

static void set_once(void *unused) {
    CHECK_OK(certreload_set_log_callback(ignore_line, unused, NULL, CERTRELOAD_LOG_LEVEL_INFO));
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 0));
}

static void a_child_sets_its_log_callback_whatever_its_parent_does(void) {
    test_begin(__func__);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, set_and_set, NULL), 0);
    for (int i = 0; i < FORKS; i++)
        child_run(set_once, NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, 0));
}

int main(void) {
    alarm(4 * PATIENCE_SECONDS);
    chain = scratch("one.chain"), key = scratch("one.key");
    make_pair(chain, key, "one.test");
    for (int runtime = CERTRELOAD_RUNTIME_THREAD; runtime <= CERTRELOAD_RUNTIME_HOST; runtime++) {
        a_child_keeps_no_descriptor_of_its_parent((certreload_runtime)runtime);
        files_of_a_child_are_let_alone((certreload_runtime)runtime);
    }
    a_request_of_a_child_does_not_wake_its_parent();
    a_child_sets_its_log_callback_whatever_its_parent_does();
    return 0;
}
