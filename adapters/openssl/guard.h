/* Leaves errno and OpenSSL's queue of errors as they were: hosts check both after their own calls.
 */

#ifndef CERTRELOAD_OPENSSL_GUARD_H
#define CERTRELOAD_OPENSSL_GUARD_H

#include <errno.h>

#include "libssl_table.h"

struct cro_guard {
    int saved_errno;
};

static inline struct cro_guard cro_guard_begin(void) {
    const struct cro_guard guard = {errno};
    cro_libssl.ERR_set_mark();
    return guard;
}

static inline void cro_guard_end(struct cro_guard guard) {
    /* An empty queue has no place for a mark: then this empties the queue, which is what it was. */
    cro_libssl.ERR_pop_to_mark();
    errno = guard.saved_errno;
}

#endif
