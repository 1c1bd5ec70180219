#define _GNU_SOURCE
/*
 * Which sessions are resumed: the four cells of TLS 1.2 and 1.3, with tickets and with sessions
 * that the server stores (G13, G14). Clients offer a copy of their session, as often as they like.
 */

#include "peers.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct cell {
    const char *title;
    int version;
    bool has_tickets;
    uint32_t flags; /* of the attach */
};

static const struct cell cells[] = {
    {"TLS 1.2, tickets", TLS1_2_VERSION, true, 0},
    {"TLS 1.2, stored", TLS1_2_VERSION, false, 0},
    {"TLS 1.3, tickets", TLS1_3_VERSION, true, 0},
    {"TLS 1.3, stored", TLS1_3_VERSION, false, 0},
    {"TLS 1.2, tickets, by info", TLS1_2_VERSION, true, CERTRELOAD_OPENSSL_EARLY_BY_INFO},
    {"TLS 1.2, stored, by info", TLS1_2_VERSION, false, CERTRELOAD_OPENSSL_EARLY_BY_INFO},
    {"TLS 1.3, tickets, by info", TLS1_3_VERSION, true, CERTRELOAD_OPENSSL_EARLY_BY_INFO},
    {"TLS 1.3, stored, by info", TLS1_3_VERSION, false, CERTRELOAD_OPENSSL_EARLY_BY_INFO},
};

static SSL_CTX *context_for(certreload_handle *handle, const struct cell *cell) {
    certreload_openssl_options options;
    SSL_CTX *ctx = server_context(NULL);
    memset(&options, 0, sizeof options);
    options.flags = cell->flags;
    if (!cell->has_tickets)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    /* A host with client authentication has to set one. */
    CHECK(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"host", 4) == 1);
    CHECK_OK(certreload_openssl_attach_with(ctx, handle, &options, sizeof options));
    printf("  %s\n", cell->title);
    return ctx;
}

/* Meets with a session; checks whether it was resumed; returns the session to offer next. */
static SSL_SESSION *meet_again(SSL_CTX *ctx, wish wish, bool is_resumed) {
    meeting one = meet(ctx, wish);
    CHECK(one.is_good);
    CHECK_INT(SSL_session_reused(one.server), is_resumed);
    CHECK_INT(SSL_session_reused(one.client), is_resumed);
    SSL_SESSION *session = session_of(&one);
    part(&one);
    return session;
}

static wish wish_of(const struct cell *cell, const char *leaf) {
    wish wish = {.name = "one.test", .version = cell->version, .leaf = leaf};
    return wish;
}

static certreload_handle *open_mutual(certreload_client_auth mode) {
    certreload_options *options = options_with("one");
    trust_in("roots.pem", "ca1 ca2");
    CHECK_OK(certreload_options_set_client_auth(options, mode, scratch("roots.pem")));
    return open_and_free(options);
}

