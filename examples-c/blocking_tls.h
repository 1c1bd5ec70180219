/*
 * One client of a blocking server over rustls-ffi. Your server has its own version: nothing here
 * uses certreload.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#ifndef BLOCKING_TLS_H
#define BLOCKING_TLS_H

#include "plumbing.h"
#include "rustls.h"

enum { SILENCE_SECONDS = 5 };

/* The callbacks of rustls: it reads bytes of the client, or writes bytes to it. */

static inline rustls_io_result receive(void *socket, uint8_t *bytes, size_t size,
                                       size_t *size_out) {
    ssize_t count;
    do { /* a socket with a timeout is not restarted by SA_RESTART */
        count = recv(*(int *)socket, bytes, size, 0);
    } while (count < 0 && errno == EINTR);
    *size_out = count < 0 ? 0 : (size_t)count;
    return count < 0 ? errno : 0;
}

static inline rustls_io_result transmit(void *socket, const uint8_t *bytes, size_t size,
                                        size_t *size_out) {
    ssize_t count;
    do {
        count = send(*(int *)socket, bytes, size, MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    *size_out = count < 0 ? 0 : (size_t)count;
    return count < 0 ? errno : 0;
}

/* Sends pending bytes. Returns false if the connection is broken or the deadline has passed. */
static inline bool send_all(rustls_connection *tls, int socket, int64_t deadline) {
    size_t count;
    while (rustls_connection_wants_write(tls)) {
        if (now() > deadline || rustls_connection_write_tls(tls, transmit, &socket, &count) != 0) {
            return false;
        }
    }
    return true;
}

/* Sends pending bytes, then waits for bytes of the client. Returns false at the end. */
static inline bool exchange(rustls_connection *tls, int socket, int64_t deadline) {
    size_t count;
    if (!send_all(tls, socket, deadline) || now() > deadline ||
        rustls_connection_read_tls(tls, receive, &socket, &count) != 0 || count == 0) {
        return false;
    }
    if (rustls_connection_process_new_packets(tls) != RUSTLS_RESULT_OK) {
        send_all(tls, socket, deadline); /* the alert that gives the client the reason */
        return false;
    }
    return true;
}

/* Completes the handshake and reads one request head. Returns false if the connection ends. */
static inline bool read_request(rustls_connection *tls, int socket, int64_t deadline,
                                struct request *request) {
    const struct timeval patience = {SILENCE_SECONDS, 0};
    char in[MAX_HEAD];
    size_t filled = 0;

    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    while (!parse_request(in, filled, request)) {
        size_t count = 0;
        const rustls_result result =
            rustls_connection_read(tls, (uint8_t *)in + filled, sizeof in - filled, &count);
        if (result == RUSTLS_RESULT_PLAINTEXT_EMPTY) {
            if (!exchange(tls, socket, deadline)) {
                return false;
            }
        } else if (result != RUSTLS_RESULT_OK || count == 0) {
            return false; /* end of the connection, or close_notify */
        }
        filled += count;
    }
    return true;
}

/* close() with unread bytes makes TCP reset the connection and drop the last answer or alert. */
static inline void hang_up(int socket, int64_t deadline) {
    char ignored[MAX_ANSWER];
    shutdown(socket, SHUT_WR);
    while (now() <= deadline && recv(socket, ignored, sizeof ignored, 0) > 0) {
    }
    close(socket);
}

/* Sends the answer and close_notify. */
static inline void send_answer(rustls_connection *tls, int socket, int64_t deadline,
                               struct request *request, const char *body) {
    char out[MAX_ANSWER];
    size_t written;

    request->keep_alive = false;
    rustls_connection_write(tls, (uint8_t *)out, write_answer(out, request, body), &written);
    rustls_connection_send_close_notify(tls);
    send_all(tls, socket, deadline);
}

#endif
