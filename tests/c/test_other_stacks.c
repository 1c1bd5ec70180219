/*
 * What TLS stacks other than rustls need: handles without configurations of rustls, keys, all
 * identities of a name, and what sessions are bound to.
 */

#include "tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static certreload_handle *open_and_free(certreload_options *options) {
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

static certreload_options *without_rustls(const char *chain, const char *key) {
    certreload_options *options = unwatched_options(chain, key, 300);
    CHECK_OK(certreload_options_set_tls(options, CERTRELOAD_TLS_NONE));
    return options;
}

/* Makes a self-signed certificate with a key of this kind, by arguments of "openssl genpkey". */
static void make_kind(const char *name, const char *kind) {
    shell("openssl genpkey %s -out %s.key 2>/dev/null && openssl req -x509 -new -key %s.key -days 9"
          " -subj /CN=%s.test -addext subjectAltName=DNS:%s.test -out %s.chain 2>/dev/null",
          kind, name, name, name, name, name);
}

static const char *const kinds[][2] = {
    {"brainpool", "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1"},
    {"secp256k1", "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1"},
    {"small", "-algorithm RSA -pkeyopt rsa_keygen_bits:1024"},
    {"pss", "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048"},
    {"ed448", "-algorithm ED448"},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void keys_that_rustls_cannot_use_are_left_to_adapters(void) {
    test_begin("keys that rustls cannot use are left to the adapters");
    for (int at = 0; at < KINDS; at++) {
        const char *name = kinds[at][0];
        make_kind(name, kinds[at][1]);
        const char *chain = scratch("%s.chain", name), *key = scratch("%s.key", name);
        certreload_options *options = without_rustls(chain, key);
        CHECK_OK(certreload_options_set_export_keys(options, true));
        CHECK_OK(certreload_check(options));
        certreload_handle *handle = open_and_free(options);
        CHECK_STR(serving_fingerprint(handle), fingerprint_of(chain));

        const certreload_generation *generation = certreload_generation_acquire(handle);
        const certreload_identity *identity = certreload_generation_identity(generation, 0);
        size_t size = 0;
        const uint8_t *der = certreload_identity_key_der(identity, &size);
        FILE *file = fopen(scratch("exported.der"), "w");
        CHECK(file != NULL && fwrite(der, 1, size, file) == size && fclose(file) == 0);
        shell("openssl pkcs8 -topk8 -nocrypt -in %s.key -outform DER | cmp - exported.der", name);
        CHECK_INT(certreload_identity_index(identity), 0);
        CHECK_STR(certreload_identity_chain_path(identity), chain);
        CHECK_STR(certreload_identity_key_path(identity), key);
        certreload_generation_release(generation);

        /* rustls has no configuration. */
        rustls_connection *connection = NULL;
        CHECK_RESULT(certreload_server_connection_new(handle, &connection), NOT_CONFIGURED);
        CHECK(certreload_acquire_server_config(handle) == NULL);
        CHECK(certreload_acquire_client_config(handle) == NULL);
        certreload_close(handle);

        options = unwatched_options(chain, key, 300);
        CHECK_RESULT(certreload_check(options), KEY_UNSUPPORTED);
        certreload_options_free(options);
    }
}

static void key_of_another_certificate_is_refused_without_rustls(void) {
    test_begin("the key of another certificate is refused, also without rustls");
    for (int at = 0; at < KINDS; at++) {
        const char *name = kinds[at][0];
        /* An Ed448 key file has no public key, so that only an adapter can compare. */
        if (strcmp(name, "ed448") == 0)
            continue;
        shell("cp %s.chain other.chain", name);
        make_kind("other", kinds[at][1]);
        certreload_options *options =
            without_rustls(scratch("%s.chain", name), scratch("other.key"));
        CHECK_RESULT(certreload_check(options), KEY_MISMATCH);
        check_for_operators(certreload_last_error(), "");
        certreload_options_free(options);
    }
    /* Nor does a key of another kind pass. */
    certreload_options *options = without_rustls(scratch("small.chain"), scratch("brainpool.key"));
    CHECK_RESULT(certreload_check(options), KEY_MISMATCH);
    certreload_options_free(options);
}

/* The formats of key files are converted to PKCS#8, as "openssl pkcs8 -topk8" does. */
static void exported_keys_are_pkcs8(void) {
    test_begin("exported keys are PKCS#8");
    const char *const formats[][3] = {
        {"rsa1", "genrsa -traditional -out format.key 2048", "rsa"},
        {"sec1", "ecparam -genkey -name prime256v1 -out format.key", "ec"},
        {"sec1p384", "ecparam -genkey -noout -name secp384r1 -out format.key", "ec"},
        {"ed25519", "genpkey -algorithm ED25519 -out format.key", "ed"},
    };
    for (int at = 0; at < 4; at++) {
        shell("openssl %s 2>/dev/null && openssl req -x509 -new -key format.key -days 9"
              " -subj /CN=x -addext subjectAltName=DNS:x.test -out format.chain 2>/dev/null",
              formats[at][1]);
        certreload_options *options =
            unwatched_options(scratch("format.chain"), scratch("format.key"), 300);
        CHECK_OK(certreload_options_set_export_keys(options, true));
        certreload_handle *handle = open_and_free(options);
        const certreload_generation *generation = certreload_generation_acquire(handle);
        size_t size = 0;
        const uint8_t *der =
            certreload_identity_key_der(certreload_generation_identity(generation, 0), &size);
        CHECK(der != NULL);
        FILE *file = fopen(scratch("exported.der"), "w");
        CHECK(file != NULL && fwrite(der, 1, size, file) == size && fclose(file) == 0);
        shell("openssl pkcs8 -topk8 -nocrypt -in format.key -outform DER -out expected.der");
        /* OpenSSL leaves the curve out of the inner structure; the key is the same. */
        shell(
            "openssl pkcs8 -topk8 -nocrypt -inform DER -in exported.der -outform DER -out again.der"
            " && cmp again.der expected.der");
        certreload_generation_release(generation);
        certreload_close(handle);
    }
    /* Without the option there is no key. */
    certreload_handle *handle =
        open_and_free(unwatched_options(scratch("format.chain"), scratch("format.key"), 300));
    const certreload_generation *generation = certreload_generation_acquire(handle);
    size_t size = 1;
    CHECK(certreload_identity_key_der(certreload_generation_identity(generation, 0), &size) ==
          NULL);
    CHECK_INT(size, 0);
    certreload_generation_release(generation);
    certreload_close(handle);
}

static void settings_of_rustls_contradict_a_handle_without_it(void) {
    test_begin("settings of rustls contradict a handle without it");
    const char *const protocol[] = {"h2"};
    certreload_options *options = without_rustls(scratch("small.chain"), scratch("small.key"));
    CHECK_OK(certreload_options_set_alpn(options, protocol, 1));
    CHECK_RESULT(certreload_check(options), INVALID_PARAMETER);
    CHECK_CONTAINS(certreload_last_error(), "no configuration of rustls");
    certreload_options_free(options);
}

static size_t select_names(const certreload_generation *generation, const char *name,
                           size_t *indices, bool *is_served) {
    const certreload_identity *found[4];
    size_t count = certreload_generation_select_all(generation, name, found, 4, is_served);
    for (size_t at = 0; at < count; at++)
        indices[at] = certreload_identity_index(found[at]);
    return count;
}

static void all_identities_of_a_name_are_found(void) {
    test_begin("all identities of a name are found, valid ones first");
    const char *const names[] = {"first.test", "one.test", "one.test", "*.wild.test"};
    certreload_options *options = NULL;
    for (int at = 0; at < 4; at++) {
        const char *chain = scratch("n%d.chain", at), *key = scratch("n%d.key", at);
        if (at == 1) {
            shell("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out n1.key"
                  " 2>/dev/null && openssl req -x509 -new -key n1.key -days 9 -subj /CN=one.test"
                  " -addext subjectAltName=DNS:one.test -out n1.chain 2>/dev/null");
        } else {
            make_pair(chain, key, names[at]);
        }
        if (options == NULL)
            options = unwatched_options(chain, key, 300);
        else
            CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    }
    certreload_handle *handle = open_and_free(options);
    const certreload_generation *generation = certreload_generation_acquire(handle);
    size_t at[4];
    bool is_served = false;
    CHECK_INT(select_names(generation, "ONE.test", at, &is_served), 2);
    CHECK(is_served && at[0] == 1 && at[1] == 2);
    CHECK_INT(select_names(generation, "a.wild.test", at, &is_served), 1);
    CHECK(is_served && at[0] == 3);
    CHECK_INT(select_names(generation, "unknown.test", at, &is_served), 4);
    CHECK(!is_served && at[0] == 0 && at[1] == 1 && at[3] == 3);
    CHECK_INT(select_names(generation, NULL, at, &is_served), 4);
    CHECK(!is_served && at[0] == 0);
    CHECK_INT(select_names(generation, "127.0.0.1", at, &is_served), 4);
    CHECK(!is_served);
    CHECK(certreload_generation_client_identity(generation) ==
          certreload_generation_identity(generation, 0));
    certreload_generation_release(generation);
    certreload_close(handle);
}

/* A trust store that has never been loaded refuses everybody (CERTRELOAD_START_AVAILABLE). */
static void generation_without_its_trust_store_refuses(void) {
    test_begin("a generation without its trust store refuses every handshake");
    certreload_options *options = unwatched_options(scratch("n0.chain"), scratch("n0.key"), 300);
    CHECK_OK(certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                                scratch("missing.pem")));
    CHECK_OK(certreload_options_set_start(options, CERTRELOAD_START_AVAILABLE));
    CHECK_OK(certreload_options_set_tls(options, CERTRELOAD_TLS_NONE));
    certreload_handle *handle = open_and_free(options);
    const certreload_generation *generation = certreload_generation_acquire(handle);
    size_t at[4];
    bool is_served = true;
    CHECK(certreload_generation_refuses(generation));
    CHECK_INT(select_names(generation, "first.test", at, &is_served), 0);
    CHECK(!is_served);
    CHECK(certreload_generation_trust_store(generation) == NULL);
    CHECK(certreload_generation_client_identity(generation) == NULL);
    certreload_generation_release(generation);

    shell("cp '%s' missing.pem", root_certificate());
    CHECK_OK(certreload_reload_wait(handle, CERTRELOAD_WAIT_FOREVER));
    generation = certreload_generation_acquire(handle);
    CHECK(!certreload_generation_refuses(generation));
    CHECK_INT(certreload_trust_store_root_count(certreload_generation_trust_store(generation),
                                                CERTRELOAD_PEERS_CLIENTS),
              1);
    CHECK(select_names(generation, "first.test", at, &is_served) == 1 && is_served);
    certreload_generation_release(generation);
    certreload_close(handle);
}

