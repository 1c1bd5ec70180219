/* Handshakes in memory: what this OpenSSL serves is what clients can get (G16). */

#include <stdio.h>

#include "level.h"

enum { MAX_TURNS = 100, MAX_WHAT = 160 };

struct pair {
    SSL *server, *client;
};

static void free_pair(struct pair *pair) {
    cro_libssl.SSL_free(pair->server);
    cro_libssl.SSL_free(pair->client);
}

/* Connects the two, which then own the ends. */
static bool connect_pair(struct pair *pair) {
    BIO *server_end = NULL, *client_end = NULL;

    if (pair->server == NULL || pair->client == NULL ||
        cro_libssl.BIO_new_bio_pair(&server_end, 0, &client_end, 0) != 1) {
        return false;
    }
    cro_libssl.SSL_set_bio(pair->server, server_end, server_end);
    cro_libssl.SSL_set_bio(pair->client, client_end, client_end);
    cro_libssl.SSL_set_accept_state(pair->server);
    cro_libssl.SSL_set_connect_state(pair->client);
    return true;
}

/* One turn of one side: whether it has ended well, or may continue. */
static bool advance(SSL *ssl, bool *is_done) {
    const int result = cro_libssl.SSL_do_handshake(ssl);
    const int error = result == 1 ? SSL_ERROR_NONE : cro_libssl.SSL_get_error(ssl, result);

    *is_done = result == 1;
    return error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static bool shake_hands(const struct pair *pair) {
    bool client_done = false, server_done = false;

    for (int turn = 0; turn < MAX_TURNS && !(client_done && server_done); turn++) {
        if (!advance(pair->client, &client_done) || !advance(pair->server, &server_done)) {
            return false;
        }
    }
    return client_done && server_done;
}

static int use(SSL *ssl, const struct cro_identity *identity) {
    return cro_libssl.SSL_use_cert_and_key(ssl, identity->leaf, identity->key, identity->chain, 1);
}

static bool serves(const struct cro_level *level, const struct cro_identity *identity,
                   int version) {
    struct pair pair = {cro_libssl.SSL_new(level->server), cro_libssl.SSL_new(level->client)};
    const bool is_good =
        connect_pair(&pair) && use(pair.server, identity) == 1 &&
        cro_libssl.SSL_ctrl(pair.server, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL) ==
            1 &&
        cro_libssl.SSL_ctrl(pair.client, SSL_CTRL_SET_MIN_PROTO_VERSION, version, NULL) == 1 &&
        cro_libssl.SSL_ctrl(pair.client, SSL_CTRL_SET_MAX_PROTO_VERSION, version, NULL) == 1 &&
        shake_hands(&pair);
    free_pair(&pair);
    return is_good;
}

certreload_prepare cro_self_check(const struct cro_level *level,
                                  const struct cro_identity *identity, struct cro_reason why) {
    char what[MAX_WHAT];
    SSL *scratch = cro_libssl.SSL_new(level->server);
    const int accepted = scratch == NULL ? 0 : use(scratch, identity);

    cro_libssl.SSL_free(scratch);
    if (accepted != 1) {
        snprintf(what, sizeof what,
                 "OpenSSL does not accept the certificate at security level %d of the SSL_CTX",
                 level->level);
        return cro_refuse(why, CERTRELOAD_PREPARE_REFUSED, what);
    }
    /* Both are tried, and one is enough: some keys have no TLS 1.3, and OpenSSL serves them. */
    const bool has_13 = serves(level, identity, TLS1_3_VERSION);
    const bool has_12 = serves(level, identity, TLS1_2_VERSION);
    if (!has_13 && !has_12) {
        return cro_refuse(why, CERTRELOAD_PREPARE_REFUSED,
                          "OpenSSL completes no handshake with the certificate");
    }
    return CERTRELOAD_PREPARE_OK;
}
