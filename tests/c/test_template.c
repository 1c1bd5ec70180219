/*
 * A server that has tuned its own rustls_server_config keeps every setting, and one that uses
 * rustls-ffi's Acceptor takes the config of the moment: both get certificates that renew.
 */

#define _GNU_SOURCE
#include "support.h"
#include "tls.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *chain, *key;
static int sockets[2];
enum { SERVER, CLIENT };

static rustls_slice_bytes file_bytes(const char *path) {
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    static uint8_t buffers[2][16384];
    static int turn;
    uint8_t *buffer = buffers[turn++ % 2];
    rustls_slice_bytes bytes = {buffer, fread(buffer, 1, sizeof buffers[0], file)};
    CHECK(fclose(file) == 0);
    return bytes;
}

/* Settings to be kept: TLS 1.2 alone, ALPN "h2" and "http/1.1", and a certificate of its
 * own that must never be served. */
static rustls_server_config_builder *template_builder(void) {
    make_pair(scratch("decoy.chain"), scratch("decoy.key"), "decoy.test");
    rustls_slice_bytes decoy_chain = file_bytes(scratch("decoy.chain"));
    rustls_slice_bytes decoy_key = file_bytes(scratch("decoy.key"));
    const rustls_certified_key *decoy = NULL;
    CHECK_INT(rustls_certified_key_build(decoy_chain.data, decoy_chain.len, decoy_key.data,
                                         decoy_key.len, &decoy),
              RUSTLS_RESULT_OK);

    const uint16_t versions[] = {RUSTLS_TLS_VERSION_TLSV1_2};
    const rustls_crypto_provider *provider = rustls_crypto_provider_default();
    rustls_server_config_builder *builder = NULL;
    CHECK_INT(rustls_server_config_builder_new_custom(provider, versions, 1, &builder),
              RUSTLS_RESULT_OK);
    rustls_crypto_provider_free(provider);
    CHECK_INT(rustls_server_config_builder_set_certified_keys(builder, &decoy, 1),
              RUSTLS_RESULT_OK);
    rustls_certified_key_free(decoy);

    const rustls_slice_bytes protocols[] = {{(const uint8_t *)"h2", 2},
                                            {(const uint8_t *)"http/1.1", 8}};
    CHECK_INT(rustls_server_config_builder_set_alpn_protocols(builder, protocols, 2),
              RUSTLS_RESULT_OK);
    return builder;
}

