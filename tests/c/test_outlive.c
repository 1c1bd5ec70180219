/*
 * What was acquired outlives its handle, and the last handle of the process (G8): connections go on
 * in the middle of a handshake and after it, configs make new ones, generations are looked at, on
 * any thread, when every background thread has ended.
 */

#define _GNU_SOURCE
#include "gate.h"
#include "support.h"
#include "tls.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *chain, *key;

/* A client and a server that talk over a pair of sockets. */
typedef struct {
    rustls_connection *server, *client;
    int fds[2];
} talk;

static talk talk_new(rustls_connection *server) {
    talk talk = {.server = server, .client = client_connection_new("one.test", NULL)};
    socket_pair(talk.fds);
    return talk;
}

static void talk_free(talk *talk) {
    rustls_connection_free(talk->client);
    rustls_connection_free(talk->server);
    close(talk->fds[0]);
    close(talk->fds[1]);
}

static void shake_hands(talk *talk) {
    tls_handshake(talk->server, talk->fds[0], talk->client, talk->fds[1]);
}

/* One message there and one back. */
static void exchange(talk *talk) {
    static const char words[] = "still here";
    struct {
        rustls_connection *from, *to;
        int from_fd, to_fd;
    } ways[] = {{talk->client, talk->server, talk->fds[1], talk->fds[0]},
                {talk->server, talk->client, talk->fds[0], talk->fds[1]}};
    for (size_t i = 0; i < 2; i++) {
        size_t moved = 0;
        CHECK_INT(
            rustls_connection_write(ways[i].from, (const uint8_t *)words, sizeof words, &moved),
            RUSTLS_RESULT_OK);
        CHECK_INT(moved, sizeof words);
        CHECK_INT(tls_turn(ways[i].from, ways[i].from_fd), RUSTLS_RESULT_OK);
        CHECK_INT(tls_turn(ways[i].to, ways[i].to_fd), RUSTLS_RESULT_OK);
        char heard[sizeof words];
        CHECK_INT(rustls_connection_read(ways[i].to, (uint8_t *)heard, sizeof heard, &moved),
                  RUSTLS_RESULT_OK);
        CHECK_INT(moved, sizeof words);
        CHECK_STR(heard, words);
    }
}

static void *exchange_on_a_thread(void *both) {
    exchange(both);
    return NULL;
}

static void *free_on_a_thread(void *both) {
    talk_free(both);
    return NULL;
}

static void connections_go_on_without_their_handle(void) {
    test_begin(__func__);
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open_files(chain, key, &handle));
    talk talks[4];
    for (size_t i = 0; i < 4; i++) {
        rustls_connection *server = NULL;
        CHECK_OK(certreload_server_connection_new(handle, &server));
        talks[i] = talk_new(server);
    }
    /* The first has not begun, the second has heard the client's hello and answered it, the others
     * have had their handshake; the last is of another generation. */
    CHECK_INT(tls_turn(talks[1].client, talks[1].fds[1]), RUSTLS_RESULT_OK);
    CHECK_INT(tls_turn(talks[1].server, talks[1].fds[0]), RUSTLS_RESULT_OK);
    CHECK(rustls_connection_is_handshaking(talks[1].server));
    shake_hands(&talks[2]);
    exchange(&talks[2]);
    renew_pair(chain, key, "one.test");
    certreload_result result = certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER);
    CHECK(result == CERTRELOAD_RESULT_OK || result == CERTRELOAD_RESULT_UNCHANGED);
    CHECK_INT(serving_generation(handle), 2);
    rustls_connection_free(talks[3].server);
    CHECK_OK(certreload_server_connection_new(handle, &talks[3].server));
    shake_hands(&talks[3]);

    const rustls_server_config *config = certreload_acquire_server_config(handle);
    const certreload_generation *generation = certreload_generation_acquire(handle);
    /* A thread that read may be about to end. */
    wait_until_threads_are(3);
    certreload_close(handle);
    wait_until_threads_are(1);
    /* Nobody reads these any more. */
    shell("rm '%s' '%s'", chain, key);

    shake_hands(&talks[0]);
    shake_hands(&talks[1]);
    for (size_t i = 0; i < 4; i++) {
        pthread_t thread;
        exchange(&talks[i]);
        CHECK_INT(pthread_create(&thread, NULL, exchange_on_a_thread, &talks[i]), 0);
        CHECK_INT(pthread_join(thread, NULL), 0);
    }

    rustls_connection *late = NULL;
    CHECK_INT(rustls_server_connection_new(config, &late), RUSTLS_RESULT_OK);
    rustls_server_config_free(config);
    talk last = talk_new(late);
    shake_hands(&last);
    exchange(&last);

    CHECK_INT(certreload_generation_number(generation), 2);
    const certreload_identity *identity = certreload_generation_identity(generation, 0);
    CHECK_STR(certreload_identity_name(identity, 0), "one.test");
    const rustls_certificate *seen = rustls_connection_get_peer_certificate(last.client, 0);
    const uint8_t *shown = NULL;
    size_t shown_size = 0, size = 0;
    CHECK_INT(rustls_certificate_get_der(seen, &shown, &shown_size), RUSTLS_RESULT_OK);
    const uint8_t *der = certreload_identity_certificate_der(identity, 0, &size);
    CHECK(size == shown_size && memcmp(der, shown, size) == 0);
    certreload_generation_release(generation);

    talk_free(&last);
    for (size_t i = 0; i < 4; i++) {
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, free_on_a_thread, &talks[i]), 0);
        CHECK_INT(pthread_join(thread, NULL), 0);
    }
    wait_until_threads_are(1);
}

/* Other handles open and close while a connection of one that is gone still talks. */
static void a_connection_does_not_mind_who_comes_after(void) {
    test_begin(__func__);
    make_pair(chain, key, "one.test");
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open_files(chain, key, &handle));
    rustls_connection *server = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &server));
    talk old = talk_new(server);
    certreload_close(handle);

    CHECK_OK(certreload_open_files(chain, key, &handle));
    shake_hands(&old);
    CHECK_INT(status_of(handle).generations_alive, 1);
    CHECK_RESULT(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER), UNCHANGED);
    exchange(&old);
    certreload_close(handle);
    exchange(&old);
    talk_free(&old);
}

int main(void) {
    chain = scratch("one.chain");
    key = scratch("one.key");
    make_pair(chain, key, "one.test");
    connections_go_on_without_their_handle();
    a_connection_does_not_mind_who_comes_after();
    return 0;
}
