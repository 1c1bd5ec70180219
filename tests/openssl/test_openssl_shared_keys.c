/*
 * SSL_CTX with equal ticket keys, as servers with several listeners have them: a session of one
 * must not be resumed at another that would verify the client in another way (G13).
 */

#include "peers.h"

#include <string.h>

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static certreload_handle *open_mutual(const char *roots) {
    certreload_options *options = options_with("one");
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                                scratch("%s", roots)));
    return open_and_free(options);
}

static SSL_CTX *sharing_context(void) {
    static unsigned char keys[80];
    SSL_CTX *ctx = server_context(NULL);
    memset(keys, 7, sizeof keys);
    CHECK(SSL_CTX_set_tlsext_ticket_keys(ctx, keys, sizeof keys) == 1);
    return ctx;
}

static void attach(SSL_CTX *ctx, certreload_handle *handle, uint32_t flags) {
    certreload_openssl_options options;
    memset(&options, 0, sizeof options);
    options.flags = flags;
    CHECK_OK(certreload_openssl_attach_with(ctx, handle, &options, sizeof options));
}

/* A session that began at one is resumed there, and at the other the client is refused. */
static void check_apart(SSL_CTX *open, SSL_CTX *closed, const char *of_session, wish wish) {
    const char *name = wish.name;
    wish.name = of_session;
    meeting first = meet(open, wish);
    CHECK(first.is_good);
    SSL_SESSION *session = session_of(&first);
    part(&first);
    wish.session = session;
    wish.name = name;
    check_refuses(closed, wish);
    SSL_SESSION_free(session);
}

static void session_that_the_host_verified_is_not_the_handles(void) {
    test_begin(__func__);
    certreload_handle *handle = open_mutual("roots.pem");
    SSL_CTX *open = sharing_context(), *closed = sharing_context();
    attach(open, handle, CERTRELOAD_OPENSSL_NO_TRUST);
    attach(closed, handle, 0);
    for (size_t i = 0; i < 2; i++)
        check_apart(open, closed, "one.test", (wish){.name = "one.test", .version = versions[i]});
    SSL_CTX_free(open);
    SSL_CTX_free(closed);
    certreload_close(handle);
}

/* The handle has no trust store: the mode of the host separates its listeners. */
static void modes_of_the_host_have_sessions_apart(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *open = sharing_context(), *closed = sharing_context();
    SSL_CTX_set_verify(closed, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    attach(open, handle, 0);
    attach(closed, handle, 0);
    for (size_t i = 0; i < 2; i++)
        check_apart(open, closed, "one.test", (wish){.name = "one.test", .version = versions[i]});
    SSL_CTX_free(open);
    SSL_CTX_free(closed);
    certreload_close(handle);
}

static int swap(SSL *ssl, int *alert, void *arg) {
    (void)alert;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name != NULL && strcmp(name, "two.test") == 0)
        SSL_set_SSL_CTX(ssl, arg);
    return SSL_TLSEXT_ERR_OK;
}

/* The SSL_CTX of one name verifies nobody: not attached, detached, or with verification of the
 * host. */
static void session_of_an_open_name_is_none_of_a_closed_one(void) {
    test_begin(__func__);
    for (int kind = 0; kind < 3; kind++) {
        certreload_handle *handle = open_mutual("roots.pem");
        SSL_CTX *open = sharing_context(), *closed = sharing_context();
        CHECK(SSL_CTX_use_certificate_file(open, scratch("one.chain"), SSL_FILETYPE_PEM) == 1);
        CHECK(SSL_CTX_use_PrivateKey_file(open, scratch("one.key"), SSL_FILETYPE_PEM) == 1);
        if (kind > 0)
            attach(open, handle, CERTRELOAD_OPENSSL_NO_TRUST);
        if (kind == 1)
            CHECK_OK(certreload_openssl_detach(open));
        SSL_CTX_set_tlsext_servername_callback(closed, swap);
        SSL_CTX_set_tlsext_servername_arg(closed, open);
        attach(closed, handle, 0);
        for (size_t i = 0; i < 2; i++) {
            wish wish = {.version = versions[i], .name = "other.test"};
            check_apart(closed, closed, "two.test", wish);
            wish.name = NULL;
            check_apart(closed, closed, "two.test", wish);
        }
        SSL_CTX_free(open);
        SSL_CTX_free(closed);
        certreload_close(handle);
    }
}

/* Trust stores that are equal today may differ tomorrow: the first handle decides about sessions.
 */
static void handles_with_equal_trust_stores_have_sessions_apart(void) {
    test_begin(__func__);
    trust_in("first.pem", "ca other");
    trust_in("second.pem", "ca other");
    certreload_handle *first = open_mutual("first.pem"), *second = open_mutual("second.pem");
    SSL_CTX *ctx = sharing_context(), *swapped = sharing_context();
    SSL_CTX_set_tlsext_servername_callback(ctx, swap);
    SSL_CTX_set_tlsext_servername_arg(ctx, swapped);
    attach(ctx, first, 0);
    attach(swapped, second, 0);
    SSL_SESSION *sessions[2];
    for (size_t i = 0; i < 2; i++) {
        wish wish = {.name = "two.test", .version = versions[i], .leaf = "one"};
        meeting meeting = meet(ctx, wish);
        CHECK(meeting.is_good);
        sessions[i] = session_of(&meeting);
        part(&meeting);
    }
    trust_in("second.pem", "other");
    reload(second);
    for (size_t i = 0; i < 2; i++) {
        wish wish = {.name = "two.test", .version = versions[i], .leaf = "one"};
        check_refuses(ctx, wish);
        wish.session = sessions[i];
        check_refuses(ctx, wish);
        SSL_SESSION_free(sessions[i]);
    }
    SSL_CTX_free(ctx);
    SSL_CTX_free(swapped);
    certreload_close(first);
    certreload_close(second);
}

/* SSL_dup() copies the callback that verifies: it must not take itself for the host's. */
static void copy_of_a_served_connection_verifies(void) {
    test_begin(__func__);
    certreload_options *options = options_with("one");
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                                scratch("roots.pem")));
    shell("touch index; printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\ncrlnumber=number\\n' "
          ">cnf; echo 01 >number; openssl ca -config cnf -gencrl -keyfile ca.key -cert ca.pem -md "
          "sha256 -crldays 9 -out ca.crl 2>/dev/null");
    CHECK_OK(certreload_options_add_crl(options, scratch("ca.crl")));
    certreload_handle *handle = open_and_free(options);
    SSL_CTX *ctx = server_context(handle);
    const wish wish = {.name = "one.test", .leaf = "one"};
    meeting first = meet(ctx, wish);
    CHECK(first.is_good);
    CHECK(SSL_clear(first.server) == 1);
    SSL *copy = SSL_dup(first.server);
    CHECK(copy != NULL);
    meeting second = meet_ssl(copy, wish);
    CHECK(second.is_good);
    part(&second);
    part(&first);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

int main(void) {
    make_authority("ca");
    make_authority("other");
    issue("ca", "one", EC_KEY, "one.test");
    trust_in("roots.pem", "ca");
    session_that_the_host_verified_is_not_the_handles();
    modes_of_the_host_have_sessions_apart();
    session_of_an_open_name_is_none_of_a_closed_one();
    handles_with_equal_trust_stores_have_sessions_apart();
    copy_of_a_served_connection_verifies();
    return 0;
}
