/*
 * An HTTPS server with one thread, one epoll loop and many connections. Its certificates are
 * renewed while it runs.
 *
 *     epoll_server --cert fullchain.pem --key privkey.pem
 *     curl -k https://127.0.0.1:8443/
 *
 * certreload reads and checks files on its own thread: no call in this loop waits for a file or a
 * lock. The lines that matter are marked "certreload:"; there are four places.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#define _GNU_SOURCE

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "certreload.h"
#include "nonblocking_tls.h"

enum { MAX_CONNECTIONS = 10000, EVENTS_AT_ONCE = 64 };

struct connection {
    struct session session;                  /* first: a pointer to it is one to the connection */
    uint32_t interest;                       /* EPOLL* bits */
    const certreload_generation *generation; /* until the handshake is complete */
    uint64_t generation_number;
    char certificate[65];
    uint64_t requests;
    struct connection *previous, *next;
};

static certreload_handle *certificates;
static int epoll;
static int listener;
static size_t connection_count;
/* Every connection, ordered by deadline: all have the same limit, so a new deadline is the last. */
static struct connection *first, *last;

/*
 * certreload: 1. Print events, so that operators see each renewal and each failure with its reason.
 * The library calls this on its own thread, so it must not use the loop's data.
 */
static void on_event(void *userdata, const certreload_event *event) {
    (void)userdata;
    printf("event %s generation %" PRIu64 ": %s\n", certreload_event_kind_str(event->kind),
           event->generation, event->message);
}

/*
 * certreload: 2. Open the certificates once, at start. A broken file is reported here, with path
 * and reason, instead of at the first client.
 */
static certreload_result open_certificates(const struct arguments *arguments) {
    certreload_options *options = certreload_options_new();

    for (size_t i = 0; i < arguments->identities; i++) {
        certreload_options_add_identity(options, arguments->certs[i], arguments->keys[i], NULL);
    }
    if (arguments->poll_ms != 0) {
        certreload_options_set_poll_interval_ms(options, arguments->poll_ms);
    }
    if (!arguments->quiet) {
        certreload_options_set_event_callback(options, on_event, NULL, NULL);
    }
    /* Also returns the failure of any call above: options fail closed. */
    const certreload_result result = certreload_open(options, &certificates);
    certreload_options_free(options);
    return result;
}

/*
 * certreload: 3. Make a TLS connection for each client with the certificate that is current now.
 *
 * Most servers only replace rustls_server_connection_new(config, &tls) by
 * certreload_server_connection_new(certificates, &tls). This one also reports the generation and
 * the certificate of each client. So it keeps the generation until the handshake has received the
 * server name. The connection itself keeps its config for as long as it lasts.
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

/* Sets the events that epoll reports for a connection. */
static void watch(struct connection *c, uint32_t interest) {
    if (interest != c->interest) {
        struct epoll_event event = {.events = interest, .data.ptr = c};
        epoll_ctl(epoll, c->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->session.socket,
                  &event);
        c->interest = interest;
    }
}

/* Stops and restarts accepting clients. */
static void watch_listener(bool on) {
    struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.ptr = &listener};
    epoll_ctl(epoll, EPOLL_CTL_MOD, listener, &event);
}

static void unlink_connection(struct connection *c) {
    *(c->previous != NULL ? &c->previous->next : &first) = c->next;
    *(c->next != NULL ? &c->next->previous : &last) = c->previous;
}

/* Adds a connection with a new deadline to the end of the list. */
static void append(struct connection *c) {
    c->previous = last;
    c->next = NULL;
    *(last != NULL ? &last->next : &first) = c;
    last = c;
}

static void drop(struct connection *c) {
    unlink_connection(c);
    connection_count--;
    close(c->session.socket); /* also removes it from epoll */
    rustls_connection_free(c->session.tls);
    certreload_generation_release(c->generation);
    free(c);
}

