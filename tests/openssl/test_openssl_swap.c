/* A host that chooses an SSL_CTX by name: SSL_set_SSL_CTX() in its SNI callback. */

#include "peers.h"

#include <string.h>

static int swap(SSL *ssl, int *alert, void *arg) {
    (void)alert;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name != NULL && strcmp(name, "two.test") == 0)
        SSL_set_SSL_CTX(ssl, arg);
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *swapping_context(certreload_handle *handle, SSL_CTX *other) {
    SSL_CTX *ctx = server_context(handle);
    SSL_CTX_set_tlsext_servername_callback(ctx, swap);
    SSL_CTX_set_tlsext_servername_arg(ctx, other);
    return ctx;
}

static void contexts_of_names_follow_their_handles(void) {
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    test_begin(__func__);
    certreload_handle *first = open_with("one"), *second = open_with("two");
    SSL_CTX *other = server_context(second), *ctx = swapping_context(first, other);
    SSL_CTX *from_plain = swapping_context(NULL, other);
    for (size_t i = 0; i < 2; i++) {
        wish one = {.name = "one.test", .version = versions[i]};
        wish two = {.name = "two.test", .version = versions[i]};
        check_serves(ctx, one, "one");
        check_serves(ctx, two, "two");
        check_serves(from_plain, two, "two");
        issue("ca", "two", EC_KEY, "two.test");
        reload(second);
        check_serves(ctx, two, "two");
    }
    SSL_CTX_free(other);
    SSL_CTX_free(ctx);
    SSL_CTX_free(from_plain);
    certreload_close(first);
    certreload_close(second);
}

/* A context that is not attached keeps what the host has given it. */
static void context_that_is_not_attached_is_the_hosts(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *plain = server_context(NULL), *ctx = swapping_context(handle, plain);
    CHECK(SSL_CTX_use_certificate_file(plain, scratch("two.chain"), SSL_FILETYPE_PEM) == 1);
    CHECK(SSL_CTX_use_PrivateKey_file(plain, scratch("two.key"), SSL_FILETYPE_PEM) == 1);
    check_serves(ctx, (wish){.name = "two.test"}, "two");
    check_serves(ctx, (wish){.name = "one.test"}, "one");
    SSL_CTX_free(ctx);
    SSL_CTX_free(plain);
    certreload_close(handle);
}

static certreload_handle *open_mutual(const char *leaf, const char *roots) {
    certreload_options *options = options_with(leaf);
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                                scratch("%s", roots)));
    return open_and_free(options);
}

/* The trust store that verifies is the second handle's: when it shrinks, sessions must not survive
 * (G13). */
static void swapped_context_verifies_and_ends_sessions(void) {
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    test_begin(__func__);
    for (int is_attached = 0; is_attached < 2; is_attached++) {
        for (size_t i = 0; i < 2; i++) {
            trust_in("roots.pem", "ca1 ca2");
            certreload_handle *first = open_with("one"), *second = open_mutual("two", "roots.pem");
            SSL_CTX *other = server_context(second);
            SSL_CTX *ctx = swapping_context(is_attached ? first : NULL, other);
            wish wish = {.name = "two.test", .version = versions[i], .leaf = "c1"};
            meeting one = meet(ctx, wish);
            CHECK(one.is_good);
            CHECK_STR(seen_by_server(&one), print_of("c1"));
            wish.session = session_of(&one);
            part(&one);
            trust_in("roots.pem", "ca2");
            reload(second);
            check_refuses(ctx, wish);
            SSL_SESSION_free(wish.session);
            SSL_CTX_free(other);
            SSL_CTX_free(ctx);
            certreload_close(first);
            certreload_close(second);
        }
    }
}

/* Two SSL_CTX of one handle: sessions survive the swap, and end with the trust store. */
static void swap_within_a_handle_keeps_sessions(void) {
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    test_begin(__func__);
    for (size_t i = 0; i < 2; i++) {
        trust_in("roots.pem", "ca1 ca2");
        certreload_handle *handle = open_mutual("one two", "roots.pem");
        SSL_CTX *other = server_context(handle), *ctx = swapping_context(handle, other);
        wish wish = {.name = "two.test", .version = versions[i], .leaf = "c1"};
        meeting one = meet(ctx, wish);
        CHECK(one.is_good);
        wish.session = session_of(&one);
        part(&one);
        one = meet(ctx, wish);
        CHECK(one.is_good && SSL_session_reused(one.server) == 1);
        part(&one);
        trust_in("roots.pem", "ca2");
        reload(handle);
        check_refuses(ctx, wish);
        SSL_SESSION_free(wish.session);
        SSL_CTX_free(other);
        SSL_CTX_free(ctx);
        certreload_close(handle);
    }
}

static int info_calls[2];

static void first_info(const SSL *ssl, int where, int value) {
    (void)ssl, (void)where, (void)value;
    info_calls[0]++;
}

static void second_info(const SSL *ssl, int where, int value) {
    (void)ssl, (void)where, (void)value;
    info_calls[1]++;
}

/* The info callbacks that OpenSSL would call without the hooks are called. */
static void info_callbacks_are_called_as_without_hooks(void) {
    int calls[2][2];
    test_begin(__func__);
    certreload_handle *first = open_with("one"), *second = open_with("two");
    for (int is_attached = 0; is_attached < 2; is_attached++) {
        SSL_CTX *other = server_context(NULL), *ctx = swapping_context(NULL, other);
        SSL_CTX_set_info_callback(ctx, first_info);
        SSL_CTX_set_info_callback(other, second_info);
        CHECK(SSL_CTX_use_certificate_file(other, scratch("two.chain"), SSL_FILETYPE_PEM) == 1);
        CHECK(SSL_CTX_use_PrivateKey_file(other, scratch("two.key"), SSL_FILETYPE_PEM) == 1);
        if (is_attached) {
            CHECK_OK(certreload_openssl_attach(ctx, first));
            CHECK_OK(certreload_openssl_attach(other, second));
        }
        memset(info_calls, 0, sizeof info_calls);
        check_serves(ctx, (wish){.name = "two.test"}, "two");
        memcpy(calls[is_attached], info_calls, sizeof info_calls);
        SSL_CTX_free(other);
        SSL_CTX_free(ctx);
    }
    /* The step that swaps is reported to the second, and by OpenSSL itself to the first. */
    CHECK_INT(calls[1][0] + calls[1][1], calls[0][0] + calls[0][1]);
    CHECK(calls[0][0] - calls[1][0] <= 1 && calls[1][0] > 0 && calls[1][1] > 0);
    certreload_close(first);
    certreload_close(second);
}

int main(void) {
    make_authority("ca");
    make_authority("ca1");
    make_authority("ca2");
    issue("ca", "one", EC_KEY, "one.test");
    issue("ca", "two", EC_KEY, "two.test");
    issue("ca1", "c1", EC_KEY, "c1.test");
    contexts_of_names_follow_their_handles();
    context_that_is_not_attached_is_the_hosts();
    swapped_context_verifies_and_ends_sessions();
    swap_within_a_handle_keeps_sessions();
    info_callbacks_are_called_as_without_hooks();
    return 0;
}
