/*
 * Servers that ask clients for certificates: who comes in goes by mode, roots and revocation lists,
 * which follow their files; and rustls-ffi tells who it is. Against clients of rustls, and against
 * openssl s_client.
 */

#define _GNU_SOURCE
#include "mutual.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Clients, each with the roots of the server: of the old authority, of the new one, and of none. */
static certreload_handle *good, *stranger, *nobody;

static certreload_handle *open_client(const char *leaf) {
    certreload_options *options = mutual_options();
    CHECK_OK(certreload_options_set_server_roots(options, scratch("old.pem")));
    if (leaf != NULL)
        CHECK_OK(certreload_options_add_client_identity(options, scratch("%s.chain", leaf),
                                                        scratch("%s.key", leaf)));
    return open_and_free(options);
}

static certreload_options *server_options(certreload_client_auth mode) {
    certreload_options *options = mutual_options();
    CHECK_OK(certreload_options_add_identity(options, scratch("server.chain"),
                                             scratch("server.key"), NULL));
    CHECK_OK(certreload_options_set_client_auth(options, mode, scratch("roots.pem")));
    return options;
}

/* The client comes in, and is who is expected; "" is nobody. */
static void check_in(certreload_handle *server, certreload_handle *client, const char *peer) {
    meeting met = meet(server, client);
    check_talk(&met);
    CHECK_STR(peer_of(met.server), peer);
    part(&met);
}

static void check_out(certreload_handle *server, certreload_handle *client, rustls_result why) {
    meeting met = meet(server, client);
    CHECK_INT(met.server_result, why);
    CHECK(met.client_result != RUSTLS_RESULT_OK); /* it is told */
    part(&met);
}

static void who_comes_in_goes_by_the_mode(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    const char *const name = fingerprint_of(scratch("good.chain"));

    certreload_options *options = server_options(CERTRELOAD_CLIENT_AUTH_NONE);
    certreload_handle *server = open_and_free(options);
    check_in(server, good, "");
    check_in(server, stranger, "");
    check_in(server, nobody, "");
    certreload_close(server);

    server = open_and_free(server_options(CERTRELOAD_CLIENT_AUTH_OPTIONAL));
    check_in(server, good, name);
    check_out(server, stranger, RUSTLS_RESULT_CERT_UNKNOWN_ISSUER);
    check_in(server, nobody, "");
    certreload_close(server);

    server = open_and_free(server_options(CERTRELOAD_CLIENT_AUTH_REQUIRED));
    check_in(server, good, name);
    check_out(server, stranger, RUSTLS_RESULT_CERT_UNKNOWN_ISSUER);
    check_out(server, nobody, RUSTLS_RESULT_NO_CERTIFICATES_PRESENTED);
    certreload_close(server);
}

/* A resumed connection has the same peer: rustls-ffi tells the one of the session. */
static void who_resumes_is_who_it_was(void) {
    test_begin(__func__);
    certreload_handle *server = open_and_free(server_options(CERTRELOAD_CLIENT_AUTH_REQUIRED));
    check_in(server, good, fingerprint_of(scratch("good.chain")));
    meeting met = meet(server, good);
    CHECK_INT(rustls_connection_handshake_kind(met.server), RUSTLS_HANDSHAKE_KIND_RESUMED);
    CHECK_STR(peer_of(met.server), fingerprint_of(scratch("good.chain")));
    part(&met);
    certreload_close(server);
}

