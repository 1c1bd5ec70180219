/*
 * The client role: whom a client trusts and what it proves itself with follow the files, from the
 * next connection on. Against servers of rustls, and against openssl s_server.
 */

#define _GNU_SOURCE
#include "mutual.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

static certreload_handle *old_server, *new_server; /* of either authority, asking for nothing */

static certreload_handle *open_server(const char *leaf) {
    certreload_options *options = mutual_options();
    CHECK_OK(certreload_options_add_identity(options, scratch("%s.chain", leaf),
                                             scratch("%s.key", leaf), NULL));
    return open_and_free(options);
}

/* A client that goes by roots.pem, and is nobody in particular. */
static certreload_options *client_options(void) {
    certreload_options *options = mutual_options();
    CHECK_OK(certreload_options_set_server_roots(options, scratch("roots.pem")));
    return options;
}

static void check_met(certreload_handle *server, certreload_handle *client) {
    meeting met = meet(server, client);
    check_talk(&met);
    part(&met);
}

static void check_refused(certreload_handle *server, certreload_handle *client, const char *name,
                          rustls_result why) {
    meeting met = meet_as(server, client, name);
    CHECK_INT(met.client_result, why);
    CHECK(met.server_result != RUSTLS_RESULT_OK);
    part(&met);
}

/* G13 and G8: from the next connection on, and no connection that exists is touched. */
static void a_root_counts_from_its_reload_until_it_is_taken_out(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    certreload_handle *client = open_and_free(client_options());
    meeting first = meet(old_server, client);
    check_talk(&first);
    check_refused(new_server, client, "one.test", RUSTLS_RESULT_CERT_UNKNOWN_ISSUER);

    trust_in("roots.pem", "old new");
    CHECK_OK(certreload_reload_wait(client, CERTRELOAD_WAIT_FOREVER));
    check_met(new_server, client);
    check_met(old_server, client); /* whose tickets are now the newest for that name */
    meeting resumed = meet(old_server, client);
    CHECK_INT(rustls_connection_handshake_kind(resumed.client), RUSTLS_HANDSHAKE_KIND_RESUMED);
    check_talk(&resumed);

    /* With a good session at hand, which is of no use any more. */
    trust_in("roots.pem", "new");
    CHECK_OK(certreload_reload_wait(client, CERTRELOAD_WAIT_FOREVER));
    check_refused(old_server, client, "one.test", RUSTLS_RESULT_CERT_UNKNOWN_ISSUER);
    check_met(new_server, client);
    check_talk(&first);
    check_talk(&resumed);
    part(&first);
    part(&resumed);
    certreload_close(client);
}

static void roots_may_be_a_directory(void) {
    test_begin(__func__);
    shell("mkdir roots && cp old.pem roots/old.pem");
    certreload_options *options = mutual_options();
    CHECK_OK(certreload_options_set_server_roots(options, scratch("roots")));
    certreload_handle *client = open_and_free(options);
    check_met(old_server, client);
    check_refused(new_server, client, "one.test", RUSTLS_RESULT_CERT_UNKNOWN_ISSUER);
    shell("cp new.pem roots/new.pem && rm roots/old.pem");
    CHECK_OK(certreload_reload_wait(client, CERTRELOAD_WAIT_FOREVER));
    check_met(new_server, client);
    check_refused(old_server, client, "one.test", RUSTLS_RESULT_CERT_UNKNOWN_ISSUER);
    certreload_close(client);
}