/* Advances a connection that epoll reported. */
static void on_ready(struct connection *c) {
    const int64_t deadline = c->session.deadline;

    switch (advance(&c->session, &callbacks)) {
    case WAIT_READ:
        watch(c, EPOLLIN);
        break;
    case WAIT_WRITE:
        watch(c, EPOLLOUT);
        break;
    case FINISHED:
        drop(c);
        return;
    }
    if (c->session.deadline != deadline) {
        unlink_connection(c);
        append(c);
    }
}

/* Accepts all waiting clients. Returns false if no more can be accepted for now. */
static bool accept_clients(void) {
    for (;;) {
        if (connection_count == MAX_CONNECTIONS) {
            return false;
        }
        const int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket < 0) {
            return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
        }
        struct connection *c = calloc(1, sizeof *c);
        if (c == NULL) {
            close(socket);
            return false;
        }
        c->session.socket = socket;
        c->session.deadline = now() + REQUEST_SECONDS;
        connection_count++;
        append(c);
        no_delay(socket);
        if (make_tls(c)) {
            watch(c, EPOLLIN);
        } else {
            drop(c);
        }
    }
}

/* The time until the first deadline; -1 without connections, so that an idle server sleeps. */
static int milliseconds_to_wait(bool listening) {
    int64_t seconds = first == NULL ? -1 : first->session.deadline - now() + 1;
    if (!listening && (seconds < 0 || seconds > 1)) {
        seconds = 1;
    }
    return seconds < 0 ? -1 : (int)seconds * 1000;
}

/*
 * certreload: 4. Reload on SIGHUP. This loop receives signals through a descriptor. A signal
 * handler may call certreload_reload() as well: it is async-signal-safe (see https_server.c).
 */
static bool stop_signal(int signals) {
    struct signalfd_siginfo info;

    while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGHUP) {
            return true;
        }
        certreload_reload(certificates);
    }
    return false;
}

/* The loop. certreload needs no place in it: its thread publishes new certificates. */
static void run(int signals) {
    struct epoll_event events[EVENTS_AT_ONCE];
    bool listening = true;

    for (;;) {
        const int count =
            epoll_wait(epoll, events, EVENTS_AT_ONCE, milliseconds_to_wait(listening));
        if (!listening) {
            watch_listener(listening = true);
        }
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL) {
                if (stop_signal(signals)) {
                    return;
                }
            } else if (events[i].data.ptr == &listener) {
                if (!accept_clients()) {
                    watch_listener(listening =
                                       false); /* otherwise epoll_wait() would return at once */
                }
            } else {
                on_ready(events[i].data.ptr);
            }
        }
        while (first != NULL && first->session.deadline < now()) {
            drop(first); /* the request took too long */
        }
    }
}

int main(int argc, char **argv) {
    const struct arguments arguments = parse_arguments(argc, argv);
    sigset_t handled;

    setvbuf(stdout, NULL, _IOLBF, 0); /* each event is visible at once, as a whole line */
    sigemptyset(&handled);
    sigaddset(&handled, SIGHUP);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGINT);
    sigprocmask(SIG_BLOCK, &handled, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (open_certificates(&arguments) != CERTRELOAD_RESULT_OK) {
        fprintf(stderr, "%s\n", certreload_last_error());
        return 1;
    }
    listener = listen_on(arguments.host, arguments.port);

    const int signals = signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
    struct epoll_event on_signal = {.events = EPOLLIN, .data.ptr = NULL};
    struct epoll_event on_client = {.events = EPOLLIN, .data.ptr = &listener};
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, signals, &on_signal) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &on_client) != 0) {
        perror("epoll");
        return 1;
    }
    announce(listener, arguments.host);
    run(signals);

    close(listener);
    while (first != NULL) { /* one attempt to send close_notify; no wait for clients */
        rustls_connection_send_close_notify(first->session.tls);
        send_some(&first->session);
        drop(first);
    }
    close(epoll);
    close(signals);
    certreload_close(certificates);
    return 0;
}
