/*
 * What is made of a unit once, on the reload side, and shared by all handshakes. Nothing in it
 * changes afterwards, except the reference counts of OpenSSL and what OpenSSL caches under its own
 * locks.
 */

#ifndef CERTRELOAD_OPENSSL_PREPARED_H
#define CERTRELOAD_OPENSSL_PREPARED_H

#include <stdbool.h>

#include <certreload.h>

#include "libssl_table.h"

enum { CRO_DIGEST_SIZE = 32 };

struct cro_identity {
    X509 *leaf;
    EVP_PKEY *key;
    /* Never NULL: OpenSSL would complete a missing chain from stores of the host. */
    STACK_OF(X509) * chain;
};

struct cro_trust {
    X509_STORE *clients; /* NULL: clients are not asked for certificates */
    X509_STORE *servers; /* NULL: no client role */
    STACK_OF(X509_NAME) * names;
    int client_mode; /* SSL_VERIFY_* */
    uint32_t crl_rules;
    bool has_crls;
    /* Of roots for servers, lists and rules: what sessions of the client role are bound to. */
    unsigned char servers_digest[CRO_DIGEST_SIZE];
};

/* SHA-256; false without memory. */
bool cro_digest(const void *bytes, size_t size, unsigned char digest[CRO_DIGEST_SIZE]);

/* An adapter per security level, because the level decides what OpenSSL accepts. */
struct cro_level;

/* Adds the adapter to the handle, or finds it there. */
certreload_result cro_add_adapter(certreload_handle *handle, int security_level,
                                  uint32_t *slot_out);

/* The functions of the adapter; userdata is the level. */
certreload_prepare cro_prepare_identity(void *userdata, const certreload_identity *candidate,
                                        const uint8_t *key_der, size_t key_der_size,
                                        void **prepared_out, char *why, size_t why_size);
void cro_drop_identity(void *prepared);
certreload_prepare cro_prepare_trust(void *userdata, const certreload_trust_store *candidate,
                                     void **prepared_out, char *why, size_t why_size);
void cro_drop_trust(void *prepared);

/* Where a function of the adapter writes why it refuses. */
struct cro_reason {
    char *text;
    size_t size;
};

/* Writes the reason: what is wrong, and the words of OpenSSL's last error in parentheses if there
 * are any. */
certreload_prepare cro_refuse(struct cro_reason why, certreload_prepare outcome, const char *what);

/* Proves that OpenSSL serves an identity at a level: handshakes in memory, one for each protocol
 * version. */
certreload_prepare cro_self_check(const struct cro_level *level,
                                  const struct cro_identity *identity, struct cro_reason why);

#endif
