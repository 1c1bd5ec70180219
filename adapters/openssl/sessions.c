#include "sessions.h"

#include <ctype.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* As for tickets of the rustls side: certreload_options_set_resumption(). */
enum {
    MAX_LIFETIME_SECONDS = 6 * 3600,
    SCOPE_SIZE = CERTRELOAD_SESSION_SCOPE_SIZE,
    DAY_SECONDS = 86400
};

/* How a session is bound to a name: part of what is hashed, so numbers stay. */
enum binding { BY_TRUST_ALONE = 0, BY_SERVED_NAME = 1, BY_DEFAULT_IDENTITY = 2, BY_CLIENT = 3 };

static const EVP_MD *sha256;
static atomic_uint_fast64_t next_unique;

bool cro_sessions_start(void) {
    sha256 = cro_libssl.fetch_sha256();
    return sha256 != NULL;
}

bool cro_digest(const void *bytes, size_t size, unsigned char digest[CRO_DIGEST_SIZE]) {
    unsigned int written = 0;
    return cro_libssl.EVP_Digest(bytes, size, digest, &written, sha256, NULL) == 1 &&
           written == CRO_DIGEST_SIZE;
}

/* A context that no other SSL has, in this process or another: nothing is resumed, and no session
 * can be resumed. */
static void make_unique(unsigned char context[CRO_CONTEXT_SIZE]) {
    const uint64_t number = atomic_fetch_add_explicit(&next_unique, 1, memory_order_relaxed);
    const int64_t process = getpid(), now = time(NULL);

    memset(context, 0, CRO_CONTEXT_SIZE);
    memcpy(context, "unbound", 7);
    memcpy(context + 8, &number, sizeof number);
    memcpy(context + 16, &process, sizeof process);
    memcpy(context + 24, &now, sizeof now);
}

/* Bytes to hash. Each part has its size in front, so that no two lists of parts are the same bytes.
 */
struct message {
    size_t size;
    unsigned char bytes[18 + SSL_MAX_SID_CTX_LENGTH + SCOPE_SIZE + CRO_MAX_SERVER_NAME + 8];
};

static void add(struct message *message, const void *part, size_t size) {
    message->bytes[message->size++] = (unsigned char)size;
    if (size > 0) {
        memcpy(message->bytes + message->size, part, size);
        message->size += size;
    }
}

/* A name in lower case, as much of it as a server name may have. */
static void add_name(struct message *message, const char *name) {
    char lower[CRO_MAX_SERVER_NAME];
    size_t size = 0;

    for (; name != NULL && size < sizeof lower && name[size] != '\0'; size++) {
        lower[size] = (char)tolower((unsigned char)name[size]);
    }
    add(message, lower, size);
}

static void add_binding(struct message *message, const struct cro_connection *connection,
                        const char *name) {
    const certreload_identity *identities[CRO_MAX_IDENTITIES];
    bool is_served = false;
    const size_t count = cro_select(connection, name, identities, &is_served);
    const unsigned char binding = is_served ? BY_SERVED_NAME : BY_DEFAULT_IDENTITY;

    add(message, &binding, 1);
    add_name(message, is_served    ? name
                      : count == 0 ? NULL
                                   : certreload_identity_name(identities[0], 0));
}

/* Returns false if no session may be resumed. The name is NULL where sessions are not bound to one.
 */
static bool make_context(const SSL *ssl, const struct cro_connection *connection,
                         enum binding binding, const char *name,
                         unsigned char context[CRO_CONTEXT_SIZE]) {
    struct message message = {0, {0}};
    uint8_t scope[SCOPE_SIZE];
    int64_t until = 0;
    const unsigned char kind = (unsigned char)binding;
    /* The scope of the handle says nothing about verification that is the host's. */
    const unsigned char of_host =
        binding == BY_CLIENT ? 0 : (unsigned char)cro_host_verification(ssl, connection);

    if (certreload_generation_session_scope(connection->generation, scope, &until) !=
            CERTRELOAD_RESULT_OK ||
        (int64_t)time(NULL) >= until) {
        make_unique(context);
        return false;
    }
    add(&message, "certreload", 10);
    add(&message, &of_host, 1);
    if (connection->first != NULL) {
        add(&message, connection->first->session_context, connection->first->session_context_size);
    }
    add(&message, scope, sizeof scope);
    if (name == NULL) {
        add(&message, &kind, 1);
        if (binding == BY_CLIENT && connection->trust != NULL) {
            add(&message, connection->trust->servers_digest, CRO_DIGEST_SIZE);
        }
    } else {
        add_binding(&message, connection, name);
    }
    if (!cro_digest(message.bytes, message.size, context)) {
        make_unique(context);
        return false;
    }
    return true;
}

void cro_bind_sessions(SSL *ssl, struct cro_connection *connection, const char *name) {
    if (!connection->has_sessions || connection->is_bound) {
        return;
    }
    if (!make_context(ssl, connection, BY_TRUST_ALONE, name, connection->session_context)) {
        /* No ticket, because no client could use it. */
        cro_libssl.SSL_set_options(ssl, SSL_OP_NO_TICKET);
        cro_libssl.SSL_set_num_tickets(ssl, 0);
    }
    cro_libssl.SSL_set_session_id_context(ssl, connection->session_context, CRO_CONTEXT_SIZE);
    connection->is_bound = true;
}

