/*
 * certreload for OpenSSL: a server on OpenSSL 1.1.1 or later gets certificates, keys, client roots and revocation lists
 * that are renewed while it runs. For C11 and C++17, and later.
 *
 *     certreload_handle *handle = NULL;
 *     certreload_open_files("chain.pem", "key.pem", &handle); // certreload.h: opens, validates, watches
 *     certreload_openssl_attach(ctx, handle);                 // the last step of setting up the SSL_CTX
 *
 * The host keeps its SSL_CTX, its sockets and its event loop. Each handshake uses the generation that is current when
 * the ClientHello arrives. A connection keeps that generation until SSL_free(). Certificates and keys were parsed and
 * proved on the reload side, so a handshake parses no certificate and takes no lock of this library. A live SSL_CTX is never
 * changed: the hooks change the SSL alone.
 *
 * What the hooks set on the SSL, in this order:
 *   client_hello_cb  The session id context, before OpenSSL finds a session. A session is resumed only if it began
 *                    under the same trust store and with the same name, and the name is still served (G13, G14).
 *   cert_cb          Chain and key of the identity that the client's name selects, one for each kind of key. If the
 *                    handle has client roots: verification mode, roots, revocation lists and names of authorities.
 *   status_cb        The OCSP response of the selected certificate.
 *   sessions         The ticket and new-session callbacks set the end of a session: after six hours, or earlier if a
 *                    certificate of the client or a revocation list expires.
 * For an SSL in the client role, the hooks set the client identity and, if the handle has server roots, the roots, the
 * mode SSL_VERIFY_PEER and the session id context. The host checks the server's name, as always: SSL_set1_host().
 *
 * What the host must not do:
 *   Set a callback after the attach. OpenSSL has no list of callbacks, so the later one replaces the hook. The info,
 *   status and new-session callbacks that a host has set before are called as before. The others have no getter in
 *   OpenSSL: name them in certreload_openssl_options.
 *   Link another copy of OpenSSL than this library uses.
 *   Rely on SSL_CTX_set_session_id_context(): the adapter replaces it, so pass the same bytes as session_context.
 *   Raise the security level of the SSL_CTX after the attach. Identities are proved at the level that it had.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#ifndef CERTRELOAD_OPENSSL_H
#define CERTRELOAD_OPENSSL_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include <certreload.h>

#if defined(__GNUC__)
#define CERTRELOAD_OPENSSL_API __attribute__((visibility("default")))
#else
#define CERTRELOAD_OPENSSL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Flag: verification stays the host's. Roots, revocation lists and client authentication of the handle are not used.
 * Sessions are still bound to them.
 */
#define CERTRELOAD_OPENSSL_NO_TRUST 1u

/**
 * Flag: sessions stay the host's, their ends as well. With client authentication, a client that was removed from the
 * trust store can then resume its sessions: G13 does not hold.
 */
#define CERTRELOAD_OPENSSL_NO_SESSIONS 2u

/**
 * Flag: OCSP responses stay the host's.
 */
#define CERTRELOAD_OPENSSL_NO_STAPLE 4u

/**
 * Flag: leave client_hello_cb to the host, and bind sessions in the info callback. The name that the client sends is
 * not known there. So sessions are bound to the trust store alone, and a session of a name that is no longer served can
 * be resumed. A generation that refuses handshakes ends them with the alert of a failed cert_cb.
 */
#define CERTRELOAD_OPENSSL_EARLY_BY_INFO 8u

/**
 * How an SSL_CTX is attached: the host's callbacks that have no getter in OpenSSL, and what is left
 * to the host.
 *
 * Fill it with zeros first. Later releases add fields at its end.
 */
