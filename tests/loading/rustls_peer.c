#define _GNU_SOURCE
#include "rustls_peer.h"
#include "support.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void find_function(void *library, const char *name, void *function_out, size_t size) {
    void *found = dlsym(library, name);
    CHECK(found != NULL && size == sizeof found);
    memcpy(function_out, &found, size);
}

void rustls_functions_of(void *library, rustls_functions *functions) {
#define X(name) find_function(library, #name, &functions->name, sizeof functions->name);
    RUSTLS_FUNCTIONS(X)
#undef X
}

const rustls_client_config *rustls_client_trusting(const rustls_functions *use, const char *roots) {
    rustls_root_cert_store_builder *store_builder = use->rustls_root_cert_store_builder_new();
    CHECK_INT(use->rustls_root_cert_store_builder_load_roots_from_file(store_builder, roots, true),
              RUSTLS_RESULT_OK);
    const rustls_root_cert_store *store = NULL;
    CHECK_INT(use->rustls_root_cert_store_builder_build(store_builder, &store), RUSTLS_RESULT_OK);
    use->rustls_root_cert_store_builder_free(store_builder);

    rustls_web_pki_server_cert_verifier_builder *checks =
        use->rustls_web_pki_server_cert_verifier_builder_new(store);
    rustls_server_cert_verifier *verifier = NULL;
    CHECK_INT(use->rustls_web_pki_server_cert_verifier_builder_build(checks, &verifier),
              RUSTLS_RESULT_OK);
    use->rustls_web_pki_server_cert_verifier_builder_free(checks);
    use->rustls_root_cert_store_free(store);

    rustls_client_config_builder *builder = use->rustls_client_config_builder_new();
    use->rustls_client_config_builder_set_server_verifier(builder, verifier);
    use->rustls_server_cert_verifier_free(verifier);
    const rustls_client_config *config = NULL;
    CHECK_INT(use->rustls_client_config_builder_build(builder, &config), RUSTLS_RESULT_OK);
    return config;
}

static size_t read_all(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    size_t length = fread(text, 1, size, file);
    CHECK(length > 0 && length < size && fclose(file) == 0);
    return length;
}

const rustls_server_config *rustls_server_with(const rustls_functions *use, const char *chain,
                                               const char *key) {
    char chain_pem[16384], key_pem[16384];
    size_t chain_size = read_all(chain, chain_pem, sizeof chain_pem);
    size_t key_size = read_all(key, key_pem, sizeof key_pem);
    const rustls_certified_key *pair = NULL;
    CHECK_INT(use->rustls_certified_key_build((const uint8_t *)chain_pem, chain_size,
                                              (const uint8_t *)key_pem, key_size, &pair),
              RUSTLS_RESULT_OK);
    rustls_server_config_builder *builder = use->rustls_server_config_builder_new();
    CHECK_INT(use->rustls_server_config_builder_set_certified_keys(builder, &pair, 1),
              RUSTLS_RESULT_OK);
    use->rustls_certified_key_free(pair);
    const rustls_server_config *config = NULL;
    CHECK_INT(use->rustls_server_config_builder_build(builder, &config), RUSTLS_RESULT_OK);
    return config;
}

typedef struct {
    const rustls_functions *use;
    rustls_connection *connection;
    int fd;
} rustls_state;

static rustls_io_result receive(void *fd, uint8_t *buffer, size_t size, size_t *read_out) {
    ssize_t got = recv(*(int *)fd, buffer, size, 0);
    *read_out = got < 0 ? 0 : (size_t)got;
    return got < 0 ? errno : 0;
}

static rustls_io_result transmit(void *fd, const uint8_t *buffer, size_t size, size_t *written) {
    ssize_t put = send(*(int *)fd, buffer, size, MSG_NOSIGNAL);
    *written = put < 0 ? 0 : (size_t)put;
    return put < 0 ? errno : 0;
}

static void flush(rustls_state *state) {
    size_t moved = 0;
    while (state->use->rustls_connection_wants_write(state->connection))
        CHECK_INT(state->use->rustls_connection_write_tls(state->connection, transmit, &state->fd,
                                                          &moved),
                  0);
}

static void take_in(rustls_state *state) {
    size_t moved = 0;
    if (state->use->rustls_connection_read_tls(state->connection, receive, &state->fd, &moved) == 0)
        CHECK_INT(state->use->rustls_connection_process_new_packets(state->connection),
                  RUSTLS_RESULT_OK);
}

static bool shake_hands(void *rustls) {
    rustls_state *state = rustls;
    flush(state);
    take_in(state);
    flush(state);
    return !state->use->rustls_connection_is_handshaking(state->connection);
}

static size_t write_bytes(void *rustls, const void *bytes, size_t size) {
    rustls_state *state = rustls;
    size_t moved = 0;
    CHECK_INT(state->use->rustls_connection_write(state->connection, bytes, size, &moved),
              RUSTLS_RESULT_OK);
    flush(state);
    return moved;
}

static size_t read_bytes(void *rustls, void *bytes, size_t size) {
    rustls_state *state = rustls;
    size_t moved = 0;
    take_in(state);
    rustls_result result =
        state->use->rustls_connection_read(state->connection, bytes, size, &moved);
    CHECK(result == RUSTLS_RESULT_OK || result == RUSTLS_RESULT_PLAINTEXT_EMPTY);
    return moved;
}

static void free_state(void *rustls) {
    rustls_state *state = rustls;
    state->use->rustls_connection_free(state->connection);
    close(state->fd);
    free(state);
}

peer rustls_peer(const rustls_functions *use, rustls_connection *connection, int fd) {
    static const peer_kind kind = {shake_hands, write_bytes, read_bytes, free_state};
    rustls_state *state = malloc(sizeof *state);
    CHECK(state != NULL);
    *state = (rustls_state){use, connection, fd};
    return (peer){&kind, state};
}

peer rustls_client_peer(const rustls_functions *use, const rustls_client_config *config,
                        const char *server_name, int fd) {
    rustls_connection *connection = NULL;
    CHECK_INT(use->rustls_client_connection_new(config, server_name, &connection),
              RUSTLS_RESULT_OK);
    return rustls_peer(use, connection, fd);
}
