/*
 * A host at the edge of its limits: open answers with a code and a message, or with a handle that
 * says what it had to do without; nothing is left behind, and open works again when there is room
 * (G12, G19). Each limit is met by a child of its own, which has not used the library before.
 */

#define _GNU_SOURCE
#include "process.h"

#include <rustls.h>

#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { KIB = 1024, MIB = 1024 * KIB, SKIPPED = 77 };

static const char *chain, *key;
static certreload_runtime runtime = CERTRELOAD_RUNTIME_THREAD;

/* The bound that counts; the other stays. */
static bool set_limit(__rlimit_resource_t of, rlim_t value) {
    struct rlimit limit;
    CHECK_INT(getrlimit(of, &limit), 0);
    limit.rlim_cur = value;
    return setrlimit(of, &limit) == 0;
}

static void in_a_child(const char *name, void (*body)(void)) {
    test_begin(name);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(PATIENCE_SECONDS);
        body();
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        return;
    CHECK_INT(status, 0);
}

static void skip(const char *why) {
    printf("  NOT TESTED: %s\n", why);
    fflush(stdout);
    _exit(SKIPPED);
}

static certreload_result try_to_open(certreload_handle **handle) {
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_poll_interval_ms(options, 50));
    CHECK_OK(certreload_options_set_runtime(options, runtime));
    certreload_result result = certreload_open(options, handle);
    certreload_options_free(options);
    return result;
}

static void it_serves(certreload_handle *handle) {
    rustls_connection *connection = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &connection));
    rustls_connection_free(connection);
}

static void it_serves_and_reloads(certreload_handle *handle) {
    it_serves(handle);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
}

/* Also after it could not. */
static void open_works(void) {
    certreload_handle *handle = NULL;
    CHECK_OK(try_to_open(&handle));
    it_serves_and_reloads(handle);
    CHECK_INT(status_of(handle).watch, CERTRELOAD_WATCH_STATE_NOTIFIED);
    certreload_close(handle);
}

static void wait_for_notifications(certreload_handle *handle) {
    time_t limit = time(NULL) + PATIENCE_SECONDS;
    while (status_of(handle).watch != CERTRELOAD_WATCH_STATE_NOTIFIED) {
        CHECK(time(NULL) < limit);
        if (runtime == CERTRELOAD_RUNTIME_HOST)
            CHECK_OK(certreload_dispatch(handle));
        sched_yield();
    }
}

static void has_a_descriptor_or_says_why_not(certreload_handle *handle) {
    if (certreload_event_fd(handle) < 0)
        CHECK_CONTAINS(certreload_last_error(), "open files");
}

static void descriptors_run_out(void) {
    struct rlimit before;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest_free = dup(0);
    CHECK(lowest_free >= 0 && close(lowest_free) == 0);
    size_t threads = threads_of_process(), descriptors = open_descriptors();
    size_t refused = 0, degraded = 0;
    for (rlim_t limit = 0;; limit = limit == 0 ? (rlim_t)lowest_free : limit + 1) {
        certreload_handle *handle = NULL;
        CHECK(set_limit(RLIMIT_NOFILE, limit));
        certreload_result result = try_to_open(&handle);
        if (result != CERTRELOAD_RESULT_OK) {
            CHECK(handle == NULL);
            CHECK(result == CERTRELOAD_RESULT_SYSTEM || result == CERTRELOAD_RESULT_FILE_IO);
            CHECK_CONTAINS(certreload_last_error(), "open files");
            refused++;
        } else if (status_of(handle).watch == CERTRELOAD_WATCH_STATE_DEGRADED) {
            it_serves(handle);
            has_a_descriptor_or_says_why_not(handle);
            degraded++;
        }
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (handle != NULL) {
            CHECK(certreload_event_fd(handle) >= 0);
            wait_for_notifications(handle);
            certreload_close(handle);
        }
        wait_until_as_before(threads, descriptors);
        open_works();
        wait_until_as_before(threads, descriptors);
        if (handle != NULL && refused + degraded <= limit - (rlim_t)lowest_free)
            break;
    }
    printf("  refused with %zu limits, degraded with %zu\n", refused, degraded);
    CHECK(refused > 1 && degraded > 0);
}

static void descriptors_of_a_host_that_does_the_work_run_out(void) {
    runtime = CERTRELOAD_RUNTIME_HOST;
    descriptors_run_out();
}

