/* Attaching, renewing, closing, freeing and detaching, in every order. */

#include "peers.h"

#include <errno.h>
#include <string.h>

static const wish any = {.name = "one.test"};

/* A connection keeps its generation, and the next one has the new (G8). */
static void renewal_serves_new_connections_and_keeps_old_ones(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *ctx = server_context(handle);
    meeting before = meet(ctx, any);
    CHECK(before.is_good);
    CHECK_STR(seen_by_client(&before), print_of("one"));
    CHECK_INT(certreload_openssl_generation(before.server), 1);

    issue("ca", "one", EC_KEY, "one.test");
    reload(handle);
    meeting after = meet(ctx, any);
    CHECK(after.is_good);
    CHECK_STR(seen_by_client(&after), print_of("one"));
    CHECK_INT(certreload_openssl_generation(after.server), 2);
    CHECK(strcmp(seen_by_client(&before), print_of("one")) != 0);
    CHECK_INT(certreload_openssl_generation(before.server), 1);
    CHECK(talk(&before) && SSL_get_certificate(before.server) != NULL);
    part(&before);
    part(&after);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* Only the EC certificate is offered after a renewal from RSA, also to a client that takes both. */
static void another_kind_of_key_replaces_the_first(void) {
    static const struct {
        const char *before, *after;
    } kinds[] = {{RSA_KEY, EC_KEY}, {EC_KEY, RSA_KEY}};
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    test_begin(__func__);
    for (size_t i = 0; i < 2; i++) {
        issue("ca", "kind", kinds[i].before, "one.test");
        certreload_handle *handle = open_with("kind");
        SSL_CTX *ctx = server_context(handle);
        check_serves(ctx, any, "kind");
        issue("ca", "kind", kinds[i].after, "one.test");
        reload(handle);
        for (size_t version = 0; version < 2; version++) {
            wish wish = any;
            wish.version = versions[version];
            check_serves(ctx, wish, "kind");
            /* A client that takes the old kind alone gets nothing, instead of the old certificate.
             */
            wish.signatures = i == 0 ? "RSA-PSS+SHA256:RSA+SHA256" : "ECDSA+SHA256";
            check_refuses(ctx, wish);
        }
        SSL_CTX_free(ctx);
        certreload_close(handle);
    }
}

static void closing_the_handle_first_keeps_the_last_generation(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *ctx = server_context(handle);
    issue("ca", "one", EC_KEY, "one.test");
    reload(handle);
    meeting open = meet(ctx, any);
    certreload_close(handle);
    check_serves(ctx, any, "one");
    CHECK(talk(&open));
    SSL_CTX_free(ctx);
    CHECK(talk(&open));
    CHECK_INT(certreload_openssl_generation(open.server), 2);
    part(&open);
}

/* Attached and never used; freed before the handle; freed while a connection lasts. */
static void contexts_may_be_freed_first(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *unused = server_context(handle), *used = server_context(handle);
    SSL_CTX_free(unused);
    meeting open = meet(used, any);
    SSL_CTX_free(used);
    CHECK(open.is_good && talk(&open));
    part(&open);
    SSL_CTX *again = server_context(handle);
    SSL *never_connected = SSL_new(again);
    certreload_close(handle);
    SSL_CTX_free(again);
    SSL_free(never_connected);
}

static void detached_context_serves_what_it_has(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *ctx = server_context(handle);
    shell("cp one.chain first.chain");
    SSL_CTX *never = server_context(NULL);
    CHECK_RESULT(certreload_openssl_detach(never), INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_openssl_last_error(), "never attached");
    CHECK_RESULT(certreload_openssl_detach(NULL), NULL_PARAMETER);
    SSL_CTX_free(never);

    issue("ca", "one", EC_KEY, "one.test");
    reload(handle);
    meeting before = meet(ctx, any);
    CHECK_OK(certreload_openssl_detach(ctx));
    CHECK_OK(certreload_openssl_detach(ctx));
    meeting after = meet(ctx, any);
    CHECK(after.is_good && talk(&before));
    CHECK_STR(seen_by_client(&after), print_of("first"));
    CHECK_INT(certreload_openssl_generation(after.server), 0);
    CHECK_INT(certreload_openssl_generation(before.server), 2);
    part(&before);
    part(&after);
    certreload_close(handle);
    check_serves(ctx, any, "first");
    SSL_CTX_free(ctx);
}

static void several_contexts_follow_one_handle(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *contexts[3];
    for (size_t i = 0; i < 3; i++)
        contexts[i] = server_context(handle);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 3; i++)
            check_serves(contexts[i], any, "one");
        issue("ca", "one", EC_KEY, "one.test");
        reload(handle);
    }
    for (size_t i = 0; i < 3; i++)
        SSL_CTX_free(contexts[i]);
    certreload_close(handle);
}

