#define _GNU_SOURCE
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TURNS = 100, WAIT_MS = 20000 };

void make_authority(const char *name) {
    root_certificate(); /* and ca.cnf with it */
    shell("openssl req -x509 -newkey " EC_KEY " -nodes -config ca.cnf -days 3650 -subj '/CN=%s'"
          " -keyout %s.key -out %s.pem -addext basicConstraints=critical,CA:TRUE"
          " -addext keyUsage=critical,keyCertSign,cRLSign",
          name, name, name);
}

void issue(const char *authority, const char *leaf, const char *kind, const char *name) {
    shell("umask 077; openssl req -x509 -newkey %s -nodes -config ca.cnf -days 30 -subj '/CN=%s'"
          " -CA %s.pem -CAkey %s.key -keyout issued.key -out issued.chain"
          " -addext 'subjectAltName=DNS:%s'; mv issued.chain %s.chain; mv issued.key %s.key",
          kind, leaf, authority, authority, name, leaf, leaf);
}

void trust_in(const char *file, const char *authorities) {
    shell("for one in %s; do cat $one.pem; done >fresh.pem; mv fresh.pem %s", authorities, file);
}

certreload_options *options_with(const char *leaves) {
    certreload_options *options = certreload_options_new();
    char names[256];
    char *rest = names;

    CHECK(options != NULL);
    snprintf(names, sizeof names, "%s", leaves);
    for (char *leaf = strtok_r(names, " ", &rest); leaf != NULL; leaf = strtok_r(NULL, " ", &rest))
        CHECK_OK(certreload_options_add_identity(options, scratch("%s.chain", leaf),
                                                 scratch("%s.key", leaf), NULL));
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF));
    CHECK_OK(certreload_options_set_debounce_ms(options, 0));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 0));
    return options;
}

certreload_handle *open_and_free(certreload_options *options) {
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

certreload_handle *open_with(const char *leaves) {
    return open_and_free(options_with(leaves));
}

void reload(certreload_handle *handle) {
    CHECK_OK(certreload_reload_wait(handle, WAIT_MS));
}

SSL_CTX *server_context(certreload_handle *handle) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    CHECK(ctx != NULL);
    if (handle != NULL)
        CHECK_OK(certreload_openssl_attach(ctx, handle));
    return ctx;
}

static SSL_SESSION *copy_of(SSL_SESSION *session) {
    unsigned char *bytes = NULL;
    int size = i2d_SSL_SESSION(session, &bytes);
    const unsigned char *at = bytes;
    CHECK(size > 0);
    SSL_SESSION *copy = d2i_SSL_SESSION(NULL, &at, size);
    CHECK(copy != NULL);
    OPENSSL_free(bytes);
    return copy;
}

SSL_SESSION *session_of(const meeting *meeting) {
    SSL_SESSION *session = SSL_get0_session(meeting->client);
    return session == NULL || SSL_SESSION_is_resumable(session) == 0 ? NULL : copy_of(session);
}

static SSL *client_for(SSL_CTX *ctx, wish wish) {
    if (wish.version != 0) {
        CHECK(SSL_CTX_set_min_proto_version(ctx, wish.version) == 1);
        CHECK(SSL_CTX_set_max_proto_version(ctx, wish.version) == 1);
    }
    if (wish.groups != NULL)
        CHECK(SSL_CTX_set1_groups_list(ctx, wish.groups) == 1);
    if (wish.signatures != NULL)
        CHECK(SSL_CTX_set1_sigalgs_list(ctx, wish.signatures) == 1);
    SSL *client = SSL_new(ctx);
    CHECK(client != NULL);
    if (wish.name != NULL)
        CHECK(SSL_set_tlsext_host_name(client, wish.name) == 1);
    if (wish.leaf != NULL) {
        CHECK(SSL_use_certificate_chain_file(client, scratch("%s.chain", wish.leaf)));
        CHECK(SSL_use_PrivateKey_file(client, scratch("%s.key", wish.leaf), SSL_FILETYPE_PEM));
    }
    if (wish.wants_staple)
        SSL_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp);
    if (wish.session != NULL) {
        SSL_SESSION *copy = copy_of(wish.session);
        CHECK(SSL_set_session(client, copy) == 1);
        SSL_SESSION_free(copy);
    }
    return client;
}

