#include "attachment.h"

#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "prepared.h"

struct cro_source *cro_source_new(certreload_handle *handle, int security_level,
                                  certreload_result *result_out) {
    struct cro_source *source = calloc(1, sizeof *source);

    *result_out = source == NULL
                      ? cro_fail(CERTRELOAD_RESULT_SYSTEM, "no memory to attach an SSL_CTX")
                      : cro_add_adapter(handle, security_level, &source->slot);
    if (*result_out != CERTRELOAD_RESULT_OK) {
        free(source);
        return NULL;
    }
    atomic_init(&source->references, 1);
    source->view = certreload_view_new(handle);
    return source;
}

struct cro_source *cro_source_share(struct cro_source *source) {
    atomic_fetch_add_explicit(&source->references, 1, memory_order_relaxed);
    return source;
}

void cro_source_release(struct cro_source *source) {
    if (source != NULL &&
        atomic_fetch_sub_explicit(&source->references, 1, memory_order_acq_rel) == 1) {
        certreload_view_free(source->view);
        free(source);
    }
}

struct cro_attachment *cro_attachment_new(struct cro_source *source,
                                          const certreload_openssl_options *options) {
    struct cro_attachment *attachment = calloc(1, sizeof *attachment);

    if (attachment != NULL) {
        atomic_init(&attachment->references, 1);
        atomic_init(&attachment->is_detached, false);
        attachment->source = cro_source_share(source);
        attachment->host.named = *options;
        attachment->host.named.session_context = NULL;
        attachment->session_context_size = options->session_context_size;
        if (options->session_context_size > 0) {
            memcpy(attachment->session_context, options->session_context,
                   options->session_context_size);
        }
    }
    return attachment;
}

struct cro_attachment *cro_attachment_share(struct cro_attachment *attachment) {
    atomic_fetch_add_explicit(&attachment->references, 1, memory_order_relaxed);
    return attachment;
}

void cro_attachment_release(struct cro_attachment *attachment) {
    if (attachment != NULL &&
        atomic_fetch_sub_explicit(&attachment->references, 1, memory_order_acq_rel) == 1) {
        cro_source_release(attachment->source);
        cro_libssl.X509_VERIFY_PARAM_free(attachment->store_rules);
        free(attachment);
    }
}

bool cro_is_detached(struct cro_attachment *attachment) {
    return atomic_load_explicit(&attachment->is_detached, memory_order_relaxed);
}

bool cro_has_flag(const struct cro_attachment *attachment, uint32_t flag) {
    return (attachment->host.named.flags & flag) != 0;
}
