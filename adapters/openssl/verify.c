/* Verification of peers: roots, revocation lists and rules of the generation that the connection
 * uses. */

#include <pthread.h>

#include "connection.h"

/* Whether the rules accept what OpenSSL reports about revocation lists. */
static bool rules_accept(const struct cro_trust *trust, X509_STORE_CTX *verification) {
    const int error = cro_libssl.X509_STORE_CTX_get_error(verification);
    const int depth = cro_libssl.X509_STORE_CTX_get_error_depth(verification);
    const int count = cro_stack_count(cro_libssl.X509_STORE_CTX_get0_chain(verification));
    /* A root is trusted because it is in the file: lists are about what is below it. */
    const bool is_root = depth > 0 && depth == count - 1;

    switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
        return is_root || (trust->crl_rules & CERTRELOAD_CRL_ALLOW_UNKNOWN) != 0;
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return (trust->crl_rules & CERTRELOAD_CRL_ALLOW_EXPIRED) != 0;
    default:
        return false;
    }
}

/* OpenSSL calls this for each certificate of a chain, and for each error. */
static int verify(int is_good, X509_STORE_CTX *verification) {
    const SSL *ssl = cro_libssl.X509_STORE_CTX_get_ex_data(
        verification, cro_libssl.SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct cro_connection *connection = ssl == NULL ? NULL : cro_connection_of(ssl);

    if (connection == NULL) {
        return is_good;
    }
    if (!is_good && connection->trust != NULL && rules_accept(connection->trust, verification)) {
        cro_libssl.X509_STORE_CTX_set_error(verification, X509_V_OK);
        is_good = 1;
    }
    return connection->host_verify == NULL ? is_good
                                           : connection->host_verify(is_good, verification);
}

/* Keeps what the host has set, at the first call. */
static void begin(SSL *ssl, struct cro_connection *connection) {
    if (!connection->has_trust) {
        connection->host_mode = cro_libssl.SSL_get_verify_mode(ssl);
        connection->host_verify = cro_libssl.SSL_get_verify_callback(ssl);
        /* SSL_dup() copies ours. */
        if (connection->host_verify == verify) {
            connection->host_verify = NULL;
        }
        connection->has_trust = true;
    }
}

/* Gives verification back to the host: a cleared SSL had a trust store, and this generation has
 * none. */
static void end(SSL *ssl, struct cro_connection *connection) {
    if (connection->has_trust) {
        cro_libssl.SSL_set_verify(ssl, connection->host_mode, connection->host_verify);
        cro_libssl.SSL_ctrl(ssl, SSL_CTRL_SET_VERIFY_CERT_STORE, 1, NULL);
        connection->has_trust = false;
    }
    connection->trust = NULL;
}

static void use_store(SSL *ssl, X509_STORE *store) {
    cro_libssl.SSL_ctrl(ssl, SSL_CTRL_SET_VERIFY_CERT_STORE, 1, store);
}

static const struct cro_trust *trust_of(const struct cro_connection *connection) {
    const certreload_trust_store *store = certreload_generation_trust_store(connection->generation);
    const bool is_hosts =
        connection->owner != NULL && cro_has_flag(connection->owner, CERTRELOAD_OPENSSL_NO_TRUST);

    return store == NULL || is_hosts ? NULL
                                     : certreload_trust_store_prepared(store, connection->slot);
}

/* Flags and depth that the host has set on its store would be lost with the store. */
static void keep_store_rules(SSL *ssl, const struct cro_connection *connection) {
    if (connection->owner != NULL && connection->owner->store_rules != NULL) {
        cro_libssl.X509_VERIFY_PARAM_inherit(cro_libssl.SSL_get0_param(ssl),
                                             connection->owner->store_rules);
    }
}

/* A copy per handshake: OpenSSL frees the names with the SSL. */
static void *copy_names(const void *names) {
    void *copy = cro_libssl.OPENSSL_sk_new_null();
    const int count = copy == NULL ? 0 : cro_stack_count(names);

    for (int i = 0; i < count; i++) {
        X509_NAME *name = cro_libssl.X509_NAME_dup(cro_stack_item(names, i));
        if (name == NULL || cro_libssl.OPENSSL_sk_push((OPENSSL_STACK *)copy, name) <= 0) {
            cro_libssl.X509_NAME_free(name);
            break;
        }
    }
    return copy;
}

int cro_host_verification(const SSL *ssl, const struct cro_connection *connection) {
    const struct cro_trust *trust = trust_of(connection);

    if (trust != NULL && trust->clients != NULL) {
        return 0;
    }
    return 1 +
           (connection->has_trust ? connection->host_mode : cro_libssl.SSL_get_verify_mode(ssl));
}

void cro_verify_clients(SSL *ssl, struct cro_connection *connection) {
    const struct cro_trust *trust = trust_of(connection);

    if (trust == NULL || trust->clients == NULL) {
        end(ssl, connection);
        return;
    }
    begin(ssl, connection);
    connection->trust = trust;
    use_store(ssl, trust->clients);
    keep_store_rules(ssl, connection);
    cro_libssl.SSL_set_verify(
        ssl,
        trust->client_mode |
            (connection->host_mode & (SSL_VERIFY_CLIENT_ONCE | SSL_VERIFY_POST_HANDSHAKE)),
        trust->has_crls ? verify : NULL);
    /* Both lists, because the first that is not empty is sent: those of the SSL_CTX would be next.
     */
    cro_libssl.SSL_set_client_CA_list(ssl, copy_names(trust->names));
    cro_libssl.SSL_set0_CA_list(ssl, cro_stack_count(trust->names) > 0
                                         ? NULL
                                         : (STACK_OF(X509_NAME) *)cro_libssl.OPENSSL_sk_new_null());
}

static X509_STORE *no_roots;
static pthread_once_t no_roots_once = PTHREAD_ONCE_INIT;

static void make_no_roots(void) {
    no_roots = cro_libssl.X509_STORE_new();
}

/* The roots that servers are checked with: none if the trust store has never been loaded, so that
 * none is accepted. */
static X509_STORE *server_roots(const struct cro_connection *connection,
                                const struct cro_trust *trust) {
    if (cro_refuses(connection)) {
        pthread_once(&no_roots_once, make_no_roots);
        return no_roots;
    }
    return trust == NULL ? NULL : trust->servers;
}

void cro_act_as_client(SSL *ssl, struct cro_connection *connection) {
    const struct cro_trust *trust = trust_of(connection);
    X509_STORE *roots = server_roots(connection, trust);
    const certreload_identity *identity =
        certreload_generation_client_identity(connection->generation);
    const struct cro_identity *prepared =
        identity == NULL ? NULL : cro_prepared(connection, identity);

    if (prepared != NULL) {
        cro_libssl.SSL_certs_clear(ssl);
        cro_libssl.SSL_use_cert_and_key(ssl, prepared->leaf, prepared->key, prepared->chain, 1);
    }
    if (roots == NULL) {
        end(ssl, connection);
        return;
    }
    begin(ssl, connection);
    connection->trust = trust;
    use_store(ssl, roots);
    keep_store_rules(ssl, connection);
    cro_libssl.SSL_set_verify(ssl, connection->host_mode | SSL_VERIFY_PEER,
                              trust != NULL && trust->has_crls ? verify : NULL);
}
