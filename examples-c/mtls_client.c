/*
 * A client that calls a server again and again with mutual TLS. Its roots and its certificate are
 * renewed while it runs.
 *
 *     mtls_client --roots roots.pem --cert client.pem --key client.key --port 8443
 *
 * Replace the files in any way: the next call uses the new roots and presents the new certificate.
 * To change the authority without a failed call: add the new root on both sides, renew the
 * certificates of both sides, then remove the old root.
 *
 * The lines that matter are marked "certreload:"; there are four places. The server is
 * mtls_server.c.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#define _GNU_SOURCE

#include <poll.h>
#include <signal.h>

#include "blocking_call.h"
#include "certreload.h"

struct client {
    const char *roots, *cert, *key; /* cert and key may be NULL: an anonymous client */
    const char *host, *port;
    uint16_t version;  /* the only TLS version; 0: the best that both sides support */
    uint32_t every_ms; /* pause between two calls */
    uint32_t poll_ms;  /* 0: the default of the library */
    uint64_t calls;    /* 0: until a signal */
};

static certreload_handle *trust;
static volatile sig_atomic_t stopping;

/*
 * certreload: 1. Print events, so that operators see each renewal and each failure with its reason.
 * The library calls this on its own thread, one call at a time, in order.
 */
static void on_event(void *userdata, const certreload_event *event) {
    (void)userdata;
    printf("event %s generation %" PRIu64 ": %s\n", certreload_event_kind_str(event->kind),
           event->generation, event->message);
}

/* A rustls-ffi config with one TLS version. The handle replaces its verifier. */
static const rustls_client_config *config_of_version(uint16_t version) {
    const rustls_crypto_provider *provider = rustls_aws_lc_rs_crypto_provider();
    rustls_client_config_builder *builder = NULL;
    rustls_server_cert_verifier *verifier = NULL;
    const rustls_client_config *config = NULL;

    if (rustls_client_config_builder_new_custom(provider, &version, 1, &builder) ==
            RUSTLS_RESULT_OK &&
        rustls_platform_server_cert_verifier_try_with_provider(provider, &verifier) ==
            RUSTLS_RESULT_OK) {
        rustls_client_config_builder_set_server_verifier(builder, verifier);
        rustls_client_config_builder_build(builder, &config);
    }
    rustls_server_cert_verifier_free(verifier);
    rustls_crypto_provider_free(provider);
    return config;
}

/*
 * certreload: 2. Open the roots and the client certificate once, at start. A program that is also a
 * server adds its identities to the same options: one handle has both roles (mtls_server.c).
 */
static certreload_result open_trust(const struct client *client) {
    certreload_options *options = certreload_options_new();

    certreload_options_set_server_roots(options, client->roots);
    if (client->cert != NULL) {
        certreload_options_add_client_identity(options, client->cert, client->key);
    }
    if (client->version != 0) { /* certreload keeps the settings of a template */
        const rustls_client_config *config = config_of_version(client->version);
        certreload_options_set_client_template(options, config);
        rustls_client_config_free(config);
    }
    if (client->poll_ms != 0) {
        certreload_options_set_poll_interval_ms(options, client->poll_ms);
    }
    certreload_options_set_event_callback(options, on_event, NULL, NULL);
    /* Also returns the failure of any call above: options fail closed. */
    const certreload_result result = certreload_open(options, &trust);
    certreload_options_free(options);
    return result;
}

/*
 * certreload: 3. Reload on SIGHUP. certreload_reload() is async-signal-safe. Renewed files are
 * found without it, too.
 */
static void on_hangup(int number) {
    (void)number;
    certreload_reload(trust);
}

static void on_terminate(int number) {
    (void)number;
    stopping = 1;
}

static void handle_signal(int number, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(number, &action, NULL);
}

/* Returns the value of a name: the lines of the answer are "name value". */
static const char *value_of(const char *answer, const char *name, char *value, size_t room) {
    const char *line = strstr(answer, name);
    line = line == NULL ? "" : line + strlen(name);
    snprintf(value, room, "%.*s", (int)strcspn(line, "\n"), line);
    return value;
}