/* G3: an empty file would trust nobody, which is never what was meant. */
static void bad_roots_are_refused_and_the_old_ones_stay(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    static recorder events = RECORDER_INITIALIZER;
    certreload_options *options = client_options();
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    certreload_handle *client = open_and_free(options);
    CHECK_INT(recorder_next(&events)->kind, CERTRELOAD_EVENT_KIND_RELOADED);

    shell(": >empty; mv empty roots.pem");
    CHECK_RESULT(certreload_reload_wait(client, CERTRELOAD_WAIT_FOREVER), FILE_EMPTY);
    CHECK_CONTAINS(certreload_last_error(), "roots.pem");
    const recorded_event *event = recorder_next(&events);
    CHECK_INT(event->kind, CERTRELOAD_EVENT_KIND_RELOAD_FAILED);
    CHECK_CONTAINS(event->path, "roots.pem");
    CHECK_INT(status_of(client).health, CERTRELOAD_HEALTH_STALE);
    check_met(old_server, client);

    trust_in("roots.pem", "new");
    CHECK_OK(certreload_reload_wait(client, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(status_of(client).health, CERTRELOAD_HEALTH_OK);
    check_met(new_server, client);
    certreload_close(client);
}

static void a_handle_may_be_of_a_client_alone(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    certreload_handle *client = open_and_free(client_options());
    rustls_connection *connection = NULL;
    CHECK_RESULT(certreload_server_connection_new(client, &connection), NOT_CONFIGURED);
    CHECK(connection == NULL && certreload_acquire_server_config(client) == NULL);

    certreload_status status = status_of(client);
    CHECK_INT(status.generation, 1);
    CHECK_INT(status.identities, 0);
    CHECK_INT(status.health, CERTRELOAD_HEALTH_OK);
    certreload_trust_status trust = {0};
    CHECK_OK(certreload_get_trust_status(client, &trust, sizeof trust));
    CHECK_INT(trust.server_roots, 1);
    CHECK_INT(trust.client_roots, 0);
    CHECK_INT(trust.renewed_generation, 1);
    CHECK_RESULT(certreload_reload_wait(client, CERTRELOAD_WAIT_FOREVER), UNCHANGED);

    const rustls_client_config *config = certreload_acquire_client_config(client);
    CHECK_INT(rustls_client_connection_new(config, "one.test", &connection), RUSTLS_RESULT_OK);
    rustls_client_config_free(config);
    rustls_connection_free(connection);

    /* And one without roots is no client. */
    CHECK_RESULT(certreload_client_connection_new(old_server, "one.test", &connection),
                 NOT_CONFIGURED);
    CHECK(certreload_acquire_client_config(old_server) == NULL);
    certreload_close(client);
}

static void names_of_servers_are_checked(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    certreload_handle *client = open_and_free(client_options());
    const char *const no_names[] = {"",         " ",     "a b.test",     "b\303\274cher.test",
                                    "a..test",  "[::1]", "one.test:443", "-",
                                    "1.2.3.4.5"};
    for (size_t i = 0; i < sizeof no_names / sizeof *no_names; i++) {
        rustls_connection *connection = NULL;
        CHECK_RESULT(certreload_client_connection_new(client, no_names[i], &connection),
                     INVALID_PARAMETER);
        CHECK_CONTAINS(certreload_last_error(), "no DNS name");
        CHECK(connection == NULL);
    }
    const char *const good[] = {"one.test", "ONE.test", "127.0.0.1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        meeting met = meet_as(old_server, client, good[i]);
        check_talk(&met);
        part(&met);
    }
    const char *const of_others[] = {"two.test", "127.0.0.2", "::1", "xn--bcher-kva.test"};
    for (size_t i = 0; i < sizeof of_others / sizeof *of_others; i++)
        check_refused(old_server, client, of_others[i], RUSTLS_RESULT_CERT_NOT_VALID_FOR_NAME);
    certreload_close(client);
}

/* Settings to be kept: TLS 1.2 alone, ALPN, and no trust in anybody. */
static const rustls_client_config *template_config(void) {
    const uint16_t version = RUSTLS_TLS_VERSION_TLSV1_2;
    const rustls_crypto_provider *provider = rustls_aws_lc_rs_crypto_provider();
    rustls_client_config_builder *builder = NULL;
    CHECK_INT(rustls_client_config_builder_new_custom(provider, &version, 1, &builder),
              RUSTLS_RESULT_OK);
    rustls_root_cert_store_builder *roots = rustls_root_cert_store_builder_new();
    CHECK_INT(rustls_root_cert_store_builder_load_roots_from_file(roots, root_certificate(), true),
              RUSTLS_RESULT_OK);
    const rustls_root_cert_store *store = NULL;
    CHECK_INT(rustls_root_cert_store_builder_build(roots, &store), RUSTLS_RESULT_OK);
    rustls_root_cert_store_builder_free(roots);
    rustls_web_pki_server_cert_verifier_builder *checks =
        rustls_web_pki_server_cert_verifier_builder_new_with_provider(provider, store);
    rustls_server_cert_verifier *verifier = NULL;
    CHECK_INT(rustls_web_pki_server_cert_verifier_builder_build(checks, &verifier),
              RUSTLS_RESULT_OK);
    rustls_web_pki_server_cert_verifier_builder_free(checks);
    rustls_root_cert_store_free(store);
    rustls_client_config_builder_set_server_verifier(builder, verifier);
    rustls_server_cert_verifier_free(verifier);
    rustls_crypto_provider_free(provider);

    const rustls_slice_bytes protocol = {(const uint8_t *)"h2", 2};
    CHECK_INT(rustls_client_config_builder_set_alpn_protocols(builder, &protocol, 1),
              RUSTLS_RESULT_OK);
    const rustls_client_config *config = NULL;
    CHECK_INT(rustls_client_config_builder_build(builder, &config), RUSTLS_RESULT_OK);
    return config;
}

static void a_template_keeps_its_settings_and_not_its_trust(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    certreload_options *options = mutual_options();
    const char *protocol = "h2";
    CHECK_OK(certreload_options_add_identity(options, scratch("server.chain"),
                                             scratch("server.key"), NULL));
    CHECK_OK(certreload_options_set_alpn(options, &protocol, 1));
    certreload_handle *server = open_and_free(options);
    const rustls_client_config *config = template_config();
    options = client_options();
    CHECK_OK(certreload_options_set_client_template(options, config));
    rustls_client_config_free(config);
    certreload_handle *client = open_and_free(options);

    /* Twice: what holds for the first generation holds for the next. */
    for (int generation = 1; generation <= 2; generation++) {
        meeting met = meet(server, client);
        check_talk(&met);
        CHECK_INT(rustls_connection_get_protocol_version(met.client), RUSTLS_TLS_VERSION_TLSV1_2);
        const uint8_t *spoken = NULL;
        size_t length = 0;
        rustls_connection_get_alpn_protocol(met.client, &spoken, &length);
        CHECK(length == 2 && memcmp(spoken, "h2", 2) == 0);
        part(&met);
        trust_in("roots.pem", "old new");
        const certreload_result again = certreload_reload_wait(client, CERTRELOAD_WAIT_FOREVER);
        CHECK_INT(again, generation == 1 ? CERTRELOAD_RESULT_OK : CERTRELOAD_RESULT_UNCHANGED);
    }
    certreload_close(client);
    certreload_close(server);
}

static void the_roots_of_the_system_reload_too(void) {
    test_begin(__func__);
    trust_in("system.pem", "old");
    CHECK_INT(setenv("SSL_CERT_FILE", scratch("system.pem"), 1), 0);
    certreload_options *options = mutual_options();
    CHECK_OK(certreload_options_set_platform_roots(options));
    CHECK_INT(unsetenv("SSL_CERT_FILE"), 0);
    certreload_handle *client = open_and_free(options);
    check_met(old_server, client);
    trust_in("system.pem", "new");
    CHECK_OK(certreload_reload_wait(client, CERTRELOAD_WAIT_FOREVER));
    check_met(new_server, client);
    check_refused(old_server, client, "one.test", RUSTLS_RESULT_CERT_UNKNOWN_ISSUER);
    certreload_close(client);
}

/* What openssl s_server, which insists on a client certificate of the authority, tells of its
 * client; NULL where it refuses it. */
static const char *seen_by_openssl(certreload_handle *client, const char *authority) {
    char command[1024], line[256] = "", page[32768] = "";
    snprintf(command, sizeof command,
             "cd '%s' && rm -f s_server.socket && exec openssl s_server -unix s_server.socket -www"
             " -naccept 1 -cert server.chain -key server.key -Verify 1 -verify_return_error"
             " -CAfile %s.pem 2>s_server.err",
             scratch("."), authority);
    FILE *server = popen(command, "r");
    CHECK(server != NULL);
    while (strncmp(line, "ACCEPT", 6) != 0)
        CHECK(fgets(line, sizeof line, server) != NULL);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", scratch("s_server.socket"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    rustls_connection *connection = NULL;
    CHECK_OK(certreload_client_connection_new(client, "one.test", &connection));
    size_t filled = 0, count = 0;
    const char request[] = "GET / HTTP/1.0\r\n\r\n";
    rustls_connection_write(connection, (const uint8_t *)request, sizeof request - 1, &count);
    rustls_result result = RUSTLS_RESULT_OK;
    count = 1;
    while (result == RUSTLS_RESULT_OK && count != 0) {
        result = rustls_connection_read(connection, (uint8_t *)page + filled,
                                        sizeof page - 1 - filled, &count);
        if (result == RUSTLS_RESULT_PLAINTEXT_EMPTY) {
            result = tls_turn(connection, fd);
            count = 1;
        } else if (result == RUSTLS_RESULT_OK) {
            filled += count;
        }
    }
    rustls_connection_free(connection);
    close(fd);
    while (fgets(line, sizeof line, server) != NULL)
        continue;
    pclose(server);
    char *certificate = strstr(page, "-----BEGIN CERTIFICATE-----");
    if (certificate == NULL)
        return NULL;
    FILE *seen = fopen(scratch("seen.pem"), "w");
    CHECK(seen != NULL && fputs(certificate, seen) >= 0 && fclose(seen) == 0);
    return fingerprint_of(scratch("seen.pem"));
}

static void the_identity_of_a_client_follows_its_files(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    issue("old", "client", "-addext extendedKeyUsage=clientAuth");
    certreload_options *options = client_options();
    CHECK_OK(certreload_options_add_client_identity(options, scratch("client.chain"),
                                                    scratch("client.key")));
    certreload_handle *client = open_and_free(options);
    CHECK_INT(status_of(client).identities, 1);
    CHECK_STR(seen_by_openssl(client, "old"), fingerprint_of(scratch("client.chain")));
    CHECK(seen_by_openssl(client, "new") == NULL);

    issue("new", "client", "-addext extendedKeyUsage=clientAuth");
    CHECK_OK(certreload_reload_wait(client, CERTRELOAD_WAIT_FOREVER));
    CHECK_STR(seen_by_openssl(client, "new"), fingerprint_of(scratch("client.chain")));
    CHECK(seen_by_openssl(client, "old") == NULL);
    CHECK_STR(serving_fingerprint(client), fingerprint_of(scratch("client.chain")));

    /* One that is for servers alone is no renewal, and what serves stays (G15). */
    const char *good = fingerprint_of(scratch("client.chain"));
    issue("new", "client", "-addext extendedKeyUsage=serverAuth");
    CHECK_RESULT(certreload_reload_wait(client, CERTRELOAD_WAIT_FOREVER), KEY_USAGE_UNFIT);
    CHECK_CONTAINS(certreload_last_error(), "clientAuth");
    CHECK_STR(seen_by_openssl(client, "new"), good);
    certreload_close(client);
}

/* Clients show what servers have, where that is for clients too. */
static void one_identity_does_for_both_roles_where_it_may(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    const char *const usages[] = {"", "-addext extendedKeyUsage=serverAuth,clientAuth",
                                  "-addext extendedKeyUsage=serverAuth"};
    issue("old", "both", "");
    certreload_options *options = client_options();
    CHECK_OK(
        certreload_options_add_identity(options, scratch("both.chain"), scratch("both.key"), NULL));
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_OPTIONAL,
                                                scratch("roots.pem")));
    certreload_handle *handle = open_and_free(options);
    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++) {
        issue("old", "both", usages[i]);
        CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
        meeting met = meet(handle, handle); /* with itself */
        check_talk(&met);
        const char *own = fingerprint_of(scratch("both.chain"));
        CHECK_STR(peer_of(met.client), own);
        CHECK_STR(peer_of(met.server), i == 2 ? "" : own);
        part(&met);
    }
    certreload_close(handle);
}

