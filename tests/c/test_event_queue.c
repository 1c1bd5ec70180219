/*
 * Events that wait for certreload_next_event(): a bounded number of them, of which the newest state
 * is never dropped; taken by one thread or several, each event by one; valid until the next.
 */

#define _GNU_SOURCE
#include "host.h"
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { REFUSALS = 600, ROUNDS = 20, TAKERS = 4 };

static const char *chain, *key, *other_chain, *other_key, *garbage;

/* Two identities in files; only what is pushed changes anything. */
static certreload_handle *open_two(void) {
    certreload_options *options = unwatched_options(chain, key, 0);
    CHECK_OK(certreload_options_add_identity(options, other_chain, other_key, NULL));
    return open_and_free(options);
}

/* One event; each is another failure than the one before. */
static void refuse_a_push(certreload_handle *handle, int round) {
    if (round % 2 == 0)
        CHECK_RESULT(push_files(handle, 0, garbage, key), NO_CERTIFICATE);
    else
        CHECK_RESULT(push_files(handle, 0, chain, other_key), KEY_MISMATCH);
}

static void a_full_queue_merges_the_old_and_keeps_the_newest(void) {
    test_begin(__func__);
    certreload_handle *handle = open_two();
    CHECK(certreload_event_fd(handle) >= 0);
    CHECK_RESULT(push_files(handle, 1, garbage, other_key), NO_CERTIFICATE);
    for (int round = 0; round < REFUSALS; round++)
        refuse_a_push(handle, round);
    CHECK_OK(push_files(handle, 0, other_chain, other_key));

    size_t taken = 0;
    uint64_t told = 0, of_the_second = 0, newest = 0;
    certreload_event_kind last = CERTRELOAD_EVENT_KIND_RELOADED;
    for (const certreload_event *event; certreload_next_event(handle, &event) == 0;) {
        taken++;
        told += event->count;
        CHECK(event->generation >= newest);
        newest = event->generation;
        last = event->kind;
        if (strstr(event->path, ":1/") != NULL)
            of_the_second += event->count;
        else if (taken > 4)
            /* The oldest of each file stand for all that were merged. */
            CHECK_INT(event->count, 1);
    }
    CHECK_INT(taken, CERTRELOAD_MAX_WAITING_EVENTS);
    CHECK_INT(told, 1 + 1 + REFUSALS + 1);
    CHECK_INT(of_the_second, 1);
    CHECK_INT(last, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(newest, 2);
    CHECK(!is_readable(certreload_event_fd(handle)));
    certreload_close(handle);
}

struct crowd {
    certreload_handle *handle;
    atomic_bool over;
    atomic_ullong taken;
};

static void *take_what_comes(void *argument) {
    struct crowd *crowd = argument;
    int descriptor = certreload_event_fd(crowd->handle);
    uint64_t newest = 0;
    for (;;) {
        const certreload_event *event = NULL;
        certreload_result result = certreload_next_event(crowd->handle, &event);
        if (result == CERTRELOAD_RESULT_OK) {
            CHECK(event->generation >= newest);
            CHECK(strlen(event->message) > 0);
            newest = event->generation;
            atomic_fetch_add(&crowd->taken, event->count);
        } else {
            CHECK_RESULT(result, NO_EVENT);
            if (atomic_load(&crowd->over))
                return NULL;
            is_readable_within(descriptor, 10);
        }
    }
}

static void g7_several_threads_get_each_event_once(void) {
    test_begin(__func__);
    struct crowd crowd = {.handle = open_two()};
    CHECK(certreload_event_fd(crowd.handle) >= 0);
    pthread_t takers[TAKERS];
    for (int i = 0; i < TAKERS; i++)
        CHECK_INT(pthread_create(&takers[i], NULL, take_what_comes, &crowd), 0);
    for (int round = 0; round < ROUNDS; round++) {
        refuse_a_push(crowd.handle, round);
        if (round % 5 == 0) {
            bool odd = round % 10 == 0;
            CHECK_OK(push_files(crowd.handle, 1, odd ? chain : other_chain, odd ? key : other_key));
        }
    }
    atomic_store(&crowd.over, true);
    for (int i = 0; i < TAKERS; i++)
        CHECK_INT(pthread_join(takers[i], NULL), 0);
    CHECK_INT(crowd.taken, 1 + ROUNDS + ROUNDS / 5);
    CHECK(!is_readable(certreload_event_fd(crowd.handle)));
    certreload_close(crowd.handle);
}

static void *take_one(void *handle) {
    CHECK_INT(take_event(handle)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    return NULL;
}

static void an_event_is_valid_until_its_thread_takes_another(void) {
    test_begin(__func__);
    certreload_handle *handle = open_two(), *second = open_two();
    CHECK(certreload_event_fd(handle) >= 0);
    refuse_a_push(handle, 0);
    CHECK_INT(take_event(handle)->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    const certreload_event *event = take_event(handle);
    CHECK_OK(push_files(handle, 0, other_chain, other_key));
    /* Not what others take, nor that there is no more for this one, nor the end of the handle. */
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, take_one, handle), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    const certreload_event *none = NULL;
    CHECK_RESULT(certreload_next_event(handle, &none), NO_EVENT);
    certreload_close(handle);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOAD_FAILED);
    CHECK_INT(event->result, CERTRELOAD_RESULT_NO_CERTIFICATE);
    CHECK_INT(event->trigger, CERTRELOAD_TRIGGER_PUSH);
    CHECK_CONTAINS(event->path, "memory:0/chain");
    CHECK_CONTAINS(event->message, event->path);
    CHECK_INT(take_event(second)->generation, 1);
    certreload_close(second);
}

int main(void) {
    chain = scratch("one.chain"), key = scratch("one.key");
    other_chain = scratch("other.chain"), other_key = scratch("other.key");
    make_pair(chain, key, "one.test");
    make_pair(other_chain, other_key, "other.test");
    garbage = scratch("garbage");
    shell("echo garbage >garbage");
    a_full_queue_merges_the_old_and_keeps_the_newest();
    g7_several_threads_get_each_event_once();
    an_event_is_valid_until_its_thread_takes_another();
    return 0;
}
