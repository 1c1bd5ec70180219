/* The callbacks that OpenSSL calls during a handshake, in the order in which it does. */

#include <string.h>

#include "guard.h"
#include "sessions.h"

/* ---- The start of a handshake, in either role ---- */

/* A first handshake has exchanged no Finished yet: it is no renegotiation, which keeps the
 * generation. */
static bool is_first_handshake(const SSL *ssl) {
    unsigned char none[1];
    return cro_libssl.SSL_get_finished(ssl, none, 0) == 0;
}

static void start(SSL *ssl, struct cro_attachment *attachment) {
    struct cro_connection *connection = cro_connection_of(ssl);

    if (connection != NULL && is_first_handshake(ssl)) {
        if (!connection->was_applied) {
            cro_unpin(connection); /* an SSL that was used and cleared */
        }
        connection->was_applied = false;
    }
    if (!cro_libssl.SSL_is_server(ssl)) {
        connection = cro_pin(ssl, attachment);
        if (connection != NULL) {
            cro_act_as_client(ssl, connection);
            cro_bind_client_session(ssl, connection);
        }
    } else if (cro_has_flag(attachment, CERTRELOAD_OPENSSL_EARLY_BY_INFO)) {
        connection = cro_pin(ssl, attachment);
        if (connection != NULL) {
            cro_bind_sessions(ssl, connection, NULL);
        }
    }
}

static void on_info(const SSL *constant, int where, int value) {
    SSL *ssl =
        (SSL *)(uintptr_t)constant; /* OpenSSL has it writable; only the callback's type is const */
    struct cro_attachment *attachment = cro_attachment_of(cro_libssl.SSL_get_SSL_CTX(constant));
    struct cro_connection *connection;
    cro_info_callback host;

    if (attachment != NULL && where == SSL_CB_HANDSHAKE_START) {
        const struct cro_guard guard = cro_guard_begin();
        start(ssl, attachment);
        cro_guard_end(guard);
    } else if (where == SSL_CB_ACCEPT_LOOP && (connection = cro_connection_of(ssl)) != NULL) {
        cro_note_resumed(ssl, connection);
    }
    host = attachment == NULL ? NULL : attachment->host.info;
    if (host != NULL) {
        host(constant, where, value);
    }
}

/* ---- ClientHello ---- */

/* Reads the one host name of the extension server_name (RFC 6066 section 3); "" if there is none.
 */
static void read_server_name(SSL *ssl, char name[CRO_MAX_SERVER_NAME + 1]) {
    const unsigned char *bytes = NULL;
    size_t size = 0, length = 0;

    name[0] = '\0';
    if (cro_libssl.SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &size) != 1 ||
        size < 5 || bytes[2] != TLSEXT_NAMETYPE_host_name) {
        return;
    }
    length = ((size_t)bytes[3] << 8) | bytes[4];
    if (length <= size - 5 && length <= CRO_MAX_SERVER_NAME &&
        memchr(bytes + 5, '\0', length) == NULL) {
        memcpy(name, bytes + 5, length);
        name[length] = '\0';
    }
}

static int on_client_hello(SSL *ssl, int *alert, void *arg) {
    struct cro_attachment *attachment = arg;
    const certreload_openssl_options *named = &attachment->host.named;
    char name[CRO_MAX_SERVER_NAME + 1];
    int result = named->client_hello_cb == NULL
                     ? SSL_CLIENT_HELLO_SUCCESS
                     : named->client_hello_cb(ssl, alert, named->client_hello_cb_arg);

    if (result == SSL_CLIENT_HELLO_SUCCESS) {
        const struct cro_guard guard = cro_guard_begin();
        struct cro_connection *connection = cro_pin(ssl, attachment);
        if (connection != NULL && cro_refuses(connection)) {
            *alert = SSL_AD_INTERNAL_ERROR;
            result = SSL_CLIENT_HELLO_ERROR;
        } else if (connection != NULL) {
            read_server_name(ssl, name);
            cro_bind_sessions(ssl, connection, name);
        }
        cro_guard_end(guard);
    }
    return result;
}

