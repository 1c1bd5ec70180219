/* Handshakes for the tests: a rustls client in this process, and openssl s_client as another. */

#ifndef CERTRELOAD_TEST_TLS_H
#define CERTRELOAD_TEST_TLS_H

#include "support.h"

#include <rustls.h>

/* What clients that trust root_certificate() are made with. `alpn` is one protocol, or NULL for
 * none. The caller's, until rustls_client_config_free(). */
const rustls_client_config *client_config_new(const char *alpn);

/* A client that has such a config. */
rustls_connection *client_connection_new(const char *server_name, const char *alpn);

/* A connected pair of non-blocking sockets. */
void socket_pair(int fds[2]);

/* One turn of a connection: writes what it has to say, reads what is there. The result is that of
 * rustls; end of input is no error. */
rustls_result tls_turn(rustls_connection *connection, int fd);

/* Takes both ends through the handshake. */
void tls_handshake(rustls_connection *server, int server_fd, rustls_connection *client,
                   int client_fd);

/* The fingerprint of what a client of this process is shown in a handshake with the handle, which
 * has to be what the handle serves; lives until exit. */
const char *fingerprint_shown(certreload_handle *handle, const char *server_name);

/* The callbacks of rustls for a socket; userdata points to the descriptor. */
rustls_io_result tls_read_socket(void *fd, uint8_t *buffer, size_t size, size_t *read_out);
rustls_io_result tls_write_socket(void *fd, const uint8_t *buffer, size_t size, size_t *written);

/* The fingerprint that a new connection of openssl s_client to the handle is shown; lives until
 * exit. */
const char *fingerprint_seen_by_openssl(certreload_handle *handle, const char *server_name);

#endif
