/*
 * CERTRELOAD_RUNTIME_HOST on one thread: no other is created, ever; the descriptor tells when there
 * is something to do, certreload_dispatch() does it, and nothing is done without.
 *
 * The kernel refuses this process threads from the start, so that one would be a failure to open.
 */

#define _GNU_SOURCE
#include "host.h"
#include "support.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIGNALS = 1000, QUIET_MS = 300 };

static const char *chain, *key, *other_chain, *other_key;
static certreload_handle *handle;

/* Whether the kernel goes along: a tool that the test runs under may have its own mind. */
static bool refuse_threads(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void g10_the_other_runtime_cannot_be_had_here(void) {
    test_begin(__func__);
    certreload_options *options = unwatched_options(chain, key, 0);
    certreload_handle *none = NULL;
    CHECK_RESULT(certreload_open(options, &none), SYSTEM);
    CHECK(none == NULL);
    certreload_options_free(options);
}

static void begin(const char *name) {
    test_begin(name);
    make_pair(chain, key, "one.test");
}

static void end(void) {
    CHECK_INT(thread_count(), 1);
    certreload_close(handle);
    CHECK_INT(thread_count(), 1);
    handle = NULL;
}

/* Opens, and does what belongs to the start. */
static void open_at_rest(certreload_options *options) {
    handle = open_and_free(options);
    CHECK_INT(thread_count(), 1);
    CHECK(dispatch_all(handle) > 0);
    CHECK(!is_readable(certreload_event_fd(handle)));
}

static void drain(void) {
    const certreload_event *event;
    while (certreload_next_event(handle, &event) == CERTRELOAD_RESULT_OK)
        continue;
}

static void on_signal(int number) {
    (void)number;
    certreload_reload(handle);
}

static void g9_requests_wake_the_host_also_from_signal_handlers(void) {
    begin(__func__);
    certreload_options *options = host_options(chain, key);
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF));
    open_at_rest(options);
    int descriptor = certreload_event_fd(handle);
    renew_pair(chain, key, "one.test");
    /* Nobody looks, nobody asks. */
    CHECK(!is_readable_within(descriptor, QUIET_MS));
    CHECK_OK(certreload_reload(handle));
    CHECK(is_readable(descriptor) && is_readable(descriptor));
    CHECK_INT(serving_generation(handle), 1);
    CHECK_OK(certreload_dispatch(handle));
    CHECK_INT(serving_generation(handle), 2);
    CHECK(!is_readable(descriptor));

    CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);
    uint64_t before = status_of(handle).unchanged;
    for (int i = 0; i < SIGNALS; i++)
        CHECK_INT(raise(SIGUSR1), 0);
    CHECK(is_readable(descriptor));
    /* They coalesce. */
    CHECK_OK(certreload_dispatch(handle));
    CHECK_INT(status_of(handle).unchanged, before + 1);
    CHECK(!is_readable(descriptor));
    CHECK(signal(SIGUSR1, SIG_DFL) != SIG_ERR);
    end();
}

static void g1_the_kernels_word_wakes_the_host_and_quiet_is_waited_for(void) {
    begin(__func__);
    certreload_options *options = host_options(chain, key);
    CHECK_OK(certreload_options_set_debounce_ms(options, 1000));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 5000));
    open_at_rest(options);
    int descriptor = certreload_event_fd(handle);
    renew_pair(chain, key, "one.test");
    wait_readable(descriptor);
    CHECK_INT(serving_generation(handle), 1);
    dispatch_all(handle);
    /* Not quiet for long enough yet: it sleeps until then, and not at all in between. */
    CHECK_INT(serving_generation(handle), 1);
    wait_readable(descriptor);
    CHECK_INT(serving_generation(handle), 1);
    CHECK_OK(certreload_dispatch(handle));
    CHECK_INT(serving_generation(handle), 2);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));
    CHECK_INT(status_of(handle).watch, CERTRELOAD_WATCH_STATE_NOTIFIED);
    end();
}

