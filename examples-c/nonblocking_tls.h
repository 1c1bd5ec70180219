/*
 * One client of a server with an event loop, over rustls-ffi and a non-blocking socket. Your server
 * has its own version: nothing here uses certreload.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#ifndef NONBLOCKING_TLS_H
#define NONBLOCKING_TLS_H

#include "plumbing.h"
#include "rustls.h"

struct session {
    int socket;
    enum { HANDSHAKING, SERVING, CLOSING, DRAINING } state;
    rustls_connection *tls;
    int64_t deadline; /* for the next whole request */
    size_t filled;
    char in[MAX_HEAD];
};

/* The part of the server. */
struct callbacks {
    void (*on_handshake)(struct session *session);
    /* Writes the body of the answer, as a string. */
    void (*on_request)(struct session *session, const struct request *request, char *body,
                       size_t room);
};

/* What a session waits for. */
enum wait { WAIT_READ, WAIT_WRITE, FINISHED };

/* The callbacks of rustls: it reads bytes of the client, or writes bytes to it. */

static inline rustls_io_result receive(void *session, uint8_t *bytes, size_t size,
                                       size_t *size_out) {
    const ssize_t count = recv(((struct session *)session)->socket, bytes, size, 0);
    *size_out = count < 0 ? 0 : (size_t)count;
    return count < 0 ? errno : 0;
}

static inline rustls_io_result transmit(void *session, const uint8_t *bytes, size_t size,
                                        size_t *size_out) {
    const ssize_t count = send(((struct session *)session)->socket, bytes, size, MSG_NOSIGNAL);
    *size_out = count < 0 ? 0 : (size_t)count;
    return count < 0 ? errno : 0;
}

static inline bool would_block(rustls_io_result result) {
    return result == EAGAIN || result == EWOULDBLOCK || result == EINTR;
}

/* Sends as much as the socket accepts. Returns false if the connection is broken. */
static inline bool send_some(struct session *s) {
    while (rustls_connection_wants_write(s->tls)) {
        size_t count;
        const rustls_io_result result = rustls_connection_write_tls(s->tls, transmit, s, &count);
        if (result != 0) {
            return would_block(result);
        }
    }
    return true;
}

/* Reads from the socket once, so that other connections get their turn. Returns false if the
 * connection is broken. */
static inline bool receive_some(struct session *s) {
    size_t count;
    const rustls_io_result result = rustls_connection_read_tls(s->tls, receive, s, &count);

    if (result != 0) {
        return would_block(result);
    }
    if (count == 0) {
        return false;
    }
    if (rustls_connection_process_new_packets(s->tls) != RUSTLS_RESULT_OK) {
        s->state = CLOSING; /* with the alert that rustls has queued */
    }
    return true;
}

/* Reads decrypted bytes. Returns false if there are no more for now. */
static inline bool read_plaintext(struct session *s) {
    size_t count = 0;
    const rustls_result result = rustls_connection_read(s->tls, (uint8_t *)s->in + s->filled,
                                                        sizeof s->in - s->filled, &count);

    s->filled += count;
    if (result != RUSTLS_RESULT_PLAINTEXT_EMPTY && count == 0) {
        s->state = CLOSING; /* end of the connection, or close_notify */
    }
    return result != RUSTLS_RESULT_PLAINTEXT_EMPTY;
}

/* Handles one request, or one step before it. Returns false if it needs more bytes. */
static inline bool work(struct session *s, const struct callbacks *server) {
    struct request request;
    char body[1024] = "", out[MAX_ANSWER];
    size_t written;

    if (s->state == HANDSHAKING) {
        if (rustls_connection_is_handshaking(s->tls)) {
            return false;
        }
        server->on_handshake(s);
        s->state = SERVING;
    }
    if (!parse_request(s->in, s->filled, &request)) {
        return read_plaintext(s);
    }
    server->on_request(s, &request, body, sizeof body);
    const size_t size = write_answer(out, &request, body);
    if (rustls_connection_write(s->tls, (const uint8_t *)out, size, &written) != RUSTLS_RESULT_OK ||
        !request.keep_alive) {
        s->state = CLOSING;
    }
    s->filled -= request.size;
    memmove(s->in, s->in + request.size, s->filled);
    s->deadline = now() + REQUEST_SECONDS;
    return true;
}

/* close() with unread bytes makes TCP reset the connection and drop the last answer or alert. */
static inline enum wait drain(const struct session *s) {
    char ignored[4096];
    const ssize_t count = recv(s->socket, ignored, sizeof ignored, 0);
    return count > 0 || (count < 0 && would_block(errno)) ? WAIT_READ : FINISHED;
}

/*
 * Advances a session whose socket is ready. Returns what it waits for next.
 *
 * Nothing is read while bytes wait to be sent: a client that sends requests and never reads answers
 * fills its own buffers, not those of the server.
 */
static inline enum wait advance(struct session *s, const struct callbacks *server) {
    if (s->state == DRAINING) {
        return drain(s);
    }
    for (bool received = false;;) {
        if (s->state == CLOSING) {
            rustls_connection_send_close_notify(s->tls); /* no effect the second time */
        }
        if (!send_some(s)) {
            return FINISHED;
        }
        if (rustls_connection_wants_write(s->tls)) {
            return WAIT_WRITE;
        }
        if (s->state == CLOSING) {
            shutdown(s->socket, SHUT_WR);
            s->state = DRAINING;
            return WAIT_READ;
        }
        if (work(s, server)) {
            continue;
        }
        if (received) {
            return WAIT_READ;
        }
        if (!receive_some(s)) {
            return FINISHED;
        }
        received = true;
    }
}

#endif
