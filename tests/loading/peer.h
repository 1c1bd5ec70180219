/*
 * One end of a TLS connection, whatever library is behind it: so that each can talk to each.
 */

#ifndef CERTRELOAD_TEST_PEER_H
#define CERTRELOAD_TEST_PEER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    /* Does what can be done without waiting; true when the handshake is done. */
    bool (*shake_hands)(void *state);
    /* The number of bytes, or 0 where it would have to wait. */
    size_t (*write)(void *state, const void *bytes, size_t size);
    size_t (*read)(void *state, void *bytes, size_t size);
    void (*free)(void *state);
} peer_kind;

typedef struct {
    const peer_kind *kind;
    void *state;
} peer;

/* A handshake, a message from the client to the server and one back; frees both. */
void talk(peer server, peer client);

/* A connected pair of non-blocking sockets. */
void peer_sockets(int fds[2]);

#endif