/* A handle on the template, which may be freed as soon as it is set. `alpn` overrides its. */
static certreload_handle *open_with_template(rustls_server_config_builder *builder,
                                             const char *alpn) {
    const rustls_server_config *config = NULL;
    CHECK_INT(rustls_server_config_builder_build(builder, &config), RUSTLS_RESULT_OK);
    certreload_options *options = unwatched_options(chain, key, 1000);
    CHECK_OK(certreload_options_set_server_template(options, config));
    rustls_server_config_free(config);
    if (alpn != NULL)
        CHECK_OK(certreload_options_set_alpn(options, &alpn, 1));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

static void check_peer_is(rustls_connection *client, const char *fingerprint) {
    const rustls_certificate *leaf = rustls_connection_get_peer_certificate(client, 0);
    const uint8_t *der = NULL;
    size_t length = 0;
    CHECK_INT(rustls_certificate_get_der(leaf, &der, &length), RUSTLS_RESULT_OK);
    FILE *file = fopen(scratch("peer.der"), "wb");
    CHECK(file != NULL && fwrite(der, 1, length, file) == length && fclose(file) == 0);
    shell("openssl x509 -inform DER -in peer.der -out peer.pem");
    CHECK_STR(fingerprint_of(scratch("peer.pem")), fingerprint);
}

static void check_alpn_is(rustls_connection *connection, const char *expected) {
    const uint8_t *protocol = NULL;
    size_t length = 0;
    rustls_connection_get_alpn_protocol(connection, &protocol, &length);
    CHECK_INT(length, strlen(expected));
    CHECK(length == 0 || memcmp(protocol, expected, length) == 0);
}

/* A handshake of a new client with a new connection of the handle; both are the caller's. */
static void connect_pair(certreload_handle *handle, const char *alpn, rustls_connection *pair[2]) {
    socket_pair(sockets);
    pair[CLIENT] = client_connection_new("one.test", alpn);
    CHECK_OK(certreload_server_connection_new(handle, &pair[SERVER]));
    tls_handshake(pair[SERVER], sockets[SERVER], pair[CLIENT], sockets[CLIENT]);
}

static void disconnect(rustls_connection *pair[2]) {
    for (int end = SERVER; end <= CLIENT; end++) {
        rustls_connection_free(pair[end]);
        close(sockets[end]);
    }
}

static void a_template_keeps_its_settings_and_not_its_certificate(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with_template(template_builder(), NULL);
    rustls_connection *pair[2];

    /* Twice: what holds for the first generation holds for the next. */
    for (uint64_t generation = 1; generation <= 2; generation++) {
        CHECK_INT(serving_generation(handle), generation);
        connect_pair(handle, "http/1.1", pair);
        CHECK_INT(rustls_connection_get_protocol_version(pair[CLIENT]), RUSTLS_TLS_VERSION_TLSV1_2);
        check_alpn_is(pair[CLIENT], "http/1.1");
        check_peer_is(pair[CLIENT], fingerprint_of(chain));
        disconnect(pair);

        renew_pair(chain, key, "one.test");
        CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    }
    certreload_close(handle);
}

static void alpn_of_the_options_replaces_that_of_the_template(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with_template(template_builder(), "mqtt");
    rustls_connection *pair[2];
    connect_pair(handle, "mqtt", pair);
    check_alpn_is(pair[SERVER], "mqtt");
    disconnect(pair);
    certreload_close(handle);
}

static void alpn_of_the_options_needs_no_template(void) {
    test_begin(__func__);
    const char *const protocols[] = {"h2", "http/1.1"};
    certreload_options *options = unwatched_options(chain, key, 1000);
    CHECK_OK(certreload_options_set_alpn(options, protocols, 2));
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    rustls_connection *pair[2];
    connect_pair(handle, "http/1.1", pair);
    check_alpn_is(pair[SERVER], "http/1.1");
    CHECK_INT(rustls_connection_get_protocol_version(pair[SERVER]), RUSTLS_TLS_VERSION_TLSV1_3);
    disconnect(pair);
    certreload_close(handle);
}

/* Verifiers and sessions hang on the same template: a client without a certificate is refused. */
static void the_client_verifier_of_a_template_stays_in_force(void) {
    test_begin(__func__);
    rustls_root_cert_store_builder *roots = rustls_root_cert_store_builder_new();
    CHECK_INT(rustls_root_cert_store_builder_load_roots_from_file(roots, root_certificate(), true),
              RUSTLS_RESULT_OK);
    const rustls_root_cert_store *store = NULL;
    CHECK_INT(rustls_root_cert_store_builder_build(roots, &store), RUSTLS_RESULT_OK);
    rustls_root_cert_store_builder_free(roots);
    rustls_web_pki_client_cert_verifier_builder *checks =
        rustls_web_pki_client_cert_verifier_builder_new(store);
    rustls_client_cert_verifier *verifier = NULL;
    CHECK_INT(rustls_web_pki_client_cert_verifier_builder_build(checks, &verifier),
              RUSTLS_RESULT_OK);
    rustls_web_pki_client_cert_verifier_builder_free(checks);
    rustls_root_cert_store_free(store);
    rustls_server_config_builder *builder = template_builder();
    rustls_server_config_builder_set_client_verifier(builder, verifier);
    rustls_client_cert_verifier_free(verifier);

    certreload_handle *handle = open_with_template(builder, NULL);
    socket_pair(sockets);
    rustls_connection *pair[2] = {NULL, client_connection_new("one.test", NULL)};
    CHECK_OK(certreload_server_connection_new(handle, &pair[SERVER]));
    rustls_result refused = RUSTLS_RESULT_OK;
    for (int turn = 0; turn < 10 && refused == RUSTLS_RESULT_OK; turn++) {
        CHECK_INT(tls_turn(pair[CLIENT], sockets[CLIENT]), RUSTLS_RESULT_OK);
        refused = tls_turn(pair[SERVER], sockets[SERVER]);
    }
    CHECK_INT(refused, RUSTLS_RESULT_NO_CERTIFICATES_PRESENTED);
    disconnect(pair);
    certreload_close(handle);
}

/* Reads a ClientHello with rustls-ffi's Acceptor, and goes on with the config of the moment. */
static rustls_connection *accept_with(certreload_handle *handle, rustls_connection *client) {
    CHECK_INT(tls_turn(client, sockets[CLIENT]), RUSTLS_RESULT_OK);

    rustls_acceptor *acceptor = rustls_acceptor_new();
    rustls_accepted *accepted = NULL;
    rustls_accepted_alert *alert = NULL;
    rustls_result result;
    do {
        struct pollfd ready = {.fd = sockets[SERVER], .events = POLLIN};
        CHECK_INT(poll(&ready, 1, PATIENCE_SECONDS * 1000), 1);
        size_t got = 0;
        CHECK_INT(rustls_acceptor_read_tls(acceptor, tls_read_socket, &sockets[SERVER], &got), 0);
        result = rustls_acceptor_accept(acceptor, &accepted, &alert);
    } while (result == RUSTLS_RESULT_ACCEPTOR_NOT_READY);
    CHECK_INT(result, RUSTLS_RESULT_OK);
    rustls_str name = rustls_accepted_server_name(accepted);
    CHECK(name.len == 8 && memcmp(name.data, "one.test", 8) == 0);

    const rustls_server_config *config = certreload_acquire_server_config(handle);
    rustls_connection *server = NULL;
    CHECK_INT(rustls_accepted_into_connection(accepted, config, &server, &alert), RUSTLS_RESULT_OK);
    rustls_server_config_free(config);
    rustls_accepted_free(accepted);
    rustls_acceptor_free(acceptor);
    return server;
}

static void an_acceptor_takes_the_config_of_the_moment(void) {
    test_begin(__func__);
    certreload_options *options = unwatched_options(chain, key, 1000);
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);

    for (int renewal = 0; renewal < 3; renewal++) {
        socket_pair(sockets);
        rustls_connection *pair[2] = {NULL, client_connection_new("one.test", NULL)};
        pair[SERVER] = accept_with(handle, pair[CLIENT]);

        /* A renewal between the ClientHello and the rest changes nothing for this connection. */
        const char *at_accept = fingerprint_of(chain);
        renew_pair(chain, key, "one.test");
        CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
        tls_handshake(pair[SERVER], sockets[SERVER], pair[CLIENT], sockets[CLIENT]);
        check_peer_is(pair[CLIENT], at_accept);
        disconnect(pair);
    }
    certreload_close(handle);
}

