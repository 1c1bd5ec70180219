/* Roots and revocation lists as OpenSSL wants them. */

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "prepared.h"

/* A CertificateRequest has two bytes for the length of all names (RFC 8446 section 4.2.4). */
enum { MAX_NAMES_SIZE = 65000 };

/* Adds bytes to a digest of all before. */
static bool extend(unsigned char digest[CRO_DIGEST_SIZE], const uint8_t *bytes, size_t size) {
    unsigned char both[2 * CRO_DIGEST_SIZE];

    memcpy(both, digest, CRO_DIGEST_SIZE);
    return cro_digest(bytes, size, both + CRO_DIGEST_SIZE) && cro_digest(both, sizeof both, digest);
}

static bool make_servers_digest(const certreload_trust_store *candidate, struct cro_trust *trust) {
    const size_t roots = certreload_trust_store_root_count(candidate, CERTRELOAD_PEERS_SERVERS);
    const size_t crls = certreload_trust_store_crl_count(candidate);
    unsigned char *digest = trust->servers_digest;
    const uint8_t rules = (uint8_t)trust->crl_rules;
    bool is_good = extend(digest, &rules, sizeof rules);
    size_t size = 0;

    for (size_t i = 0; is_good && i < roots; i++) {
        const uint8_t *der =
            certreload_trust_store_root_der(candidate, CERTRELOAD_PEERS_SERVERS, i, &size);
        is_good = extend(digest, der, size);
    }
    for (size_t i = 0; is_good && i < crls; i++) {
        const uint8_t *der = certreload_trust_store_crl_der(candidate, i, &size);
        is_good = extend(digest, der, size);
    }
    return is_good;
}

static bool add_root(X509_STORE *store, const uint8_t *der, size_t size) {
    const unsigned char *at = der;
    X509 *root = der == NULL || size > LONG_MAX ? NULL : cro_libssl.d2i_X509(NULL, &at, (long)size);
    bool is_added = false;

    if (root != NULL) {
        /* Makes OpenSSL parse the extensions now, instead of under a lock in the first handshakes.
         */
        cro_libssl.X509_check_purpose(root, -1, 0);
        is_added = cro_libssl.X509_STORE_add_cert(store, root) == 1;
    }
    cro_libssl.X509_free(root);
    return is_added;
}

static bool add_crl(X509_STORE *store, const uint8_t *der, size_t size) {
    const unsigned char *at = der;
    X509_CRL *crl =
        der == NULL || size > LONG_MAX ? NULL : cro_libssl.d2i_X509_CRL(NULL, &at, (long)size);
    const bool is_added = crl != NULL && cro_libssl.X509_STORE_add_crl(store, crl) == 1;

    cro_libssl.X509_CRL_free(crl);
    return is_added;
}

/* Every root is an anchor, also one that is not self-signed: the same for all TLS stacks of
 * certreload. */
static unsigned long flags_of(const struct cro_trust *trust) {
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST;

    if (trust->has_crls) {
        flags |= X509_V_FLAG_CRL_CHECK;
        if ((trust->crl_rules & CERTRELOAD_CRL_LEAF_ONLY) == 0) {
            flags |= X509_V_FLAG_CRL_CHECK_ALL;
        }
    }
    return flags;
}

static X509_STORE *make_store(const certreload_trust_store *candidate, certreload_peers peers,
                              const struct cro_trust *trust, const char **what) {
    const size_t roots = certreload_trust_store_root_count(candidate, peers);
    const size_t crls = certreload_trust_store_crl_count(candidate);
    X509_STORE *store = cro_libssl.X509_STORE_new();
    bool is_good = store != NULL && cro_libssl.X509_STORE_set_flags(store, flags_of(trust)) == 1;
    size_t size = 0;

    *what = "OpenSSL cannot use one of the roots";
    for (size_t i = 0; is_good && i < roots; i++) {
        const uint8_t *der = certreload_trust_store_root_der(candidate, peers, i, &size);
        is_good = add_root(store, der, size);
    }
    if (is_good) {
        *what = "OpenSSL cannot use one of the revocation lists";
    }
    for (size_t i = 0; is_good && i < crls; i++) {
        const uint8_t *der = certreload_trust_store_crl_der(candidate, i, &size);
        is_good = add_crl(store, der, size);
    }
    if (!is_good) {
        cro_libssl.X509_STORE_free(store);
        return NULL;
    }
    return store;
}

static void free_name(void *name) {
    cro_libssl.X509_NAME_free(name);
}

static void free_names(void *names) {
    cro_libssl.OPENSSL_sk_pop_free((OPENSSL_STACK *)names, free_name);
}

