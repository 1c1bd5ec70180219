/* Beside the host: its callbacks, its threads, and SSL_CTX that it never sees. */

#include "peers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const wish any = {.name = "one.test", .wants_staple = true};

struct calls {
    int hello, cert, info, status, session, ticket, opened;
};

static struct calls calls;

static int host_hello(SSL *ssl, int *alert, void *arg) {
    (void)ssl, (void)alert;
    CHECK(arg == &calls);
    calls.hello++;
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int host_cert(SSL *ssl, void *arg) {
    (void)ssl;
    CHECK(arg == &calls);
    calls.cert++;
    return 1;
}

static void host_info(const SSL *ssl, int where, int value) {
    (void)ssl, (void)value;
    calls.info += where == SSL_CB_HANDSHAKE_START;
}

static int host_status(SSL *ssl, void *arg) {
    (void)ssl;
    CHECK(arg == &calls);
    calls.status++;
    return SSL_TLSEXT_ERR_NOACK;
}

static int host_session(SSL *ssl, SSL_SESSION *session) {
    (void)ssl, (void)session;
    calls.session++;
    return 0;
}

static int host_ticket(SSL *ssl, void *arg) {
    CHECK(arg == &calls);
    calls.ticket++;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), "mine", 4);
}

static SSL_TICKET_RETURN host_open(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                   size_t name_size, SSL_TICKET_STATUS status, void *arg) {
    void *data = NULL;
    size_t size = 0;
    (void)ssl, (void)name, (void)name_size, (void)status;
    CHECK(arg == &calls);
    calls.opened +=
        session != NULL && SSL_SESSION_get0_ticket_appdata(session, &data, &size) == 1 && size == 4;
    return session == NULL ? SSL_TICKET_RETURN_IGNORE_RENEW : SSL_TICKET_RETURN_USE_RENEW;
}

static certreload_openssl_options host_options(void) {
    certreload_openssl_options options;
    memset(&options, 0, sizeof options);
    options.cert_cb = host_cert;
    options.cert_cb_arg = &calls;
    options.client_hello_cb = host_hello;
    options.client_hello_cb_arg = &calls;
    options.generate_ticket_cb = host_ticket;
    options.decrypt_ticket_cb = host_open;
    options.ticket_cb_arg = &calls;
    return options;
}

static SSL_CTX *host_context(void) {
    SSL_CTX *ctx = server_context(NULL);
    SSL_CTX_set_info_callback(ctx, host_info);
    SSL_CTX_set_tlsext_status_cb(ctx, host_status);
    SSL_CTX_set_tlsext_status_arg(ctx, &calls);
    SSL_CTX_sess_set_new_cb(ctx, host_session);
    memset(&calls, 0, sizeof calls);
    return ctx;
}

