/* Which certificate a client gets: by name, by kind of key, and with the staple that belongs to it.
 */

#define _GNU_SOURCE
#include "peers.h"

#include <openssl/pem.h>

#include <string.h>
#include <time.h>

#define EC_ONLY "ECDSA+SHA256"
#define RSA_ONLY "RSA-PSS+SHA256:RSA+SHA256"

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void name_selects_the_identity(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one two wild");
    SSL_CTX *ctx = server_context(handle);
    for (size_t i = 0; i < 2; i++) {
        wish wish = {.version = versions[i]};
        check_serves(ctx, wish, "one");
        wish.name = "one.test";
        check_serves(ctx, wish, "one");
        wish.name = "TWO.test";
        check_serves(ctx, wish, "two");
        wish.name = "any.wild.test";
        check_serves(ctx, wish, "wild");
        wish.name = "unknown.test";
        check_serves(ctx, wish, "one");
    }
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

static void name_has_a_certificate_for_each_kind_of_key(void) {
    test_begin(__func__);
    issue("ca", "rsa", RSA_KEY, "both.test");
    issue("ca", "ec", EC_KEY, "both.test");
    certreload_handle *handle = open_with("one rsa ec");
    SSL_CTX *ctx = server_context(handle);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 2; i++) {
            wish wish = {.name = "both.test", .version = versions[i], .signatures = EC_ONLY};
            check_serves(ctx, wish, "ec");
            wish.signatures = RSA_ONLY;
            check_serves(ctx, wish, "rsa");
        }
        /* One of the two is renewed; the other stays. */
        issue("ca", "ec", EC_KEY, "both.test");
        reload(handle);
    }
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* A certificate of EC that is valid for seconds more. */
static void issue_for_seconds(const char *leaf, const char *name, int seconds) {
    char until[32];
    time_t when = time(NULL) + seconds;
    struct tm utc;
    CHECK(gmtime_r(&when, &utc) != NULL &&
          strftime(until, sizeof until, "%Y%m%d%H%M%SZ", &utc) > 0);
    shell("umask 077; openssl req -newkey " EC_KEY " -nodes -config ca.cnf -subj /CN=%s"
          " -addext subjectAltName=DNS:%s -keyout %s.key -out brief.csr; openssl ca -batch -notext"
          " -config ca.cnf -in brief.csr -out %s.chain -startdate 20200101000000Z -enddate %s",
          leaf, name, leaf, leaf, until);
}

/* OpenSSL would choose by the kind of key, and the client prefers that of the certificate that has
 * expired. */
