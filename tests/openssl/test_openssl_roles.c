/* The client role, one SSL without callbacks, DTLS, handles that must refuse, and the openssl
 * program as a client. */

#define _GNU_SOURCE
#include "peers.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* A server of the test itself, that asks for certificates of "clients". */
static SSL_CTX *fixed_server(const char *leaf) {
    SSL_CTX *ctx = server_context(NULL);
    CHECK(SSL_CTX_use_certificate_file(ctx, scratch("%s.chain", leaf), SSL_FILETYPE_PEM) == 1);
    CHECK(SSL_CTX_use_PrivateKey_file(ctx, scratch("%s.key", leaf), SSL_FILETYPE_PEM) == 1);
    CHECK(SSL_CTX_load_verify_locations(ctx, scratch("ca.pem"), NULL) == 1);
    CHECK(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"server", 6) == 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return ctx;
}

static certreload_handle *open_client(void) {
    certreload_options *options = certreload_options_new();
    trust_in("servers.pem", "ca1 ca2");
    CHECK_OK(
        certreload_options_add_client_identity(options, scratch("me.chain"), scratch("me.key")));
    CHECK_OK(certreload_options_set_server_roots(options, scratch("servers.pem")));
    CHECK_OK(certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF));
    CHECK_OK(certreload_options_set_debounce_ms(options, 0));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 0));
    return open_and_free(options);
}

static meeting call(SSL_CTX *server, SSL_CTX *client, wish wish) {
    CHECK(SSL_CTX_up_ref(client) == 1);
    return meet_context(SSL_new(server), client, wish);
}

static void client_shows_its_identity_and_checks_servers(void) {
    test_begin(__func__);
    for (size_t i = 0; i < 2; i++) {
        certreload_handle *handle = open_client();
        SSL_CTX *client = SSL_CTX_new(TLS_client_method());
        CHECK_OK(certreload_openssl_attach(client, handle));
        SSL_CTX *good = fixed_server("s1"), *stranger = fixed_server("s9");
        wish wish = {.version = versions[i]};

        meeting one = call(good, client, wish);
        CHECK(one.is_good);
        CHECK_STR(seen_by_server(&one), print_of("me"));
        CHECK_INT(certreload_openssl_generation(one.client), 1);
        part(&one);
        one = call(stranger, client, wish);
        CHECK(!one.is_good);
        part(&one);

        /* A renewed identity: sessions stay (G14). */
        one = call(good, client, wish);
        wish.session = session_of(&one);
        part(&one);
        issue("ca", "me", i == 0 ? RSA_KEY : EC_KEY, "me.test");
        reload(handle);
        one = call(good, client, wish);
        CHECK(one.is_good && SSL_session_reused(one.client) == 1);
        part(&one);
        SSL_SESSION *session = wish.session;
        wish.session = NULL;
        one = call(good, client, wish);
        CHECK(one.is_good);
        CHECK_STR(seen_by_server(&one), print_of("me"));
        part(&one);

        /* An added root: the old session is not offered, and a full handshake succeeds. */
        trust_in("servers.pem", "ca1 ca2 ca");
        reload(handle);
        wish.session = session;
        one = call(good, client, wish);
        CHECK(one.is_good && SSL_session_reused(one.client) == 0);
        SSL_SESSION_free(session);
        session = session_of(&one);
        part(&one);

        /* A removed root: also the server whose session could be resumed is refused (G13). */
        trust_in("servers.pem", "ca2");
        reload(handle);
        wish.session = session;
        one = call(good, client, wish);
        CHECK(!one.is_good);
        part(&one);
        SSL_SESSION_free(session);
        SSL_CTX_free(client);
        SSL_CTX_free(good);
        SSL_CTX_free(stranger);
        certreload_close(handle);
    }
}