static void scope_is_that_of_the_options(void) {
    test_begin("a session scope depends on the session options");
    uint8_t scopes[5][CERTRELOAD_SESSION_SCOPE_SIZE];
    int64_t until = 0;
    for (int at = 0; at < 5; at++) {
        certreload_options *options =
            unwatched_options(scratch("n0.chain"), scratch("n0.key"), 300);
        /* 0, 1: the same; 2: another context; 3, 4: each generation has its own */
        if (at == 2)
            CHECK_OK(certreload_options_set_session_context(options, "admin", 5));
        if (at > 2)
            CHECK_OK(
                certreload_options_set_resumption(options, CERTRELOAD_RESUMPTION_ALWAYS_RESET));
        if (at > 0)
            CHECK_OK(certreload_options_set_tls(options, CERTRELOAD_TLS_NONE));
        certreload_handle *handle = open_and_free(options);
        const certreload_generation *generation = certreload_generation_acquire(handle);
        CHECK_OK(certreload_generation_session_scope(generation, scopes[at], &until));
        certreload_generation_release(generation);
        certreload_close(handle);
    }
    for (int one = 0; one < 5; one++) {
        for (int other = one + 1; other < 5; other++) {
            bool is_same = memcmp(scopes[one], scopes[other], sizeof scopes[0]) == 0;
            CHECK(is_same == (one == 0 && other == 1));
        }
    }
    certreload_options *options = unwatched_options(scratch("n0.chain"), scratch("n0.key"), 300);
    CHECK_OK(certreload_options_set_resumption(options, CERTRELOAD_RESUMPTION_OFF));
    certreload_handle *handle = open_and_free(options);
    const certreload_generation *generation = certreload_generation_acquire(handle);
    CHECK_RESULT(certreload_generation_session_scope(generation, scopes[0], &until),
                 NOT_CONFIGURED);
    certreload_generation_release(generation);
    certreload_close(handle);
}

int main(void) {
    keys_that_rustls_cannot_use_are_left_to_adapters();
    key_of_another_certificate_is_refused_without_rustls();
    exported_keys_are_pkcs8();
    settings_of_rustls_contradict_a_handle_without_it();
    all_identities_of_a_name_are_found();
    generation_without_its_trust_store_refuses();
    scope_is_that_of_the_options();
    return 0;
}
