/*
 * The host's signals belong to the host's threads (G10): every background thread has all signals
 * blocked from before it can receive one. Signals come in a storm while handles are opened and
 * closed all the time, each open starting the threads anew, and the handlers note which thread they
 * run on.
 */

#define _GNU_SOURCE
#include "support.h"

#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Under valgrind a round takes a hundred times as long, so time is a limit as well. */
enum { ROUNDS = 100, ENOUGH_ROUNDS = 5, STORM_SECONDS = 2, STORM_SIGNALS = 4, ON_THEIR_WAY = 16 };

static const char *chain, *key;
static atomic_bool storming;
static atomic_int handled, on_foreign_threads;
static _Thread_local volatile sig_atomic_t is_host_thread;

/* Whoever is not of the host is of certreload; a thread that was just born has no name yet. */
static void note_thread(int number) {
    (void)number;
    atomic_fetch_add(&handled, 1);
    if (!is_host_thread)
        atomic_fetch_add(&on_foreign_threads, 1);
}

/* Signals to the process: the kernel chooses among the threads that have them unblocked. No more
 * than some are on their way, so that whoever takes them comes to something else, too. */
static void *storm(void *unused) {
    is_host_thread = 1;
    for (int sent = 0; atomic_load(&storming); sent += STORM_SIGNALS) {
        for (int number = SIGRTMIN; number < SIGRTMIN + STORM_SIGNALS; number++)
            kill(getpid(), number);
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000}, NULL);
        while (sent - atomic_load(&handled) > ON_THEIR_WAY && atomic_load(&storming))
            sched_yield();
    }
    return unused;
}

static void let_go(void *told, const certreload_event *event) {
    (void)event;
    CHECK_INT(sem_post(told), 0);
}

static void hold(void *told, const certreload_event *event) {
    (void)event;
    CHECK_INT(sem_wait(told), 0);
}

static certreload_handle *open_with(certreload_event_callback callback, sem_t *told) {
    certreload_options *options = unwatched_options(chain, key, 100);
    CHECK_OK(certreload_options_set_event_callback(options, callback, told, NULL));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

/* One callback waits for another, so a further thread is started while signals rain. */
static void *open_and_close(void *rounds_out) {
    is_host_thread = 1;
    sigset_t none;
    sigemptyset(&none);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, &none, NULL), 0);
    time_t end = time(NULL) + STORM_SECONDS;
    int rounds = 0;
    for (; rounds < ROUNDS && (rounds < ENOUGH_ROUNDS || time(NULL) < end); rounds++) {
        sem_t told;
        CHECK_INT(sem_init(&told, 0, 0), 0);
        certreload_handle *first = open_with(hold, &told), *second = open_with(let_go, &told);
        CHECK_RESULT(certreload_reload_wait(first, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
        certreload_close(first);
        certreload_close(second);
        sem_destroy(&told);
    }
    *(int *)rounds_out = rounds;
    return NULL;
}

int main(void) {
    test_begin("a_storm_of_signals_meets_no_thread_of_certreload");
    alarm(10 * PATIENCE_SECONDS);
    is_host_thread = 1;
    chain = scratch("one.chain"), key = scratch("one.key");
    make_pair(chain, key, "one.test");
    struct sigaction action = {.sa_handler = note_thread};
    sigfillset(&action.sa_mask);
    for (int number = SIGRTMIN; number < SIGRTMIN + STORM_SIGNALS; number++)
        CHECK_INT(sigaction(number, &action, NULL), 0);
    /* This thread and the sender take none, so they are there for the opener, and for whoever it
     * starts. */
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGALRM);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);

    atomic_store(&storming, true);
    pthread_t sender, opener;
    int rounds = 0;
    CHECK_INT(pthread_create(&sender, NULL, storm, NULL), 0);
    CHECK_INT(pthread_create(&opener, NULL, open_and_close, &rounds), 0);
    CHECK_INT(pthread_join(opener, NULL), 0);
    atomic_store(&storming, false);
    CHECK_INT(pthread_join(sender, NULL), 0);
    printf("%d rounds, %d signals handled\n", rounds, handled);
    CHECK(rounds >= ENOUGH_ROUNDS);
    CHECK(handled > 0);
    CHECK_INT(on_foreign_threads, 0);
    return 0;
}