void cro_unbind(SSL_SESSION *session) {
    unsigned char context[CRO_CONTEXT_SIZE];

    make_unique(context);
    cro_libssl.SSL_SESSION_set1_id_context(session, context, sizeof context);
}

/* Another handle may change its trust store alone, and a resumption asks the first one. */
static bool is_of_another_handle(const struct cro_connection *connection) {
    return connection->owner != NULL && connection->first != NULL &&
           !certreload_view_is_same(connection->owner->source->view,
                                    connection->first->source->view);
}

void cro_check_binding(SSL *ssl, struct cro_connection *connection, const char *name) {
    unsigned char context[CRO_CONTEXT_SIZE];
    SSL_SESSION *session = cro_libssl.SSL_get_session(ssl);

    if (!connection->has_sessions || session == NULL ||
        (connection->is_bound && connection->owner == connection->first)) {
        return;
    }
    make_context(ssl, connection, BY_TRUST_ALONE, name, context);
    if (!connection->is_bound || is_of_another_handle(connection) ||
        memcmp(context, connection->session_context, sizeof context) != 0) {
        cro_unbind(session);
    }
}

void cro_bind_client_session(SSL *ssl, struct cro_connection *connection) {
    const SSL_SESSION *session = cro_libssl.SSL_get_session(ssl);
    unsigned int size = 0;

    if (!connection->has_sessions || connection->is_bound) {
        return;
    }
    make_context(ssl, connection, BY_CLIENT, NULL, connection->session_context);
    cro_libssl.SSL_set_session_id_context(ssl, connection->session_context, CRO_CONTEXT_SIZE);
    connection->is_bound = true;
    if (session != NULL) {
        const unsigned char *context = cro_libssl.SSL_SESSION_get0_id_context(session, &size);
        if (size != CRO_CONTEXT_SIZE ||
            memcmp(context, connection->session_context, CRO_CONTEXT_SIZE) != 0) {
            cro_libssl.SSL_set_session(ssl, NULL);
        }
    }
}

void cro_note_resumed(SSL *ssl, struct cro_connection *connection) {
    const SSL_SESSION *session;

    if (connection->resumed_end == 0 && cro_libssl.SSL_session_reused(ssl) == 1 &&
        (session = cro_libssl.SSL_get_session(ssl)) != NULL && connection->generation != NULL) {
        /* There is no cert_cb in a resumption, and post-handshake authentication may follow. */
        cro_verify_clients(ssl, connection);
        connection->resumed_end =
            cro_libssl.session_time(session) + cro_libssl.SSL_SESSION_get_timeout(session);
    }
}

static int64_t earlier(int64_t one, int64_t other) {
    return one < other ? one : other;
}

/* When a certificate expires; now if its date cannot be read. */
static int64_t end_of(const X509 *certificate, int64_t now) {
    int days = 0, seconds = 0;

    if (cro_libssl.ASN1_TIME_diff(&days, &seconds, NULL,
                                  cro_libssl.X509_get0_notAfter(certificate)) != 1) {
        return now;
    }
    return now + (int64_t)days * DAY_SECONDS + seconds;
}

/* When the first certificate of the peer's chain expires. After a resumption OpenSSL only knows the
 * peer's own. */
static int64_t end_of_chain(SSL *ssl, const SSL_SESSION *session, int64_t end) {
    const X509 *peer = cro_libssl.SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)session);
    const void *chain =
        cro_libssl.SSL_session_reused(ssl) == 1 ? NULL : cro_libssl.SSL_get0_verified_chain(ssl);
    const int64_t now = time(NULL);

    if (peer == NULL) {
        return end;
    }
    end = earlier(end, end_of(peer, now));
    for (int i = 0; chain != NULL && i < cro_stack_count(chain); i++) {
        end = earlier(end, end_of(cro_stack_item(chain, i), now));
    }
    return end;
}

void cro_limit_session(SSL *ssl, SSL_SESSION *session, const struct cro_connection *connection) {
    const int64_t begin = cro_libssl.session_time(session);
    uint8_t scope[SCOPE_SIZE];
    int64_t end = begin + MAX_LIFETIME_SECONDS, until = begin;

    if (!connection->has_sessions) {
        return;
    }
    if (certreload_generation_session_scope(connection->generation, scope, &until) ==
        CERTRELOAD_RESULT_OK) {
        end = earlier(end, until);
    }
    const int64_t chain_end = end_of_chain(ssl, session, end);
    /* A series of resumptions must not outlive certificates that only the first handshake has seen.
     */
    if (connection->resumed_end != 0 && cro_libssl.SSL_SESSION_get0_peer(session) != NULL) {
        end = earlier(end, connection->resumed_end);
    }
    end = earlier(end, chain_end);
    if (end - begin < cro_libssl.SSL_SESSION_get_timeout(session)) {
        cro_libssl.SSL_SESSION_set_timeout(session, end > begin ? (long)(end - begin) : 0);
    }
}
