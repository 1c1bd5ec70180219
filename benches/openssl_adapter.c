/*
 * What the adapter for OpenSSL costs in a handshake: against an SSL_CTX whose certificate never
 * changes, and against one that reads its files again in each handshake, as hosts without
 * certreload do. Both peers run in one thread over memory; the processor time of the server is
 * taken apart from the client's. The ways take turns, and are compared by the medians of their
 * rounds. Usage: openssl_adapter CHAIN KEY
 */
#define _POSIX_C_SOURCE 200809L
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <time.h>

#include "certreload_openssl.h"
#include "measure.h"

enum { ROUNDS = 21, HANDSHAKES = 150, WAYS = 3 };
enum way { FIXED, ADAPTER, REREAD };

static const char *chain_path, *key_path;
static const char *const names[WAYS] = {"fixed SSL_CTX", "adapter", "files read per handshake"};

static double processor_us(void) {
    return clock_ns(CLOCK_THREAD_CPUTIME_ID) / 1e3;
}

static int read_files(SSL *ssl, void *unused) {
    (void)unused;
    return SSL_use_certificate_file(ssl, chain_path, SSL_FILETYPE_PEM) == 1 &&
           SSL_use_PrivateKey_file(ssl, key_path, SSL_FILETYPE_PEM) == 1;
}

static SSL_CTX *make_server(enum way way, int version, certreload_handle *handle) {
    static const unsigned char id[] = "bench";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, version) != 1 ||
        SSL_CTX_set_session_id_context(ctx, id, sizeof id) != 1) {
        die("SSL_CTX_new");
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (way == REREAD) {
        SSL_CTX_set_cert_cb(ctx, read_files, NULL);
    } else if (way == ADAPTER) {
        if (certreload_openssl_attach(ctx, handle) != CERTRELOAD_RESULT_OK) {
            die(certreload_openssl_last_error());
        }
    } else if (SSL_CTX_use_certificate_chain_file(ctx, chain_path) != 1 ||
               SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM) != 1) {
        die("the certificate");
    }
    return ctx;
}

static SSL_SESSION *latest; /* what the last client got */

static int keep_session(SSL *ssl, SSL_SESSION *session) {
    (void)ssl;
    SSL_SESSION_free(latest);
    latest = session;
    return 1;
}

/* One handshake. Returns the processor time of the server, in microseconds. */
static double handshake(SSL_CTX *server_ctx, SSL_CTX *client_ctx, bool is_resumed) {
    double used = -processor_us();
    SSL *server = SSL_new(server_ctx);
    used += processor_us();
    SSL *client = SSL_new(client_ctx);
    BIO *one = NULL, *other = NULL;
    if (server == NULL || client == NULL || BIO_new_bio_pair(&one, 0, &other, 0) != 1) {
        die("SSL_new");
    }
    SSL_set_bio(server, one, one);
    SSL_set_bio(client, other, other);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    SSL_set_tlsext_host_name(client, "localhost");
    if (is_resumed) {
        SSL_set_session(client, latest);
    }
    for (int turns = 0; !SSL_is_init_finished(server) || !SSL_is_init_finished(client); turns++) {
        SSL_do_handshake(client);
        used -= processor_us();
        SSL_do_handshake(server);
        used += processor_us();
        if (turns > 10) {
            ERR_print_errors_fp(stderr);
            die("the handshake does not end");
        }
    }
    char byte;
    SSL_read(client, &byte, 1); /* the tickets of TLS 1.3 */
    if (is_resumed != (SSL_session_reused(server) == 1)) {
        die("the session was not resumed as it should be");
    }
    SSL_shutdown(client);
    SSL_free(client);
    used -= processor_us();
    SSL_free(server);
    return used + processor_us();
}

static void compare(int version, bool is_resumed, certreload_handle *handle) {
    static double server[WAYS][ROUNDS], total[WAYS][ROUNDS];
    const int ways = is_resumed ? REREAD : WAYS; /* a resumption needs no certificate */
    SSL_CTX *ctx[WAYS] = {NULL};
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(client,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(client, keep_session);
    for (int way = 0; way < ways; way++) {
        ctx[way] = make_server((enum way)way, version, handle);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int turn = 0; turn < ways; turn++) {
            const int way = (turn + round) % ways;
            handshake(ctx[way], client, false);
            const double begin = processor_us();
            double used = 0;
            for (int i = 0; i < HANDSHAKES; i++) {
                used += handshake(ctx[way], client, is_resumed);
            }
            server[way][round] = used / HANDSHAKES;
            total[way][round] = (processor_us() - begin) / HANDSHAKES;
        }
    }
    printf("TLS 1.%d, %s handshakes\n", version == TLS1_3_VERSION ? 3 : 2,
           is_resumed ? "resumed" : "full");
    double fixed_server = 0, fixed_total = 0;
    for (int way = 0; way < ways; way++) {
        const double of_server = percentile(server[way], ROUNDS, 0.5),
                     of_both = percentile(total[way], ROUNDS, 0.5);
        if (way == FIXED) {
            fixed_server = of_server;
            fixed_total = of_both;
        }
        printf("  %-26s %7.1f us of the server (%.3f), %6.0f handshakes/s (%.3f)\n", names[way],
               of_server, of_server / fixed_server, 1e6 / of_both, fixed_total / of_both);
        SSL_CTX_free(ctx[way]);
    }
    SSL_CTX_free(client);
    SSL_SESSION_free(latest);
    latest = NULL;
}

int main(int count, char **arguments) {
    if (count != 3) {
        die("usage: openssl_adapter CHAIN KEY");
    }
    chain_path = arguments[1];
    key_path = arguments[2];
    certreload_options *options = certreload_options_new();
    certreload_options_add_identity(options, chain_path, key_path, NULL);
    certreload_options_set_tls(options, CERTRELOAD_TLS_NONE);
    certreload_handle *handle = NULL;
    if (certreload_open(options, &handle) != CERTRELOAD_RESULT_OK) {
        die(certreload_last_error());
    }
    certreload_options_free(options);
    printf("OpenSSL %s; medians of %d rounds of %d handshakes, in turns\n",
           OpenSSL_version(OPENSSL_VERSION_STRING), ROUNDS, HANDSHAKES);
    compare(TLS1_3_VERSION, false, handle);
    compare(TLS1_2_VERSION, false, handle);
    compare(TLS1_3_VERSION, true, handle);
    compare(TLS1_2_VERSION, true, handle);
    certreload_close(handle);
    return 0;
}
