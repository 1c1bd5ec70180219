/* The functions that attach and detach an SSL_CTX. */

#include "attach.h"

#include <string.h>

#include "failure.h"
#include "guard.h"

enum {
    KNOWN_FLAGS = CERTRELOAD_OPENSSL_NO_TRUST | CERTRELOAD_OPENSSL_NO_SESSIONS |
                  CERTRELOAD_OPENSSL_NO_STAPLE | CERTRELOAD_OPENSSL_EARLY_BY_INFO
};

/* Fields that the caller does not have are zero; fields that this release does not have must be. */
static bool read_options(const certreload_openssl_options *given, size_t size,
                         certreload_openssl_options *options) {
    const size_t known = size < sizeof *options ? size : sizeof *options;

    memset(options, 0, sizeof *options);
    if (given == NULL) {
        return true;
    }
    memcpy(options, given, known);
    for (size_t i = known; i < size; i++) {
        if (((const unsigned char *)given)[i] != 0) {
            return false;
        }
    }
    return size >= sizeof options->flags && (options->flags & ~(uint32_t)KNOWN_FLAGS) == 0 &&
           options->session_context_size <= SSL_MAX_SID_CTX_LENGTH &&
           (options->session_context != NULL || options->session_context_size == 0);
}

/* The revocation flags are those of the trust store: with the lists of the host they have gone. */
static X509_VERIFY_PARAM *read_store_rules(SSL_CTX *ctx) {
    X509_STORE *store = cro_libssl.SSL_CTX_get_cert_store(ctx);
    X509_VERIFY_PARAM *rules = store == NULL ? NULL : cro_libssl.X509_VERIFY_PARAM_new();

    if (rules != NULL) {
        cro_libssl.X509_VERIFY_PARAM_set1(rules, cro_libssl.X509_STORE_get0_param(store));
        cro_libssl.X509_VERIFY_PARAM_clear_flags(rules,
                                                 X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
        if (cro_libssl.X509_VERIFY_PARAM_get_flags(rules) == 0 &&
            cro_libssl.X509_VERIFY_PARAM_get_depth(rules) < 0) {
            cro_libssl.X509_VERIFY_PARAM_free(rules);
            rules = NULL;
        }
    }
    return rules;
}

/* So that the host's own checks of its SSL_CTX succeed. The SSL_CTX does not serve yet. */
static void load_current(SSL_CTX *ctx, const struct cro_source *source) {
    const certreload_generation *generation = certreload_view_acquire(source->view);
    const struct cro_connection view = {.generation = generation, .slot = source->slot};
    const certreload_identity *identities[CRO_MAX_IDENTITIES];
    bool is_served = false;
    size_t left = generation == NULL ? 0 : cro_select(&view, NULL, identities, &is_served);

    while (left-- > 0) {
        const struct cro_identity *identity = cro_prepared(&view, identities[left]);
        if (identity != NULL) {
            cro_libssl.SSL_CTX_use_cert_and_key(ctx, identity->leaf, identity->key, identity->chain,
                                                1);
        }
    }
    certreload_generation_release(generation);
}

certreload_result cro_attach_source(SSL_CTX *ctx, struct cro_source *source,
                                    const certreload_openssl_options *options) {
    struct cro_attachment *attachment = cro_attachment_new(source, options);

    if (attachment == NULL || !cro_keep_attachment(ctx, attachment)) {
        cro_attachment_release(attachment);
        return cro_fail(CERTRELOAD_RESULT_SYSTEM, "no memory to attach an SSL_CTX");
    }
    attachment->store_rules = read_store_rules(ctx);
    cro_install_hooks(ctx, attachment);
    return CERTRELOAD_RESULT_OK;
}

static certreload_result attach(SSL_CTX *ctx, certreload_handle *handle,
                                const certreload_openssl_options *options) {
    certreload_result result = CERTRELOAD_RESULT_OK;
    struct cro_source *source = NULL;

    if (!cro_start()) {
        return cro_fail(CERTRELOAD_RESULT_SYSTEM, "OpenSSL could not be started");
    }
    if (cro_attachment_of(ctx) != NULL) {
        return cro_fail(CERTRELOAD_RESULT_INVALID_PARAMETER, "the SSL_CTX is attached already");
    }
    source = cro_source_new(handle, cro_libssl.SSL_CTX_get_security_level(ctx), &result);
    if (source != NULL) {
        result = cro_attach_source(ctx, source, options);
        if (result == CERTRELOAD_RESULT_OK) {
            load_current(ctx, source);
        }
    }
    cro_source_release(source);
    return result;
}

certreload_result certreload_openssl_attach(SSL_CTX *ctx, certreload_handle *handle) {
    return certreload_openssl_attach_with(ctx, handle, NULL, 0);
}

certreload_result certreload_openssl_attach_with(SSL_CTX *ctx, certreload_handle *handle,
                                                 const certreload_openssl_options *options,
                                                 size_t options_size) {
    certreload_openssl_options whole;

    if (ctx == NULL || handle == NULL) {
        return cro_fail(CERTRELOAD_RESULT_NULL_PARAMETER, "the SSL_CTX or the handle is NULL");
    }
    if (!read_options(options, options_size, &whole)) {
        return cro_fail(CERTRELOAD_RESULT_INVALID_PARAMETER,
                        "the options have a flag or a field that this release does not know, "
                        "or a session context of more than 32 bytes");
    }
    const struct cro_guard guard = cro_guard_begin();
    const certreload_result result = attach(ctx, handle, &whole);
    cro_guard_end(guard);
    return result;
}

certreload_result certreload_openssl_detach(SSL_CTX *ctx) {
    struct cro_attachment *attachment = NULL;

    if (ctx == NULL) {
        return cro_fail(CERTRELOAD_RESULT_NULL_PARAMETER, "the SSL_CTX is NULL");
    }
    attachment = cro_attachment_of(ctx);
    if (attachment == NULL) {
        return cro_fail(CERTRELOAD_RESULT_INVALID_PARAMETER, "the SSL_CTX was never attached");
    }
    atomic_store_explicit(&attachment->is_detached, true, memory_order_relaxed);
    return CERTRELOAD_RESULT_OK;
}