/* Each callback runs as often as without the hooks, also after a detach. */
static void callbacks_of_the_host_run(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    const certreload_openssl_options options = host_options();
    SSL_CTX *ctx = host_context();
    CHECK_OK(certreload_openssl_attach_with(ctx, handle, &options, sizeof options));
    for (int round = 1; round <= 2; round++) {
        meeting one = meet(ctx, any);
        CHECK(one.is_good);
        CHECK_INT(calls.hello, 2 * round - 1);
        CHECK_INT(calls.cert, round);
        CHECK_INT(calls.status, round);
        CHECK_INT(calls.info, 2 * round - 1);
        CHECK(calls.session > 0 && calls.ticket > 0);
        wish again = any;
        again.session = session_of(&one);
        part(&one);
        one = meet(ctx, again);
        CHECK(one.is_good && SSL_session_reused(one.server) == 1);
        CHECK_INT(calls.opened, round);
        CHECK_INT(calls.cert, round);
        part(&one);
        SSL_SESSION_free(again.session);
        CHECK_OK(certreload_openssl_detach(ctx));
    }
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

static int refuse_hello(SSL *ssl, int *alert, void *arg) {
    (void)ssl, (void)arg;
    *alert = SSL_AD_ACCESS_DENIED;
    return SSL_CLIENT_HELLO_ERROR;
}

static int refuse_cert(SSL *ssl, void *arg) {
    (void)ssl, (void)arg;
    return 0;
}

static void refusals_of_the_host_count(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    for (int which = 0; which < 2; which++) {
        certreload_openssl_options options = host_options();
        SSL_CTX *ctx = host_context();
        if (which == 0)
            options.client_hello_cb = refuse_hello;
        else
            options.cert_cb = refuse_cert;
        CHECK_OK(certreload_openssl_attach_with(ctx, handle, &options, sizeof options));
        check_refuses(ctx, any);
        SSL_CTX_free(ctx);
    }
    certreload_close(handle);
}

/* ---- A renewal in the middle of a handshake ---- */

static certreload_handle *renewed_handle;
static int cert_calls;

/* OpenSSL calls this twice if it has sent a HelloRetryRequest. */
static int renew_before_the_second(SSL *ssl, void *arg) {
    (void)ssl, (void)arg;
    if (++cert_calls == 2) {
        issue("ca", "one", EC_KEY, "one.test");
        reload(renewed_handle);
    }
    return 1;
}

static void handshake_keeps_the_generation_of_its_first_hello(void) {
    test_begin(__func__);
    certreload_openssl_options options;
    renewed_handle = open_with("one");
    SSL_CTX *ctx = server_context(NULL);
    memset(&options, 0, sizeof options);
    options.cert_cb = renew_before_the_second;
    CHECK(SSL_CTX_set1_groups_list(ctx, "P-384") == 1);
    CHECK_OK(certreload_openssl_attach_with(ctx, renewed_handle, &options, sizeof options));
    shell("cp one.chain kept.chain");
    wish wish = {.name = "one.test", .version = TLS1_3_VERSION, .groups = "X25519:P-384"};
    cert_calls = 0;
    check_serves(ctx, wish, "kept");
    CHECK_INT(cert_calls, 2);
    CHECK_INT(serving_generation(renewed_handle), 2);
    check_serves(ctx, wish, "one");
    SSL_CTX_free(ctx);
    certreload_close(renewed_handle);
}

/* ---- attach_new ---- */

static int refuse_all(const SSL_CTX *ctx, void *userdata) {
    (void)ctx;
    ++*(int *)userdata;
    return 0;
}

static void new_contexts_are_attached(void) {
    int asked = 0;
    test_begin(__func__);
    certreload_handle *handle = open_with("one"), *other = open_with("two");
    SSL_CTX *older = server_context(NULL);
    CHECK_OK(certreload_openssl_attach_new(handle, NULL, NULL));
    SSL_CTX *ctx = server_context(NULL);
    /* As a library does after SSL_CTX_new(). */
    CHECK(SSL_CTX_use_certificate_file(ctx, scratch("two.chain"), SSL_FILETYPE_PEM) == 1);
    CHECK(SSL_CTX_use_PrivateKey_file(ctx, scratch("two.key"), SSL_FILETYPE_PEM) == 1);
    check_serves(ctx, any, "one");
    issue("ca", "one", EC_KEY, "one.test");
    reload(handle);
    check_serves(ctx, any, "one");
    check_refuses(older, any);
    CHECK_RESULT(certreload_openssl_attach(ctx, other), INVALID_PARAMETER);

    CHECK_OK(certreload_openssl_attach_new(other, refuse_all, &asked));
    SSL_CTX *refused = server_context(NULL);
    CHECK_INT(asked, 1);
    check_refuses(refused, any);
    /* The library makes SSL_CTX itself to prepare for another security level: they are not asked
     * about. */
    SSL_CTX *low = server_context(NULL);
    SSL_CTX_set_security_level(low, 0);
    const int before = asked;
    CHECK_OK(certreload_openssl_attach(low, other));
    CHECK_INT(asked, before);
    SSL_CTX_free(low);
    CHECK_OK(certreload_openssl_attach_new(NULL, NULL, NULL));
    SSL_CTX *later = server_context(NULL);
    check_refuses(later, any);
    certreload_close(handle);
    certreload_close(other);
    check_serves(ctx, any, "one");
    SSL_CTX_free(older);
    SSL_CTX_free(ctx);
    SSL_CTX_free(refused);
    SSL_CTX_free(later);
}

/* Another copy of what a thread does in a server, while certificates are renewed. */
static void *serve_often(void *ctx) {
    for (int i = 0; i < 200; i++) {
        meeting one = meet(ctx, any);
        CHECK(one.is_good);
        part(&one);
    }
    return NULL;
}

static void threads_serve_while_certificates_are_renewed(void) {
    pthread_t threads[2];
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *ctx = server_context(handle);
    for (size_t i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, serve_often, ctx), 0);
    for (int round = 0; round < 20; round++) {
        issue("ca", "one", round % 2 == 0 ? RSA_KEY : EC_KEY, "one.test");
        reload(handle);
    }
    for (size_t i = 0; i < 2; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    check_serves(ctx, any, "one");
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

int main(void) {
    make_authority("ca");
    issue("ca", "one", EC_KEY, "one.test");
    issue("ca", "two", EC_KEY, "two.test");
    callbacks_of_the_host_run();
    refusals_of_the_host_count();
    handshake_keeps_the_generation_of_its_first_hello();
    threads_serve_while_certificates_are_renewed();
    new_contexts_are_attached();
    return 0;
}
