/*
 * The event callback in the HOST runtime: called by certreload_dispatch(), on its thread and
 * nowhere else; from inside it every call works, and none waits for itself.
 */

#define _GNU_SOURCE
#include "host.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { HANDLES = 20 };

static const char *chain, *key, *other_chain, *other_key;

struct host {
    certreload_handle *handle;
    /* What the callback does besides, and when. */
    void (*act)(struct host *self, const certreload_event *event);
    pthread_t dispatcher;
    bool is_dispatching, is_inside;
    uint64_t calls, newest;
};

static void on_event(void *userdata, const certreload_event *event) {
    struct host *self = userdata;
    CHECK(self->is_dispatching && pthread_equal(pthread_self(), self->dispatcher));
    CHECK(!self->is_inside);
    CHECK(event->generation >= self->newest);
    self->is_inside = true;
    self->newest = event->generation;
    self->calls++;
    if (self->act != NULL)
        self->act(self, event);
    self->is_inside = false;
}

static void open_host(struct host *self, certreload_options *options) {
    CHECK_OK(certreload_options_set_event_callback(options, on_event, self, NULL));
    self->handle = open_and_free(options);
    self->dispatcher = pthread_self();
}

static void dispatch(struct host *self) {
    self->is_dispatching = true;
    CHECK_OK(certreload_dispatch(self->handle));
    self->is_dispatching = false;
}

static void dispatch_readable(struct host *self) {
    while (is_readable(certreload_event_fd(self->handle)))
        dispatch(self);
}

static void dispatch_until(struct host *self, uint64_t calls) {
    while (self->calls < calls) {
        wait_readable(certreload_event_fd(self->handle));
        dispatch(self);
    }
}

static certreload_options *unwatched_host(void) {
    certreload_options *options = host_options(chain, key);
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF));
    return options;
}

static void g7_events_are_delivered_by_dispatch_alone(void) {
    test_begin(__func__);
    struct host host = {0};
    open_host(&host, unwatched_host());
    int descriptor = certreload_event_fd(host.handle);
    CHECK_INT(host.calls, 0);
    dispatch(&host);
    CHECK_INT(host.calls, 1);
    dispatch_readable(&host);
    /* The work is done here, and what there is to tell waits for a dispatch. */
    for (uint64_t generation = 2; generation <= 4; generation++) {
        renew_pair(chain, key, "one.test");
        CHECK_OK(certreload_reload_wait(host.handle, CERTRELOAD_WAIT_FOREVER));
        CHECK_INT(serving_generation(host.handle), generation);
        CHECK_INT(host.calls, 1);
        CHECK(is_readable(descriptor));
    }
    const certreload_event *none = NULL;
    CHECK_RESULT(certreload_next_event(host.handle, &none), NO_EVENT);
    dispatch_readable(&host);
    CHECK_INT(host.calls, 4);
    CHECK_INT(host.newest, 4);

    /* Without it they are the host's to take again. */
    CHECK_OK(certreload_set_event_callback(host.handle, NULL, NULL, NULL));
    CHECK_OK(push_files(host.handle, 0, other_chain, other_key));
    dispatch(&host);
    CHECK(is_readable(descriptor));
    CHECK_INT(take_event(host.handle)->generation, 5);
    CHECK(!is_readable(descriptor));
    CHECK_INT(host.calls, 4);
    certreload_close(host.handle);
}

static void work_inside(struct host *self, const certreload_event *event) {
    if (event->generation > 3)
        return;
    int descriptor = certreload_event_fd(self->handle);
    /* Each brings about an event, which is not told in here. */
    if (event->generation == 1) {
        renew_pair(chain, key, "one.test");
        CHECK_OK(certreload_reload_wait(self->handle, CERTRELOAD_WAIT_FOREVER));
    } else if (event->generation == 2) {
        CHECK_OK(push_files(self->handle, 0, other_chain, other_key));
        CHECK_RESULT(push_files(self->handle, 0, other_chain, other_key), UNCHANGED);
    } else {
        CHECK_OK(push_files(self->handle, 0, chain, key));
        CHECK_OK(certreload_reload(self->handle));
        CHECK(is_readable(descriptor));
    }
    CHECK_INT(serving_generation(self->handle), event->generation + 1);
    uint64_t calls = self->calls;
    /* A loop inside the callback comes to an end: what it cannot take is no reason to wake it. */
    CHECK(dispatch_all(self->handle) > 0 || event->generation == 1);
    CHECK_INT(self->calls, calls);
    CHECK(!is_readable(descriptor));
}