static void expired_certificate_is_not_offered_beside_a_valid_one(void) {
    static recorder events = RECORDER_INITIALIZER;
    test_begin(__func__);
    issue("ca", "rsa", RSA_KEY, "both.test");
    issue_for_seconds("old", "both.test", 3);
    certreload_options *options = options_with("one old rsa");
    CHECK_OK(certreload_options_set_event_callback(options, recorder_callback, &events, NULL));
    certreload_handle *handle = open_and_free(options);
    SSL_CTX *ctx = server_context(handle);
    check_serves(ctx, (wish){.name = "both.test"}, "old");
    while (recorder_next(&events)->kind != CERTRELOAD_EVENT_KIND_EXPIRED) {
    }
    for (size_t i = 0; i < 2; i++)
        check_serves(ctx, (wish){.name = "both.test", .version = versions[i]}, "rsa");
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* A client without a name gets the default identity, although another has the kind of key that it
 * prefers. */
static void client_without_a_name_gets_the_default(void) {
    test_begin(__func__);
    issue("ca", "rsa", RSA_KEY, "rsa.test");
    certreload_handle *handle = open_with("rsa one");
    SSL_CTX *ctx = server_context(handle);
    for (size_t i = 0; i < 2; i++) {
        wish wish = {.version = versions[i]};
        check_serves(ctx, wish, "rsa");
        wish.name = "unknown.test";
        check_serves(ctx, wish, "rsa");
    }
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* The server sends the file's chain, and nothing that the host's SSL_CTX has. */
static void chain_is_that_of_the_file(void) {
    test_begin(__func__);
    shell("openssl req -x509 -newkey " EC_KEY " -nodes -config ca.cnf -days 30 -subj '/CN=middle'"
          " -CA ca.pem -CAkey ca.key -keyout middle.key -out middle.pem"
          " -addext basicConstraints=critical,CA:TRUE");
    issue("middle", "deep", EC_KEY, "deep.test");
    shell("cat middle.pem >>deep.chain");
    certreload_handle *handle = open_with("deep one");
    SSL_CTX *ctx = server_context(NULL);
    BIO *file = BIO_new_file(scratch("two.chain"), "r");
    X509 *extra = PEM_read_bio_X509(file, NULL, NULL, NULL);
    CHECK(extra != NULL && SSL_CTX_add_extra_chain_cert(ctx, extra) == 1);
    BIO_free(file);
    CHECK(SSL_CTX_load_verify_locations(ctx, scratch("ca.pem"), NULL) == 1);
    CHECK_OK(certreload_openssl_attach(ctx, handle));
    for (size_t i = 0; i < 2; i++) {
        wish wish = {.name = "deep.test", .version = versions[i]};
        meeting one = meet(ctx, wish);
        CHECK(one.is_good);
        CHECK_INT(sk_X509_num(SSL_get_peer_cert_chain(one.client)), 2);
        part(&one);
        wish.name = "one.test";
        one = meet(ctx, wish);
        CHECK_INT(sk_X509_num(SSL_get_peer_cert_chain(one.client)), 1);
        part(&one);
    }
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* The handshake has two ClientHello, and uses one generation in both. */
static void hello_retry_request_keeps_the_generation(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one two");
    SSL_CTX *ctx = server_context(handle);
    CHECK(SSL_CTX_set1_groups_list(ctx, "P-384") == 1);
    const wish wish = {.name = "two.test", .version = TLS1_3_VERSION, .groups = "X25519:P-384"};
    check_serves(ctx, wish, "two");
    issue("ca", "two", EC_KEY, "two.test");
    reload(handle);
    check_serves(ctx, wish, "two");
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* Two files of different pairs are retried, and never served (G2, G4). */
static void mismatched_pair_is_refused(void) {
    test_begin(__func__);
    certreload_handle *handle = open_with("one");
    SSL_CTX *ctx = server_context(handle);
    shell("cp one.chain kept.chain; cp one.key kept.key; cp two.key one.key");
    CHECK_RESULT(certreload_reload_wait(handle, 20000), KEY_MISMATCH);
    check_serves(ctx, (wish){.name = "one.test"}, "kept");
    shell("cp kept.key one.key");
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* What this OpenSSL cannot serve is refused before it is published, with the reason (G16). */
static void key_that_openssl_refuses_is_not_published(void) {
    test_begin(__func__);
    issue("ca", "small", EC_KEY, "small.test");
    certreload_options *options = options_with("small");
    CHECK_OK(certreload_options_set_tls(options, CERTRELOAD_TLS_NONE));
    certreload_handle *handle = open_and_free(options);
    SSL_CTX *ctx = server_context(handle);
    check_serves(ctx, (wish){.name = "small.test"}, "small");
    shell("cp small.chain kept.chain");
    issue("ca", "small", "rsa:1024", "small.test");
    CHECK_RESULT(certreload_reload_wait(handle, 20000), ADAPTER_REFUSED);
    CHECK_CONTAINS(certreload_last_error(), "OpenSSL ");
    CHECK_CONTAINS(certreload_last_error(), "security level 2");
    check_serves(ctx, (wish){.name = "small.test"}, "kept");

    /* The host's level decides, so the same key is served where the host allows it (G23). */
    certreload_close(handle);
    SSL_CTX_free(ctx);
    options = options_with("small");
    CHECK_OK(certreload_options_set_tls(options, CERTRELOAD_TLS_NONE));
    handle = open_and_free(options);
    ctx = server_context(NULL);
    CHECK_RESULT(certreload_openssl_attach(ctx, handle), ADAPTER_REFUSED);
    CHECK_CONTAINS(certreload_openssl_last_error(), "security level 2");
    SSL_CTX_set_security_level(ctx, 1);
    CHECK_OK(certreload_openssl_attach(ctx, handle));
    check_serves(ctx, (wish){.name = "small.test"}, "small");
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

/* With OpenSSL as the judge, kinds of keys are served that rustls does not know (G23). */
static void keys_that_rustls_does_not_know_are_served(void) {
    static const struct {
        const char *kind, *groups, *signatures;
        int version;
    } kinds[] = {
        {"ec -pkeyopt ec_paramgen_curve:brainpoolP256r1", "brainpoolP256r1:P-256", "ECDSA+SHA256",
         TLS1_2_VERSION},
        {"ed448", NULL, NULL, TLS1_3_VERSION},
        {"rsa-pss -pkeyopt rsa_keygen_bits:2048", NULL, "rsa_pss_pss_sha256", TLS1_3_VERSION},
    };
    test_begin(__func__);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        issue("ca", "odd", kinds[i].kind, "odd.test");
        certreload_options *options = options_with("odd");
        CHECK_OK(certreload_options_set_tls(options, CERTRELOAD_TLS_NONE));
        certreload_handle *handle = open_and_free(options);
        SSL_CTX *ctx = server_context(handle);
        const wish wish = {.name = "odd.test",
                           .groups = kinds[i].groups,
                           .signatures = kinds[i].signatures,
                           .version = kinds[i].version};
        check_serves(ctx, wish, "odd");
        SSL_CTX_free(ctx);
        certreload_close(handle);
    }
}

static const unsigned char *staple_of(const meeting *meeting, long *size) {
    const unsigned char *response = NULL;
    *size = SSL_get_tlsext_status_ocsp_resp(meeting->client, &response);
    return response;
}

/* The response of the certificate that the client gets; and none for an identity that has none. */
static void staple_belongs_to_the_certificate(void) {
    test_begin(__func__);
    /* A list of what the authority has issued, for the answers. */
    shell("openssl x509 -in one.chain -noout -serial | sed 's/.*=//' >serial;"
          " printf 'V\\t330101000000Z\\t\\t%%s\\tunknown\\t/CN=one\\n' $(cat serial) >ocsp.index;"
          " openssl ocsp -index ocsp.index -rsigner ca.pem -rkey ca.key -CA ca.pem -issuer ca.pem"
          " -cert one.chain -ndays 7 -respout one.ocsp; cp one.chain leaf.pem;"
          " cat leaf.pem ca.pem >stapled.chain; cp one.key stapled.key");
    issue("ca", "rsa", RSA_KEY, "one.test"); /* has the name, and no response */
    certreload_options *options = options_with("two rsa");
    CHECK_OK(certreload_options_add_identity(options, scratch("stapled.chain"),
                                             scratch("stapled.key"), scratch("one.ocsp")));
    certreload_handle *handle = open_and_free(options);
    SSL_CTX *ctx = server_context(handle);
    for (size_t i = 0; i < 2; i++) {
        long size = 0;
        wish wish = {.name = "one.test",
                     .version = versions[i],
                     .signatures = EC_ONLY,
                     .wants_staple = true};
        meeting one = meet(ctx, wish);
        CHECK(one.is_good && staple_of(&one, &size) != NULL);
        CHECK_STR(shell_line("stat -c %%s one.ocsp"), shell_line("echo %ld", size));
        part(&one);
        wish.signatures = RSA_ONLY;
        one = meet(ctx, wish);
        CHECK(one.is_good && staple_of(&one, &size) == NULL);
        CHECK_STR(seen_by_client(&one), print_of("rsa"));
        part(&one);
        wish.signatures = NULL;
        wish.name = "two.test";
        one = meet(ctx, wish);
        CHECK(one.is_good && staple_of(&one, &size) == NULL);
        part(&one);
    }
    SSL_CTX_free(ctx);
    certreload_close(handle);
}

int main(void) {
    make_authority("ca");
    issue("ca", "one", EC_KEY, "one.test");
    issue("ca", "two", EC_KEY, "two.test");
    issue("ca", "wild", EC_KEY, "*.wild.test");
    name_selects_the_identity();
    name_has_a_certificate_for_each_kind_of_key();
    expired_certificate_is_not_offered_beside_a_valid_one();
    client_without_a_name_gets_the_default();
    chain_is_that_of_the_file();
    hello_retry_request_keeps_the_generation();
    mismatched_pair_is_refused();
    key_that_openssl_refuses_is_not_published();
    keys_that_rustls_does_not_know_are_served();
    staple_belongs_to_the_certificate();
    return 0;
}
