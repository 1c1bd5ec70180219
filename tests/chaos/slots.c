/* Handles that come and go, and who is told of their events. */

#define _GNU_SOURCE
#include "chaos.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

slot slots[SLOTS];
_Thread_local int callback_depth;
bool is_child;
/* The slot that this thread has locked to call its handle. */
static _Thread_local slot *used;

/* One for each time that a callback is named. They are taken in turn, and there are so many that
 * one that is used again has been out of use for long. */
struct listener {
    atomic_bool is_gone;
    atomic_int inside;
    slot *of;
};
enum { LISTENERS = 16384 };
static struct listener listeners[LISTENERS];
static atomic_uint next_listener;

static struct listener *listener_new(slot *of) {
    struct listener *new = &listeners[atomic_fetch_add(&next_listener, 1) % LISTENERS];
    if (atomic_load(&new->inside) != 0)
        violation("a callback ran for the whole round");
    new->of = of;
    atomic_store(&new->is_gone, false);
    return new;
}

/* When close or set_event_callback has returned. */
static void listener_retire(struct listener *old) {
    if (old == NULL)
        return;
    atomic_store(&old->is_gone, true);
    /* Where a callback closes, somebody may be waiting for that very callback. */
    if (callback_depth == 0 && atomic_load(&old->inside) != 0)
        violation("a callback runs after close or unregister returned");
}

void slots_begin(void) {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    for (slot *here = slots; here < slots + SLOTS; here++) {
        CHECK(pthread_rwlock_init(&here->lock, &attributes) == 0);
        CHECK(pthread_mutex_init(&here->listening, NULL) == 0);
    }
}

/* A slot of which somebody inside a call has let go, to be closed. */
static _Atomic(slot *) invited;
/* One of which a callback is running. */
static _Atomic(slot *) overheard;

/* Lets others close the handle that this thread is inside a call on, and gives them time to. */
static void invite(void) {
    slot *here = used, *none = NULL;
    slot_let_go();
    if (here == NULL || is_child || !atomic_compare_exchange_strong(&invited, &none, here))
        return;
    for (int turns = 0; turns < 20 && atomic_load(&invited) == here; turns++)
        nap(1000);
    /* Whoever came is in close() by now. */
    nap(3000);
    atomic_compare_exchange_strong(&invited, &here, NULL);
}

void slot_meet(void) {
    slot *here = atomic_exchange(&invited, NULL);
    if (here != NULL)
        slot_close(here);
    here = atomic_exchange(&overheard, NULL);
    if (here == NULL)
        return;
    certreload_handle *handle = slot_use(here);
    if (handle != NULL)
        slot_listen(here, handle, chance(2));
    slot_end(here);
}

/* Does things from inside a callback, of which the handle of the slot is the one. */
static void act_inside(slot *of) {
    certreload_handle *handle = atomic_load(&of->handle);
    slot *other = &slots[chance(SLOTS)];
    certreload_result result;
    switch (handle == NULL ? 100 : chance(24)) {
    case 0:
        deed_status(of, handle);
        break;
    case 1:
    case 10:
        slot_close(other);
        break;
    case 2:
        slot_let_go();
        slot_close(of);
        break;
    case 3:
        result = certreload_reload_wait(handle, chance(30));
        if (!is_of_files(result) && result != CERTRELOAD_RESULT_WOULD_DEADLOCK &&
            !may_be_closed(result))
            violation("reload_wait in a callback: %s", certreload_last_error());
        break;
    case 4:
        nap(80000);
        break;
    case 11:
    case 12:
    case 13:
    case 14:
        /* Somebody else may unregister this callback, or close, and has to wait for it. */
        atomic_store(&overheard, of);
        nap(10000);
        break;
    case 5:
        deed_push(of, handle, CERTRELOAD_RESULT_WOULD_DEADLOCK);
        break;
    case 6:
        if (of->is_host && (result = certreload_dispatch(handle)) != CERTRELOAD_RESULT_OK &&
            result != CERTRELOAD_RESULT_WOULD_DEADLOCK && !may_be_closed(result))
            violation("dispatch in a callback: %s", certreload_last_error());
        break;
    case 7:
        slot_listen(of, handle, chance(2));
        break;
    case 8:
        invite();
        break;
    case 9:
        CHECK_OK(certreload_reload(handle));
        break;
    default:
        break;
    }
}

