/* Peers that speak through OpenSSL and GnuTLS. */

#ifndef CERTRELOAD_TEST_FOREIGN_PEERS_H
#define CERTRELOAD_TEST_FOREIGN_PEERS_H

#include "peer.h"

/* Each takes the descriptor over; clients trust the roots, and verify the name. */
peer openssl_server(const char *chain, const char *key, int fd);
peer openssl_client(const char *roots, const char *server_name, int fd);
peer gnutls_server_peer(const char *chain, const char *key, int fd);
peer gnutls_client_peer(const char *roots, const char *server_name, int fd);

#endif
