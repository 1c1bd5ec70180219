#define _GNU_SOURCE
#include "foreign_peers.h"
#include "support.h"

#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    int fd;
} gnutls_state;

static bool shake_hands(void *gnutls) {
    gnutls_state *state = gnutls;
    int result = gnutls_handshake(state->session);
    CHECK(result == GNUTLS_E_SUCCESS || !gnutls_error_is_fatal(result));
    return result == GNUTLS_E_SUCCESS;
}

static size_t write_bytes(void *gnutls, const void *bytes, size_t size) {
    ssize_t put = gnutls_record_send(((gnutls_state *)gnutls)->session, bytes, size);
    CHECK(put > 0);
    return (size_t)put;
}

static size_t read_bytes(void *gnutls, void *bytes, size_t size) {
    ssize_t got = gnutls_record_recv(((gnutls_state *)gnutls)->session, bytes, size);
    CHECK(got > 0 || !gnutls_error_is_fatal((int)got));
    return got > 0 ? (size_t)got : 0;
}

static void free_state(void *gnutls) {
    gnutls_state *state = gnutls;
    gnutls_deinit(state->session);
    gnutls_certificate_free_credentials(state->credentials);
    close(state->fd);
    free(state);
}

static peer peer_of(unsigned role, gnutls_certificate_credentials_t credentials, int fd) {
    static const peer_kind kind = {shake_hands, write_bytes, read_bytes, free_state};
    gnutls_state *state = malloc(sizeof *state);
    CHECK(state != NULL);
    *state = (gnutls_state){NULL, credentials, fd};
    CHECK_INT(gnutls_init(&state->session, role | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL), 0);
    CHECK_INT(gnutls_set_default_priority(state->session), 0);
    CHECK_INT(gnutls_credentials_set(state->session, GNUTLS_CRD_CERTIFICATE, credentials), 0);
    gnutls_transport_set_int(state->session, fd);
    return (peer){&kind, state};
}

peer gnutls_server_peer(const char *chain, const char *key, int fd) {
    gnutls_certificate_credentials_t credentials;
    CHECK_INT(gnutls_certificate_allocate_credentials(&credentials), 0);
    CHECK_INT(gnutls_certificate_set_x509_key_file(credentials, chain, key, GNUTLS_X509_FMT_PEM),
              0);
    return peer_of(GNUTLS_SERVER, credentials, fd);
}

peer gnutls_client_peer(const char *roots, const char *server_name, int fd) {
    gnutls_certificate_credentials_t credentials;
    CHECK_INT(gnutls_certificate_allocate_credentials(&credentials), 0);
    CHECK_INT(gnutls_certificate_set_x509_trust_file(credentials, roots, GNUTLS_X509_FMT_PEM), 1);
    peer client = peer_of(GNUTLS_CLIENT, credentials, fd);
    gnutls_session_t session = ((gnutls_state *)client.state)->session;
    CHECK_INT(gnutls_server_name_set(session, GNUTLS_NAME_DNS, server_name, strlen(server_name)),
              0);
    gnutls_session_set_verify_cert(session, server_name, 0);
    return client;
}
