/*
 * certreload_event_fd() and certreload_next_event(), for hosts that want no callback on a foreign
 * thread: the descriptor is readable exactly while events wait, whoever waits for it in which way.
 */

#define _GNU_SOURCE
#include "host.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

static const char *chain, *key;

/* Only requests find changes, and each is answered when its events are there. */
static certreload_handle *open_unwatched(void) {
    return open_and_free(unwatched_options(chain, key, 0));
}

static void renew_and_wait(certreload_handle *handle) {
    renew_pair(chain, key, "one.test");
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
}

static void expect_reloaded(certreload_handle *handle, uint64_t generation) {
    const certreload_event *event = take_event(handle);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(event->generation, generation);
    CHECK_INT(event->count, 1);
}

static void expect_none(certreload_handle *handle) {
    const certreload_event *event = NULL;
    CHECK_RESULT(certreload_next_event(handle, &event), NO_EVENT);
    CHECK(event == NULL);
}

static void g7_readable_exactly_while_events_wait(void) {
    test_begin(__func__);
    certreload_handle *handle = open_unwatched();
    int descriptor = certreload_event_fd(handle);
    CHECK(descriptor >= 0);
    CHECK((fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
    /* What was told before anybody asked. */
    CHECK(is_readable(descriptor) && is_readable(descriptor));
    const certreload_event *first = take_event(handle);
    CHECK_INT(first->trigger, CERTRELOAD_TRIGGER_OPEN);
    CHECK_INT(first->generation, 1);
    CHECK(!is_readable(descriptor));
    expect_none(handle);

    for (int i = 0; i < 3; i++)
        renew_and_wait(handle);
    for (uint64_t generation = 2; generation <= 4; generation++) {
        CHECK(is_readable(descriptor));
        expect_reloaded(handle, generation);
    }
    CHECK(!is_readable(descriptor));
    expect_none(handle);
    CHECK_INT(certreload_event_fd(handle), descriptor);
    CHECK_RESULT(certreload_dispatch(handle), INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_last_error(), "CERTRELOAD_RUNTIME_HOST");

    certreload_close(handle);
    errno = 0;
    CHECK(fcntl(descriptor, F_GETFD) == -1 && errno == EBADF);
}

static void the_newest_of_each_kind_is_kept_for_who_asks_late(void) {
    test_begin(__func__);
    certreload_handle *handle = open_unwatched();
    renew_and_wait(handle);
    shell("echo broken >'%s'", key);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), NO_PRIVATE_KEY);
    renew_and_wait(handle);
    const certreload_event *event = take_event(handle);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOAD_FAILED);
    CHECK_INT(event->count, 1);
    event = take_event(handle);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
    CHECK_INT(event->generation, 3);
    CHECK_INT(event->count, 3);
    /* Asked once, it is asked for good: nothing is merged any more. */
    renew_and_wait(handle);
    renew_and_wait(handle);
    expect_reloaded(handle, 4);
    expect_reloaded(handle, 5);
    expect_none(handle);
    certreload_close(handle);
}

static void select_poll_and_epoll_see_the_same(void) {
    test_begin(__func__);
    certreload_handle *handle = open_unwatched();
    int descriptor = certreload_event_fd(handle);
    int level = epoll_create1(EPOLL_CLOEXEC), edge = epoll_create1(EPOLL_CLOEXEC);
    CHECK(level >= 0 && edge >= 0);
    struct epoll_event on_level = {.events = EPOLLIN}, on_edge = {.events = EPOLLIN | EPOLLET};
    CHECK_INT(epoll_ctl(level, EPOLL_CTL_ADD, descriptor, &on_level), 0);
    CHECK_INT(epoll_ctl(edge, EPOLL_CTL_ADD, descriptor, &on_edge), 0);
    for (uint64_t generation = 1; generation <= 3; generation++) {
        if (generation > 1)
            renew_and_wait(handle);
        struct epoll_event ready;
        /* Level-triggered: as often as anybody looks. */
        for (int look = 0; look < 2; look++) {
            CHECK_INT(epoll_wait(level, &ready, 1, 0), 1);
            CHECK(ready.events == EPOLLIN);
            fd_set set;
            FD_ZERO(&set);
            FD_SET(descriptor, &set);
            struct timeval at_once = {0, 0};
            CHECK_INT(select(descriptor + 1, &set, NULL, NULL, &at_once), 1);
            CHECK(is_readable(descriptor));
        }
        /* Edge-triggered: once; who takes until NO_EVENT is told again. */
        CHECK_INT(epoll_wait(edge, &ready, 1, 0), 1);
        CHECK_INT(epoll_wait(edge, &ready, 1, 0), 0);
        expect_reloaded(handle, generation);
        expect_none(handle);
        CHECK_INT(epoll_wait(level, &ready, 1, 0), 0);
        CHECK_INT(epoll_wait(edge, &ready, 1, 0), 0);
    }
    CHECK_INT(epoll_ctl(level, EPOLL_CTL_DEL, descriptor, NULL), 0);
    CHECK_INT(epoll_ctl(edge, EPOLL_CTL_DEL, descriptor, NULL), 0);
    certreload_close(handle);
    close(level);
    close(edge);
}

static void a_thread_that_sleeps_is_woken(void) {
    test_begin(__func__);
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    certreload_handle *handle = open_and_free(options);
    int descriptor = certreload_event_fd(handle);
    expect_reloaded(handle, 1);
    for (uint64_t generation = 2; generation <= 4; generation++) {
        renew_pair(chain, key, "one.test");
        wait_readable(descriptor);
        expect_reloaded(handle, generation);
    }
    certreload_close(handle);
}

static void g7_a_callback_gets_the_events_of_the_time_it_is_set(void) {
    test_begin(__func__);
    static recorder events = RECORDER_INITIALIZER;
    certreload_handle *handle = open_unwatched();
    int descriptor = certreload_event_fd(handle);
    renew_and_wait(handle);
    CHECK(is_readable(descriptor));
    /* What waits for the host goes to its callback. */
    CHECK_OK(certreload_set_event_callback(handle, recorder_callback, &events, NULL));
    CHECK(!is_readable(descriptor));
    CHECK_INT(recorder_next(&events)->generation, 1);
    CHECK_INT(recorder_next(&events)->generation, 2);
    renew_and_wait(handle);
    CHECK(!is_readable(descriptor));
    expect_none(handle);
    CHECK_INT(recorder_next(&events)->generation, 3);
    CHECK_INT(certreload_event_fd(handle), descriptor);

    /* Without it they wait again, each by itself: the host has asked before. */
    CHECK_OK(certreload_set_event_callback(handle, NULL, NULL, NULL));
    CHECK(!is_readable(descriptor));
    for (int i = 0; i < 3; i++)
        renew_and_wait(handle);
    CHECK(is_readable(descriptor));
    for (uint64_t generation = 4; generation <= 6; generation++)
        expect_reloaded(handle, generation);
    CHECK(!is_readable(descriptor));
    CHECK_INT(events.count, 3);
    certreload_close(handle);
}

int main(void) {
    chain = scratch("one.chain"), key = scratch("one.key");
    make_pair(chain, key, "one.test");
    g7_readable_exactly_while_events_wait();
    the_newest_of_each_kind_is_kept_for_who_asks_late();
    select_poll_and_epoll_see_the_same();
    a_thread_that_sleeps_is_woken();
    g7_a_callback_gets_the_events_of_the_time_it_is_set();
    return 0;
}