/* G8: the memory of a generation goes with its last connection, whichever role that has. */
static void a_connection_of_a_client_keeps_its_generation(void) {
    test_begin(__func__);
    trust_in("roots.pem", "old");
    certreload_handle *client = open_and_free(client_options());
    meeting met = meet(old_server, client);
    trust_in("roots.pem", "old new");
    CHECK_OK(certreload_reload_wait(client, CERTRELOAD_WAIT_FOREVER));
    CHECK_INT(status_of(client).generations_alive, 2);
    check_talk(&met);
    part(&met);
    CHECK_INT(status_of(client).generations_alive, 1);

    met = meet(old_server, client);
    const rustls_client_config *config = certreload_acquire_client_config(client);
    certreload_close(client);
    check_talk(&met);
    part(&met);
    rustls_connection *late = NULL;
    CHECK_INT(rustls_client_connection_new(config, "one.test", &late), RUSTLS_RESULT_OK);
    rustls_connection_free(late);
    rustls_client_config_free(config);
}

int main(void) {
    make_authority("old");
    make_authority("new");
    issue("old", "server", "");
    issue("new", "other", "");
    old_server = open_server("server");
    new_server = open_server("other");

    a_root_counts_from_its_reload_until_it_is_taken_out();
    roots_may_be_a_directory();
    bad_roots_are_refused_and_the_old_ones_stay();
    a_handle_may_be_of_a_client_alone();
    names_of_servers_are_checked();
    a_template_keeps_its_settings_and_not_its_trust();
    the_roots_of_the_system_reload_too();
    the_identity_of_a_client_follows_its_files();
    one_identity_does_for_both_roles_where_it_may();
    a_connection_of_a_client_keeps_its_generation();

    certreload_close(old_server);
    certreload_close(new_server);
    return 0;
}