/* G13 and G8. */
static void roots_of_clients_come_and_go(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    certreload_handle *server = open_and_free(server_options(CERTRELOAD_CLIENT_AUTH_REQUIRED));
    meeting first = meet(server, good);
    check_talk(&first);

    trust_in("roots.pem", "old new");
    CHECK_OK(certreload_reload_wait(server, CERTRELOAD_WAIT_FOREVER));
    certreload_trust_status trust = {0};
    CHECK_OK(certreload_get_trust_status(server, &trust, sizeof trust));
    CHECK_INT(trust.client_roots, 2);
    CHECK_INT(trust.renewed_generation, 2);
    check_in(server, good, fingerprint_of(scratch("good.chain")));
    check_in(server, stranger, fingerprint_of(scratch("stranger.chain")));

    trust_in("roots.pem", "new"); /* the good one has a session, which does not help it */
    CHECK_OK(certreload_reload_wait(server, CERTRELOAD_WAIT_FOREVER));
    check_out(server, good, RUSTLS_RESULT_CERT_UNKNOWN_ISSUER);
    check_in(server, stranger, fingerprint_of(scratch("stranger.chain")));
    check_talk(&first);
    CHECK_STR(peer_of(first.server), fingerprint_of(scratch("good.chain")));
    part(&first);
    certreload_close(server);
}

static void who_is_revoked_is_out_from_the_next_handshake_on(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    write_crl("old", "", "old.crl");
    certreload_options *options = server_options(CERTRELOAD_CLIENT_AUTH_REQUIRED);
    CHECK_OK(certreload_options_add_crl(options, scratch("old.crl")));
    certreload_handle *server = open_and_free(options);
    issue("old", "bad", "");
    certreload_handle *bad = open_client("bad");
    check_in(server, bad, fingerprint_of(scratch("bad.chain")));
    meeting before = meet(server, bad);
    CHECK_INT(rustls_connection_handshake_kind(before.server), RUSTLS_HANDSHAKE_KIND_RESUMED);

    write_crl("old", "bad", "old.crl");
    CHECK_OK(certreload_reload_wait(server, CERTRELOAD_WAIT_FOREVER));
    certreload_trust_status trust = {0};
    CHECK_OK(certreload_get_trust_status(server, &trust, sizeof trust));
    CHECK_INT(trust.crls, 1);
    CHECK_INT(trust.revoked, 1);
    check_out(server, bad, RUSTLS_RESULT_CERT_REVOKED);
    check_in(server, good, fingerprint_of(scratch("good.chain")));
    check_talk(&before);

    part(&before);
    certreload_close(bad);
    certreload_close(server);
}

/* G2 and G3: roots and lists are one unit, good or bad as a whole. */
static void a_bad_list_keeps_the_roots_that_came_with_it_waiting(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    certreload_options *options = server_options(CERTRELOAD_CLIENT_AUTH_REQUIRED);
    CHECK_OK(certreload_options_add_crl(options, scratch("old.crl")));
    CHECK_OK(certreload_options_set_crl_rules(options, CERTRELOAD_CRL_ALLOW_UNKNOWN));
    certreload_handle *server = open_and_free(options);

    shell("cp old.crl good.crl; echo nonsense >old.crl");
    trust_in("roots.pem", "old new");
    CHECK_RESULT(certreload_reload_wait(server, CERTRELOAD_WAIT_FOREVER), NO_CRL);
    CHECK_CONTAINS(certreload_last_error(), "old.crl");
    check_out(server, stranger, RUSTLS_RESULT_CERT_UNKNOWN_ISSUER);
    check_in(server, good, fingerprint_of(scratch("good.chain")));
    CHECK_INT(status_of(server).health, CERTRELOAD_HEALTH_STALE);

    shell("mv good.crl old.crl");
    CHECK_OK(certreload_reload_wait(server, CERTRELOAD_WAIT_FOREVER));
    check_in(server, stranger, fingerprint_of(scratch("stranger.chain")));
    CHECK_INT(status_of(server).health, CERTRELOAD_HEALTH_OK);
    certreload_close(server);
}

