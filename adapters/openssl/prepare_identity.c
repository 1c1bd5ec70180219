/* Chain and key of an identity as OpenSSL wants them. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "guard.h"
#include "level.h"

static X509 *parse_certificate(const uint8_t *der, size_t size) {
    const unsigned char *at = der;
    X509 *certificate =
        der == NULL || size > LONG_MAX ? NULL : cro_libssl.d2i_X509(NULL, &at, (long)size);

    if (certificate != NULL) {
        /* Makes OpenSSL parse the extensions now, instead of under a lock in the first handshakes.
         */
        cro_libssl.X509_check_purpose(certificate, -1, 0);
    }
    return certificate;
}

static void free_certificate(void *certificate) {
    cro_libssl.X509_free(certificate);
}

static bool parse_chain(const certreload_identity *candidate, struct cro_identity *identity) {
    const size_t count = certreload_identity_certificate_count(candidate);
    size_t size = 0;
    const uint8_t *der = certreload_identity_certificate_der(candidate, 0, &size);

    identity->leaf = parse_certificate(der, size);
    identity->chain = (STACK_OF(X509) *)cro_libssl.OPENSSL_sk_new_null();
    if (identity->leaf == NULL || identity->chain == NULL) {
        return false;
    }
    for (size_t i = 1; i < count; i++) {
        der = certreload_identity_certificate_der(candidate, i, &size);
        X509 *issuer = parse_certificate(der, size);
        if (issuer == NULL ||
            cro_libssl.OPENSSL_sk_push((OPENSSL_STACK *)identity->chain, issuer) <= 0) {
            cro_libssl.X509_free(issuer);
            return false;
        }
    }
    return true;
}

static certreload_prepare fill(const struct cro_level *level, struct cro_identity *identity,
                               const certreload_identity *candidate, struct cro_reason why) {
    if (!parse_chain(candidate, identity)) {
        return cro_refuse(why, CERTRELOAD_PREPARE_REFUSED,
                          "OpenSSL cannot parse a certificate of the chain");
    }
    if (identity->key == NULL) {
        return cro_refuse(why, CERTRELOAD_PREPARE_REFUSED,
                          "OpenSSL does not support this kind of private key");
    }
    if (cro_libssl.X509_check_private_key(identity->leaf, identity->key) != 1) {
        return cro_refuse(why, CERTRELOAD_PREPARE_INCOMPLETE,
                          "the private key is not that of the certificate");
    }
    return cro_self_check(level, identity, why);
}

certreload_prepare cro_prepare_identity(void *userdata, const certreload_identity *candidate,
                                        const uint8_t *key_der, size_t key_der_size,
                                        void **prepared_out, char *why, size_t why_size) {
    struct cro_level *level = userdata;
    const struct cro_reason reason = {why, why_size};
    const unsigned char *at = key_der;
    const struct cro_guard guard = cro_guard_begin();
    struct cro_identity *identity = calloc(1, sizeof *identity);
    certreload_prepare outcome;

    if (identity == NULL || !cro_level_start(level)) {
        outcome = cro_refuse(reason, CERTRELOAD_PREPARE_REFUSED, "OpenSSL could not be started");
    } else {
        if (key_der != NULL && key_der_size <= LONG_MAX) {
            identity->key = cro_libssl.d2i_AutoPrivateKey(NULL, &at, (long)key_der_size);
        }
        outcome = fill(level, identity, candidate, reason);
    }
    if (outcome != CERTRELOAD_PREPARE_OK) {
        cro_drop_identity(identity);
        identity = NULL;
    }
    *prepared_out = identity;
    cro_guard_end(guard);
    return outcome;
}

void cro_drop_identity(void *prepared) {
    struct cro_identity *identity = prepared;

    if (identity != NULL) {
        cro_libssl.X509_free(identity->leaf);
        cro_libssl.EVP_PKEY_free(identity->key); /* wipes the key */
        cro_libssl.OPENSSL_sk_pop_free((OPENSSL_STACK *)identity->chain, free_certificate);
        free(identity);
    }
}

certreload_prepare cro_refuse(struct cro_reason why, certreload_prepare outcome, const char *what) {
    const unsigned long error = cro_libssl.ERR_peek_last_error();
    const char *words = error == 0 ? NULL : cro_libssl.ERR_reason_error_string(error);

    if (why.text != NULL && why.size > 0) {
        if (words == NULL) {
            snprintf(why.text, why.size, "%s", what);
        } else {
            snprintf(why.text, why.size, "%s (%s)", what, words);
        }
    }
    return outcome;
}