static void g1_nothing_is_noticed_without_dispatch_and_nothing_lost(void) {
    begin(__func__);
    open_at_rest(host_options(chain, key));
    int descriptor = certreload_event_fd(handle);
    for (int i = 0; i < 5; i++)
        renew_pair(chain, key, "one.test");
    wait_readable(descriptor);
    CHECK_INT(serving_generation(handle), 1);
    CHECK_INT(status_of(handle).reloads, 0);
    dispatch_until_generation(handle, 2);
    CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));
    end();
}

static void the_poll_wakes_the_host(void) {
    begin(__func__);
    certreload_options *options = host_options(chain, key);
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_POLL));
    CHECK_OK(certreload_options_set_poll_interval_ms(options, 100));
    open_at_rest(options);
    renew_pair(chain, key, "one.test");
    dispatch_until_generation(handle, 2);
    const certreload_event *event = take_event(handle);
    CHECK_INT(event->generation, 2);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_POLL);
    CHECK_INT(event->count, 2);
    end();
}

static void g4_an_incomplete_file_is_retried_and_reported_at_the_timeout(void) {
    begin(__func__);
    certreload_options *options = host_options(chain, key);
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF));
    CHECK_OK(certreload_options_set_debounce_ms(options, 10));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 500));
    open_at_rest(options);
    int descriptor = certreload_event_fd(handle);
    drain();
    replace_file(key, other_key);
    CHECK_OK(certreload_reload(handle));
    dispatch_all(handle);
    const certreload_event *event = NULL;
    CHECK_RESULT(certreload_next_event(handle, &event), NO_EVENT);
    while (certreload_next_event(handle, &event) != CERTRELOAD_RESULT_OK) {
        wait_readable(descriptor);
        CHECK_OK(certreload_dispatch(handle));
    }
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOAD_FAILED);
    CHECK_INT(event->result, CERTRELOAD_RESULT_KEY_MISMATCH);
    end();
}

static void g20_dates_wake_the_host(void) {
    begin(__func__);
    make_pair_for_seconds(chain, key, "one.test", 3);
    certreload_options *options = host_options(chain, key);
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF));
    CHECK_OK(certreload_options_set_expiry_warning_seconds(options, 1));
    handle = open_and_free(options);
    int descriptor = certreload_event_fd(handle), wakes = 0;
    certreload_event_kind expected[] = {CERTRELOAD_EVENT_KIND_RELOADED,
                                        CERTRELOAD_EVENT_KIND_EXPIRING,
                                        CERTRELOAD_EVENT_KIND_EXPIRED};
    for (size_t i = 0; i < sizeof expected / sizeof *expected;) {
        const certreload_event *event = NULL;
        if (certreload_next_event(handle, &event) == CERTRELOAD_RESULT_OK) {
            CHECK_INT(event->kind, expected[i++]);
            continue;
        }
        wait_readable(descriptor);
        CHECK_OK(certreload_dispatch(handle));
        wakes++;
    }
    CHECK(wakes < 20);
    CHECK_INT(status_of(handle).health, CERTRELOAD_HEALTH_EXPIRED);
    end();
}

static double seconds_of(clockid_t clock) {
    struct timespec time;
    CHECK_INT(clock_gettime(clock, &time), 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void g6_reload_wait_does_the_work_and_sleeps_while_there_is_none(void) {
    begin(__func__);
    certreload_options *options = host_options(chain, key);
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF));
    CHECK_OK(certreload_options_set_debounce_ms(options, 10));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 60000));
    handle = open_and_free(options);
    /* Not one dispatch: the call itself does it, and leaves what it brings about for later. */
    renew_pair(chain, key, "one.test");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(serving_generation(handle), 2);
    CHECK_RESULT(certreload_reload_wait(handle, 0), UNCHANGED);
    const certreload_event *event = take_event(handle);
    CHECK_INT(event->generation, 2);
    CHECK_INT(event->count, 2);

    /* Events that wait are no work: a call that waits for half a file does not spin for them. */
    renew_pair(chain, key, "one.test");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    CHECK(is_readable(certreload_event_fd(handle)));
    replace_file(key, other_key);
    double begun = seconds_of(CLOCK_MONOTONIC), used = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    CHECK_RESULT(certreload_reload_wait(handle, 2000), TIMED_OUT);
    CHECK_CONTAINS(certreload_last_error(), key);
    double elapsed = seconds_of(CLOCK_MONOTONIC) - begun;
    used = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - used;
    printf("  %.0f ms of CPU in %.0f ms\n", used * 1000, elapsed * 1000);
    CHECK(elapsed >= 2 && used < elapsed / 2);
    CHECK_INT(take_event(handle)->generation, 3);
    end();
}