typedef struct certreload_openssl_options {
    uint32_t flags; /**< CERTRELOAD_OPENSSL_*, or'ed */

    /** The host's certificate callback, or NULL. It runs before the hook. Unless it returns 1, its
     * result counts. */
    int (*cert_cb)(SSL *ssl, void *arg);
    void *cert_cb_arg;

    /** The host's ClientHello callback, or NULL. It runs before the hook. Unless it succeeds, its
     * result counts. */
    SSL_client_hello_cb_fn client_hello_cb;
    void *client_hello_cb_arg;

    /** The host's callbacks of SSL_CTX_set_session_ticket_cb(), or NULL. The first runs after the
     * hook. */
    SSL_CTX_generate_session_ticket_fn generate_ticket_cb;
    SSL_CTX_decrypt_session_ticket_fn decrypt_ticket_cb;
    void *ticket_cb_arg;

    /** What the host passed to SSL_CTX_set_session_id_context(), at most 32 bytes; copied. NULL:
     * nothing. */
    const unsigned char *session_context;
    size_t session_context_size;
} certreload_openssl_options;

/**
 * Attaches an SSL_CTX to a handle: from now on its handshakes use what the handle serves.
 *
 * Call it as the last step of setting the SSL_CTX up, before the first SSL_new(). What is current is prepared for
 * OpenSSL at once, and every later version before it is published (G16). A key that OpenSSL cannot serve at the
 * SSL_CTX's security level fails here, or is reported by the RELOAD_FAILED event. The current certificate is loaded
 * into the SSL_CTX, too, so that SSL_CTX_check_private_key() succeeds. Any number of SSL_CTX can be attached to one
 * handle. On failure the SSL_CTX is unchanged.
 *
 * @param ctx     must not be NULL; of any method: TLS, DTLS, server or client
 * @param handle  must not be NULL; may be closed later, then the last generation keeps serving
 * @return        OK; NULL_PARAMETER; INVALID_PARAMETER if the SSL_CTX is attached already, also if it was detached;
 *                SYSTEM if there is no memory; and as certreload_add_adapter(): KEY_MISMATCH, ADAPTER_REFUSED, CLOSED,
 *                FORKED, WOULD_DEADLOCK
 * Ownership:     the SSL_CTX keeps a reference to what the handle serves, until it is freed. No reference to the
 *                SSL_CTX is taken. Free the SSL_CTX and close the handle in any order
 * Threads:       exclusive access to ctx; not inside a callback of the handle
 * Signals:       not async-signal-safe
 * Blocks:        while the current identities are prepared, some milliseconds each; waits for a running reload
 * Since:         0.1.0
 */
CERTRELOAD_OPENSSL_API certreload_result certreload_openssl_attach(SSL_CTX *ctx,
                                                                   certreload_handle *handle);

/**
 * Attaches an SSL_CTX to a handle, beside callbacks of the host.
 *
 * @param ctx           as for certreload_openssl_attach()
 * @param handle        likewise
 * @param options       NULL for the defaults; borrowed for the call. The callbacks and their arguments are used until
 *                      the SSL_CTX and all its SSL are freed
 * @param options_size  sizeof(certreload_openssl_options); ignored if options is NULL
 * @return              as certreload_openssl_attach(); INVALID_PARAMETER also if a flag is unknown, a field that this
 *                      release does not know is not zero, or the session context is longer than 32 bytes
 * Ownership:           as certreload_openssl_attach()
 * Threads:             exclusive access to ctx; not inside a callback of the handle
 * Signals:             not async-signal-safe
 * Blocks:              as certreload_openssl_attach()
 * Since:               0.1.0
 */
CERTRELOAD_OPENSSL_API certreload_result
certreload_openssl_attach_with(SSL_CTX *ctx, certreload_handle *handle,
                               const certreload_openssl_options *options, size_t options_size);

/**
 * Decides for certreload_openssl_attach_new() whether a new SSL_CTX is attached.
 *
 * It runs inside SSL_CTX_new(), when callbacks and method are in place and nothing of the host is set. It must not
 * change the SSL_CTX, nor make another.
 *
 * @param ctx       the new SSL_CTX; borrowed for the call
 * @param userdata  as passed to certreload_openssl_attach_new()
 * @return          1 to attach it, 0 to leave it alone
 */
typedef int (*certreload_openssl_filter)(const SSL_CTX *ctx, void *userdata);