/* Somebody who has no other processes that would count. */
static void become_another_user(void) {
    if (geteuid() != 0)
        skip("only root can become somebody else");
    uid_t somebody = 20000 + (uid_t)getpid() % 40000;
    CHECK(chown(chain, somebody, somebody) == 0 && chown(key, somebody, somebody) == 0);
    if (setgroups(0, NULL) != 0 || setgid(somebody) != 0 || setuid(somebody) != 0)
        skip("this user is not known here");
}

static void threads_run_out(void) {
    become_another_user();
    size_t threads = threads_of_process(), descriptors = open_descriptors();
    /* The process itself is the first that counts. */
    rlim_t limit = 0;
    certreload_handle *handle = NULL;
    for (;; limit++) {
        CHECK(set_limit(RLIMIT_NPROC, limit));
        certreload_result result = try_to_open(&handle);
        if (result == CERTRELOAD_RESULT_OK)
            break;
        CHECK_INT(result, CERTRELOAD_RESULT_SYSTEM);
        CHECK_CONTAINS(certreload_last_error(), "threads");
        CHECK(handle == NULL);
        wait_until_as_before(threads, descriptors);
    }
    printf("  opened with a limit of %lu\n", (unsigned long)limit);
    CHECK(limit > 1);
    it_serves_and_reloads(handle);
    /* Others need no more, and no less is enough to go on. */
    CHECK(set_limit(RLIMIT_NPROC, 0));
    open_works();
    it_serves_and_reloads(handle);
    certreload_close(handle);
    wait_until_as_before(threads, descriptors);
    CHECK_RESULT(try_to_open(&handle), SYSTEM);
    CHECK(set_limit(RLIMIT_NPROC, limit));
    open_works();
    wait_until_as_before(threads, descriptors);
}

static void a_host_that_does_the_work_needs_no_thread(void) {
    runtime = CERTRELOAD_RUNTIME_HOST;
    become_another_user();
    CHECK(set_limit(RLIMIT_NPROC, 0));
    open_works();
}

/* So that what is short is room for the threads' stacks: Rust ends the process where not even a few
 * bytes can be had, as it does everywhere. */
static void have_heap_in_store(void) {
    enum { BLOCKS = 512 };
    void *blocks[BLOCKS];
    CHECK(mallopt(M_MMAP_THRESHOLD, 16 * MIB) == 1 && mallopt(M_TRIM_THRESHOLD, 64 * MIB) == 1);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(16 * KIB);
        CHECK(blocks[i] != NULL);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static void leave(__rlimit_resource_t of, const char *field, rlim_t room) {
    if (!set_limit(of, (rlim_t)kib_of("/proc/self/status", field) * KIB + room))
        skip("the limit cannot be raised that far");
}

/* Between the two amounts is one with which the threads start and nothing is left for them to work
 * with; a Rust program ends there, and so does a C library that has to register a destructor. */
static void memory_runs_out(__rlimit_resource_t of, const char *field) {
    size_t threads = threads_of_process(), descriptors = open_descriptors();
    certreload_handle *handle = NULL;
    for (rlim_t room = 0; room <= 256 * KIB; room += 64 * KIB) {
        leave(of, field, room);
        CHECK_RESULT(try_to_open(&handle), SYSTEM);
        CHECK_CONTAINS(certreload_last_error(), "threads");
        wait_until_as_before(threads, descriptors);
    }
    leave(of, field, 6 * MIB);
    open_works();
    wait_until_as_before(threads, descriptors);
}

static void address_space_runs_out(void) {
    have_heap_in_store();
    memory_runs_out(RLIMIT_AS, "VmSize:");
}

static void locked_memory_runs_out(void) {
    have_heap_in_store();
    become_another_user(); /* who may not lock more than the limit, as root may */
    if (mlockall(MCL_FUTURE) != 0)
        skip("memory cannot be locked");
    memory_runs_out(RLIMIT_MEMLOCK, "VmLck:");
}

int main(void) {
    chain = scratch("one.chain"), key = scratch("one.key");
    make_pair(chain, key, "one.test");
    CHECK(chmod(scratch("."), 0755) == 0); /* for somebody to watch */

    in_a_child("descriptors_run_out", descriptors_run_out);
    in_a_child("descriptors_of_a_host_that_does_the_work_run_out",
               descriptors_of_a_host_that_does_the_work_run_out);
    in_a_child("threads_run_out", threads_run_out);
    in_a_child("a_host_that_does_the_work_needs_no_thread",
               a_host_that_does_the_work_needs_no_thread);
    if (is_under_a_tool()) {
        puts("  NOT TESTED: limits of memory: the tool that runs this test would meet them");
        return 0;
    }
    in_a_child("address_space_runs_out", address_space_runs_out);
    in_a_child("locked_memory_runs_out", locked_memory_runs_out);
    return 0;
}
