/*
 * Processes: children serve with the objects that their parent prepared, whatever they do next.
 * Three handles of one process serve OpenSSL and rustls side by side.
 */

#include "../c/children.h"
#include "peers.h"

#include <rustls.h>
#include <string.h>

static const wish any = {.name = "one.test"};
static SSL_CTX *ctx;
static certreload_handle *handle;

static void serve_one(void *leaf) {
    check_serves(ctx, any, leaf);
}

/* A process for each connection, as in PostgreSQL: each child has what is current at its fork. */
static void children_serve_what_was_current_at_the_fork(void) {
    test_begin(__func__);
    for (int renewal = 0; renewal < 3; renewal++) {
        child_run(serve_one, "one");
        issue("ca", "one", renewal == 1 ? RSA_KEY : EC_KEY, "one.test");
        reload(handle);
    }
    child_run(serve_one, "one");
}

static void keep_serving(void *unused) {
    (void)unused;
    /* Without certreload_after_fork() the generation of the fork is served. */
    issue("ca", "one", EC_KEY, "one.test");
    shell("cp one.chain next.chain");
    meeting old = meet(ctx, any);
    CHECK(old.is_good && strcmp(seen_by_client(&old), print_of("next")) != 0);
    /* With it, the child prepares its own objects, and the connection keeps the old ones. */
    CHECK_OK(certreload_after_fork(handle));
    /* It may have read the files by itself already. */
    CHECK(!certreload_result_is_error(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER)));
    check_serves(ctx, any, "next");
    CHECK(talk(&old));
    part(&old);
    certreload_close(handle);
    check_serves(ctx, any, "next");
    SSL_CTX_free(ctx);
}

static void worker_follows_renewals_after_certreload_after_fork(void) {
    test_begin(__func__);
    child_run(keep_serving, NULL);
    /* The parent is as it was: it reads the files of the child's renewal when it reloads. */
    CHECK(certreload_openssl_detach(ctx) == CERTRELOAD_RESULT_OK);
}

/* A connection that was open at the fork lives on in the parent. */
static void close_inherited(void *unused) {
    (void)unused;
    certreload_close(handle);
    check_serves(ctx, any, "one");
    SSL_CTX_free(ctx);
}

static void child_that_closes_disturbs_no_parent(void) {
    test_begin(__func__);
    meeting open = meet(ctx, any);
    child_run(close_inherited, NULL);
    CHECK(open.is_good && talk(&open));
    part(&open);
    check_serves(ctx, any, "one");
}

static void two_stacks_have_a_handle_each(void) {
    test_begin(__func__);
    certreload_handle *of_rustls = NULL, *of_both = NULL;
    CHECK_OK(certreload_open_files(scratch("one.chain"), scratch("one.key"), &of_rustls));
    CHECK_OK(certreload_open_files(scratch("one.chain"), scratch("one.key"), &of_both));
    SSL_CTX *of_openssl = server_context(of_both);
    check_serves(of_openssl, any, "one");
    rustls_connection *connection = NULL;
    CHECK_OK(certreload_server_connection_new(of_rustls, &connection));
    rustls_connection *other = NULL;
    CHECK_OK(certreload_server_connection_new(of_both, &other));
    CHECK(connection != NULL && other != NULL);
    issue("ca", "one", EC_KEY, "one.test");
    CHECK_OK(certreload_reload_wait(of_both, CERTRELOAD_WAIT_FOREVER));
    check_serves(of_openssl, any, "one");
    CHECK_STR(serving_fingerprint(of_both), print_of("one"));
    certreload_close(of_rustls);
    certreload_close(of_both);
    SSL_CTX_free(of_openssl);
    rustls_connection_free(connection);
    rustls_connection_free(other);
}

int main(void) {
    make_authority("ca");
    issue("ca", "one", EC_KEY, "one.test");
    handle = open_with("one");
    ctx = server_context(handle);
    children_serve_what_was_current_at_the_fork();
    child_that_closes_disturbs_no_parent();
    worker_follows_renewals_after_certreload_after_fork();
    SSL_CTX_free(ctx);
    certreload_close(handle);
    two_stacks_have_a_handle_each();
    return 0;
}