/*
 * certreload: 4. Make a TLS connection for each call with the roots and the certificate that are
 * current now. It replaces rustls_client_connection_new(config, ...).
 */
static bool call_once(const struct client *client, uint64_t number) {
    char answer[MAX_ANSWER], server[2 * MAX_SERIAL + 1], own[2 * MAX_SERIAL + 1];
    char reason[MAX_REASON] = "no answer";
    rustls_connection *tls = NULL;
    const int socket = connect_to(client->host, client->port);
    bool good = socket >= 0;

    if (good && certreload_client_connection_new(trust, client->host, &tls) != 0) {
        snprintf(reason, sizeof reason, "%s", certreload_last_error());
        good = false;
    }
    good = good && call(tls, socket, answer, reason);
    if (good) {
        serial_of_peer(tls, server);
        const rustls_str kind = rustls_handshake_kind_str(rustls_connection_handshake_kind(tls));
        printf("call %" PRIu64 ": TLS %s, %.*s, server %s, client %s\n", number,
               rustls_connection_get_protocol_version(tls) == RUSTLS_TLS_VERSION_TLSV1_3 ? "1.3"
                                                                                         : "1.2",
               (int)kind.len, kind.data, server, value_of(answer, "client ", own, sizeof own));
    } else {
        printf("call %" PRIu64 " failed: %s\n", number, reason);
    }
    rustls_connection_free(tls);
    if (socket >= 0) {
        close(socket);
    }
    return good;
}

static struct client parse(int argc, char **argv) {
    struct client client = {.host = "localhost", .port = "8443"};
    const char *version = NULL, *every = "1000", *calls = "0", *poll_ms = "0";
    const struct option_text known[] = {{"--roots", &client.roots}, {"--cert", &client.cert},
                                        {"--key", &client.key},     {"--host", &client.host},
                                        {"--port", &client.port},   {"--tls", &version},
                                        {"--every", &every},        {"--calls", &calls},
                                        {"--poll", &poll_ms},       {NULL, NULL}};
    const char *help = "--roots FILE-OR-DIRECTORY [--cert CHAIN --key KEY] [--host NAME]\n"
                       "       [--port N] [--tls 1.2|1.3] [--every MS] [--calls N] [--poll MS]";

    parse_texts(argc, argv, known, help);
    if (client.roots == NULL || (client.cert == NULL) != (client.key == NULL)) {
        fprintf(stderr, "usage: %s %s\n", argv[0], help);
        exit(2);
    }
    if (version != NULL) {
        client.version =
            strcmp(version, "1.2") == 0 ? RUSTLS_TLS_VERSION_TLSV1_2 : RUSTLS_TLS_VERSION_TLSV1_3;
    }
    client.every_ms = (uint32_t)strtoul(every, NULL, 10);
    client.poll_ms = (uint32_t)strtoul(poll_ms, NULL, 10);
    client.calls = strtoul(calls, NULL, 10);
    return client;
}

int main(int argc, char **argv) {
    const struct client client = parse(argc, argv);
    uint64_t calls = 0, failed = 0;

    setvbuf(stdout, NULL, _IOLBF, 0); /* each line is visible at once, and whole */
    if (open_trust(&client) != CERTRELOAD_RESULT_OK) {
        fprintf(stderr, "%s\n", certreload_last_error());
        return 1;
    }
    handle_signal(SIGHUP, on_hangup); /* after the open: the handler uses the handle */
    handle_signal(SIGTERM, on_terminate);
    handle_signal(SIGINT, on_terminate);
    while (!stopping && (client.calls == 0 || calls < client.calls)) {
        failed += call_once(&client, ++calls) ? 0 : 1;
        poll(NULL, 0, (int)client.every_ms); /* a signal ends the pause */
    }
    printf("calls %" PRIu64 ", failed %" PRIu64 "\n", calls, failed);
    handle_signal(SIGHUP, SIG_IGN); /* before the close: the handler uses the handle */
    certreload_close(trust);
    return 0;
}
