/*
 * One blocking call of a client over rustls-ffi. Your client has its own version: nothing here uses
 * certreload.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#ifndef BLOCKING_CALL_H
#define BLOCKING_CALL_H

#include <errno.h>
#include <netdb.h>
#include <poll.h>

#include "blocking_tls.h"

enum { MAX_SERIAL = 64, MAX_REASON = 256 };

/*
 * Connects, also if a signal interrupts connect(). With SO_SNDTIMEO set it is not restarted after a
 * handler (signal(7)), while the kernel continues to connect.
 */
static inline bool finish_connecting(int socket, const struct sockaddr *address, socklen_t size) {
    struct pollfd ready = {.fd = socket, .events = POLLOUT};
    int failure = 0, count = 0;
    socklen_t length = sizeof failure;

    if (connect(socket, address, size) == 0) {
        return true;
    }
    if (errno != EINTR) {
        return false;
    }
    do {
        count = poll(&ready, 1, SILENCE_SECONDS * 1000);
    } while (count < 0 && errno == EINTR);
    return count == 1 && getsockopt(socket, SOL_SOCKET, SO_ERROR, &failure, &length) == 0 &&
           failure == 0;
}

/* Connects to the first address of `host` that answers. Returns the socket; -1 if none answers. */
static inline int connect_to(const char *host, const char *port) {
    const struct timeval patience = {SILENCE_SECONDS, 0};
    struct addrinfo hints, *addresses = NULL;
    int found = -1;

    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, port, &hints, &addresses) != 0) {
        return -1;
    }
    for (const struct addrinfo *at = addresses; at != NULL && found < 0; at = at->ai_next) {
        found = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(found, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(found, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        no_delay(found);
        if (!finish_connecting(found, at->ai_addr, at->ai_addrlen)) {
            close(found);
            found = -1;
        }
    }
    freeaddrinfo(addresses);
    return found;
}

/* Sends pending bytes, then reads once from the server. */
static inline rustls_result exchange_once(rustls_connection *tls, int socket) {
    size_t count = 0;
    /* If sending fails, the bytes that wait to be read may contain the reason: an alert. */
    while (rustls_connection_wants_write(tls) &&
           rustls_connection_write_tls(tls, transmit, &socket, &count) == 0) {
    }
    if (rustls_connection_read_tls(tls, receive, &socket, &count) != 0) {
        return RUSTLS_RESULT_IO;
    }
    const rustls_result result = rustls_connection_process_new_packets(tls);
    send_all(tls, socket, now() + SILENCE_SECONDS); /* the alert that gives the server the reason */
    return result;
}

/*
 * Requests "/" and reads the whole answer into `answer` as a string. On failure returns false and
 * writes the reason to `reason`. The socket stays open.
 */
static inline bool call(rustls_connection *tls, int socket, char answer[MAX_ANSWER],
                        char reason[MAX_REASON]) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n";
    const int64_t deadline = now() + REQUEST_SECONDS;
    rustls_result result = RUSTLS_RESULT_OK;
    size_t filled = 0, count = 1;

    rustls_connection_write(tls, (const uint8_t *)request, sizeof request - 1, &count);
    while (result == RUSTLS_RESULT_OK && count != 0 && now() <= deadline) {
        result = rustls_connection_read(tls, (uint8_t *)answer + filled, MAX_ANSWER - 1 - filled,
                                        &count);
        if (result == RUSTLS_RESULT_PLAINTEXT_EMPTY) {
            result = exchange_once(tls, socket);
            count = 1;
        } else if (result == RUSTLS_RESULT_OK) {
            filled += count;
        }
    }
    answer[filled] = '\0';
    if (result == RUSTLS_RESULT_OK && count == 0 && strncmp(answer, "HTTP/1.1 200 ", 13) == 0) {
        rustls_connection_send_close_notify(tls);
        return send_all(tls, socket, deadline);
    }
    rustls_error(result, reason, MAX_REASON - 1, &count);
    reason[count] = '\0';
    return false;
}

/* Skips the tag and the length of a DER element. Its content has `*size` bytes. */
static inline const uint8_t *enter(const uint8_t *der, size_t *size) {
    size_t octets = der[1] & 0x80 ? der[1] & 0x7f : 0;
    *size = octets == 0 ? der[1] : 0;
    der += 2;
    for (; octets > 0; octets--) {
        *size = *size << 8 | *der++;
    }
    return der;
}

/*
 * Writes the serial number of the peer's certificate, in the form of certreload_identity_serial();
 * "none" if the peer has no certificate. rustls verifies the certificate but does not parse it: for
 * its names, use an X.509 parser.
 */
static inline void serial_of_peer(const rustls_connection *tls, char text[2 * MAX_SERIAL + 1]) {
    const rustls_certificate *certificate = rustls_connection_get_peer_certificate(tls, 0);
    const uint8_t *der = NULL;
    size_t size = 0;

    strcpy(text, "none");
    if (certificate == NULL ||
        rustls_certificate_get_der(certificate, &der, &size) != RUSTLS_RESULT_OK) {
        return;
    }
    der = enter(enter(der, &size), &size); /* Certificate, TBSCertificate */
    if (*der == 0xa0) {                    /* version */
        der = enter(der, &size) + size;
    }
    der = enter(der, &size);
    for (size_t i = 0; i < size && i < MAX_SERIAL; i++) {
        sprintf(text + 2 * i, "%02x", der[i]);
    }
}

#endif
