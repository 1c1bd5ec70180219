/* What one SSL uses from its ClientHello until it is freed: a generation, and the rules of its
 * verification. */

#ifndef CERTRELOAD_OPENSSL_CONNECTION_H
#define CERTRELOAD_OPENSSL_CONNECTION_H

#include "attachment.h"
#include "prepared.h"

/* Identities of one name that OpenSSL can have side by side: one for each kind of key. */
enum { CRO_MAX_IDENTITIES = 16, CRO_CONTEXT_SIZE = 32 };

struct cro_connection {
    struct cro_attachment
        *first; /* of the SSL_CTX whose hook ran first: OpenSSL keeps its sessions there */
    struct cro_attachment
        *owner; /* whose generation this is; NULL: of certreload_openssl_apply() */
    const certreload_generation *generation; /* NULL: none yet */
    uint32_t slot;
    bool is_bound; /* session_context is set on the SSL */
    unsigned char session_context[CRO_CONTEXT_SIZE];
    bool has_sessions; /* ends of sessions are ours */
    bool was_applied;  /* certreload_openssl_apply() has chosen the generation of the next handshake
                        */
    bool is_verified;  /* cert_cb has set how this handshake verifies the client */
    bool has_trust;    /* verification is ours: the host's is kept below */
    int host_mode;     /* SSL_VERIFY_* */
    SSL_verify_cb host_verify;
    const struct cro_trust *trust; /* belongs to the generation */
    int64_t resumed_end;           /* of the session that was resumed; 0: none was */
};

/* Registers the place in SSL, for cro_start(). */
bool cro_connections_start(void);

struct cro_connection *cro_connection_of(const SSL *ssl);

/*
 * Returns the connection of an SSL with the generation of its handshake. At the first call of a
 * handshake that is the current one. NULL if the attachment was detached before, or there is no
 * memory: then the SSL_CTX serves by itself.
 */
struct cro_connection *cro_pin(SSL *ssl, struct cro_attachment *attachment);

/* The same for certreload_openssl_apply(): consumes the generation. */
struct cro_connection *cro_pin_generation(SSL *ssl, const certreload_generation *generation,
                                          uint32_t slot);

/* Forgets the generation: another connection begins on an SSL that was cleared. */
void cro_unpin(struct cro_connection *connection);

/* The identities that serve a name, as they were prepared. Returns how many there are, at most the
 * room. */
size_t cro_select(const struct cro_connection *connection, const char *name,
                  const certreload_identity **identities, bool *is_served);
const struct cro_identity *cro_prepared(const struct cro_connection *connection,
                                        const certreload_identity *identity);

/* Sets chain and key of those that serve the name; then verification of clients as the trust store
 * says. */
void cro_serve_certificates(SSL *ssl, const struct cro_connection *connection, const char *name);
void cro_verify_clients(SSL *ssl, struct cro_connection *connection);

/* How the SSL verifies clients if that is the host's: the SSL_VERIFY_* of its mode, plus 1; 0 if it
 * is ours. */
int cro_host_verification(const SSL *ssl, const struct cro_connection *connection);

/* Sets the client identity, and verification of servers, for an SSL in the client role. */
void cro_act_as_client(SSL *ssl, struct cro_connection *connection);

/* Whether the generation must not serve: its trust store has never been loaded. */
bool cro_refuses(const struct cro_connection *connection);

#endif
