/* What an SSL_CTX is attached to, with the host's callbacks that the hooks call. */

#ifndef CERTRELOAD_OPENSSL_ATTACHMENT_H
#define CERTRELOAD_OPENSSL_ATTACHMENT_H

#include <stdatomic.h>
#include <stdbool.h>

#include <certreload_openssl.h>

#include "libssl_table.h"

typedef void (*cro_info_callback)(const SSL *ssl, int where, int value);
typedef int (*cro_status_callback)(SSL *ssl, void *arg);
typedef int (*cro_session_callback)(SSL *ssl, SSL_SESSION *session);

/* What a handle serves, also after it was closed, and where the prepared objects are. Counted. */
struct cro_source {
    atomic_size_t references;
    const certreload_view *view;
    uint32_t slot;
};

/* The host's callbacks that were there before the attach, or were named in the options; NULL: none.
 */
struct cro_host {
    certreload_openssl_options named; /* its session_context is not used: see below */
    cro_info_callback info;
    cro_status_callback status;
    void *status_arg;
    cro_session_callback new_session;
};

/* Counted: the SSL_CTX has one reference, and so has each connection. Constant, except for the
 * atomics. */
struct cro_attachment {
    atomic_size_t references;
    atomic_bool is_detached;
    struct cro_source *source;
    struct cro_host host;
    X509_VERIFY_PARAM *store_rules; /* of the host's own store; NULL: the defaults */
    size_t session_context_size;
    unsigned char session_context[SSL_MAX_SID_CTX_LENGTH];
};

struct cro_source *cro_source_new(certreload_handle *handle, int security_level,
                                  certreload_result *result_out);
struct cro_source *cro_source_share(struct cro_source *source);
void cro_source_release(struct cro_source *source);

/* Shares the source. Returns NULL without memory. The options are whole: see cro_read_options(). */
struct cro_attachment *cro_attachment_new(struct cro_source *source,
                                          const certreload_openssl_options *options);
struct cro_attachment *cro_attachment_share(struct cro_attachment *attachment);
void cro_attachment_release(struct cro_attachment *attachment);

/* Returns the attachment of an SSL_CTX, or NULL. */
struct cro_attachment *cro_attachment_of(const SSL_CTX *ctx);

/* Whether new handshakes use it; of those flags only `flag` is asked for. */
bool cro_is_detached(struct cro_attachment *attachment);
bool cro_has_flag(const struct cro_attachment *attachment, uint32_t flag);

/* Registers the places for our data in SSL_CTX and SSL; false if there is no memory for them. */
bool cro_start(void);

#endif
