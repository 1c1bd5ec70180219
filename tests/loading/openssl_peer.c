#define _GNU_SOURCE
#include "foreign_peers.h"
#include "support.h"

#include <openssl/ssl.h>
#include <unistd.h>

static bool would_wait(SSL *ssl, int result) {
    int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static bool shake_hands(void *ssl) {
    int result = SSL_do_handshake(ssl);
    CHECK(result == 1 || would_wait(ssl, result));
    return result == 1;
}

static size_t write_bytes(void *ssl, const void *bytes, size_t size) {
    size_t put = 0;
    CHECK_INT(SSL_write_ex(ssl, bytes, size, &put), 1);
    return put;
}

static size_t read_bytes(void *ssl, void *bytes, size_t size) {
    size_t got = 0;
    int result = SSL_read_ex(ssl, bytes, size, &got);
    CHECK(result == 1 || would_wait(ssl, result));
    return got;
}

static void free_ssl(void *ssl) {
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
}

static peer peer_of(SSL_CTX *context, int fd) {
    static const peer_kind kind = {shake_hands, write_bytes, read_bytes, free_ssl};
    SSL *ssl = SSL_new(context);
    CHECK(ssl != NULL && SSL_set_fd(ssl, fd) == 1);
    SSL_CTX_free(context);
    return (peer){&kind, ssl};
}

peer openssl_server(const char *chain, const char *key, int fd) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    CHECK_INT(SSL_CTX_use_certificate_chain_file(context, chain), 1);
    CHECK_INT(SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM), 1);
    peer server = peer_of(context, fd);
    SSL_set_accept_state(server.state);
    return server;
}

peer openssl_client(const char *roots, const char *server_name, int fd) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    CHECK_INT(SSL_CTX_load_verify_locations(context, roots, NULL), 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    peer client = peer_of(context, fd);
    CHECK_INT(SSL_set_tlsext_host_name(client.state, server_name), 1);
    CHECK_INT(SSL_set1_host(client.state, server_name), 1);
    SSL_set_connect_state(client.state);
    return client;
}
