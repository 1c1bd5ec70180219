#include "connection.h"

#include <stdlib.h>
#include <time.h>

static int connection_index = -1;

static void release_generation(struct cro_connection *connection) {
    certreload_generation_release(connection->generation);
    connection->generation = NULL;
    connection->trust = NULL;
}

/* Runs in SSL_free(). */
static void free_connection(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long argl,
                            void *argp) {
    struct cro_connection *connection = pointer;

    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    if (connection != NULL) {
        release_generation(connection);
        cro_attachment_release(connection->first);
        cro_attachment_release(connection->owner);
        free(connection);
    }
}

/* SSL_dup() makes another connection: its handshake chooses a generation for itself. */
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
static int skip_copy(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **pointer, int index,
                     long argl, void *argp) {
#else
static int skip_copy(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void *address, int index,
                     long argl, void *argp) {
    void **pointer = address;
#endif
    (void)to, (void)from, (void)index, (void)argl, (void)argp;
    *pointer = NULL;
    return 1;
}

bool cro_connections_start(void) {
    connection_index = cro_libssl.CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, NULL,
                                                          skip_copy, free_connection);
    return connection_index >= 0;
}

struct cro_connection *cro_connection_of(const SSL *ssl) {
    return connection_index < 0 ? NULL : cro_libssl.SSL_get_ex_data(ssl, connection_index);
}

static struct cro_connection *find_or_make(SSL *ssl) {
    struct cro_connection *connection = cro_connection_of(ssl);

    if (connection == NULL) {
        connection = calloc(1, sizeof *connection);
        if (connection != NULL &&
            cro_libssl.SSL_set_ex_data(ssl, connection_index, connection) != 1) {
            free(connection);
            connection = NULL;
        }
    }
    return connection;
}

struct cro_connection *cro_pin(SSL *ssl, struct cro_attachment *attachment) {
    struct cro_connection *connection = cro_connection_of(ssl);

    if (connection != NULL && connection->generation != NULL &&
        (connection->owner == attachment || connection->owner == NULL)) {
        return connection;
    }
    if (cro_is_detached(attachment) || (connection = find_or_make(ssl)) == NULL) {
        return NULL;
    }
    release_generation(connection);
    cro_attachment_release(connection->owner);
    connection->owner = cro_attachment_share(attachment);
    if (connection->first == NULL) {
        connection->first = cro_attachment_share(attachment);
    }
    connection->slot = attachment->source->slot;
    connection->has_sessions = !cro_has_flag(attachment, CERTRELOAD_OPENSSL_NO_SESSIONS);
    connection->generation = certreload_view_acquire(attachment->source->view);
    return connection->generation == NULL ? NULL : connection;
}

struct cro_connection *cro_pin_generation(SSL *ssl, const certreload_generation *generation,
                                          uint32_t slot) {
    struct cro_connection *connection = find_or_make(ssl);

    if (connection == NULL) {
        certreload_generation_release(generation);
        return NULL;
    }
    cro_unpin(connection);
    cro_attachment_release(connection->owner);
    connection->owner = NULL;
    connection->generation = generation;
    connection->slot = slot;
    connection->has_sessions = true;
    connection->was_applied = true;
    return connection;
}

void cro_unpin(struct cro_connection *connection) {
    release_generation(connection);
    connection->is_bound = false;
    connection->is_verified = false;
    connection->resumed_end = 0;
}

size_t cro_select(const struct cro_connection *connection, const char *name,
                  const certreload_identity **identities, bool *is_served) {
    const certreload_generation *generation = connection->generation;
    size_t count = certreload_generation_select_all(generation, name, identities,
                                                    CRO_MAX_IDENTITIES, is_served);
    const certreload_identity *preferred = count == 0 ? NULL : identities[0];
    bool has_name = false;

    if (preferred != NULL && !*is_served) {
        /* Those are all identities, and OpenSSL would choose any: take the default and those with
         * its name. */
        count = certreload_generation_select_all(generation, certreload_identity_name(preferred, 0),
                                                 identities, CRO_MAX_IDENTITIES, &has_name);
        if (!has_name) {
            identities[0] = preferred;
            count = 1;
        }
    }
    return count;
}

const struct cro_identity *cro_prepared(const struct cro_connection *connection,
                                        const certreload_identity *identity) {
    return certreload_identity_prepared(identity, connection->slot);
}

static bool is_valid(const certreload_identity *identity, int64_t now) {
    return certreload_identity_not_before(identity) <= now &&
           now <= certreload_identity_not_after(identity);
}

void cro_serve_certificates(SSL *ssl, const struct cro_connection *connection, const char *name) {
    const certreload_identity *identities[CRO_MAX_IDENTITIES];
    bool is_served = false, is_clear = false;
    const size_t count = cro_select(connection, name, identities, &is_served);
    const int64_t now = time(NULL);

    /* From the last to the first: of two with one kind of key OpenSSL keeps the later, which is
     * preferred. */
    for (size_t left = count; left > 0; left--) {
        const certreload_identity *identity = identities[left - 1];
        const struct cro_identity *prepared = cro_prepared(connection, identity);
        /* OpenSSL chooses by the kind of key, so it could choose one that has expired beside a
         * valid one. */
        if (prepared == NULL || (is_valid(identities[0], now) && !is_valid(identity, now))) {
            continue;
        }
        if (!is_clear) {
            /* A certificate of another kind of key would stay beside the new one. */
            cro_libssl.SSL_certs_clear(ssl);
            is_clear = true;
        }
        cro_libssl.SSL_use_cert_and_key(ssl, prepared->leaf, prepared->key, prepared->chain, 1);
    }
}

bool cro_refuses(const struct cro_connection *connection) {
    return (connection->owner == NULL ||
            !cro_has_flag(connection->owner, CERTRELOAD_OPENSSL_NO_TRUST)) &&
           certreload_generation_refuses(connection->generation);
}
