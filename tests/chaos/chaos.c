/*
 * Threads open, reload, push, read and close handles, fork, send signals and change files, all at
 * once and at random: nothing crashes, nothing hangs, nothing is served that must not be, and in
 * the end what is in the files is live and nothing is left over.
 *
 * CERTRELOAD_CHAOS_SECONDS says for how long (10), CERTRELOAD_CHAOS_SEED which chances are taken,
 * as far as threads can be told, and CERTRELOAD_CHAOS_PATIENCE after how many seconds something
 * hangs (30).
 */

#define _GNU_SOURCE
#include "chaos.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* So that one that leaks shows against those before. */
enum { ROUNDS = 6 };
/* Caches of threads and of the allocator, measured: some hundred kilobytes at the most. */
enum { MEMORY_TOLERANCE = 512 * 1024 };

atomic_bool round_is_over;
unsigned patience_seconds = 30;
static uint64_t seed;
static _Thread_local uint64_t chances;

void chance_begin(uint64_t from) {
    chances = from * 0x9e3779b97f4a7c15u + 1;
}

unsigned chance(unsigned bound) {
    /* Threads that the library started have not begun. */
    if (chances == 0)
        chance_begin(seed ^ (uintptr_t)&chances);
    chances ^= chances << 13;
    chances ^= chances >> 7;
    chances ^= chances << 17;
    return (unsigned)((chances >> 33) % bound);
}

void nap(unsigned most) {
    struct timespec time = {.tv_nsec = (long)chance(most) * 1000};
    nanosleep(&time, NULL);
}

static atomic_ulong deeds[DEEDS];

void done(enum deed what) {
    atomic_fetch_add_explicit(&deeds[what], 1, memory_order_relaxed);
}

unsigned long times(enum deed what) {
    return atomic_load(&deeds[what]);
}

void violation(const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "chaos: %s (seed %lu)\n", text, (unsigned long)seed);
    if (getenv("CERTRELOAD_CHAOS_SHOW") != NULL)
        show_hang(getpid());
    _exit(1);
}

static unsigned number_of(const char *variable, unsigned otherwise) {
    const char *text = getenv(variable);
    return text == NULL ? otherwise : (unsigned)strtoul(text, NULL, 10);
}

static void on_signal(int number) {
    (void)number;
    errno = 4711;
    slots_reload_one();
    if (errno != 4711) {
        static const char text[] = "chaos: errno was changed in a signal handler\n";
        if (write(2, text, sizeof text - 1) > 0)
            _exit(1);
    }
}

static void handle_signals(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    action.sa_flags |= SA_RESTART;
    CHECK(sigaction(SIGHUP, &action, NULL) == 0);
}

/* Whether each identity that comes from files is the one that was left there. */
static bool is_settled(slot *here, certreload_handle *handle, const unsigned versions[NAMES]) {
    bool is_settled = true;
    const certreload_generation *generation = certreload_generation_acquire(handle);
    for (size_t index = 0; index < here->count; index++) {
        const char *sha256 =
            certreload_identity_sha256(certreload_generation_identity(generation, index));
        unsigned name = here->names[index];
        if (!atomic_load(&here->is_memory[index]))
            is_settled = is_settled && strcmp(sha256, good[name][versions[name]].sha256) == 0;
    }
    certreload_generation_release(generation);
    return is_settled;
}

/* What was left in the files goes live, by itself where somebody watches. */
static void check_settled(slot *here, const unsigned versions[NAMES]) {
    certreload_handle *handle = slot_use(here);
    if (handle == NULL)
        return;
    time_t deadline = time(NULL) + (time_t)patience_seconds;
    while (!is_settled(here, handle, versions)) {
        if (here->is_host)
            certreload_dispatch(handle);
        if (slot_is_held() && !here->is_watched) {
            certreload_result result = certreload_reload_wait(handle, 1000);
            if (slot_is_held() && result > CERTRELOAD_RESULT_TIMED_OUT)
                violation("good files are refused: %s", certreload_last_error());
        }
        /* A callback may have closed it: the lock is given back inside of calls. */
        if (!slot_is_held())
            return;
        if (time(NULL) > deadline) {
            certreload_status status = status_of(handle);
            violation("what is in the files does not go live: generation %lu, health %u, %s",
                      (unsigned long)status.generation, status.health, status.last_failure);
        }
        nap(5000);
    }
    slot_end(here);
}

static void run_round(unsigned number, unsigned milliseconds) {
    atomic_store(&round_is_over, false);
    actors_start(seed + number * 1000);
    alive("running");
    for (unsigned slept = 0; slept < milliseconds; slept += 100) {
        alive("running");
        struct timespec time = {.tv_nsec = 100000000};
        nanosleep(&time, NULL);
    }
    actors_join();
    alive("settling");
    unsigned versions[NAMES];
    files_settle(versions);
    for (slot *here = slots; here < slots + SLOTS; here++) {
        alive("settling");
        check_settled(here, versions);
    }
    for (slot *here = slots; here < slots + SLOTS; here++) {
        alive("closing");
        /* A callback may be closing it at this moment. */
        while (!slot_close(here))
            nap(1000);
    }
}

int main(void) {
    unsigned seconds = number_of("CERTRELOAD_CHAOS_SECONDS", 10);
    seed = number_of("CERTRELOAD_CHAOS_SEED", (unsigned)time(NULL) ^ (unsigned)getpid());
    patience_seconds = number_of("CERTRELOAD_CHAOS_PATIENCE", patience_seconds);
    printf("chaos: %u seconds, seed %lu\n", seconds, (unsigned long)seed);
    fflush(stdout);
    chance_begin(seed);
    pool_make();
    files_make();
    slots_begin();
    handle_signals();
    CHECK_OK(certreload_set_log_callback(log_callback, NULL, NULL, CERTRELOAD_LOG_LEVEL_INFO));
    watchdog_begin();
    alive_begin("main");

    census before = census_take();
    size_t in_use[ROUNDS];
    for (unsigned round = 0; round < ROUNDS; round++) {
        run_round(round, seconds * 1000 / ROUNDS);
        census_compare(&before);
        in_use[round] = memory_in_use();
        printf("chaos: round %u: %lu children, %zu kB in use, %zu kB resident\n", round + 1,
               children_run(), in_use[round] / 1024, memory_resident() / 1024);
        fflush(stdout);
    }
    printf("chaos: %lu handles (%lu closed in callbacks), %lu handshakes, %lu pushes, %lu reloads,"
           " %lu events, %lu signals, %lu changes of files, %lu children\n",
           times(OPENED), times(CLOSED_INSIDE), times(HANDSHAKES), times(PUSHES), times(RELOADS),
           times(EVENTS), times(SIGNALS), times(CHANGES), children_run());
    /* On a starved machine there are few handles, and none of them may be closed in a callback. */
    bool is_starved = times(OPENED) < 500;
    for (int what = 0; what < DEEDS && seconds >= 30; what++)
        CHECK(times(what) > 0 || (is_starved && what == CLOSED_INSIDE));
    CHECK(children_run() > 0);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    CHECK(in_use[ROUNDS - 1] < in_use[1] + MEMORY_TOLERANCE);
    alive_end();
    watchdog_end();
    CHECK_OK(certreload_set_log_callback(NULL, NULL, NULL, CERTRELOAD_LOG_LEVEL_INFO));
    pool_free();
    return 0;
}
