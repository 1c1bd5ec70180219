/*
 * An HTTPS server in a libevent loop, in a process with one thread. Its certificates are renewed
 * while it runs.
 *
 *     libevent_server --cert fullchain.pem --key privkey.pem
 *     curl -k https://127.0.0.1:8443/
 *
 * certreload starts no thread here. Its descriptor is one more in the loop, and becomes readable
 * when files have changed. The lines that matter are marked "certreload:"; there are four places.
 * The handling of clients is that of epoll_server.c.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#define _GNU_SOURCE

#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <signal.h>

#include "certreload.h"
#include "nonblocking_tls.h"

enum { MAX_CONNECTIONS = 10000 };

struct connection {
    struct session session; /* first: a pointer to it is one to the connection */
    struct event ready;
    const certreload_generation *generation; /* until the handshake is complete */
    uint64_t generation_number;
    char certificate[65];
    uint64_t requests;
    struct connection *previous, *next;
};

static certreload_handle *certificates;
static struct event_base *loop;
static struct evconnlistener *listener;
static size_t connection_count;
static struct connection *connections;
static bool quiet;

/*
 * certreload: 1. Open the certificates once, at start. CERTRELOAD_RUNTIME_HOST leaves the work to
 * this loop. A broken file is reported here, with path and reason.
 */
static certreload_result open_certificates(const struct arguments *arguments) {
    certreload_options *options = certreload_options_new();

    certreload_options_set_runtime(options, CERTRELOAD_RUNTIME_HOST);
    for (size_t i = 0; i < arguments->identities; i++) {
        certreload_options_add_identity(options, arguments->certs[i], arguments->keys[i], NULL);
    }
    if (arguments->poll_ms != 0) {
        certreload_options_set_poll_interval_ms(options, arguments->poll_ms);
    }
    /* Also returns the failure of any call above: options fail closed. */
    const certreload_result result = certreload_open(options, &certificates);
    certreload_options_free(options);
    return result;
}

/*
 * certreload: 2. When the descriptor is readable, run the work and take the events. The work blocks
 * the loop: milliseconds for each certificate that changed.
 */
static void on_certificates(evutil_socket_t descriptor, short what, void *userdata) {
    (void)descriptor, (void)what, (void)userdata;
    const certreload_event *event;

    certreload_dispatch(certificates);
    while (certreload_next_event(certificates, &event) == CERTRELOAD_RESULT_OK) {
        if (!quiet) {
            printf("event %s generation %" PRIu64 ": %s\n", certreload_event_kind_str(event->kind),
                   event->generation, event->message);
        }
    }
}

/*
 * certreload: 3. Reload on SIGHUP. Renewed files are found without it, too.
 */
static void on_signal(evutil_socket_t number, short what, void *userdata) {
    (void)what, (void)userdata;
    if (number == SIGHUP) {
        certreload_reload(certificates);
    } else {
        event_base_loopbreak(loop);
    }
}

/*
 * certreload: 4. Make a TLS connection for each client with the certificate that is current now.
 *
 * certreload_server_connection_new(certificates, &tls) is enough for most servers. This one also
 * reports the generation and the certificate of each client.
 */
static bool make_tls(struct connection *c) {
    c->generation = certreload_generation_acquire(certificates);
    c->generation_number = certreload_generation_number(c->generation);
    return rustls_server_connection_new(certreload_generation_borrow_server_config(c->generation),
                                        &c->session.tls) == RUSTLS_RESULT_OK;
}

/* Notes which certificate the client got: the handshake has received its server name. Then releases
 * the generation, because a generation keeps its keys in memory for as long as it is held. */
static void note_certificate(struct session *session) {
    struct connection *c = (struct connection *)session;
    const rustls_str sni = rustls_server_connection_get_server_name(session->tls);
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)sni.len, sni.len == 0 ? "" : sni.data);
    const certreload_identity *identity = certreload_generation_select(c->generation, name);
    snprintf(c->certificate, sizeof c->certificate, "%s", certreload_identity_sha256(identity));
    certreload_generation_release(c->generation);
    c->generation = NULL;
}

/* Shows which generation serves this connection: an old one keeps its own after a renewal. */
static void write_body(struct session *session, const struct request *request, char *body,
                       size_t room) {
    struct connection *c = (struct connection *)session;
    certreload_status status = {0};

    c->requests++;
    if (request->wants_status) {
        certreload_get_status(certificates, &status, sizeof status);
        status_text(&status, body, room);
    } else {
        snprintf(body, room, "generation %" PRIu64 "\ncertificate %s\nrequest %" PRIu64 "\n",
                 c->generation_number, c->certificate, c->requests);
    }
}