/* ---- Certificate and verification: full handshakes only, and twice after a HelloRetryRequest ----
 */

static int use_generation(SSL *ssl, struct cro_attachment *attachment) {
    struct cro_connection *connection = cro_pin(ssl, attachment);

    if (connection == NULL) {
        return 1; /* the SSL_CTX serves by itself */
    }
    if (!cro_libssl.SSL_is_server(ssl)) {
        cro_act_as_client(ssl, connection);
        return 1;
    }
    if (cro_refuses(connection)) {
        return 0;
    }
    const char *name = cro_libssl.SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    name = name == NULL ? "" : name;
    cro_serve_certificates(ssl, connection, name);
    cro_verify_clients(ssl, connection);
    connection->is_verified = true;
    cro_check_binding(ssl, connection,
                      cro_has_flag(attachment, CERTRELOAD_OPENSSL_EARLY_BY_INFO) ? NULL : name);
    return 1;
}

static int on_certificate(SSL *ssl, void *arg) {
    struct cro_attachment *attachment = arg;
    const certreload_openssl_options *named = &attachment->host.named;
    int result = named->cert_cb == NULL ? 1 : named->cert_cb(ssl, named->cert_cb_arg);

    if (result == 1) {
        const struct cro_guard guard = cro_guard_begin();
        result = use_generation(ssl, attachment);
        cro_guard_end(guard);
    }
    return result;
}

/* ---- OCSP ---- */

/* Sets the response of the certificate that OpenSSL has selected; false if there is none. */
static bool staple(SSL *ssl, const struct cro_connection *connection) {
    const certreload_identity *identities[CRO_MAX_IDENTITIES];
    const X509 *leaf = cro_libssl.SSL_get_certificate(ssl);
    bool is_served = false;
    const size_t count =
        cro_select(connection, cro_libssl.SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
                   identities, &is_served);

    for (size_t i = 0; i < count; i++) {
        const struct cro_identity *prepared = cro_prepared(connection, identities[i]);
        size_t size = 0;
        if (prepared == NULL || prepared->leaf != leaf) {
            continue;
        }
        const uint8_t *response = certreload_identity_ocsp_der(identities[i], &size);
        void *copy = response == NULL
                         ? NULL
                         : cro_libssl.CRYPTO_memdup(response, size, OPENSSL_FILE, OPENSSL_LINE);
        return copy != NULL && cro_libssl.SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP,
                                                   (long)size, copy) == 1;
    }
    return false;
}

static int on_status(SSL *ssl, void *arg) {
    const struct cro_attachment *attachment = arg;
    const struct cro_connection *connection = cro_connection_of(ssl);
    const bool is_server = cro_libssl.SSL_is_server(ssl) == 1;

    if (is_server && connection != NULL && connection->generation != NULL) {
        const struct cro_guard guard = cro_guard_begin();
        const bool is_stapled = staple(ssl, connection);
        cro_guard_end(guard);
        if (is_stapled) {
            return SSL_TLSEXT_ERR_OK;
        }
    }
    if (attachment->host.status != NULL) {
        return attachment->host.status(ssl, attachment->host.status_arg);
    }
    /* A client that has no callback accepts every response, and none. */
    return is_server ? SSL_TLSEXT_ERR_NOACK : 1;
}

/* ---- Sessions ---- */

/* Whether cert_cb of the SSL_CTX that the SSL has now did not decide how the client is verified:
 * the host may have changed to an SSL_CTX that is not attached. */
static bool is_unverified(const SSL *ssl, const struct cro_connection *connection) {
    return cro_libssl.SSL_is_server(ssl) == 1 && cro_libssl.SSL_session_reused(ssl) == 0 &&
           connection->owner != NULL &&
           (!connection->is_verified ||
            cro_attachment_of(cro_libssl.SSL_get_SSL_CTX(ssl)) != connection->owner);
}