/* Adds the name of a root; OpenSSL 1.1.1 copies from a name without const. Returns its size in a
 * CertificateRequest, or 0. */
static size_t add_name(void *names, const uint8_t *der, size_t size) {
    const unsigned char *at = der;
    X509 *root = cro_libssl.d2i_X509(NULL, &at, (long)size);
    const X509_NAME *subject = root == NULL ? NULL : cro_libssl.X509_get_subject_name(root);
    X509_NAME *name =
        subject == NULL ? NULL : cro_libssl.X509_NAME_dup((X509_NAME *)(uintptr_t)subject);
    const int length = name == NULL ? -1 : cro_libssl.i2d_X509_NAME(name, NULL);
    bool is_added = length > 0 && cro_libssl.OPENSSL_sk_push((OPENSSL_STACK *)names, name) > 0;

    if (!is_added) {
        cro_libssl.X509_NAME_free(name);
    }
    cro_libssl.X509_free(root);
    return is_added ? (size_t)length + 2 : 0;
}

/* The names of authorities to ask clients with: none if they are too many, which means any. */
static bool make_names(const certreload_trust_store *candidate, struct cro_trust *trust) {
    const size_t roots = certreload_trust_store_root_count(candidate, CERTRELOAD_PEERS_CLIENTS);
    void *names = cro_libssl.OPENSSL_sk_new_null();
    size_t total = 0, size = 0;
    bool is_good = names != NULL;

    if (is_good && certreload_trust_store_sends_authority_names(candidate)) {
        for (size_t i = 0; is_good && i < roots; i++) {
            const uint8_t *der =
                certreload_trust_store_root_der(candidate, CERTRELOAD_PEERS_CLIENTS, i, &size);
            const size_t added = add_name(names, der, size);
            total += added;
            is_good = added > 0;
        }
    }
    if (is_good && total > MAX_NAMES_SIZE) {
        free_names(names);
        names = cro_libssl.OPENSSL_sk_new_null();
        is_good = names != NULL;
    }
    trust->names = (STACK_OF(X509_NAME) *)names;
    return is_good;
}

static certreload_prepare fill(const certreload_trust_store *candidate, struct cro_trust *trust,
                               struct cro_reason why) {
    const certreload_client_auth mode = certreload_trust_store_client_auth(candidate);
    const char *what = "OpenSSL has no memory for the trust store";
    bool is_good = make_names(candidate, trust);

    trust->crl_rules = certreload_trust_store_crl_rules(candidate);
    trust->has_crls = certreload_trust_store_crl_count(candidate) > 0;
    trust->client_mode = mode == CERTRELOAD_CLIENT_AUTH_REQUIRED
                             ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                             : SSL_VERIFY_PEER;
    if (is_good && mode != CERTRELOAD_CLIENT_AUTH_NONE) {
        trust->clients = make_store(candidate, CERTRELOAD_PEERS_CLIENTS, trust, &what);
        is_good = trust->clients != NULL;
    }
    if (is_good && certreload_trust_store_root_count(candidate, CERTRELOAD_PEERS_SERVERS) > 0) {
        trust->servers = make_store(candidate, CERTRELOAD_PEERS_SERVERS, trust, &what);
        is_good = trust->servers != NULL && make_servers_digest(candidate, trust);
    }
    return is_good ? CERTRELOAD_PREPARE_OK : cro_refuse(why, CERTRELOAD_PREPARE_REFUSED, what);
}

certreload_prepare cro_prepare_trust(void *userdata, const certreload_trust_store *candidate,
                                     void **prepared_out, char *why, size_t why_size) {
    const struct cro_reason reason = {why, why_size};
    const struct cro_guard guard = cro_guard_begin();
    struct cro_trust *trust = calloc(1, sizeof *trust);
    certreload_prepare outcome = CERTRELOAD_PREPARE_REFUSED;

    (void)userdata;
    if (trust == NULL) {
        outcome = cro_refuse(reason, outcome, "OpenSSL has no memory for the trust store");
    } else {
        outcome = fill(candidate, trust, reason);
    }
    if (outcome != CERTRELOAD_PREPARE_OK) {
        cro_drop_trust(trust);
        trust = NULL;
    }
    *prepared_out = trust;
    cro_guard_end(guard);
    return outcome;
}

void cro_drop_trust(void *prepared) {
    struct cro_trust *trust = prepared;

    if (trust != NULL) {
        cro_libssl.X509_STORE_free(trust->clients);
        cro_libssl.X509_STORE_free(trust->servers);
        free_names(trust->names);
        free(trust);
    }
}
