/* The functions of one SSL. */

#include "attach.h"
#include "failure.h"
#include "guard.h"

static certreload_result use(SSL *ssl, struct cro_connection *connection) {
    if (!cro_libssl.SSL_is_server(ssl)) {
        cro_act_as_client(ssl, connection);
        cro_bind_client_session(ssl, connection);
    } else if (cro_refuses(connection)) {
        return cro_fail(CERTRELOAD_RESULT_NOT_CONFIGURED,
                        "the trust store of the handle has not been loaded, so no client can be "
                        "verified; see the events of the handle");
    } else {
        cro_serve_certificates(ssl, connection, NULL);
        cro_verify_clients(ssl, connection);
        cro_bind_sessions(ssl, connection, NULL);
    }
    return CERTRELOAD_RESULT_OK;
}

static certreload_result apply(SSL *ssl, certreload_handle *handle) {
    SSL_CTX *ctx = cro_libssl.SSL_get_SSL_CTX(ssl);
    uint32_t slot = 0;
    certreload_result result = CERTRELOAD_RESULT_OK;

    if (!cro_start()) {
        return cro_fail(CERTRELOAD_RESULT_SYSTEM, "OpenSSL could not be started");
    }
    result = cro_add_adapter(handle, cro_libssl.SSL_CTX_get_security_level(ctx), &slot);
    if (result != CERTRELOAD_RESULT_OK) {
        return result;
    }
    struct cro_connection *connection =
        cro_pin_generation(ssl, certreload_generation_acquire(handle), slot);
    return connection == NULL
               ? cro_fail(CERTRELOAD_RESULT_SYSTEM, "no memory to apply a generation to an SSL")
               : use(ssl, connection);
}

certreload_result certreload_openssl_apply(SSL *ssl, certreload_handle *handle) {
    if (ssl == NULL || handle == NULL) {
        return cro_fail(CERTRELOAD_RESULT_NULL_PARAMETER, "the SSL or the handle is NULL");
    }
    const struct cro_guard guard = cro_guard_begin();
    const certreload_result result = apply(ssl, handle);
    cro_guard_end(guard);
    return result;
}

uint64_t certreload_openssl_generation(const SSL *ssl) {
    const struct cro_connection *connection = ssl == NULL ? NULL : cro_connection_of(ssl);

    return connection == NULL || connection->generation == NULL
               ? 0
               : certreload_generation_number(connection->generation);
}