static void attach_checks_its_parameters(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one"), *other = open_with("two");
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    struct {
        certreload_openssl_options known;
        char later;
    } options;
    memset(&options, 0, sizeof options);
    CHECK_RESULT(certreload_openssl_attach(NULL, handle), NULL_PARAMETER);
    CHECK_RESULT(certreload_openssl_attach(ctx, NULL), NULL_PARAMETER);
    options.later = 1;
    CHECK_RESULT(certreload_openssl_attach_with(ctx, handle, &options.known, sizeof options),
                 INVALID_PARAMETER);
    options.later = 0;
    options.known.flags = 1u << 31;
    CHECK_RESULT(certreload_openssl_attach_with(ctx, handle, &options.known, sizeof options),
                 INVALID_PARAMETER);
    options.known.flags = 0;
    options.known.session_context = (const unsigned char *)"context";
    options.known.session_context_size = 33;
    CHECK_RESULT(certreload_openssl_attach_with(ctx, handle, &options.known, sizeof options),
                 INVALID_PARAMETER);
    options.known.session_context_size = 7;
    CHECK_OK(certreload_openssl_attach_with(ctx, handle, &options.known, sizeof options));
    CHECK_RESULT(certreload_openssl_attach(ctx, other), INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_openssl_last_error(), "attached already");
    check_serves(ctx, any, "one");
    CHECK_INT(certreload_openssl_generation(NULL), 0);
    certreload_close(handle);
    certreload_close(other);
    SSL_CTX_free(ctx);
}

/* The host's own check of its SSL_CTX succeeds. */
static void attached_context_has_a_certificate(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *ctx = server_context(NULL);
    CHECK(SSL_CTX_check_private_key(ctx) == 0);
    ERR_clear_error();
    CHECK_OK(certreload_openssl_attach(ctx, handle));
    CHECK(SSL_CTX_check_private_key(ctx) == 1);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* What the host has left in errno and in the queue of errors, a failed handshake for
 * example. */
static int leave_traces(SSL *ssl, void *arg) {
    int *calls = arg;
    CHECK(SSL_use_PrivateKey_file(ssl, "/nonexistent", SSL_FILETYPE_PEM) != 1);
    errno = 42;
    ++*calls;
    return 1;
}

static unsigned long error_after;
static int errno_after;

static int note_traces(SSL *ssl, void *arg) {
    (void)ssl, (void)arg;
    error_after = ERR_peek_error();
    errno_after = errno;
    ERR_clear_error(); /* for SSL_get_error() */
    return SSL_TLSEXT_ERR_NOACK;
}

/* errno and the queue of errors are the host's: both are as its own callback has left them. */
static void hooks_leave_errno_and_errors(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *ctx = server_context(NULL);
    certreload_openssl_options options;
    int calls = 0;
    memset(&options, 0, sizeof options);
    options.cert_cb = leave_traces;
    options.cert_cb_arg = &calls;
    SSL_CTX_set_tlsext_status_cb(ctx, note_traces);
    CHECK_OK(certreload_openssl_attach_with(ctx, handle, &options, sizeof options));
    CHECK(ERR_peek_error() == 0);
    wish wish = any;
    wish.wants_staple = true;
    meeting one = meet(ctx, wish);
    CHECK(one.is_good);
    CHECK_INT(calls, 1);
    CHECK(error_after != 0);
    CHECK_INT(errno_after, 42);
    part(&one);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* An SSL that is cleared and used again serves what is current then. */
static void cleared_ssl_begins_anew(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *ctx = server_context(handle);
    meeting first = meet(ctx, any);
    CHECK(first.is_good);
    SSL *again = first.server;
    SSL_free(first.client);
    SSL_CTX_free(first.client_ctx);
    issue("ca", "one", EC_KEY, "one.test");
    reload(handle);
    SSL_set_shutdown(again, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    CHECK(SSL_clear(again) == 1);
    meeting second = meet_ssl(again, any);
    CHECK(second.is_good);
    CHECK_STR(seen_by_client(&second), print_of("one"));
    CHECK_INT(certreload_openssl_generation(again), 2);
    part(&second);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* A copy of an SSL does not share what the first has: each is freed once. */
static void copied_ssl_is_separate(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *ctx = server_context(handle);
    SSL *first = SSL_new(ctx);
    CHECK_OK(certreload_openssl_apply(first, handle));
    SSL *second = SSL_dup(first);
    CHECK(second != NULL);
    CHECK_INT(certreload_openssl_generation(second), 0);
    SSL_free(first);
    meeting one = meet_ssl(second, any);
    CHECK(one.is_good);
    part(&one);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

int main(void) {
    make_authority("ca");
    issue("ca", "one", EC_KEY, "one.test");
    issue("ca", "two", EC_KEY, "two.test");
    renewal_serves_new_connections_and_keeps_old_ones();
    another_kind_of_key_replaces_the_first();
    closing_the_handle_first_keeps_the_last_generation();
    contexts_may_be_freed_first();
    several_contexts_follow_one_handle();
    attach_checks_its_parameters();
    attached_context_has_a_certificate();
    hooks_leave_errno_and_errors();
    cleared_ssl_begins_anew();
    copied_ssl_is_separate();
    detached_context_serves_what_it_has();
    return 0;
}
