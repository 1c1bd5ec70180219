/*
 * A peer that speaks through rustls-ffi: whichever copy of it the table of functions belongs to.
 */

#ifndef CERTRELOAD_TEST_RUSTLS_PEER_H
#define CERTRELOAD_TEST_RUSTLS_PEER_H

#include "peer.h"

#include <rustls.h>

#define RUSTLS_FUNCTIONS(X)                                                                        \
    X(rustls_certified_key_build)                                                                  \
    X(rustls_certified_key_free)                                                                   \
    X(rustls_client_config_builder_build)                                                          \
    X(rustls_client_config_builder_new)                                                            \
    X(rustls_client_config_builder_set_server_verifier)                                            \
    X(rustls_client_config_free)                                                                   \
    X(rustls_client_connection_new)                                                                \
    X(rustls_connection_free)                                                                      \
    X(rustls_connection_is_handshaking)                                                            \
    X(rustls_connection_process_new_packets)                                                       \
    X(rustls_connection_read)                                                                      \
    X(rustls_connection_read_tls)                                                                  \
    X(rustls_connection_wants_write)                                                               \
    X(rustls_connection_write)                                                                     \
    X(rustls_connection_write_tls)                                                                 \
    X(rustls_root_cert_store_builder_build)                                                        \
    X(rustls_root_cert_store_builder_free)                                                         \
    X(rustls_root_cert_store_builder_load_roots_from_file)                                         \
    X(rustls_root_cert_store_builder_new)                                                          \
    X(rustls_root_cert_store_free)                                                                 \
    X(rustls_server_cert_verifier_free)                                                            \
    X(rustls_server_config_builder_build)                                                          \
    X(rustls_server_config_builder_new)                                                            \
    X(rustls_server_config_builder_set_certified_keys)                                             \
    X(rustls_server_config_free)                                                                   \
    X(rustls_server_connection_new)                                                                \
    X(rustls_web_pki_server_cert_verifier_builder_build)                                           \
    X(rustls_web_pki_server_cert_verifier_builder_free)                                            \
    X(rustls_web_pki_server_cert_verifier_builder_new)

/* Each function under its own name. */
typedef struct {
#define X(name) __typeof__(name) *name;
    RUSTLS_FUNCTIONS(X)
#undef X
} rustls_functions;

/* Those of a library that was opened with dlopen(). */
void rustls_functions_of(void *library, rustls_functions *functions);

/* Puts what dlsym() finds into a pointer to a function. */
void find_function(void *library, const char *name, void *function_out, size_t size);

const rustls_client_config *rustls_client_trusting(const rustls_functions *use, const char *roots);
const rustls_server_config *rustls_server_with(const rustls_functions *use, const char *chain,
                                               const char *key);

/* Takes the connection and the descriptor over. */
peer rustls_peer(const rustls_functions *use, rustls_connection *connection, int fd);

/* The same with a new connection; the config is borrowed. */
peer rustls_client_peer(const rustls_functions *use, const rustls_client_config *config,
                        const char *server_name, int fd);

#endif
