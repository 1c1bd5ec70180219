/* The security levels of OpenSSL, and what is shared by all handles at one level. */

#ifndef CERTRELOAD_OPENSSL_LEVEL_H
#define CERTRELOAD_OPENSSL_LEVEL_H

#include "prepared.h"

struct cro_level {
    int level;
    /* For the self-check. Made at the first use, and kept: SSL_CTX_new() costs more than a
     * handshake. */
    SSL_CTX *server, *client;
};

/* Returns whether the contexts of the level exist; makes them at the first call. */
bool cro_level_start(struct cro_level *level);

/* Makes an SSL_CTX for this library itself; NULL without memory. */
SSL_CTX *cro_own_context(const SSL_METHOD *method);

/* Whether this thread is making an SSL_CTX of this library, which attach_new must leave alone. */
bool cro_is_making_own_context(void);

#endif
