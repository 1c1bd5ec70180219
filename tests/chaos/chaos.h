/*
 * What the parts of the chaos test share. Threads do everything with a few handles that a host may
 * do, all at once and at random, while the files below them change; what must always hold is
 * checked all the time, and at the end that nothing is left over.
 */

#ifndef CERTRELOAD_CHAOS_H
#define CERTRELOAD_CHAOS_H

#include "../c/support.h"
#include "../c/tls.h"

#include <stdatomic.h>
#include <sys/types.h>

/* --- chance: each thread has its own, all from one seed -----------------------------------------
 */

void chance_begin(uint64_t seed);
/* A number below `bound`. */
unsigned chance(unsigned bound);
/* Sleeps for up to so many microseconds. */
void nap(unsigned most);

/* --- the end of a round, and of the process where something does not hold
 * ------------------------- */

extern atomic_bool round_is_over;
/* Whatever waits for longer hangs. */
extern unsigned patience_seconds;

/* What has been done, so that a run that did nothing shows. */
enum deed {
    OPENED,
    CLOSED,
    CLOSED_INSIDE,
    LET_GO,
    HANDSHAKES,
    PUSHES,
    RELOADS,
    EVENTS,
    SIGNALS,
    CHANGES,
    DEEDS
};
void done(enum deed what);
unsigned long times(enum deed what);

void violation(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* --- certificates: made once, so that what may be served is known
 * ---------------------------------- */

enum { NAMES = 6, VERSIONS = 4 };

typedef struct {
    char *chain, *key;
    size_t chain_size, key_size;
    uint8_t *der;
    size_t der_size;
    char sha256[65];
} pair;

extern pair good[NAMES][VERSIONS], expired[NAMES];

void pool_make(void);
void pool_free(void);
const char *pool_name(unsigned name);
/* Whether a fingerprint, or a certificate, is of a good pair for the name. */
bool pool_has(unsigned name, const char *sha256);
bool pool_has_der(unsigned name, const uint8_t *der, size_t size);
/* The bytes of a pair, or of its chain with the key of another. */
certreload_identity_bytes pool_bytes(const pair *chain, const pair *key);

/* --- files: one directory for each name, on a way that changes
 * -------------------------------------- */

const char *files_chain(unsigned name);
const char *files_key(unsigned name);
void files_make(void);
/* Changes one of them in some way; good, bad or half. */
void files_change(void);
/* Leaves good pairs everywhere; tells the version of each. */
void files_settle(unsigned versions[NAMES]);

/* --- handles -------------------------------------------------------------------------------------
 */

enum { SLOTS = 12, MOST_IDENTITIES = 18 };

/* A place for a handle. Whoever calls it holds the lock to read, whoever closes it the lock to
 * write; but for calls that have certainly begun: see slot_let_go(). */
typedef struct {
    pthread_rwlock_t lock;
    _Atomic(certreload_handle *) handle; /* signal handlers look at it, too */
    atomic_int handlers;                 /* how many of them are at it */
    atomic_int logging;                  /* log callbacks inside a call on it */
    bool is_host, is_watched;
    size_t count;
    unsigned names[MOST_IDENTITIES];
    atomic_bool is_memory[MOST_IDENTITIES];
    _Atomic uint64_t seen;     /* the newest generation that anybody saw */
    _Atomic uint64_t told;     /* that of the last event */
    pthread_mutex_t listening; /* who takes events, or says who gets them */
    struct listener *listener;
} slot;

extern slot slots[SLOTS];

void slots_begin(void);
/* Opens a handle where there is none. */
void slot_open(slot *here);
/* Closes it, if the lock can be had; tells whether. */
bool slot_close(slot *here);
/* Closes one in the middle of a call on it, or unregisters a callback that runs, if there is one.
 */
void slot_meet(void);
/* A handle to call, or NULL; with slot_end() afterwards. */
certreload_handle *slot_use(slot *here);
void slot_end(slot *here);
/* Inside a call that slot_use() was for: from here on others may close the handle. */
void slot_let_go(void);
/* Whether that has not happened. */
bool slot_is_held(void);
/* Gives events to another listener, or to none. */
void slot_listen(slot *here, certreload_handle *handle, bool listens);
/* Takes an event, if nobody else does. */
void slot_take_event(slot *here, certreload_handle *handle);
/* A number of a generation that was seen: they never fall. */
void slot_saw(slot *here, uint64_t before, uint64_t generation);
/* In a forked child: of the parent's threads there is none. */
void slots_after_fork(void);
extern bool is_child;
/* Asks the next one in turn to reload. Async-signal-safe. */
void slots_reload_one(void);
/* How deep in callbacks this thread is. */
extern _Thread_local int callback_depth;

void log_callback(void *userdata, certreload_log_level level, const char *message);

/* --- what is done with a handle; each checks what it is told
 * --------------------------------------- */

void deed_look(slot *here, certreload_handle *handle);
void deed_status(slot *here, certreload_handle *handle);
void deed_push(slot *here, certreload_handle *handle, certreload_result instead);
/* Takes a new connection through its handshake; the handle may be closed meanwhile. */
void deed_handshake(rustls_connection *server, unsigned name, const rustls_client_config *client);
/* Waits until no other thread is in deed_handshake(), and keeps others from it. */
void fork_begin(void);
/* Forks, and lets handshakes run again. */
pid_t fork_between_handshakes(void);
/* Keeps forks out while threads that made handshakes end. Many threads may do so at once. */
void forks_wait(void);
void forks_go_ahead(void);
/* Whether a result is one that files and time alone can bring about. */
bool is_of_files(certreload_result result);
/* Whether a call of this thread may find its handle in the middle of a close: other threads close
 * handles during callbacks, and during calls that let their slot go. */
bool may_be_closed(certreload_result result);

/* --- threads, children, and who watches them
 * ------------------------------------------------------- */

void watchdog_begin(void);
void watchdog_end(void);
/* This thread is alive, and at that. */
void alive(const char *doing);
void alive_begin(const char *name);
void alive_end(void);
/* Shows where a process hangs. */
void show_hang(pid_t process);

/* Threads do everything until round_is_over. */
void actors_start(uint64_t seed);
void actors_join(void);
/* Sends a signal to one of them, or to all of the process. */
void actors_signal(void);

/* Forks children that end by themselves, and waits for them. */
void *fork_children(void *seed);
unsigned long children_run(void);

/* --- what there is of everything
 * ------------------------------------------------------------------ */

typedef struct {
    size_t threads, inotify, eventfds, timers, epolls, sockets, others;
} census;

census census_take(void);
/* Waits a moment for what ends by itself, and fails where there is more than before. */
void census_compare(const census *before);
size_t memory_in_use(void);
size_t memory_resident(void);

#endif
