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
#include "plumbing.h"
#include "rustls.h"

enum { MAX_CONNECTIONS = 10000, EVENTS_AT_ONCE = 64 };

struct connection {
    int socket;
    uint32_t interest; /* EPOLL* bits */
    enum { HANDSHAKING, SERVING, CLOSING, DRAINING } state;
    rustls_connection *tls;
    const certreload_generation *generation; /* until the handshake is complete */
    uint64_t generation_number;
    char certificate[65];
    uint64_t requests;
    int64_t deadline; /* for the next whole request */
    struct connection *previous, *next;
    size_t filled;
    char in[MAX_HEAD];
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
 * Most servers only replace rustls_server_connection_new(config, &c->tls) by
 * certreload_server_connection_new(certificates, &c->tls). This one also reports the generation and
 * the certificate of each client. So it keeps the generation until the handshake has received the
 * server name. The connection itself keeps its config for as long as it lasts.
 */
static bool make_tls(struct connection *c) {
    c->generation = certreload_generation_acquire(certificates);
    c->generation_number = certreload_generation_number(c->generation);
    return rustls_server_connection_new(certreload_generation_borrow_server_config(c->generation),
                                        &c->tls) == RUSTLS_RESULT_OK;
}

static void note_certificate(struct connection *c) {
    const rustls_str sni = rustls_server_connection_get_server_name(c->tls);
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)sni.len, sni.len == 0 ? "" : sni.data);
    const certreload_identity *identity = certreload_generation_select(c->generation, name);
    snprintf(c->certificate, sizeof c->certificate, "%s", certreload_identity_sha256(identity));
    certreload_generation_release(c->generation);
    c->generation = NULL;
}

/* The callbacks of rustls: it reads bytes of the client, or writes bytes to it. */

static rustls_io_result receive(void *userdata, uint8_t *bytes, size_t size, size_t *size_out) {
    const struct connection *c = userdata;
    const ssize_t count = recv(c->socket, bytes, size, 0);
    *size_out = count < 0 ? 0 : (size_t)count;
    return count < 0 ? errno : 0;
}

static rustls_io_result transmit(void *userdata, const uint8_t *bytes, size_t size,
                                 size_t *size_out) {
    const struct connection *c = userdata;
    const ssize_t count = send(c->socket, bytes, size, 0);
    *size_out = count < 0 ? 0 : (size_t)count;
    return count < 0 ? errno : 0;
}

static bool would_block(rustls_io_result result) {
    return result == EAGAIN || result == EWOULDBLOCK || result == EINTR;
}

static void watch(struct connection *c, uint32_t interest) {
    if (interest != c->interest) {
        struct epoll_event event = {.events = interest, .data.ptr = c};
        epoll_ctl(epoll, c->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->socket, &event);
        c->interest = interest;
    }
}

static void watch_listener(bool on) {
    struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.ptr = &listener};
    epoll_ctl(epoll, EPOLL_CTL_MOD, listener, &event);
}

static void unlink_connection(struct connection *c) {
    *(c->previous != NULL ? &c->previous->next : &first) = c->next;
    *(c->next != NULL ? &c->next->previous : &last) = c->previous;
}

static void set_deadline(struct connection *c) {
    c->deadline = now() + REQUEST_SECONDS;
    c->previous = last;
    c->next = NULL;
    *(last != NULL ? &last->next : &first) = c;
    last = c;
}

static void drop(struct connection *c) {
    unlink_connection(c);
    connection_count--;
    close(c->socket); /* also removes it from epoll */
    rustls_connection_free(c->tls);
    certreload_generation_release(c->generation);
    free(c);
}

static bool answer(struct connection *c, struct request *request) {
    char body[1024] = "";
    char out[MAX_ANSWER];
    size_t written;

    if (request->wants_status) {
        certreload_status status = {0};
        certreload_get_status(certificates, &status, sizeof status);
        status_text(&status, body, sizeof body);
    } else {
        snprintf(body, sizeof body, "generation %" PRIu64 "\ncertificate %s\nrequest %" PRIu64 "\n",
                 c->generation_number, c->certificate, c->requests);
    }
    const size_t size = write_answer(out, request, body);
    return rustls_connection_write(c->tls, (const uint8_t *)out, size, &written) ==
               RUSTLS_RESULT_OK &&
           request->keep_alive;
}

