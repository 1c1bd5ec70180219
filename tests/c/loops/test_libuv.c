/*
 * The descriptor in libuv's loop: events without a callback, and the HOST runtime driven by it,
 * with requests from its signals.
 */

#define _GNU_SOURCE
#include "../host.h"
#include "../support.h"

#include <signal.h>
#include <uv.h>

enum { LAST_GENERATION = 4 };

static const char *chain, *key;

struct host {
    uv_loop_t loop;
    uv_poll_t readable;
    uv_signal_t hangup;
    uv_timer_t timer;
    certreload_handle *handle;
    bool dispatches;
    int wakes;
    uint64_t newest;
    certreload_trigger trigger;
};

static void on_timer(uv_timer_t *timer) {
    uv_stop(timer->loop);
}

static void run_for(struct host *host, uint64_t milliseconds) {
    CHECK_INT(uv_timer_start(&host->timer, on_timer, milliseconds, 0), 0);
    uv_run(&host->loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_timer_stop(&host->timer), 0);
}

/* Each event brings about the next renewal, until there were enough. */
static void on_readable(uv_poll_t *readable, int status, int what) {
    struct host *host = readable->data;
    const certreload_event *event;
    CHECK_INT(status, 0);
    CHECK_INT(what, UV_READABLE);
    host->wakes++;
    if (host->dispatches)
        CHECK_OK(certreload_dispatch(host->handle));
    while (certreload_next_event(host->handle, &event) == CERTRELOAD_RESULT_OK) {
        CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOADED);
        CHECK_INT(event->generation, host->newest + 1);
        CHECK(host->newest == 0 || event->trigger == host->trigger);
        host->newest = event->generation;
        if (host->newest == LAST_GENERATION) {
            uv_stop(&host->loop);
            return;
        }
        renew_pair(chain, key, "one.test");
        if (host->trigger == CERTRELOAD_TRIGGER_REQUEST)
            CHECK_INT(raise(SIGHUP), 0);
    }
}

static void on_hangup(uv_signal_t *hangup, int number) {
    struct host *host = hangup->data;
    CHECK_INT(number, SIGHUP);
    CHECK_OK(certreload_reload(host->handle));
}

static void run(struct host *host, certreload_options *options) {
    host->handle = open_and_free(options);
    host->readable.data = host->hangup.data = host;
    CHECK_INT(uv_loop_init(&host->loop), 0);
    CHECK_INT(uv_timer_init(&host->loop, &host->timer), 0);
    CHECK_INT(uv_signal_init(&host->loop, &host->hangup), 0);
    CHECK_INT(uv_signal_start(&host->hangup, on_hangup, SIGHUP), 0);
    CHECK_INT(uv_poll_init(&host->loop, &host->readable, certreload_event_fd(host->handle)), 0);
    CHECK_INT(uv_poll_start(&host->readable, UV_READABLE, on_readable), 0);
    run_for(host, PATIENCE_SECONDS * 1000);
    CHECK_INT(host->newest, LAST_GENERATION);
    CHECK_STR(serving_fingerprint(host->handle), fingerprint_of(chain));

    /* Then it sleeps. */
    run_for(host, 200);
    host->wakes = 0;
    run_for(host, 300);
    CHECK_INT(host->wakes, 0);
    uv_close((uv_handle_t *)&host->readable, NULL);
    uv_close((uv_handle_t *)&host->hangup, NULL);
    uv_close((uv_handle_t *)&host->timer, NULL);
    certreload_close(host->handle);
    CHECK_INT(uv_run(&host->loop, UV_RUN_DEFAULT), 0);
    CHECK_INT(uv_loop_close(&host->loop), 0);
}

int main(void) {
    chain = scratch("one.chain"), key = scratch("one.key");
    make_pair(chain, key, "one.test");

    test_begin("libuv_takes_events");
    certreload_options *options = certreload_options_new();
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    struct host taking = {.trigger = CERTRELOAD_TRIGGER_WATCH};
    run(&taking, options);

    test_begin("libuv_drives_the_host_runtime");
    struct host driving = {.dispatches = true, .trigger = CERTRELOAD_TRIGGER_WATCH};
    run(&driving, host_options(chain, key));

    test_begin("a_signal_of_libuv_reloads");
    options = host_options(chain, key);
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF));
    struct host asking = {.dispatches = true, .trigger = CERTRELOAD_TRIGGER_REQUEST};
    run(&asking, options);
    CHECK_INT(thread_count(), 1);
    return 0;
}