/* A handle that only serves leaves the clients of the SSL_CTX alone. */
static void handle_without_client_role_leaves_clients_alone(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *client = SSL_CTX_new(TLS_method()), *server = server_context(handle);
    CHECK_OK(certreload_openssl_attach(client, handle));
    meeting one = call(server, client, (wish){.name = "one.test"});
    CHECK(one.is_good);
    CHECK_INT(SSL_get_verify_mode(one.client), SSL_VERIFY_NONE);
    part(&one);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    certreload_close(handle);
}

static void applied_ssl_serves_without_callbacks(void) {
    test_begin(__func__);
    certreload_options *options = options_with("one two");
    trust_in("roots.pem", "ca1");
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                                scratch("roots.pem")));
    certreload_handle *handle = open_and_free(options);
    SSL_CTX *ctx = server_context(NULL);
    for (size_t i = 0; i < 2; i++) {
        wish wish = {.name = "two.test", .version = versions[i], .leaf = "c1"};
        for (int round = 0; round < 2; round++) {
            SSL *ssl = SSL_new(ctx);
            CHECK_OK(certreload_openssl_apply(ssl, handle));
            meeting one = meet_ssl(ssl, wish);
            CHECK(one.is_good);
            CHECK_STR(seen_by_client(&one), print_of("one"));
            CHECK_INT(certreload_openssl_generation(ssl), serving_generation(handle));
            part(&one);
            wish.leaf = NULL;
            ssl = SSL_new(ctx);
            CHECK_OK(certreload_openssl_apply(ssl, handle));
            one = meet_ssl(ssl, wish);
            CHECK(!one.is_good);
            part(&one);
            wish.leaf = "c1";
            issue("ca", "one", EC_KEY, "one.test");
            reload(handle);
        }
    }
    CHECK_RESULT(certreload_openssl_apply(NULL, handle), NULL_PARAMETER);
    SSL *ssl = SSL_new(ctx);
    CHECK_RESULT(certreload_openssl_apply(ssl, NULL), NULL_PARAMETER);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* With apply and attach, the handshake uses what was applied. */
static void applied_generation_comes_before_the_attached(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *ctx = server_context(handle);
    SSL *ssl = SSL_new(ctx);
    CHECK_OK(certreload_openssl_apply(ssl, handle));
    shell("cp one.chain kept.chain");
    issue("ca", "one", EC_KEY, "one.test");
    reload(handle);
    meeting one = meet_ssl(ssl, (wish){.name = "one.test"});
    CHECK(one.is_good);
    CHECK_STR(seen_by_client(&one), print_of("kept"));
    part(&one);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

static int cert_calls;

static int count_cert(SSL *ssl, void *arg) {
    (void)ssl, (void)arg;
    cert_calls++;
    return 1;
}

/* The trust store has never been loaded: no client may be served, and none may resume. */
static void handle_without_its_trust_store_refuses(void) {
    static const uint32_t flags[] = {0, CERTRELOAD_OPENSSL_EARLY_BY_INFO};
    test_begin(__func__);
    for (size_t which = 0; which < 2; which++) {
        certreload_openssl_options how;
        certreload_options *options = options_with("one");
        memset(&how, 0, sizeof how);
        how.flags = flags[which];
        how.cert_cb = count_cert;
        cert_calls = 0;
        shell("rm -f late.pem");
        CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                                    scratch("late.pem")));
        CHECK_OK(certreload_options_set_start(options, CERTRELOAD_START_AVAILABLE));
        certreload_handle *handle = open_and_free(options);
        /* The host has a certificate, which must not be served either. */
        SSL_CTX *ctx = server_context(NULL);
        CHECK(SSL_CTX_use_certificate_file(ctx, scratch("two.chain"), SSL_FILETYPE_PEM) == 1);
        CHECK(SSL_CTX_use_PrivateKey_file(ctx, scratch("two.key"), SSL_FILETYPE_PEM) == 1);
        CHECK_OK(certreload_openssl_attach_with(ctx, handle, &how, sizeof how));
        SSL *ssl = SSL_new(ctx);
        CHECK_RESULT(certreload_openssl_apply(ssl, handle), NOT_CONFIGURED);
        SSL_free(ssl);
        for (size_t i = 0; i < 2; i++) {
            check_refuses(ctx, (wish){.name = "one.test", .version = versions[i], .leaf = "c1"});
            check_refuses(ctx, (wish){.name = "one.test", .version = versions[i]});
        }
        /* By default at the ClientHello, so that no session can be resumed. */
        CHECK_INT(cert_calls, which == 0 ? 0 : 4);
        trust_in("late.pem", "ca1");
        reload(handle);
        check_serves(ctx, (wish){.name = "one.test", .leaf = "c1"}, "one");
        SSL_CTX_free(ctx);
        certreload_close(handle);
    }
}

