/* The threads that do everything at once, until the round is over. */

#define _GNU_SOURCE
#include "chaos.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const rustls_client_config *client;

/* --- one turn of each
 * ----------------------------------------------------------------------------- */

static void turn_open_and_close(slot *here) {
    if (chance(3) != 0)
        slot_open(here);
    else
        slot_close(here);
    nap(30000);
}

static void turn_meet(slot *here) {
    (void)here;
    slot_meet();
    nap(500);
}

static void shake_hands(slot *here, certreload_handle *handle) {
    rustls_connection *server = NULL;
    unsigned name = here->names[chance((unsigned)here->count)];
    if (certreload_server_connection_new(handle, &server) != CERTRELOAD_RESULT_OK)
        violation("server_connection_new: %s", certreload_last_error());
    /* A connection outlives its handle. */
    slot_end(here);
    deed_handshake(server, name, client);
}

static void turn_read(slot *here) {
    certreload_handle *handle = slot_use(here);
    if (handle == NULL)
        return;
    switch (chance(4)) {
    case 0:
        deed_status(here, handle);
        break;
    case 1: {
        const rustls_server_config *config = certreload_acquire_server_config(handle);
        CHECK(config != NULL);
        slot_end(here);
        nap(2000);
        rustls_server_config_free(config);
        break;
    }
    case 2:
        shake_hands(here, handle);
        break;
    default:
        deed_look(here, handle);
        break;
    }
    slot_end(here);
}

static void *one_handshake(void *argument) {
    chance_begin((uintptr_t)argument);
    slot *here = &slots[chance(SLOTS)];
    certreload_handle *handle = slot_use(here);
    if (handle != NULL)
        shake_hands(here, handle);
    return NULL;
}

/* Threads that come and go, with what each has of random numbers and thread-local places. */
static void turn_mayfly(slot *here) {
    (void)here;
    pthread_t thread;
    uintptr_t seed = 1 + chance(1u << 30);
    forks_wait();
    CHECK(pthread_create(&thread, NULL, one_handshake, (void *)seed) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    forks_go_ahead();
    nap(4000);
}

static void turn_reload(slot *here) {
    certreload_handle *handle = slot_use(here);
    if (handle == NULL)
        return;
    if (chance(2))
        CHECK_OK(certreload_reload(handle));
    certreload_result result = certreload_reload_wait(handle, chance(60));
    done(RELOADS);
    if (!may_be_closed(result) && !is_of_files(result))
        violation("reload_wait: %s", certreload_last_error());
    slot_end(here);
}

static void turn_push(slot *here) {
    certreload_handle *handle = slot_use(here);
    if (handle != NULL)
        deed_push(here, handle, CERTRELOAD_RESULT_OK);
    slot_end(here);
    nap(10000);
}

static void turn_events(slot *here) {
    certreload_handle *handle = slot_use(here);
    if (handle == NULL)
        return;
    struct pollfd ready = {.fd = certreload_event_fd(handle), .events = POLLIN};
    if (ready.fd < 0)
        violation("event_fd: %s", certreload_last_error());
    poll(&ready, 1, (int)chance(5));
    if (here->is_host) {
        certreload_result result = certreload_dispatch(handle);
        if (result != CERTRELOAD_RESULT_OK && !may_be_closed(result))
            violation("dispatch: %s", certreload_last_error());
    }
    for (int more = 0; more < 4 && slot_is_held(); more++)
        slot_take_event(here, handle);
    slot_end(here);
}

static void turn_listen(slot *here) {
    certreload_handle *handle = slot_use(here);
    if (handle != NULL)
        slot_listen(here, handle, chance(3) != 0);
    slot_end(here);
    if (chance(50) == 0)
        CHECK_OK(certreload_set_log_callback(chance(3) ? log_callback : NULL, NULL, NULL,
                                             CERTRELOAD_LOG_LEVEL_INFO));
    nap(15000);
}

static void turn_storm(slot *here) {
    (void)here;
    for (unsigned count = chance(40); count > 0; count--)
        actors_signal();
    nap(60000);
}

static void turn_files(slot *here) {
    (void)here;
    files_change();
    done(CHANGES);
    nap(30000);
}

/* --- the threads
 * ----------------------------------------------------------------------------------- */

static const struct part {
    const char *name;
    void (*turn)(slot *);
} parts[] = {
    {"open", turn_open_and_close}, {"open", turn_open_and_close}, {"read", turn_read},
    {"read", turn_read},           {"mayfly", turn_mayfly},       {"reload", turn_reload},
    {"reload", turn_reload},       {"push", turn_push},           {"events", turn_events},
    {"events", turn_events},       {"listen", turn_listen},       {"storm", turn_storm},
    {"files", turn_files},         {"meet", turn_meet},
};
enum { PARTS = sizeof parts / sizeof *parts };

static struct actor {
    const struct part *part;
    uint64_t seed;
    pthread_t thread;
    _Atomic pid_t id;
} actors[PARTS];
static pthread_t forker;

static void *act(void *argument) {
    struct actor *me = argument;
    chance_begin(me->seed);
    alive_begin(me->part->name);
    /* Some run their handlers on stacks of their own, and some are the storm's targets. */
    static char stacks[PARTS][65536];
    stack_t stack = {.ss_sp = stacks[me - actors], .ss_size = sizeof stacks[0]};
    if (chance(2))
        CHECK(sigaltstack(&stack, NULL) == 0);
    atomic_store(&me->id, (pid_t)syscall(SYS_gettid));
    while (!atomic_load(&round_is_over)) {
        alive(me->part->name);
        me->part->turn(&slots[chance(SLOTS)]);
    }
    atomic_store(&me->id, 0);
    stack.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&stack, NULL) == 0);
    alive_end();
    return NULL;
}

void actors_signal(void) {
    done(SIGNALS);
    int number = chance(2) ? SIGHUP : SIGUSR1;
    struct actor *whom = &actors[chance(PARTS)];
    pid_t id = atomic_load(&whom->id);
    if (chance(2))
        kill(getpid(), number);
    else if (id != 0)
        /* It may have ended by now, and then nobody is meant. */
        syscall(SYS_tgkill, getpid(), id, number);
}

void actors_start(uint64_t seed) {
    client = client_config_new(NULL);
    for (size_t each = 0; each < PARTS; each++) {
        actors[each].part = &parts[each];
        actors[each].seed = seed + 1 + each;
        CHECK(pthread_create(&actors[each].thread, NULL, act, &actors[each]) == 0);
    }
    static uint64_t forker_seed;
    forker_seed = seed + 1 + PARTS;
    CHECK(pthread_create(&forker, NULL, fork_children, &forker_seed) == 0);
}

void actors_join(void) {
    /* Before the first of them ends; and the forker may wait to fork once more. */
    forks_wait();
    atomic_store(&round_is_over, true);
    for (size_t each = 0; each < PARTS; each++)
        CHECK(pthread_join(actors[each].thread, NULL) == 0);
    forks_go_ahead();
    CHECK(pthread_join(forker, NULL) == 0);
    rustls_client_config_free(client);
}