static bool may_continue(SSL *ssl, int result) {
    int error = result > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl, result);
    return error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

bool talk(meeting *meeting) {
    char byte = 0;
    for (int direction = 0; direction < 2; direction++) {
        SSL *from = direction == 0 ? meeting->server : meeting->client;
        SSL *to = direction == 0 ? meeting->client : meeting->server;
        /* The first reads the alert of a server that has refused the client's certificate. */
        if (SSL_write(from, "x", 1) != 1 || SSL_read(to, &byte, 1) != 1 || byte != 'x')
            return false;
    }
    return true;
}

static bool shake_hands(meeting *meeting) {
    int client = 0, server = 0;
    for (int turn = 0; turn < MAX_TURNS && !(client == 1 && server == 1); turn++) {
        client = SSL_do_handshake(meeting->client);
        server = SSL_do_handshake(meeting->server);
        if (!may_continue(meeting->client, client) || !may_continue(meeting->server, server))
            return false;
    }
    return client == 1 && server == 1 && talk(meeting);
}

meeting meet_context(SSL *server, SSL_CTX *client_ctx, wish wish) {
    meeting meeting = {client_ctx, server, NULL, false};
    BIO *ends[2] = {NULL, NULL};
    CHECK(server != NULL && client_ctx != NULL);
    meeting.client = client_for(client_ctx, wish);
    CHECK(BIO_new_bio_pair(&ends[0], 65536, &ends[1], 65536) == 1);
    SSL_set_bio(meeting.server, ends[0], ends[0]);
    SSL_set_bio(meeting.client, ends[1], ends[1]);
    SSL_set_accept_state(meeting.server);
    SSL_set_connect_state(meeting.client);
    meeting.is_good = shake_hands(&meeting);
    ERR_clear_error();
    return meeting;
}

meeting meet_ssl(SSL *server, wish wish) {
    SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method());
    CHECK(client_ctx != NULL);
    SSL_CTX_set_security_level(client_ctx, 0);
    return meet_context(server, client_ctx, wish);
}

meeting meet(SSL_CTX *server, wish wish) {
    return meet_ssl(SSL_new(server), wish);
}

void part(meeting *meeting) {
    if (meeting->is_good) { /* else OpenSSL forgets the session of a connection that was cut off */
        SSL_shutdown(meeting->server);
        SSL_shutdown(meeting->client);
    }
    SSL_free(meeting->server);
    SSL_free(meeting->client);
    SSL_CTX_free(meeting->client_ctx);
}

static const char *peer_of(const SSL *ssl) {
    static char print[65];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    SSL_SESSION *session = SSL_get_session(ssl);
    X509 *peer = session == NULL ? NULL : SSL_SESSION_get0_peer(session);
    if (peer == NULL)
        return "";
    CHECK(X509_digest(peer, EVP_sha256(), digest, &size) == 1 && size == 32);
    for (unsigned int i = 0; i < size; i++)
        snprintf(print + 2 * i, 3, "%02x", digest[i]);
    return print;
}

const char *seen_by_client(const meeting *meeting) {
    return peer_of(meeting->client);
}

const char *seen_by_server(const meeting *meeting) {
    return peer_of(meeting->server);
}

const char *print_of(const char *leaf) {
    return fingerprint_of(scratch("%s.chain", leaf));
}

void check_serves(SSL_CTX *server, wish wish, const char *leaf) {
    meeting one = meet(server, wish);
    CHECK(one.is_good);
    CHECK_STR(seen_by_client(&one), print_of(leaf));
    part(&one);
}

void check_refuses(SSL_CTX *server, wish wish) {
    meeting one = meet(server, wish);
    CHECK(!one.is_good);
    part(&one);
}