/* A template that asks for nothing asks, for the options say so. */
static void the_trust_takes_the_place_of_the_verifier_of_a_template(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    certreload_handle *plain = NULL;
    CHECK_OK(certreload_open_files(scratch("server.chain"), scratch("server.key"), &plain));
    const rustls_server_config *config = certreload_acquire_server_config(plain);
    certreload_options *options = server_options(CERTRELOAD_CLIENT_AUTH_REQUIRED);
    CHECK_OK(certreload_options_set_server_template(options, config));
    CHECK_OK(certreload_options_set_resumption(options, CERTRELOAD_RESUMPTION_AUTO));
    rustls_server_config_free(config);
    certreload_close(plain);
    certreload_handle *server = open_and_free(options);
    check_in(server, good, fingerprint_of(scratch("good.chain")));
    check_out(server, nobody, RUSTLS_RESULT_NO_CERTIFICATES_PRESENTED);
    certreload_close(server);
}

/* The fingerprint of whom rustls-ffi has at the other end when openssl s_client comes with these
 * arguments; NULL where it is refused. */
static const char *seen_of_openssl(certreload_handle *handle, const char *arguments) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", scratch("s_client.socket"));
    unlink(address.sun_path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
          listen(listener, 1) == 0);
    char command[1024];
    snprintf(command, sizeof command,
             "cd '%s' && exec openssl s_client -unix s_client.socket -servername one.test"
             " -CAfile old.pem -verify_return_error %s </dev/null >s_client.out 2>&1",
             scratch("."), arguments);
    FILE *client = popen(command, "r");
    CHECK(client != NULL);
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    CHECK_INT(poll(&ready, 1, PATIENCE_SECONDS * 1000), 1);
    ready.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    close(listener);

    rustls_connection *server = NULL;
    CHECK_OK(certreload_server_connection_new(handle, &server));
    rustls_result result = RUSTLS_RESULT_OK;
    while (result == RUSTLS_RESULT_OK && rustls_connection_is_handshaking(server)) {
        CHECK_INT(poll(&ready, 1, PATIENCE_SECONDS * 1000), 1);
        result = tls_turn(server, ready.fd);
    }
    const char *peer = result == RUSTLS_RESULT_OK ? peer_of(server) : NULL;
    rustls_connection_free(server);
    close(ready.fd);
    pclose(client);
    return peer;
}

static void an_openssl_client_is_identified_too(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    certreload_handle *server = open_and_free(server_options(CERTRELOAD_CLIENT_AUTH_REQUIRED));
    const char *const versions[] = {"-tls1_2", "-tls1_3"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        char as_good[64];
        snprintf(as_good, sizeof as_good, "%s -cert good.chain -key good.key", versions[i]);
        CHECK_STR(seen_of_openssl(server, as_good), fingerprint_of(scratch("good.chain")));
        CHECK(seen_of_openssl(server, versions[i]) == NULL);
    }
    CHECK(seen_of_openssl(server, "-cert stranger.chain -key stranger.key") == NULL);
    trust_in("roots.pem", "new");
    CHECK_OK(certreload_reload_wait(server, CERTRELOAD_WAIT_FOREVER));
    CHECK(seen_of_openssl(server, "-cert good.chain -key good.key") == NULL);
    CHECK_STR(seen_of_openssl(server, "-cert stranger.chain -key stranger.key"),
              fingerprint_of(scratch("stranger.chain")));
    certreload_close(server);
}

int main(void) {
    make_authority("old");
    make_authority("new");
    issue("old", "server", "");
    issue("old", "good", "-addext extendedKeyUsage=clientAuth");
    issue("new", "stranger", "");
    good = open_client("good");
    stranger = open_client("stranger");
    nobody = open_client(NULL);

    who_comes_in_goes_by_the_mode();
    who_resumes_is_who_it_was();
    roots_of_clients_come_and_go();
    who_is_revoked_is_out_from_the_next_handshake_on();
    a_bad_list_keeps_the_roots_that_came_with_it_waiting();
    the_trust_takes_the_place_of_the_verifier_of_a_template();
    an_openssl_client_is_identified_too();

    certreload_close(good);
    certreload_close(stranger);
    certreload_close(nobody);
    return 0;
}
