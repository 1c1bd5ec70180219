#include "libssl_table.h"

static int64_t session_time(const SSL_SESSION *session) {
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
    return (int64_t)SSL_SESSION_get_time_ex(session);
#else
    return (int64_t)SSL_SESSION_get_time(session);
#endif
}

/* Fetched once: since OpenSSL 3.0, EVP_sha256() alone would be looked up under a lock by each
 * digest. */
static const EVP_MD *fetch_sha256(void) {
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
    return EVP_MD_fetch(NULL, "SHA256", NULL);
#else
    return EVP_sha256();
#endif
}

struct cro_libssl cro_libssl = {
#define CRO_POINTER(name) .name = name,
    CRO_LIBSSL_FUNCTIONS(CRO_POINTER)
#undef CRO_POINTER
        .session_time = session_time,
    .fetch_sha256 = fetch_sha256,
};
