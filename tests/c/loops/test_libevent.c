/*
 * The descriptor in libevent's loop, by every way to wait that libevent has: events without a
 * callback, and the HOST runtime driven by it, with requests from its signals.
 */

#define _GNU_SOURCE
#include "../host.h"
#include "../support.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { LAST_GENERATION = 4 };

static const char *chain, *key;

struct host {
    struct event_base *loop;
    certreload_handle *handle;
    bool dispatches;
    int wakes;
    uint64_t newest;
    certreload_trigger trigger;
};

/* Each event brings about the next renewal, until there were enough. */
static void on_readable(evutil_socket_t descriptor, short what, void *userdata) {
    struct host *host = userdata;
    const certreload_event *event;
    (void)descriptor;
    CHECK_INT(what, EV_READ);
    host->wakes++;
    if (host->dispatches)
        CHECK_OK(certreload_dispatch(host->handle));
    while (certreload_next_event(host->handle, &event) == CERTRELOAD_RESULT_OK) {
        CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
        CHECK_INT(event->generation, host->newest + 1);
        CHECK(host->newest == 0 || event->trigger == host->trigger);
        host->newest = event->generation;
        if (host->newest == LAST_GENERATION) {
            event_base_loopbreak(host->loop);
            return;
        }
        renew_pair(chain, key, "one.test");
        if (host->trigger == CERTRELOAD_TRIGGER_REQUEST)
            CHECK_INT(raise(SIGHUP), 0);
    }
}

static void on_hangup(evutil_socket_t number, short what, void *userdata) {
    (void)number, (void)what;
    CHECK_OK(certreload_reload(((struct host *)userdata)->handle));
}

static void run_for(struct event_base *loop, int milliseconds) {
    struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000};
    CHECK_INT(event_base_loopexit(loop, &time), 0);
    CHECK(event_base_dispatch(loop) >= 0);
}

static void run(struct host *host, certreload_options *options, const char *only) {
    struct event_config *config = event_config_new();
    const char **methods = event_get_supported_methods();
    for (; *methods != NULL; methods++)
        if (strcmp(*methods, only) != 0)
            CHECK_INT(event_config_avoid_method(config, *methods), 0);
    host->loop = event_base_new_with_config(config);
    CHECK(host->loop != NULL);
    CHECK_STR(event_base_get_method(host->loop), only);
    event_config_free(config);

    host->handle = open_and_free(options);
    struct event *readable = event_new(host->loop, certreload_event_fd(host->handle),
                                       EV_READ | EV_PERSIST, on_readable, host);
    struct event *hangup = evsignal_new(host->loop, SIGHUP, on_hangup, host);
    CHECK(event_add(readable, NULL) == 0 && event_add(hangup, NULL) == 0);
    run_for(host->loop, PATIENCE_SECONDS * 1000);
    CHECK_INT(host->newest, LAST_GENERATION);
    CHECK_STR(serving_fingerprint(host->handle), fingerprint_of(chain));

    /* Then it sleeps. */
    run_for(host->loop, 50);
    host->wakes = 0;
    run_for(host->loop, 150);
    CHECK_INT(host->wakes, 0);
    event_free(readable);
    event_free(hangup);
    certreload_close(host->handle);
    event_base_free(host->loop);
}

static void each_way_to_wait(const char *method) {
    printf("  %s\n", method);
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    struct host taking = {.trigger = CERTRELOAD_TRIGGER_WATCH};
    run(&taking, options, method);

    struct host driving = {.dispatches = true, .trigger = CERTRELOAD_TRIGGER_WATCH};
    run(&driving, host_options(chain, key), method);

    options = host_options(chain, key);
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF));
    struct host asking = {.dispatches = true, .trigger = CERTRELOAD_TRIGGER_REQUEST};
    run(&asking, options, method);
}

int main(void) {
    chain = scratch("one.chain"), key = scratch("one.key");
    make_pair(chain, key, "one.test");
    test_begin("libevent_takes_events_and_drives_the_host_runtime");
    each_way_to_wait("epoll");
    each_way_to_wait("poll");
    each_way_to_wait("select");
    CHECK_INT(thread_count(), 1);
    libevent_global_shutdown();
    return 0;
}
