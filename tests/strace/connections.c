/*
 * Makes connections in one of the ways that a server has, each with a whole handshake in memory, so
 * that there is no system call but those that making and using them takes. connections.py counts.
 *
 * usage: connections rustls|certreload|config|generation CHAIN KEY
 */

#define _GNU_SOURCE
#include <certreload.h>
#include <errno.h>
#include <malloc.h>
#include <rustls.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WARM_UP = 100, CONNECTIONS = 200, MAX_BYTES = 1 << 16 };

static certreload_handle *handle;
static const rustls_server_config *fixed;

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, certreload_last_error());
    exit(1);
}

/* The ways. */

static rustls_connection *by_rustls(void) {
    rustls_connection *connection = NULL;
    if (rustls_server_connection_new(fixed, &connection) != RUSTLS_RESULT_OK) {
        die("rustls_server_connection_new");
    }
    return connection;
}

static rustls_connection *by_certreload(void) {
    rustls_connection *connection = NULL;
    if (certreload_server_connection_new(handle, &connection) != CERTRELOAD_RESULT_OK) {
        die("certreload_server_connection_new");
    }
    return connection;
}

static rustls_connection *by_config(void) {
    rustls_connection *connection = NULL;
    const rustls_server_config *config = certreload_acquire_server_config(handle);
    if (rustls_server_connection_new(config, &connection) != RUSTLS_RESULT_OK) {
        die("rustls_server_connection_new");
    }
    rustls_server_config_free(config);
    return connection;
}

static rustls_connection *by_generation(void) {
    rustls_connection *connection = NULL;
    const certreload_generation *generation = certreload_generation_acquire(handle);
    if (rustls_server_connection_new(certreload_generation_borrow_server_config(generation),
                                     &connection) != RUSTLS_RESULT_OK) {
        die("rustls_server_connection_new");
    }
    certreload_generation_release(generation);
    return connection;
}

/* The handshake. */

struct pipe {
    uint8_t bytes[MAX_BYTES];
    size_t size;
};

static rustls_io_result put(void *userdata, const uint8_t *bytes, size_t size, size_t *put_out) {
    struct pipe *pipe = userdata;
    if (size > sizeof pipe->bytes - pipe->size) {
        return ENOBUFS;
    }
    memcpy(pipe->bytes + pipe->size, bytes, size);
    pipe->size += size;
    *put_out = size;
    return 0;
}

static rustls_io_result take(void *userdata, uint8_t *bytes, size_t size, size_t *taken_out) {
    struct pipe *pipe = userdata;
    const size_t taken = size < pipe->size ? size : pipe->size;
    memcpy(bytes, pipe->bytes, taken);
    memmove(pipe->bytes, pipe->bytes + taken, pipe->size - taken);
    pipe->size -= taken;
    *taken_out = taken;
    return 0;
}

static void turn(rustls_connection *connection, struct pipe *out, struct pipe *in) {
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

static uint32_t trust_any(void *userdata, const rustls_verify_server_cert_params *shown) {
    (void)userdata;
    (void)shown;
    return RUSTLS_RESULT_OK;
}

static const rustls_client_config *client_config(void) {
    rustls_client_config_builder *builder = rustls_client_config_builder_new();
    const rustls_client_config *config = NULL;
    if (rustls_client_config_builder_dangerous_set_certificate_verifier(builder, trust_any) !=
            RUSTLS_RESULT_OK ||
        rustls_client_config_builder_build(builder, &config) != RUSTLS_RESULT_OK) {
        die("the client's config");
    }
    return config;
}

static void connect_times(int count, rustls_connection *(*new)(void),
                          const rustls_client_config *config) {
    static struct pipe to_server, to_client;
    for (int i = 0; i < count; i++) {
        rustls_connection *server = new (), *client = NULL;
        if (rustls_client_connection_new(config, "localhost", &client) != RUSTLS_RESULT_OK) {
            die("rustls_client_connection_new");
        }
        to_server.size = to_client.size = 0;
        while (rustls_connection_is_handshaking(client) ||
               rustls_connection_is_handshaking(server)) {
            turn(client, &to_server, &to_client);
            turn(server, &to_client, &to_server);
        }
        rustls_connection_free(client);
        rustls_connection_free(server);
    }
}

/* The config of a server that does not reload. */

static size_t read_file(const char *path, uint8_t *bytes) {
    FILE *file = fopen(path, "rb");
    size_t size = file == NULL ? 0 : fread(bytes, 1, MAX_BYTES, file);
    if (size == 0) {
        die(path);
    }
    fclose(file);
    return size;
}

static const rustls_server_config *fixed_config(const char *chain, const char *key) {
    static uint8_t chain_pem[MAX_BYTES], key_pem[MAX_BYTES];
    const size_t chain_size = read_file(chain, chain_pem), key_size = read_file(key, key_pem);
    const rustls_certified_key *certified = NULL;
    rustls_server_config_builder *builder = rustls_server_config_builder_new();
    const rustls_server_config *config = NULL;
    if (rustls_certified_key_build(chain_pem, chain_size, key_pem, key_size, &certified) !=
            RUSTLS_RESULT_OK ||
        rustls_server_config_builder_set_certified_keys(builder, &certified, 1) !=
            RUSTLS_RESULT_OK ||
        rustls_server_config_builder_build(builder, &config) != RUSTLS_RESULT_OK) {
        die("the server's config");
    }
    rustls_certified_key_free(certified);
    return config;
}

/* The kernel refuses it, and whoever traces sees it. */
static void mark(const char *text) {
    const ssize_t refused = write(-1, text, strlen(text));
    (void)refused;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        rustls_connection *(*new)(void);
    } ways[] = {{"rustls", by_rustls},
                {"certreload", by_certreload},
                {"config", by_config},
                {"generation", by_generation}};
    for (size_t i = 0; argc == 4 && i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(argv[1], ways[i].name) != 0) {
            continue;
        }
        /* Whether the heap has to grow just then is chance. */
        mallopt(M_TOP_PAD, 64 << 20);
        /* Both in each run: what comes before the connections is the same in all. */
        fixed = fixed_config(argv[2], argv[3]);
        if (certreload_open_files(argv[2], argv[3], &handle) != CERTRELOAD_RESULT_OK) {
            die("certreload_open_files");
        }
        const rustls_client_config *client = client_config();
        connect_times(WARM_UP, ways[i].new, client);
        mark("begin");
        connect_times(CONNECTIONS, ways[i].new, client);
        mark("end");
        rustls_client_config_free(client);
        certreload_close(handle);
        rustls_server_config_free(fixed);
        return 0;
    }
    fprintf(stderr, "usage: %s rustls|certreload|config|generation CHAIN KEY\n", argv[0]);
    return 2;
}
