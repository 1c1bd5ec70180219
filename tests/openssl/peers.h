/* Clients and servers of OpenSSL that meet in memory, and files that a handle loads. */

#ifndef CERTRELOAD_TEST_OPENSSL_PEERS_H
#define CERTRELOAD_TEST_OPENSSL_PEERS_H

#include "../c/support.h"

#include <certreload_openssl.h>
#include <openssl/err.h>

/* Makes another authority: NAME.pem and NAME.key in the scratch directory. */
void make_authority(const char *name);

/* Makes LEAF.chain and LEAF.key in the scratch directory, and renames them into place. The kind of
 * key is what follows -newkey: EC_KEY, RSA_KEY or another. */
#define EC_KEY "ec -pkeyopt ec_paramgen_curve:P-256"
#define RSA_KEY "rsa:2048"
void issue(const char *authority, const char *leaf, const char *kind, const char *name);

/* Makes a file of the certificates of authorities: "old new". */
void trust_in(const char *file, const char *authorities);

/* Options with identities LEAF.chain and LEAF.key, for each name in the list; only requests reload.
 */
certreload_options *options_with(const char *leaves);
certreload_handle *open_and_free(certreload_options *options);
certreload_handle *open_with(const char *leaves);

/* Reloads; there must be something new. */
void reload(certreload_handle *handle);

/* An SSL_CTX for servers, attached unless the handle is NULL. */
SSL_CTX *server_context(certreload_handle *handle);

/* What a client wants; zeros: no SNI, the newest protocol version, a new session, no certificate.
 */
typedef struct {
    const char *name;
    int version;
    SSL_SESSION *session; /* a copy is offered, so that OpenSSL cannot refuse to use it twice */
    const char *groups, *signatures;
    const char *leaf; /* of LEAF.chain and LEAF.key */
    bool wants_staple;
} wish;

/* Two ends of a connection, and what became of the handshake. */
typedef struct {
    SSL_CTX *client_ctx;
    SSL *server, *client;
    bool is_good; /* and a byte went in either direction, so that tickets have arrived */
} meeting;

meeting meet(SSL_CTX *server, wish wish);
meeting meet_ssl(SSL *server, wish wish);                          /* consumes the reference */
meeting meet_context(SSL *server, SSL_CTX *client_ctx, wish wish); /* consumes both */
bool talk(meeting *meeting);
void part(meeting *meeting);

/* The fingerprint of what the client got, or the server: "" if there is none. Lives until the next
 * call. */
const char *seen_by_client(const meeting *meeting);
const char *seen_by_server(const meeting *meeting);

/* The fingerprint of LEAF.chain. */
const char *print_of(const char *leaf);

/* Meets, checks that the client got this leaf, and parts. */
void check_serves(SSL_CTX *server, wish wish, const char *leaf);

/* Checks that a handshake fails. */
void check_refuses(SSL_CTX *server, wish wish);

/* The newest session of the client, as a copy that was written and read; NULL if there is none.
 * Free it. */
SSL_SESSION *session_of(const meeting *meeting);

#endif