/* Host flags leave a part to the host. */
static void flags_leave_verification_to_the_host(void) {
    certreload_openssl_options how;
    test_begin(__func__);
    memset(&how, 0, sizeof how);
    how.flags = CERTRELOAD_OPENSSL_NO_TRUST;
    certreload_options *options = options_with("one");
    trust_in("roots.pem", "ca1");
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                                scratch("roots.pem")));
    certreload_handle *handle = open_and_free(options);
    SSL_CTX *ctx = server_context(NULL);
    CHECK_OK(certreload_openssl_attach_with(ctx, handle, &how, sizeof how));
    check_serves(ctx, (wish){.name = "one.test"}, "one");
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* DTLS over a pair of sockets. */
static void datagrams_work(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *ctx = SSL_CTX_new(DTLS_server_method());
    CHECK_OK(certreload_openssl_attach(ctx, handle));
    for (int round = 0; round < 2; round++) {
        int ends[2];
        SSL_CTX *client_ctx = SSL_CTX_new(DTLS_client_method());
        SSL *server = SSL_new(ctx), *client = SSL_new(client_ctx);
        CHECK_INT(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
        CHECK(SSL_set_fd(server, ends[0]) == 1 && SSL_set_fd(client, ends[1]) == 1);
        SSL_set_options(server, SSL_OP_NO_QUERY_MTU);
        SSL_set_options(client, SSL_OP_NO_QUERY_MTU);
        SSL_set_mtu(server, 1400);
        SSL_set_mtu(client, 1400);
        SSL_set_accept_state(server);
        SSL_set_connect_state(client);
        int done = 0;
        for (int turn = 0; turn < 50 && done != 2; turn++)
            done = (SSL_do_handshake(client) == 1) + (SSL_do_handshake(server) == 1);
        CHECK_INT(done, 2);
        meeting one = {NULL, server, client, false};
        CHECK_STR(seen_by_client(&one), print_of("one"));
        SSL_free(server);
        SSL_free(client);
        SSL_CTX_free(client_ctx);
        close(ends[0]);
        close(ends[1]);
        issue("ca", "one", EC_KEY, "one.test");
        reload(handle);
    }
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* ---- Real sockets ---- */

struct listener {
    SSL_CTX *ctx;
    int socket, clients;
    unsigned short port;
};

static void listen_on_any_port(struct listener *listener) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener->socket >= 0 &&
          bind(listener->socket, (struct sockaddr *)&address, sizeof address) == 0 &&
          listen(listener->socket, 8) == 0 &&
          getsockname(listener->socket, (struct sockaddr *)&address, &size) == 0);
    listener->port = ntohs(address.sin_port);
}

/* Answers each client with a line, and ends with the last. */
static void *serve(void *argument) {
    struct listener *listener = argument;
    for (int i = 0; i < listener->clients; i++) {
        int socket = accept(listener->socket, NULL, NULL);
        SSL *ssl = SSL_new(listener->ctx);
        CHECK(socket >= 0 && SSL_set_fd(ssl, socket) == 1);
        if (SSL_accept(ssl) == 1 && SSL_write(ssl, "hello\n", 6) == 6)
            SSL_shutdown(ssl);
        SSL_free(ssl);
        close(socket);
        ERR_clear_error();
    }
    return NULL;
}