/* Reads decrypted bytes. Returns false if there are no more for now. */
static bool read_plaintext(struct connection *c) {
    size_t count = 0;
    const rustls_result result = rustls_connection_read(c->tls, (uint8_t *)c->in + c->filled,
                                                        sizeof c->in - c->filled, &count);

    c->filled += count;
    if (result != RUSTLS_RESULT_PLAINTEXT_EMPTY && count == 0) {
        c->state = CLOSING; /* end of the connection, or close_notify */
    }
    return result != RUSTLS_RESULT_PLAINTEXT_EMPTY;
}

/* Handles one request, or one step before it. Returns false if it needs more bytes of the client.
 */
static bool work(struct connection *c) {
    struct request request;

    if (c->state == HANDSHAKING) {
        if (rustls_connection_is_handshaking(c->tls)) {
            return false;
        }
        note_certificate(c);
        c->state = SERVING;
    }
    if (!parse_request(c->in, c->filled, &request)) {
        return read_plaintext(c);
    }
    c->requests++;
    if (!answer(c, &request)) {
        c->state = CLOSING;
    }
    c->filled -= request.size;
    memmove(c->in, c->in + request.size, c->filled);
    unlink_connection(c);
    set_deadline(c);
    return true;
}

/* Sends as much as the socket accepts. Returns false if the connection is broken. */
static bool send_some(struct connection *c) {
    while (rustls_connection_wants_write(c->tls)) {
        size_t count;
        const rustls_io_result result = rustls_connection_write_tls(c->tls, transmit, c, &count);
        if (result != 0) {
            return would_block(result);
        }
    }
    return true;
}

/* Reads from the socket once, so that other connections get their turn. Returns false if the
 * connection is broken. */
static bool receive_some(struct connection *c) {
    size_t count;
    const rustls_io_result result = rustls_connection_read_tls(c->tls, receive, c, &count);

    if (result != 0) {
        return would_block(result);
    }
    if (count == 0) {
        return false;
    }
    if (rustls_connection_process_new_packets(c->tls) != RUSTLS_RESULT_OK) {
        c->state = CLOSING; /* with the alert that rustls has queued */
    }
    return true;
}

/* close() with unread bytes makes TCP reset the connection and drop the last answer or alert. */
static bool drain(const struct connection *c) {
    char ignored[4096];
    const ssize_t count = recv(c->socket, ignored, sizeof ignored, 0);
    return count > 0 || (count < 0 && would_block(errno));
}

/*
 * Advances a connection that epoll reported. Returns false at its end.
 *
 * Nothing is read while bytes wait to be sent: a client that sends requests and never reads answers
 * fills its own buffers, not those of the server.
 */
static bool advance(struct connection *c) {
    if (c->state == DRAINING) {
        return drain(c);
    }
    for (bool received = false;;) {
        if (c->state == CLOSING) {
            rustls_connection_send_close_notify(c->tls); /* no effect the second time */
        }
        if (!send_some(c)) {
            return false;
        }
        if (rustls_connection_wants_write(c->tls)) {
            watch(c, EPOLLOUT);
            return true;
        }
        if (c->state == CLOSING) {
            shutdown(c->socket, SHUT_WR);
            c->state = DRAINING;
            watch(c, EPOLLIN);
            return true;
        }
        if (work(c)) {
            continue;
        }
        if (received) {
            watch(c, EPOLLIN);
            return true;
        }
        if (!receive_some(c)) {
            return false;
        }
        received = true;
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
        c->socket = socket;
        connection_count++;
        set_deadline(c);
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
    int64_t seconds = first == NULL ? -1 : first->deadline - now() + 1;
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
            } else if (!advance(events[i].data.ptr)) {
                drop(events[i].data.ptr);
            }
        }
        while (first != NULL && first->deadline < now()) {
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
        rustls_connection_send_close_notify(first->tls);
        send_some(first);
        drop(first);
    }
    close(epoll);
    close(signals);
    certreload_close(certificates);
    return 0;
}
