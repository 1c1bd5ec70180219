/* How an SSL_CTX is attached to a source, shared by attach and attach_new. */

#ifndef CERTRELOAD_OPENSSL_ATTACH_H
#define CERTRELOAD_OPENSSL_ATTACH_H

#include "sessions.h"

/* Attaches an SSL_CTX that does not serve yet. The source is shared. */
certreload_result cro_attach_source(SSL_CTX *ctx, struct cro_source *source,
                                    const certreload_openssl_options *options);

/* Puts the attachment, whose reference is consumed, into an SSL_CTX; false without memory, then it
 * is not. */
bool cro_keep_attachment(SSL_CTX *ctx, struct cro_attachment *attachment);

/* Installs all hooks, and keeps the host's callbacks that they replace. */
void cro_install_hooks(SSL_CTX *ctx, struct cro_attachment *attachment);

#endif