static const struct callbacks callbacks = {note_certificate, write_body};

static void drop(struct connection *c) {
    *(c->previous != NULL ? &c->previous->next : &connections) = c->next;
    if (c->next != NULL) {
        c->next->previous = c->previous;
    }
    if (connection_count-- == MAX_CONNECTIONS) {
        evconnlistener_enable(listener);
    }
    event_del(&c->ready);
    close(c->session.socket);
    rustls_connection_free(c->session.tls);
    certreload_generation_release(c->generation);
    free(c);
}

static void on_ready(evutil_socket_t socket, short what, void *userdata);

/* Calls on_ready() when the socket is ready or the deadline has passed. */
static void watch(struct connection *c, short interest) {
    const int64_t left = c->session.deadline - now() + 1;
    const struct timeval timeout = {left > 0 ? left : 0, 0};
    event_assign(&c->ready, loop, c->session.socket, interest, on_ready, c);
    event_add(&c->ready, &timeout);
}

static void on_ready(evutil_socket_t socket, short what, void *userdata) {
    struct connection *c = userdata;
    const enum wait wait = (what & EV_TIMEOUT) != 0 ? FINISHED : advance(&c->session, &callbacks);

    (void)socket;
    if (wait == FINISHED) {
        drop(c);
    } else {
        watch(c, wait == WAIT_READ ? EV_READ : EV_WRITE);
    }
}

/* Accepts a client. The listener pauses at MAX_CONNECTIONS. */
static void on_client(struct evconnlistener *from, evutil_socket_t socket, struct sockaddr *address,
                      int size, void *userdata) {
    (void)from, (void)address, (void)size, (void)userdata;
    struct connection *c = calloc(1, sizeof *c);

    if (c == NULL) {
        close(socket);
        return;
    }
    c->session.socket = (int)socket;
    c->session.deadline = now() + REQUEST_SECONDS;
    c->next = connections;
    if (connections != NULL) {
        connections->previous = c;
    }
    connections = c;
    if (++connection_count == MAX_CONNECTIONS) {
        evconnlistener_disable(listener);
    }
    no_delay(c->session.socket);
    watch(c, EV_READ);
    if (!make_tls(c)) {
        drop(c);
    }
}

static void listen_again(evutil_socket_t none, short what, void *userdata) {
    (void)none, (void)what, (void)userdata;
    evconnlistener_enable(listener);
}

/* Most likely the process has no descriptor left. Accepting again at once would spin. */
static void on_accept_error(struct evconnlistener *from, void *userdata) {
    (void)userdata;
    const struct timeval second = {1, 0};
    evconnlistener_disable(from);
    event_base_once(loop, -1, EV_TIMEOUT, listen_again, NULL, &second);
}

int main(int argc, char **argv) {
    const struct arguments arguments = parse_arguments(argc, argv);
    const int signals[] = {SIGHUP, SIGTERM, SIGINT};
    struct event *on_signals[3];

    quiet = arguments.quiet;
    setvbuf(stdout, NULL, _IOLBF, 0); /* each event is visible at once, as a whole line */
    signal(SIGPIPE, SIG_IGN);
    loop = event_base_new();
    for (size_t i = 0; i < 3; i++) {
        on_signals[i] = evsignal_new(loop, signals[i], on_signal, NULL);
        event_add(on_signals[i], NULL);
    }
    if (open_certificates(&arguments) != CERTRELOAD_RESULT_OK) {
        fprintf(stderr, "%s\n", certreload_last_error());
        return 1;
    }
    struct event *wakes = event_new(loop, certreload_event_fd(certificates), EV_READ | EV_PERSIST,
                                    on_certificates, NULL);
    event_add(wakes, NULL);

    const int socket = listen_on(arguments.host, arguments.port);
    listener = evconnlistener_new(loop, on_client, NULL,
                                  LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE, 0, socket);
    evconnlistener_set_error_cb(listener, on_accept_error);
    announce(socket, arguments.host);
    event_base_dispatch(loop);

    while (connections != NULL) { /* one attempt to send close_notify; no wait for clients */
        rustls_connection_send_close_notify(connections->session.tls);
        send_some(&connections->session);
        drop(connections);
    }
    evconnlistener_free(listener);
    event_free(wakes); /* before the close, which also closes the descriptor */
    certreload_close(certificates);
    for (size_t i = 0; i < 3; i++) {
        event_free(on_signals[i]);
    }
    event_base_free(loop);
    return 0;
}