/* Checks that events come in order. */
static void told(slot *of, const certreload_event *event) {
    done(EVENTS);
    uint64_t before = atomic_exchange(&of->told, event->generation);
    if (event->generation < before)
        violation("an event of generation %lu after one of %lu", (unsigned long)event->generation,
                  (unsigned long)before);
    if (event->count == 0 || event->kind < 1 || event->kind > CERTRELOAD_EVENT_KIND_WARNING ||
        event->message[0] == '\0')
        violation("an event that is none");
}

static void event_callback(void *userdata, const certreload_event *event) {
    struct listener *me = userdata;
    if (atomic_load(&me->is_gone))
        violation("a callback begins after close or unregister returned");
    if (atomic_fetch_add(&me->inside, 1) != 0)
        violation("two callbacks of one handle at a time");
    slot *of = me->of;
    told(of, event);
    callback_depth++;
    act_inside(of);
    callback_depth--;
    atomic_fetch_sub(&me->inside, 1);
}

void slot_listen(slot *here, certreload_handle *handle, bool listens) {
    if (pthread_mutex_trylock(&here->listening) != 0)
        return;
    /* Of a handle that is being closed nothing is said any more: whoever closes it has the lock. */
    struct listener *before = here->listener, *next = listens ? listener_new(here) : NULL;
    certreload_result result =
        certreload_set_event_callback(handle, listens ? event_callback : NULL, next, NULL);
    if (result == CERTRELOAD_RESULT_OK) {
        here->listener = next;
        listener_retire(before);
    } else if (!may_be_closed(result) &&
               (callback_depth == 0 || result != CERTRELOAD_RESULT_WOULD_DEADLOCK))
        violation("set_event_callback: %s", certreload_last_error());
    pthread_mutex_unlock(&here->listening);
}

void slot_take_event(slot *here, certreload_handle *handle) {
    if (pthread_mutex_trylock(&here->listening) != 0)
        return;
    const certreload_event *event = NULL;
    certreload_result result = certreload_next_event(handle, &event);
    if (result == CERTRELOAD_RESULT_OK)
        told(here, event);
    else if (result != CERTRELOAD_RESULT_NO_EVENT)
        violation("next_event: %s", certreload_last_error());
    pthread_mutex_unlock(&here->listening);
}

static certreload_options *some_options(slot *here) {
    certreload_options *options = certreload_options_new();
    here->count = chance(6) == 0 ? MOST_IDENTITIES : 1 + chance(3);
    unsigned first = chance(NAMES);
    for (size_t index = 0; index < here->count; index++) {
        unsigned name = here->names[index] = (first + (unsigned)index) % NAMES;
        bool is_memory = chance(5) == 0;
        atomic_store(&here->is_memory[index], is_memory);
        if (is_memory) {
            const pair *one = &good[name][chance(VERSIONS)];
            certreload_identity_bytes bytes = pool_bytes(one, one);
            CHECK_OK(certreload_options_add_identity_memory(options, &bytes, sizeof bytes));
        } else
            CHECK_OK(
                certreload_options_add_identity(options, files_chain(name), files_key(name), NULL));
    }
    here->is_host = chance(3) == 0;
    CHECK_OK(certreload_options_set_runtime(options, here->is_host ? CERTRELOAD_RUNTIME_HOST
                                                                   : CERTRELOAD_RUNTIME_THREAD));
    certreload_watch watch = chance(3) == 0 ? chance(3) : CERTRELOAD_WATCH_AUTO;
    here->is_watched = watch != CERTRELOAD_WATCH_OFF;
    CHECK_OK(certreload_options_set_watch(options, watch));
    CHECK_OK(certreload_options_set_debounce_ms(options, chance(30)));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 100 + chance(200)));
    CHECK_OK(certreload_options_set_poll_interval_ms(options, 200 + chance(2000)));
    here->listener = chance(2) ? listener_new(here) : NULL;
    if (here->listener != NULL)
        CHECK_OK(
            certreload_options_set_event_callback(options, event_callback, here->listener, NULL));
    return options;
}