static const char *ask(const struct listener *listener, const char *arguments) {
    return shell_line("openssl s_client -connect 127.0.0.1:%u -servername one.test %s </dev/null"
                      " >answer 2>&1 || true; grep -oE '^(New|Reused)|alert [a-z ]*' answer |"
                      " tr '\\n' ' '",
                      (unsigned)listener->port, arguments);
}

static const char *fingerprint_seen(void) {
    shell("sed -n '/BEGIN CERT/,/END CERT/p' answer >seen.pem");
    return fingerprint_of(scratch("seen.pem"));
}

/* The openssl program in the four cells: its sessions are files, so each use is a copy. */
static void program_of_openssl_as_a_client(void) {
    static const struct {
        const char *arguments;
        bool has_tickets;
    } cells[] = {{"-tls1_2", true}, {"-tls1_2", false}, {"-tls1_3", true}, {"-tls1_3", false}};
    test_begin(__func__);
    for (size_t i = 0; i < 4; i++) {
        certreload_options *options = options_with("one");
        pthread_t thread;
        struct listener listener = {.clients = 4};
        trust_in("roots.pem", "ca1 ca2");
        CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                                    scratch("roots.pem")));
        certreload_handle *handle = open_and_free(options);
        listener.ctx = server_context(NULL);
        if (!cells[i].has_tickets)
            SSL_CTX_set_options(listener.ctx, SSL_OP_NO_TICKET);
        CHECK_OK(certreload_openssl_attach(listener.ctx, handle));
        listen_on_any_port(&listener);
        CHECK_INT(pthread_create(&thread, NULL, serve, &listener), 0);

        char arguments[256];
        const char *leaf = "-cert c1.chain -key c1.key -ign_eof";
        snprintf(arguments, sizeof arguments, "%s %s -sess_out session", cells[i].arguments, leaf);
        CHECK_CONTAINS(ask(&listener, arguments), "New");
        CHECK_STR(fingerprint_seen(), print_of("one"));
        issue("ca", "one", EC_KEY, "one.test");
        reload(handle);
        snprintf(arguments, sizeof arguments, "%s %s -sess_in session", cells[i].arguments, leaf);
        CHECK_CONTAINS(ask(&listener, arguments), "Reused");
        trust_in("roots.pem", "ca2");
        reload(handle);
        CHECK_CONTAINS(ask(&listener, arguments), "unknown ca");
        snprintf(arguments, sizeof arguments, "%s -cert c2.chain -key c2.key -ign_eof",
                 cells[i].arguments);
        CHECK_CONTAINS(ask(&listener, arguments), "New");
        CHECK_STR(fingerprint_seen(), print_of("one"));
        CHECK_INT(pthread_join(thread, NULL), 0);
        close(listener.socket);
        SSL_CTX_free(listener.ctx);
        certreload_close(handle);
    }
}

int main(void) {
    make_authority("ca");
    make_authority("ca1");
    make_authority("ca2");
    make_authority("elsewhere");
    issue("ca", "one", EC_KEY, "one.test");
    issue("ca", "two", EC_KEY, "two.test");
    issue("ca", "me", EC_KEY, "me.test");
    issue("ca1", "s1", EC_KEY, "s1.test");
    issue("elsewhere", "s9", EC_KEY, "s1.test");
    issue("ca1", "c1", EC_KEY, "c1.test");
    issue("ca2", "c2", EC_KEY, "c2.test");
    client_shows_its_identity_and_checks_servers();
    handle_without_client_role_leaves_clients_alone();
    applied_ssl_serves_without_callbacks();
    applied_generation_comes_before_the_attached();
    handle_without_its_trust_store_refuses();
    flags_leave_verification_to_the_host();
    datagrams_work();
    program_of_openssl_as_a_client();
    return 0;
}