/**
 * Attaches every SSL_CTX that this process makes from now on: for libraries that hide theirs.
 *
 * Each SSL_CTX is attached as certreload_openssl_attach() does, inside SSL_CTX_new(). Certificates that the library
 * loads into it later only matter if the handle has none to serve. A callback of the same kind that the library sets
 * later replaces the hook; most libraries set none of these kinds. SSL_CTX that exist already are left alone. There is
 * one handle at a time: another call replaces handle and filter.
 *
 * @param handle    NULL: attach no more; SSL_CTX that are attached stay so
 * @param filter    NULL: attach all; else asked for each
 * @param userdata  passed to the filter; used until the next call returns
 * @return          OK; SYSTEM if there is no memory; and as certreload_add_adapter()
 * Ownership:       a reference to what the handle serves is kept until the next call
 * Threads:         any thread, concurrently; not inside the filter or a callback of the handle
 * Signals:         not async-signal-safe
 * Blocks:          as certreload_openssl_attach(); waits for a running filter
 * Since:           0.1.0
 */
CERTRELOAD_OPENSSL_API certreload_result certreload_openssl_attach_new(
    certreload_handle *handle, certreload_openssl_filter filter, void *userdata);

/**
 * Detaches an SSL_CTX: handshakes that begin from now on use the certificates, the verification and
 * the sessions that the SSL_CTX itself has.
 *
 * It may be called while the SSL_CTX serves. Handshakes that have begun end as they began. The
 * hooks stay installed, and only call the host's callbacks. The SSL_CTX has the certificate that
 * was current at the attach, or what the host has loaded since.
 *
 * @param ctx  must not be NULL
 * @return     OK; NULL_PARAMETER; INVALID_PARAMETER if the SSL_CTX was never attached
 * Ownership:  what the SSL_CTX references is released when it is freed
 * Threads:    any thread, concurrently
 * Signals:    not async-signal-safe
 * Blocks:     never
 * Since:      0.1.0
 */
CERTRELOAD_OPENSSL_API certreload_result certreload_openssl_detach(SSL_CTX *ctx);

/**
 * Applies what is current to one SSL, without any callback: for hosts that own all callbacks of their SSL_CTX.
 *
 * Call it between SSL_new() and the handshake, after SSL_set_accept_state() or SSL_set_connect_state(). The client's
 * name is not known yet, so the default identity is used, and no OCSP response. Sessions are bound to the trust store,
 * not to a name, and end as the SSL_CTX says. After SSL_clear() call it again.
 *
 * @param ssl     must not be NULL
 * @param handle  must not be NULL; must not be closed yet
 * @return        OK; NULL_PARAMETER; NOT_CONFIGURED if the handle must refuse handshakes, because its trust store has
 *                not been loaded: do not start the handshake; SYSTEM; and as certreload_add_adapter()
 * Ownership:     the SSL keeps a reference to the generation until SSL_free()
 * Threads:       exclusive access to ssl
 * Signals:       not async-signal-safe
 * Blocks:        the first call of a handle as certreload_openssl_attach(); later calls may wait for a running reload
 * Since:         0.1.0
 */
CERTRELOAD_OPENSSL_API certreload_result certreload_openssl_apply(SSL *ssl,
                                                                  certreload_handle *handle);

/**
 * Returns the number of the generation that a connection uses.
 *
 * @param ssl  must not be NULL
 * @return     the number; 0 if ssl is NULL, or its handshake has not begun, or it is not attached
 * Ownership:  a number; nothing to free
 * Threads:    exclusive access to ssl
 * Signals:    not async-signal-safe
 * Blocks:     never
 * Since:      0.1.0
 */
CERTRELOAD_OPENSSL_API uint64_t certreload_openssl_generation(const SSL *ssl);

/**
 * Returns why the last certreload_openssl_* call of this thread failed.
 *
 * @return     the text; "" if none has failed. Never NULL
 * Ownership:  borrowed, until the thread's next failed certreload_* call
 * Threads:    any thread, concurrently
 * Signals:    not async-signal-safe
 * Blocks:     never
 * Since:      0.1.0
 */
CERTRELOAD_OPENSSL_API const char *certreload_openssl_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