static void g10_an_idle_host_is_not_woken(void) {
    begin(__func__);
    open_at_rest(host_options(chain, key));
    CHECK(!is_readable_within(certreload_event_fd(handle), 1000));
    end();
}

/* Whoever works all the time beside the files, in a process of his own. */
static pid_t start_stranger(void) {
    pid_t stranger = fork();
    CHECK(stranger >= 0);
    while (stranger == 0) {
        FILE *file = fopen(scratch("strange"), "w");
        if (getppid() == 1 || file == NULL || fclose(file) != 0 || unlink(scratch("strange")) != 0)
            _exit(1);
    }
    return stranger;
}

static void g10_a_stranger_in_the_directory_does_not_keep_the_host_busy(void) {
    begin(__func__);
    open_at_rest(host_options(chain, key));
    int descriptor = certreload_event_fd(handle), wakes = 0;
    pid_t stranger = start_stranger();
    double until = seconds_of(CLOCK_MONOTONIC) + 2;
    for (double left; (left = until - seconds_of(CLOCK_MONOTONIC)) > 0;) {
        if (!is_readable_within(descriptor, (int)(left * 1000) + 1))
            break;
        CHECK_OK(certreload_dispatch(handle));
        wakes++;
    }
    printf("  woken %d times in 2 s\n", wakes);
    /* Fifty reads a second are free, and one each 20 ms after that. */
    CHECK(wakes > 0 && wakes < 400);
    /* What is the handle's own is noticed all the same. */
    renew_pair(chain, key, "one.test");
    dispatch_until_generation(handle, 2);
    CHECK(kill(stranger, SIGKILL) == 0 && waitpid(stranger, NULL, 0) == stranger);
    end();
}

static void a_host_that_wants_no_events_is_not_woken_for_them(void) {
    begin(__func__);
    open_at_rest(host_options(chain, key));
    for (uint64_t generation = 2; generation <= 4; generation++) {
        renew_pair(chain, key, "one.test");
        dispatch_until_generation(handle, generation);
        dispatch_all(handle);
    }
    /* From the first time that it asks it is, and the newest was kept. */
    CHECK_INT(take_event(handle)->generation, 4);
    CHECK(!is_readable(certreload_event_fd(handle)));
    CHECK_OK(push_files(handle, 0, other_chain, other_key));
    CHECK_OK(certreload_dispatch(handle));
    CHECK(is_readable(certreload_event_fd(handle)));
    CHECK_INT(take_event(handle)->generation, 5);
    CHECK(!is_readable(certreload_event_fd(handle)));
    end();
}

int main(void) {
    chain = scratch("one.chain"), key = scratch("one.key");
    other_chain = scratch("other.chain"), other_key = scratch("other.key");
    make_pair(chain, key, "one.test");
    make_pair(other_chain, other_key, "other.test");
    if (refuse_threads())
        g10_the_other_runtime_cannot_be_had_here();
    else
        puts("no filter: threads are only counted");
    g9_requests_wake_the_host_also_from_signal_handlers();
    g1_the_kernels_word_wakes_the_host_and_quiet_is_waited_for();
    g1_nothing_is_noticed_without_dispatch_and_nothing_lost();
    the_poll_wakes_the_host();
    g4_an_incomplete_file_is_retried_and_reported_at_the_timeout();
    g20_dates_wake_the_host();
    g6_reload_wait_does_the_work_and_sleeps_while_there_is_none();
    g10_an_idle_host_is_not_woken();
    g10_a_stranger_in_the_directory_does_not_keep_the_host_busy();
    a_host_that_wants_no_events_is_not_woken_for_them();
    return 0;
}
