/* A handshake in memory, and what the benchmarks make both ends of it with. */

#ifndef CERTRELOAD_HANDSHAKE_H
#define CERTRELOAD_HANDSHAKE_H

#include <errno.h>
#include <string.h>

#include "measure.h"
#include "rustls.h"

enum { MAX_BYTES = 1 << 16 };

/* --- What one end has said and the other has not heard yet --- */

struct pipe {
    uint8_t bytes[MAX_BYTES];
    size_t size;
};

static inline rustls_io_result put(void *userdata, const uint8_t *bytes, size_t size,
                                   size_t *put_out) {
    struct pipe *pipe = userdata;
    if (size > sizeof pipe->bytes - pipe->size) {
        return ENOBUFS;
    }
    memcpy(pipe->bytes + pipe->size, bytes, size);
    pipe->size += size;
    *put_out = size;
    return 0;
}

static inline rustls_io_result take(void *userdata, uint8_t *bytes, size_t size,
                                    size_t *taken_out) {
    struct pipe *pipe = userdata;
    const size_t taken = size < pipe->size ? size : pipe->size;
    memcpy(bytes, pipe->bytes, taken);
    memmove(pipe->bytes, pipe->bytes + taken, pipe->size - taken);
    pipe->size -= taken;
    *taken_out = taken;
    return 0;
}

/* One turn: says what there is to say, hears what there is to hear. */
static inline void turn(rustls_connection *connection, struct pipe *out, struct pipe *in) {
    size_t moved;
    while (rustls_connection_wants_write(connection)) {
        if (rustls_connection_write_tls(connection, put, out, &moved) != 0) {
            die("rustls_connection_write_tls");
        }
    }
    while (in->size > 0) {
        if (rustls_connection_read_tls(connection, take, in, &moved) != 0 ||
            rustls_connection_process_new_packets(connection) != RUSTLS_RESULT_OK) {
            die("the handshake");
        }
    }
}

/* The whole handshake, and the tickets after it; gives the processor time of the server's end. */
static inline double meet(rustls_connection *client, rustls_connection *server) {
    static _Thread_local struct pipe to_server, to_client;
    double taken = 0;
    to_server.size = to_client.size = 0;
    while (rustls_connection_is_handshaking(client) || rustls_connection_is_handshaking(server) ||
           rustls_connection_wants_write(server) || to_client.size > 0) {
        turn(client, &to_server, &to_client);
        const double begun = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        turn(server, &to_client, &to_server);
        taken += clock_ns(CLOCK_THREAD_CPUTIME_ID) - begun;
    }
    return taken;
}

/* --- What both ends are made of --- */

static inline size_t read_pem(const char *path, uint8_t *bytes) {
    FILE *file = fopen(path, "rb");
    const size_t size = file == NULL ? 0 : fread(bytes, 1, MAX_BYTES, file);
    if (size == 0) {
        die(path);
    }
    fclose(file);
    return size;
}

static inline const rustls_certified_key *certified_key(const char *chain, const char *key) {
    static uint8_t chain_pem[MAX_BYTES], key_pem[MAX_BYTES];
    const size_t chain_size = read_pem(chain, chain_pem), key_size = read_pem(key, key_pem);
    const rustls_certified_key *certified = NULL;
    if (rustls_certified_key_build(chain_pem, chain_size, key_pem, key_size, &certified) !=
        RUSTLS_RESULT_OK) {
        die("rustls_certified_key_build");
    }
    return certified;
}

static inline const rustls_root_cert_store *roots_of(const char *path) {
    rustls_root_cert_store_builder *builder = rustls_root_cert_store_builder_new();
    const rustls_root_cert_store *roots = NULL;
    if (rustls_root_cert_store_builder_load_roots_from_file(builder, path, true) !=
            RUSTLS_RESULT_OK ||
        rustls_root_cert_store_builder_build(builder, &roots) != RUSTLS_RESULT_OK) {
        die(path);
    }
    rustls_root_cert_store_builder_free(builder);
    return roots;
}

/* The provider that everything uses where nothing else is said. */
static inline void use_aws_lc(void) {
    const rustls_crypto_provider *provider = rustls_aws_lc_rs_crypto_provider();
    rustls_crypto_provider_builder *builder =
        rustls_crypto_provider_builder_new_with_base(provider);
    if (rustls_crypto_provider_builder_build_as_default(builder) != RUSTLS_RESULT_OK) {
        die("the crypto provider");
    }
    rustls_crypto_provider_builder_free(builder);
    rustls_crypto_provider_free(provider);
}

/* What clients are made of: whom they trust, and what they prove themselves with, or NULL. */
struct clients {
    rustls_server_cert_verifier *verifier;
    const rustls_certified_key *identity;
};

static inline rustls_server_cert_verifier *verifier_of_servers(const char *roots_path) {
    const rustls_root_cert_store *roots = roots_of(roots_path);
    rustls_web_pki_server_cert_verifier_builder *builder =
        rustls_web_pki_server_cert_verifier_builder_new(roots);
    rustls_server_cert_verifier *verifier = NULL;
    if (rustls_web_pki_server_cert_verifier_builder_build(builder, &verifier) != RUSTLS_RESULT_OK) {
        die("the verifier of servers");
    }
    rustls_web_pki_server_cert_verifier_builder_free(builder);
    rustls_root_cert_store_free(roots);
    return verifier;
}

/* A config keeps the sessions of its connections: a new one makes a full handshake. */
static inline const rustls_client_config *client_config_of(const struct clients *clients,
                                                           uint16_t tls_version) {
    static const rustls_crypto_provider *provider;
    if (provider == NULL) {
        provider = rustls_aws_lc_rs_crypto_provider();
    }
    rustls_client_config_builder *builder = NULL;
    const rustls_client_config *config = NULL;
    if (rustls_client_config_builder_new_custom(provider, &tls_version, 1, &builder) !=
        RUSTLS_RESULT_OK) {
        die("rustls_client_config_builder_new_custom");
    }
    rustls_client_config_builder_set_server_verifier(builder, clients->verifier);
    if ((clients->identity != NULL && rustls_client_config_builder_set_certified_key(
                                          builder, &clients->identity, 1) != RUSTLS_RESULT_OK) ||
        rustls_client_config_builder_build(builder, &config) != RUSTLS_RESULT_OK) {
        die("the client's config");
    }
    return config;
}

#endif
