/* Which sessions an SSL may resume, and when those that it begins end (G13, G14). */

#ifndef CERTRELOAD_OPENSSL_SESSIONS_H
#define CERTRELOAD_OPENSSL_SESSIONS_H

#include "connection.h"

enum { CRO_MAX_SERVER_NAME = 255 };

/*
 * Sets the session id context for this handshake, once: OpenSSL resumes a session if the context is
 * equal. To be called before OpenSSL looks for the session. The name is that of the ClientHello, ""
 * if there is none, NULL if not known.
 */
void cro_bind_sessions(SSL *ssl, struct cro_connection *connection, const char *name);

/* Makes the session one that is never resumed. */
void cro_unbind(SSL_SESSION *session);

/*
 * In a full handshake: makes the session one that is never resumed, unless the SSL is bound to the
 * trust store that verifies this client. Another hook, or none, may have run before the host
 * changed the SSL_CTX of the SSL.
 */
void cro_check_binding(SSL *ssl, struct cro_connection *connection, const char *name);

/* For the client role: forgets a session that began under another trust store, before it is
 * offered. */
void cro_bind_client_session(SSL *ssl, struct cro_connection *connection);

/* Remembers when the session that is resumed ends. */
void cro_note_resumed(SSL *ssl, struct cro_connection *connection);

/* Shortens the life of a session that begins. */
void cro_limit_session(SSL *ssl, SSL_SESSION *session, const struct cro_connection *connection);

/* Prepares what this needs of OpenSSL, for cro_start(). */
bool cro_sessions_start(void);

#endif
