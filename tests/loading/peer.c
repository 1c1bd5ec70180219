#define _GNU_SOURCE
#include "peer.h"
#include "support.h"

#include <string.h>
#include <sys/socket.h>

/* Both ends are here and neither blocks: each turn moves things on, or something is wrong. */
enum { TURNS = 100 };

void peer_sockets(int fds[2]) {
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static void send_words(peer from, peer to) {
    static const char words[] = "good morning";
    char heard[sizeof words];
    CHECK_INT(from.kind->write(from.state, words, sizeof words), sizeof words);
    size_t got = 0;
    /* The first thing to be read may be a session ticket. */
    for (int turn = 0; turn < TURNS && got == 0; turn++)
        got = to.kind->read(to.state, heard, sizeof heard);
    CHECK_INT(got, sizeof words);
    CHECK_STR(heard, words);
}

void talk(peer server, peer client) {
    bool both = false;
    for (int turn = 0; turn < TURNS && !both; turn++) {
        bool one = client.kind->shake_hands(client.state);
        both = server.kind->shake_hands(server.state) && one;
    }
    CHECK(both);
    send_words(client, server);
    send_words(server, client);
    client.kind->free(client.state);
    server.kind->free(server.state);
}