void slot_open(slot *here) {
    if (pthread_rwlock_trywrlock(&here->lock) != 0)
        return;
    if (atomic_load(&here->handle) == NULL) {
        certreload_options *options = some_options(here);
        atomic_store(&here->seen, 1);
        atomic_store(&here->told, 0);
        certreload_handle *handle = NULL;
        certreload_result result = certreload_open(options, &handle);
        /* The files may be bad at this moment. */
        if (result == CERTRELOAD_RESULT_OK) {
            atomic_store(&here->handle, handle);
            done(OPENED);
        } else if (result < 100)
            violation("open: %s", certreload_last_error());
        certreload_options_free(options);
    }
    pthread_rwlock_unlock(&here->lock);
}

bool slot_close(slot *here) {
    /* Inside a callback this very thread, or one that waits for it, may have the lock. */
    bool may_wait = callback_depth == 0 && chance(2);
    if ((may_wait ? pthread_rwlock_wrlock : pthread_rwlock_trywrlock)(&here->lock) != 0)
        return false;
    certreload_handle *handle = atomic_exchange(&here->handle, NULL);
    if (handle != NULL) {
        while (atomic_load(&here->handlers) > 0)
            sched_yield();
        certreload_close(handle);
        done(callback_depth > 0 ? CLOSED_INSIDE : CLOSED);
        /* A callback that changes the listener has ended by now, unless this is called from one. */
        listener_retire(here->listener);
        here->listener = NULL;
        if (callback_depth == 0 && atomic_load(&here->logging) != 0)
            violation("a call runs after close returned");
    }
    pthread_rwlock_unlock(&here->lock);
    return true;
}

certreload_handle *slot_use(slot *here) {
    if (pthread_rwlock_tryrdlock(&here->lock) != 0)
        return NULL;
    certreload_handle *handle = atomic_load(&here->handle);
    if (handle == NULL)
        pthread_rwlock_unlock(&here->lock);
    else
        used = here;
    return handle;
}

void slot_end(slot *here) {
    if (used == here)
        slot_let_go();
}

void slot_let_go(void) {
    slot *here = used;
    used = NULL;
    if (here != NULL)
        pthread_rwlock_unlock(&here->lock);
}

bool slot_is_held(void) {
    return used != NULL;
}

void slot_saw(slot *here, uint64_t before, uint64_t generation) {
    if (generation < before)
        violation("generation %lu after %lu", (unsigned long)generation, (unsigned long)before);
    uint64_t seen = atomic_load(&here->seen);
    while (seen < generation && !atomic_compare_exchange_weak(&here->seen, &seen, generation))
        continue;
}

void slots_after_fork(void) {
    is_child = true;
    used = NULL;
    for (slot *here = slots; here < slots + SLOTS; here++) {
        atomic_store(&here->handlers, 0);
        atomic_store(&here->logging, 0);
    }
    for (struct listener *one = listeners; one < listeners + LISTENERS; one++)
        atomic_store(&one->inside, 0);
}

void slots_reload_one(void) {
    static atomic_uint turn;
    slot *here = &slots[atomic_fetch_add(&turn, 1) % SLOTS];
    atomic_fetch_add(&here->handlers, 1);
    certreload_handle *handle = atomic_load(&here->handle);
    if (handle != NULL)
        certreload_reload(handle);
    atomic_fetch_sub(&here->handlers, 1);
}

/* On a thread that is inside a call on a handle: others may close the handle now, and have to wait.
 */
void log_callback(void *userdata, certreload_log_level level, const char *message) {
    (void)userdata;
    if (level < CERTRELOAD_LOG_LEVEL_ERROR || message[0] == '\0')
        violation("a log line that is none");
    slot *here = used;
    if (here == NULL || callback_depth > 0)
        return;
    done(LET_GO);
    atomic_fetch_add(&here->logging, 1);
    invite();
    atomic_fetch_sub(&here->logging, 1);
}