static void g7_reload_wait_push_and_dispatch_work_inside_the_callback(void) {
    test_begin(__func__);
    make_pair(chain, key, "one.test");
    struct host host = {.act = work_inside};
    open_host(&host, unwatched_host());
    dispatch_until(&host, 4);
    dispatch_readable(&host);
    CHECK_INT(host.calls, 4);
    certreload_close(host.handle);
}

static void unregister_inside(struct host *self, const certreload_event *event) {
    if (event->generation == 2)
        CHECK_OK(certreload_set_event_callback(self->handle, NULL, NULL, NULL));
}

static void g7_no_event_comes_after_a_callback_unset_itself(void) {
    test_begin(__func__);
    make_pair(chain, key, "one.test");
    struct host host = {.act = unregister_inside};
    open_host(&host, unwatched_host());
    CHECK_OK(push_files(host.handle, 0, other_chain, other_key));
    CHECK_OK(push_files(host.handle, 0, chain, key));
    dispatch_readable(&host);
    CHECK_INT(host.calls, 2);
    CHECK_INT(host.newest, 2);
    certreload_close(host.handle);
}

static void close_inside(struct host *self, const certreload_event *event) {
    if (event->generation == 2)
        certreload_close(self->handle);
}

static void g7_close_inside_the_callback_ends_it_all(void) {
    test_begin(__func__);
    struct host host = {.act = close_inside};
    open_host(&host, unwatched_host());
    int descriptor = certreload_event_fd(host.handle);
    CHECK_OK(push_files(host.handle, 0, other_chain, other_key));
    CHECK_OK(push_files(host.handle, 0, chain, key));
    dispatch(&host);
    CHECK_INT(host.calls, 2);
    errno = 0;
    CHECK(fcntl(descriptor, F_GETFD) == -1 && errno == EBADF);
}

static void many_handles_share_one_notifier_and_each_gets_its_own(void) {
    test_begin(__func__);
    certreload_handle *handles[HANDLES];
    const char *chains[HANDLES], *keys[HANDLES];
    uint64_t looks[HANDLES];
    size_t alone = 0;
    for (int i = 0; i < HANDLES; i++) {
        shell("mkdir many%d && cp one.chain one.key many%d", i, i);
        chains[i] = scratch("many%d/one.chain", i), keys[i] = scratch("many%d/one.key", i);
        handles[i] = open_and_free(host_options(chains[i], keys[i]));
        dispatch_all(handles[i]);
        looks[i] = status_of(handles[i]).unchanged;
        if (i == 0)
            alone = inotify_descriptor_count();
    }
    CHECK(alone > 0);
    CHECK_INT(inotify_descriptor_count(), alone);
    for (int changed = 0; changed < HANDLES; changed += HANDLES / 4) {
        renew_pair(chains[changed], keys[changed], "one.test");
        /* Whoever is woken first hears of it for all. */
        wait_readable(certreload_event_fd(handles[(changed + 1) % HANDLES]));
        dispatch_all(handles[(changed + 1) % HANDLES]);
        dispatch_until_generation(handles[changed], 2);
        for (int i = 0; i < HANDLES; i++) {
            CHECK(dispatch_all(handles[i]) < 10);
            bool is_renewed = i % (HANDLES / 4) == 0 && i <= changed;
            CHECK_INT(serving_generation(handles[i]), is_renewed ? 2 : 1);
            /* Whose files nobody touched has not looked at them. */
            CHECK(is_renewed || status_of(handles[i]).unchanged == looks[i]);
        }
    }
    for (int i = 0; i < HANDLES; i++)
        certreload_close(handles[i]);
    CHECK_INT(inotify_descriptor_count(), 0);
}

int main(void) {
    chain = scratch("one.chain"), key = scratch("one.key");
    other_chain = scratch("other.chain"), other_key = scratch("other.key");
    make_pair(chain, key, "one.test");
    make_pair(other_chain, other_key, "other.test");
    g7_events_are_delivered_by_dispatch_alone();
    g7_reload_wait_push_and_dispatch_work_inside_the_callback();
    g7_no_event_comes_after_a_callback_unset_itself();
    g7_close_inside_the_callback_ends_it_all();
    many_handles_share_one_notifier_and_each_gets_its_own();
    CHECK_INT(thread_count(), 1);
    return 0;
}