static void limit(SSL *ssl, SSL_SESSION *session) {
    const struct cro_connection *connection = cro_connection_of(ssl);

    if (session != NULL && connection != NULL && connection->generation != NULL) {
        const struct cro_guard guard = cro_guard_begin();
        if (connection->has_sessions && is_unverified(ssl, connection)) {
            cro_unbind(session);
        }
        cro_limit_session(ssl, session, connection);
        cro_guard_end(guard);
    }
}

static int on_ticket(SSL *ssl, void *arg) {
    const struct cro_attachment *attachment = arg;
    const certreload_openssl_options *named = &attachment->host.named;

    limit(ssl, cro_libssl.SSL_get_session(ssl));
    return named->generate_ticket_cb == NULL ? 1
                                             : named->generate_ticket_cb(ssl, named->ticket_cb_arg);
}

static SSL_TICKET_RETURN on_open_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                        size_t name_size, SSL_TICKET_STATUS status, void *arg) {
    const struct cro_attachment *attachment = arg;
    const certreload_openssl_options *named = &attachment->host.named;

    return named->decrypt_ticket_cb(ssl, session, name, name_size, status, named->ticket_cb_arg);
}

/* OpenSSL passes no argument: the sessions are those of the SSL_CTX that the SSL was made with. */
static int on_new_session(SSL *ssl, SSL_SESSION *session) {
    const struct cro_connection *connection = cro_connection_of(ssl);
    const struct cro_attachment *attachment =
        connection != NULL && connection->first != NULL
            ? connection->first
            : cro_attachment_of(cro_libssl.SSL_get_SSL_CTX(ssl));

    limit(ssl, session);
    return attachment == NULL || attachment->host.new_session == NULL
               ? 0
               : attachment->host.new_session(ssl, session);
}

/* ---- Installation ---- */

static void install_status(SSL_CTX *ctx, struct cro_attachment *attachment) {
    struct cro_host *host = &attachment->host;

    cro_libssl.SSL_CTX_ctrl(ctx, SSL_CTRL_GET_TLSEXT_STATUS_REQ_CB, 0, (void *)&host->status);
    cro_libssl.SSL_CTX_ctrl(ctx, SSL_CTRL_GET_TLSEXT_STATUS_REQ_CB_ARG, 0, &host->status_arg);
    cro_libssl.SSL_CTX_callback_ctrl(ctx, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB,
                                     (void (*)(void))on_status);
    cro_libssl.SSL_CTX_ctrl(ctx, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB_ARG, 0, attachment);
}

void cro_install_hooks(SSL_CTX *ctx, struct cro_attachment *attachment) {
    struct cro_host *host = &attachment->host;

    host->info = cro_libssl.SSL_CTX_get_info_callback(ctx);
    cro_libssl.SSL_CTX_set_info_callback(ctx, on_info);
    if (!cro_has_flag(attachment, CERTRELOAD_OPENSSL_EARLY_BY_INFO)) {
        cro_libssl.SSL_CTX_set_client_hello_cb(ctx, on_client_hello, attachment);
    }
    cro_libssl.SSL_CTX_set_cert_cb(ctx, on_certificate, attachment);
    if (!cro_has_flag(attachment, CERTRELOAD_OPENSSL_NO_STAPLE)) {
        install_status(ctx, attachment);
    }
    if (!cro_has_flag(attachment, CERTRELOAD_OPENSSL_NO_SESSIONS)) {
        cro_libssl.SSL_CTX_set_session_ticket_cb(
            ctx, on_ticket, host->named.decrypt_ticket_cb == NULL ? NULL : on_open_ticket,
            attachment);
        host->new_session = cro_libssl.SSL_CTX_sess_get_new_cb(ctx);
        cro_libssl.SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    }
}