static void removed_root_ends_sessions(const struct cell *cell) {
    certreload_handle *handle = open_mutual(CERTRELOAD_CLIENT_AUTH_REQUIRED);
    SSL_CTX *ctx = context_for(handle, cell);
    wish first = wish_of(cell, "c1"), second = wish_of(cell, "c2");
    SSL_SESSION *session1 = meet_again(ctx, first, false);
    SSL_SESSION *session2 = meet_again(ctx, second, false);
    CHECK(session1 != NULL && session2 != NULL);

    /* Control: a renewed certificate keeps sessions (G14). */
    issue("ca", "one", EC_KEY, "one.test");
    reload(handle);
    first.session = session1;
    SSL_SESSION_free(meet_again(ctx, first, true));
    SSL_SESSION_free(meet_again(ctx, first, true));

    trust_in("roots.pem", "ca2");
    reload(handle);
    for (int time = 0; time < 2; time++)
        check_refuses(ctx, first); /* G13 */
    second.session = session2;
    SSL_SESSION *fresh = meet_again(ctx, second, false);
    second.session = fresh;
    SSL_SESSION_free(meet_again(ctx, second, true));
    SSL_SESSION_free(fresh);
    SSL_SESSION_free(session1);
    SSL_SESSION_free(session2);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* An SSL that is cleared and used again is bound to the trust store of its new handshake. */
static void cleared_ssl_resumes_nothing_of_a_removed_root(const struct cell *cell) {
    certreload_handle *handle = open_mutual(CERTRELOAD_CLIENT_AUTH_REQUIRED);
    SSL_CTX *ctx = context_for(handle, cell);
    wish wish = wish_of(cell, "c1");
    meeting one = meet(ctx, wish);
    CHECK(one.is_good);
    wish.session = session_of(&one);
    SSL *again = one.server;
    SSL_shutdown(again);
    SSL_free(one.client);
    SSL_CTX_free(one.client_ctx);
    trust_in("roots.pem", "ca2");
    reload(handle);
    CHECK(SSL_clear(again) == 1);
    one = meet_ssl(again, wish);
    CHECK(!one.is_good);
    part(&one);
    SSL_SESSION_free(wish.session);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

static void client_certificates_are_asked_for_as_the_mode_says(void) {
    test_begin(__func__);
    certreload_handle *required = open_mutual(CERTRELOAD_CLIENT_AUTH_REQUIRED);
    certreload_handle *optional = open_mutual(CERTRELOAD_CLIENT_AUTH_OPTIONAL);
    SSL_CTX *strict = server_context(required), *mild = server_context(optional);
    for (size_t i = 0; i < 4; i += 2) {
        check_refuses(strict, wish_of(&cells[i], NULL));
        check_refuses(strict, wish_of(&cells[i], "stranger"));
        check_refuses(mild, wish_of(&cells[i], "stranger"));
        check_serves(strict, wish_of(&cells[i], "c1"), "one");
        check_serves(mild, wish_of(&cells[i], NULL), "one");
        meeting one = meet(mild, wish_of(&cells[i], "c1"));
        CHECK(one.is_good);
        CHECK_STR(seen_by_server(&one), print_of("c1"));
        /* The names of both authorities were sent. */
        CHECK_INT(sk_X509_NAME_num(SSL_get0_CA_list(one.server)), 0);
        CHECK_INT(sk_X509_NAME_num(SSL_get_client_CA_list(one.server)), 2);
        part(&one);
    }
    SSL_CTX_free(strict);
    SSL_CTX_free(mild);
    certreload_close(required);
    certreload_close(optional);
}

static void name_no_longer_served_is_not_resumed(const struct cell *cell) {
    issue("ca", "main", EC_KEY, "main.test");
    issue("ca", "lost", EC_KEY, "lost.test");
    certreload_handle *handle = open_with("main lost");
    SSL_CTX *ctx = context_for(handle, cell);
    wish wish = {.name = "lost.test", .version = cell->version};
    SSL_SESSION *session = meet_again(ctx, wish, false);
    wish.session = session;
    SSL_SESSION_free(meet_again(ctx, wish, true));
    issue("ca", "lost", EC_KEY, "other.test");
    reload(handle);
    SSL_SESSION_free(meet_again(ctx, wish, false));
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

static void resumption_off_resumes_nothing(const struct cell *cell) {
    certreload_options *options = options_with("one");
    CHECK_OK(certreload_options_set_resumption(options, CERTRELOAD_RESUMPTION_OFF));
    certreload_handle *handle = open_and_free(options);
    SSL_CTX *ctx = context_for(handle, cell);
    wish wish = {.name = "one.test", .version = cell->version};
    SSL_SESSION *session = meet_again(ctx, wish, false);
    wish.session = session;
    SSL_SESSION_free(meet_again(ctx, wish, false));
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

static void invalidated_sessions_are_not_resumed(const struct cell *cell) {
    certreload_handle *handle = open_with("one");
    SSL_CTX *ctx = context_for(handle, cell);
    wish wish = {.name = "one.test", .version = cell->version};
    SSL_SESSION *session = meet_again(ctx, wish, false);
    wish.session = session;
    SSL_SESSION_free(meet_again(ctx, wish, true));
    CHECK_OK(certreload_invalidate_sessions(handle));
    SSL_SESSION_free(meet_again(ctx, wish, false));
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* A ticket ends when the first certificate of the client's chain does, and so does a series of
 * resumptions. */
static void session_ends_with_a_client_chain(const struct cell *cell, const char *leaf) {
    enum { LIFE = 1800 };
    certreload_handle *handle = open_mutual(CERTRELOAD_CLIENT_AUTH_REQUIRED);
    SSL_CTX *ctx = context_for(handle, cell);
    SSL_CTX_set_timeout(ctx, 7 * 86400);
    wish wish = wish_of(cell, leaf);
    for (int round = 0; round < 3; round++) {
        SSL_SESSION *before = wish.session;
        meeting one = meet(ctx, wish);
        CHECK(one.is_good);
        CHECK_INT(SSL_session_reused(one.server), round > 0);
        long timeout = SSL_SESSION_get_timeout(SSL_get0_session(one.server));
        CHECK(timeout <= LIFE && timeout > LIFE - 600);
        wish.session = session_of(&one);
        CHECK(wish.session != NULL);
        part(&one);
        SSL_SESSION_free(before);
    }
    SSL_SESSION_free(wish.session);
    wish = wish_of(cell, "c1");
    meeting one = meet(ctx, wish);
    CHECK_INT(SSL_SESSION_get_timeout(SSL_get0_session(one.server)), 6 * 3600);
    part(&one);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

static void session_ends_with_the_client_certificate(const struct cell *cell) {
    session_ends_with_a_client_chain(cell, "brief");
}

/* Only the full handshake has seen this certificate. */
static void session_ends_with_the_client_intermediate(const struct cell *cell) {
    session_ends_with_a_client_chain(cell, "deep");
}

static long issued_timeout;

/* Makes the ticket ten minutes older than it is: the same as ten minutes that pass. */
static int backdate(SSL *ssl, void *arg) {
    SSL_SESSION *session = SSL_get_session(ssl);
    (void)arg;
    issued_timeout = SSL_SESSION_get_timeout(session);
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
    return SSL_SESSION_set_time_ex(session, time(NULL) - 600) != 0;
#else
    return SSL_SESSION_set_time(session, (long)time(NULL) - 600) != 0;
#endif
}

/* TLS 1.3 draws a fresh ticket at each resumption. It ends when the first would have ended. */
static void series_of_tickets_ends_with_an_intermediate(void) {
    certreload_openssl_options options;
    test_begin(__func__);
    memset(&options, 0, sizeof options);
    options.generate_ticket_cb = backdate;
    certreload_handle *handle = open_mutual(CERTRELOAD_CLIENT_AUTH_REQUIRED);
    SSL_CTX *ctx = server_context(NULL);
    CHECK_OK(certreload_openssl_attach_with(ctx, handle, &options, sizeof options));
    wish wish = wish_of(&cells[2], "deep");
    for (int round = 0; round < 3; round++) {
        SSL_SESSION *before = wish.session;
        wish.session = meet_again(ctx, wish, round > 0);
        CHECK(issued_timeout <= 1800 - 600 * round);
        SSL_SESSION_free(before);
    }
    SSL_SESSION_free(wish.session);
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

static int verifications;

static int count_verifications(int is_good, X509_STORE_CTX *verification) {
    (void)verification;
    verifications++;
    return is_good;
}

/* A root that an authority above it has issued is trusted without a list of that authority. The
 * host's callback and flags stay. */
static void list_of_a_root_without_its_issuer_is_enough(const struct cell *cell) {
    certreload_options *options = options_with("one");
    shell("rm -f middle.index* middle.number*; touch middle.index; echo 01 >middle.number;"
          " printf '[ca]\ndefault_ca=x\n[x]\ndatabase=middle.index\ncrlnumber=middle.number\n"
          "default_md=sha256\ndefault_crl_days=30\n' >middle.cnf;"
          " openssl ca -config middle.cnf -cert middle.pem -keyfile middle.key -gencrl -out "
          "list.crl");
    trust_in("roots.pem", "middle");
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                                scratch("roots.pem")));
    CHECK_OK(certreload_options_add_crl(options, scratch("list.crl")));
    certreload_handle *handle = open_and_free(options);
    SSL_CTX *ctx = server_context(NULL);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, count_verifications);
    CHECK_OK(certreload_openssl_attach(ctx, handle));
    verifications = 0;
    meeting one = meet(ctx, wish_of(cell, "deep"));
    CHECK(one.is_good && verifications > 0);
    CHECK_INT(SSL_get_verify_mode(one.server),
              SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT | SSL_VERIFY_CLIENT_ONCE);
    part(&one);
    check_refuses(ctx, wish_of(cell, "c1"));
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* What the host has set on its own store applies to the trust store, too. */
static void depth_of_the_hosts_store_is_kept(const struct cell *cell) {
    certreload_handle *handle = open_mutual(CERTRELOAD_CLIENT_AUTH_REQUIRED);
    SSL_CTX *ctx = server_context(NULL);
    CHECK(X509_STORE_set_depth(SSL_CTX_get_cert_store(ctx), 0) == 1);
    CHECK_OK(certreload_openssl_attach(ctx, handle));
    check_serves(ctx, wish_of(cell, "c1"), "one");
    check_refuses(ctx, wish_of(cell, "deep"));
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

static void revoked_client_is_refused(const struct cell *cell) {
    certreload_options *options = options_with("one");
    trust_in("roots.pem", "ca1 ca2");
    shell("rm -f ca1.index* ca1.number*; touch ca1.index; echo 01 >ca1.number;"
          " printf '[ca]\ndefault_ca=x\n[x]\ndatabase=ca1.index\ncrlnumber=ca1.number\n"
          "default_md=sha256\ndefault_crl_days=30\n' >crl.cnf;"
          " openssl ca -config crl.cnf -cert ca1.pem -keyfile ca1.key -gencrl -out list.crl");
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                                scratch("roots.pem")));
    CHECK_OK(certreload_options_add_crl(options, scratch("list.crl")));
    certreload_handle *handle = open_and_free(options);
    SSL_CTX *ctx = context_for(handle, cell);
    wish wish = wish_of(cell, "c1");
    SSL_SESSION *session = meet_again(ctx, wish, false);
    wish.session = session;
    SSL_SESSION_free(meet_again(ctx, wish, true));
    /* No list covers this one. */
    check_refuses(ctx, wish_of(cell, "c2"));
    shell("openssl ca -config crl.cnf -cert ca1.pem -keyfile ca1.key -revoke c1.chain;"
          " openssl ca -config crl.cnf -cert ca1.pem -keyfile ca1.key -gencrl -out fresh.crl;"
          " mv fresh.crl list.crl");
    reload(handle);
    check_refuses(ctx, wish);
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
    certreload_close(handle);
    options = options_with("one");
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                                scratch("roots.pem")));
    CHECK_OK(certreload_options_add_crl(options, scratch("list.crl")));
    CHECK_OK(certreload_options_set_crl_rules(options, CERTRELOAD_CRL_ALLOW_UNKNOWN));
    handle = open_and_free(options);
    ctx = context_for(handle, cell);
    check_serves(ctx, wish_of(cell, "c2"), "one");
    check_refuses(ctx, wish_of(cell, "c1"));
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

static void in_each_cell(const char *name, size_t count, void (*test)(const struct cell *)) {
    test_begin(name);
    for (size_t i = 0; i < count; i++)
        test(&cells[i]);
}
#define IN_CELLS(count, test) in_each_cell(#test, count, test)

/* A certificate of ca1 for half an hour. */
static void issue_brief(const char *name, const char *extension) {
    char until[32];
    time_t when = time(NULL) + 1800;
    struct tm utc;
    CHECK(gmtime_r(&when, &utc) != NULL &&
          strftime(until, sizeof until, "%Y%m%d%H%M%SZ", &utc) > 0);
    shell("openssl req -newkey " EC_KEY " -nodes -config ca.cnf -subj /CN=%s -keyout %s.key"
          " -out brief.csr %s; cp ca.cnf brief.cnf;"
          " sed -i 's/^certificate = .*/certificate = ca1.pem/;"
          " s/^private_key = .*/private_key = ca1.key/' brief.cnf; openssl ca -batch -notext"
          " -config brief.cnf -in brief.csr -out %s.chain -startdate 20200101000000Z -enddate %s",
          name, name, extension, name, until);
}

int main(void) {
    make_authority("ca");
    make_authority("ca1");
    make_authority("ca2");
    make_authority("elsewhere");
    issue("ca", "one", EC_KEY, "one.test");
    issue("ca1", "c1", EC_KEY, "c1.test");
    issue("ca2", "c2", EC_KEY, "c2.test");
    issue("elsewhere", "stranger", EC_KEY, "c1.test");
    issue_brief("brief", "");
    issue_brief("middle", "-addext basicConstraints=critical,CA:TRUE");
    shell("cp middle.chain middle.pem");
    issue("middle", "deep", EC_KEY, "deep.test");
    shell("cat middle.pem >>deep.chain");
    IN_CELLS(8, removed_root_ends_sessions);
    IN_CELLS(8, cleared_ssl_resumes_nothing_of_a_removed_root);
    client_certificates_are_asked_for_as_the_mode_says();
    IN_CELLS(4, name_no_longer_served_is_not_resumed);
    IN_CELLS(8, resumption_off_resumes_nothing);
    IN_CELLS(4, invalidated_sessions_are_not_resumed);
    IN_CELLS(4, session_ends_with_the_client_certificate);
    IN_CELLS(4, session_ends_with_the_client_intermediate);
    series_of_tickets_ends_with_an_intermediate();
    IN_CELLS(4, list_of_a_root_without_its_issuer_is_enough);
    IN_CELLS(4, depth_of_the_hosts_store_is_kept);
    IN_CELLS(4, revoked_client_is_refused);
    return 0;
}