static void a_config_and_a_connection_outlive_the_handle(void) {
    test_begin(__func__);
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open_files(chain, key, &handle));
    const rustls_server_config *config = certreload_acquire_server_config(handle);
    rustls_connection *pair[2] = {NULL, client_connection_new("one.test", NULL)};
    CHECK_OK(certreload_server_connection_new(handle, &pair[SERVER]));
    certreload_close(handle);

    socket_pair(sockets);
    tls_handshake(pair[SERVER], sockets[SERVER], pair[CLIENT], sockets[CLIENT]);
    check_peer_is(pair[CLIENT], fingerprint_of(chain));
    disconnect(pair);

    socket_pair(sockets);
    pair[CLIENT] = client_connection_new("one.test", NULL);
    CHECK_INT(rustls_server_connection_new(config, &pair[SERVER]), RUSTLS_RESULT_OK);
    rustls_server_config_free(config);
    tls_handshake(pair[SERVER], sockets[SERVER], pair[CLIENT], sockets[CLIENT]);
    disconnect(pair);
}

static int sessions_stored;

static uint32_t no_session(rustls_session_store_userdata userdata, const rustls_slice_bytes *key_of,
                           int remove_after, uint8_t *buffer, size_t count, size_t *written) {
    (void)userdata, (void)key_of, (void)remove_after, (void)buffer, (void)count, (void)written;
    return RUSTLS_RESULT_NOT_FOUND;
}

static uint32_t count_session(rustls_session_store_userdata userdata,
                              const rustls_slice_bytes *key_of, const rustls_slice_bytes *value) {
    (void)userdata, (void)key_of, (void)value;
    sessions_stored++;
    return RUSTLS_RESULT_OK;
}

/* G13: such a store would resume clients that the trust refuses by then. */
static void a_template_may_not_store_the_sessions_of_clients_that_are_checked(void) {
    test_begin(__func__);
    rustls_server_config_builder *builder = template_builder();
    rustls_server_config_builder_set_persistence(builder, no_session, count_session);
    const rustls_server_config *stores = NULL, *plain = NULL;
    CHECK_INT(rustls_server_config_builder_build(builder, &stores), RUSTLS_RESULT_OK);
    CHECK_INT(rustls_server_config_builder_build(template_builder(), &plain), RUSTLS_RESULT_OK);
    certreload_options *options = unwatched_options(chain, key, 1000);
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_options_set_server_template(options, stores));
    CHECK_OK(certreload_check(options));
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_OPTIONAL, chain));
    CHECK_RESULT(certreload_open(options, &handle), INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_last_error(), "certreload_options_set_resumption()");

    CHECK_OK(certreload_options_set_server_template(options, plain));
    CHECK_OK(certreload_check(options));

    CHECK_OK(certreload_options_set_server_template(options, stores));
    CHECK_OK(certreload_options_set_resumption(options, CERTRELOAD_RESUMPTION_AUTO));
    CHECK_OK(certreload_open(options, &handle));
    /* The config is built anew with the trust, and has every setting of the template's. */
    rustls_connection *pair[2];
    connect_pair(handle, "http/1.1", pair);
    CHECK_INT(rustls_connection_get_protocol_version(pair[CLIENT]), RUSTLS_TLS_VERSION_TLSV1_2);
    check_alpn_is(pair[CLIENT], "http/1.1");
    check_peer_is(pair[CLIENT], fingerprint_of(chain));
    disconnect(pair);
    CHECK_INT(sessions_stored, 0);
    certreload_close(handle);
    certreload_options_free(options);
    rustls_server_config_free(stores);
    rustls_server_config_free(plain);
}

int main(void) {
    chain = scratch("one.chain");
    key = scratch("one.key");
    make_pair(chain, key, "one.test");

    a_template_keeps_its_settings_and_not_its_certificate();
    alpn_of_the_options_replaces_that_of_the_template();
    alpn_of_the_options_needs_no_template();
    the_client_verifier_of_a_template_stays_in_force();
    a_template_may_not_store_the_sessions_of_clients_that_are_checked();
    an_acceptor_takes_the_config_of_the_moment();
    a_config_and_a_connection_outlive_the_handle();
    return 0;
}
