/* Children, forked while all the other threads are at it: they take inherited handles up, or not,
 * call and close them, open their own, and end by themselves. */

#define _GNU_SOURCE
#include "chaos.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHILDREN = 4 };

static struct child {
    pid_t process;
    time_t started;
    const char *_Atomic *at; /* shared with the child: what it is doing */
} children[CHILDREN];
static atomic_ulong children_ended;

unsigned long children_run(void) {
    return atomic_load(&children_ended);
}

/* --- in the child
 * ----------------------------------------------------------------------------------- */

static const char *_Atomic *at;
static const rustls_client_config *own_client;

static void begin(const char *doing) {
    atomic_store(at, doing);
}

static void serve(slot *here, certreload_handle *handle) {
    begin("look");
    deed_look(here, handle);
    begin("server_connection_new");
    rustls_connection *server = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &server));
    begin("handshake");
    deed_handshake(server, here->names[chance((unsigned)here->count)], own_client);
    begin("status");
    deed_status(here, handle);
}

static void work(slot *here, certreload_handle *handle) {
    begin("reload_wait");
    certreload_result result = certreload_reload_wait(handle, chance(200));
    if (!is_of_files(result))
        violation("reload_wait in a child: %s", certreload_last_error());
    begin("push");
    deed_push(here, handle, CERTRELOAD_RESULT_OK);
    begin("event_fd");
    struct pollfd ready = {.fd = certreload_event_fd(handle), .events = POLLIN};
    if (ready.fd < 0)
        violation("event_fd in a child: %s", certreload_last_error());
    poll(&ready, 1, (int)chance(20));
    begin("dispatch");
    if (here->is_host)
        CHECK_OK(certreload_dispatch(handle));
    begin("next_event");
    slot_take_event(here, handle);
    begin("a signal");
    raise(SIGUSR1);
}

static void inherit(slot *here) {
    certreload_handle *handle = atomic_load(&here->handle);
    if (chance(2))
        serve(here, handle);
    if (chance(4) == 0) {
        begin("what takes the parent");
        CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), FORKED);
        deed_push(here, handle, CERTRELOAD_RESULT_FORKED);
        CHECK_INT(certreload_event_fd(handle), -1);
        CHECK_OK(certreload_reload(handle));
    }
    if (chance(4) == 0) {
        begin("set_event_callback before after_fork");
        CHECK_OK(certreload_set_event_callback(handle, NULL, NULL, NULL));
    }
    if (chance(4) != 0) {
        begin("after_fork");
        CHECK_OK(certreload_after_fork(handle));
        work(here, handle);
        serve(here, handle);
    }
    if (chance(2)) {
        begin("close");
        atomic_store(&here->handle, NULL);
        certreload_close(handle);
    }
}

static void open_own(void) {
    begin("open");
    unsigned name = chance(NAMES);
    certreload_options *options = certreload_options_new();
    const pair *one = &good[name][chance(VERSIONS)];
    certreload_identity_bytes bytes = pool_bytes(one, one);
    CHECK_OK(certreload_options_add_identity_memory(options, &bytes, sizeof bytes));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    begin("use of its own");
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    begin("close of its own");
    certreload_close(handle);
}

/* What threads were at that are not here any more: in callbacks, or saying where events go, which
 * they do with a lock. */
static void forget_threads(void) {
    for (slot *here = slots; here < slots + SLOTS; here++)
        CHECK(pthread_mutex_init(&here->listening, NULL) == 0);
    slots_after_fork();
}

static void be_a_child(const bool held[SLOTS], bool may_fork) {
    alarm(2 * patience_seconds);
    begin("start");
    forget_threads();
    own_client = client_config_new(NULL);
    if (chance(3) == 0)
        open_own();
    for (int each = 0; each < SLOTS; each++)
        if (held[each] && chance(2))
            inherit(&slots[each]);
    if (may_fork && chance(4) == 0) {
        begin("fork");
        pid_t grandchild = fork();
        CHECK(grandchild >= 0);
        if (grandchild == 0) {
            forget_threads();
            for (int each = 0; each < SLOTS; each++)
                if (held[each] && atomic_load(&slots[each].handle) != NULL && chance(2))
                    inherit(&slots[each]);
            _exit(0);
        }
        int status = -1;
        CHECK(waitpid(grandchild, &status, 0) == grandchild);
        CHECK_INT(status, 0);
    }
    if (chance(3) == 0)
        open_own();
    begin("exit");
    _exit(0);
}

/* --- in the parent
 * ---------------------------------------------------------------------------------- */

static void start(struct child *new) {
    /* Before any slot is locked: at the end of a round the threads that are joined may wait for a
     * slot, and forks wait for the joins. */
    fork_begin();
    bool held[SLOTS];
    for (int each = 0; each < SLOTS; each++) {
        held[each] = pthread_rwlock_tryrdlock(&slots[each].lock) == 0;
        if (held[each] && atomic_load(&slots[each].handle) == NULL) {
            pthread_rwlock_unlock(&slots[each].lock);
            held[each] = false;
        }
    }
    atomic_store(new->at, "fork");
    at = new->at;
    new->started = time(NULL);
    unsigned luck = chance(1u << 30);
    new->process = fork_between_handshakes();
    CHECK(new->process >= 0);
    if (new->process == 0) {
        chance_begin(luck);
        be_a_child(held, true);
    }
    for (int each = 0; each < SLOTS; each++)
        if (held[each])
            pthread_rwlock_unlock(&slots[each].lock);
}

static void look_after(struct child *one) {
    int status = -1;
    pid_t ended = waitpid(one->process, &status, WNOHANG);
    CHECK(ended >= 0);
    if (ended == 0 && time(NULL) < one->started + (time_t)patience_seconds)
        return;
    const char *doing = atomic_load(one->at);
    if (ended == 0) {
        show_hang(one->process);
        kill(one->process, SIGKILL);
        violation("a child hangs at: %s", doing);
    }
    if (status != 0)
        violation("a child ended with status 0x%x at: %s", (unsigned)status, doing);
    one->process = 0;
    atomic_fetch_add(&children_ended, 1);
}

void *fork_children(void *seed) {
    chance_begin(*(uint64_t *)seed);
    alive_begin("forks");
    for (int each = 0; each < CHILDREN; each++) {
        children[each].at =
            mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(children[each].at != MAP_FAILED);
    }
    for (;;) {
        int running = 0;
        for (struct child *one = children; one < children + CHILDREN; one++) {
            if (one->process != 0)
                look_after(one);
            alive("forks");
            if (one->process == 0 && !atomic_load(&round_is_over))
                start(one);
            running += one->process != 0;
        }
        if (running == 0 && atomic_load(&round_is_over))
            break;
        nap(5000);
    }
    for (int each = 0; each < CHILDREN; each++)
        munmap(children[each].at, 4096);
    alive_end();
    return NULL;
}
