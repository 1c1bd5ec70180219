#define _GNU_SOURCE
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

rustls_io_result tls_read_socket(void *fd, uint8_t *buffer, size_t size, size_t *read_out) {
    ssize_t got = recv(*(int *)fd, buffer, size, 0);
    if (got < 0)
        return errno;
    *read_out = (size_t)got;
    return 0;
}

rustls_io_result tls_write_socket(void *fd, const uint8_t *buffer, size_t size, size_t *written) {
    ssize_t put = send(*(int *)fd, buffer, size, MSG_NOSIGNAL);
    if (put < 0)
        return errno;
    *written = (size_t)put;
    return 0;
}

const rustls_client_config *client_config_new(const char *alpn) {
    rustls_root_cert_store_builder *roots = rustls_root_cert_store_builder_new();
    CHECK_INT(rustls_root_cert_store_builder_load_roots_from_file(roots, root_certificate(), true),
              RUSTLS_RESULT_OK);
    const rustls_root_cert_store *store = NULL;
    CHECK_INT(rustls_root_cert_store_builder_build(roots, &store), RUSTLS_RESULT_OK);
    rustls_root_cert_store_builder_free(roots);

    rustls_web_pki_server_cert_verifier_builder *checks =
        rustls_web_pki_server_cert_verifier_builder_new(store);
    rustls_server_cert_verifier *verifier = NULL;
    CHECK_INT(rustls_web_pki_server_cert_verifier_builder_build(checks, &verifier),
              RUSTLS_RESULT_OK);
    rustls_web_pki_server_cert_verifier_builder_free(checks);
    rustls_root_cert_store_free(store);

    rustls_client_config_builder *builder = rustls_client_config_builder_new();
    rustls_client_config_builder_set_server_verifier(builder, verifier);
    rustls_server_cert_verifier_free(verifier);
    if (alpn != NULL) {
        rustls_slice_bytes protocol = {(const uint8_t *)alpn, strlen(alpn)};
        CHECK_INT(rustls_client_config_builder_set_alpn_protocols(builder, &protocol, 1),
                  RUSTLS_RESULT_OK);
    }
    const rustls_client_config *config = NULL;
    CHECK_INT(rustls_client_config_builder_build(builder, &config), RUSTLS_RESULT_OK);
    return config;
}

rustls_connection *client_connection_new(const char *server_name, const char *alpn) {
    const rustls_client_config *config = client_config_new(alpn);
    rustls_connection *client = NULL;
    CHECK_INT(rustls_client_connection_new(config, server_name, &client), RUSTLS_RESULT_OK);
    rustls_client_config_free(config);
    return client;
}

void socket_pair(int fds[2]) {
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

rustls_result tls_turn(rustls_connection *connection, int fd) {
    size_t moved = 0;
    while (rustls_connection_wants_write(connection) &&
           rustls_connection_write_tls(connection, tls_write_socket, &fd, &moved) == 0)
        continue;
    if (rustls_connection_read_tls(connection, tls_read_socket, &fd, &moved) != 0)
        return RUSTLS_RESULT_OK;
    rustls_result result = rustls_connection_process_new_packets(connection);
    /* What there is to answer, an alert included, goes out before anyone waits. */
    while (rustls_connection_wants_write(connection) &&
           rustls_connection_write_tls(connection, tls_write_socket, &fd, &moved) == 0)
        continue;
    return result;
}

void tls_handshake(rustls_connection *server, int server_fd, rustls_connection *client,
                   int client_fd) {
    /* Both ends are here, so each turn moves the handshake on; four are enough for TLS 1.2. */
    for (int turn = 0; turn < 10; turn++) {
        CHECK_INT(tls_turn(client, client_fd), RUSTLS_RESULT_OK);
        CHECK_INT(tls_turn(server, server_fd), RUSTLS_RESULT_OK);
    }
    CHECK(!rustls_connection_is_handshaking(client));
    CHECK(!rustls_connection_is_handshaking(server));
}

static bool is_shown(const rustls_connection *client, const certreload_identity *identity) {
    const uint8_t *shown = NULL;
    size_t shown_size = 0, size = 0;
    const rustls_certificate *certificate = rustls_connection_get_peer_certificate(client, 0);
    CHECK_INT(rustls_certificate_get_der(certificate, &shown, &shown_size), RUSTLS_RESULT_OK);
    const uint8_t *der = certreload_identity_certificate_der(identity, 0, &size);
    return size == shown_size && memcmp(der, shown, size) == 0;
}

const char *fingerprint_shown(certreload_handle *handle, const char *server_name) {
    /* A renewal may come between the handshake and the look at what serves, but not each time. */
    for (int attempt = 0; attempt < 10; attempt++) {
        int fds[2];
        socket_pair(fds);
        rustls_connection *server = NULL, *client = client_connection_new(server_name, NULL);
        CHECK_OK(certreload_server_connection_new(handle, &server));
        tls_handshake(server, fds[0], client, fds[1]);
        const certreload_generation *generation = certreload_generation_acquire(handle);
        bool is_current = is_shown(client, certreload_generation_select(generation, server_name));
        certreload_generation_release(generation);
        rustls_connection_free(client);
        rustls_connection_free(server);
        close(fds[0]);
        close(fds[1]);
        if (is_current)
            return serving_fingerprint(handle);
    }
    CHECK(!"clients are shown what the handle serves");
    return NULL;
}

/* Serves one connection until the client hangs up. */
static void serve(rustls_connection *server, int fd) {
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        CHECK_INT(poll(&ready, 1, PATIENCE_SECONDS * 1000), 1);
        char byte;
        if (recv(fd, &byte, 1, MSG_PEEK) <= 0 || tls_turn(server, fd) != RUSTLS_RESULT_OK)
            return;
    }
}

const char *fingerprint_seen_by_openssl(certreload_handle *handle, const char *server_name) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, size) == 0 &&
          listen(listener, 1) == 0 &&
          getsockname(listener, (struct sockaddr *)&address, &size) == 0);

    char command[1024];
    snprintf(command, sizeof command,
             "openssl s_client -connect 127.0.0.1:%d -servername %s -CAfile '%s'"
             " -verify_return_error </dev/null >'%s' 2>&1",
             ntohs(address.sin_port), server_name, root_certificate(), scratch("s_client.out"));
    FILE *client = popen(command, "r");
    CHECK(client != NULL);

    struct pollfd ready = {.fd = listener, .events = POLLIN};
    CHECK_INT(poll(&ready, 1, PATIENCE_SECONDS * 1000), 1);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(fd >= 0);
    rustls_connection *server = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &server));
    serve(server, fd);
    rustls_connection_free(server);
    close(fd);
    close(listener);
    CHECK_INT(pclose(client), 0);
    return fingerprint_of(scratch("s_client.out"));
}
