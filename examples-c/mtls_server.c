/*
 * A server that authenticates its clients by their certificates. It can be a client as well: one
 * handle has both roles.
 *
 *     mtls_server --cert server.pem --key server.key --roots roots.pem [--crls revoked.crl]
 *     curl -k --cert client.pem --key client.key https://127.0.0.1:8443/
 *
 * Replace the files in any way: new roots and revocation lists apply from the next handshake on, to
 * resumed sessions too, so a revoked client is refused at once. With --peer PORT it calls another
 * such server for each request, and presents the same certificate there.
 *
 * The lines that matter are marked "certreload:"; there are five places. It serves one client at a
 * time, to be short; https_server.c has a thread per connection.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#define _GNU_SOURCE

#include <poll.h>
#include <signal.h>

#include "blocking_call.h"
#include "certreload.h"

struct server {
    const char *cert, *key;
    const char *roots; /* of the certificates of clients and of the peer */
    const char *crls;  /* NULL: revocation is not checked */
    const char *mode;  /* "none", "optional" or "required" */
    const char *peer;  /* port of the server to call; NULL: none */
    const char *poll_ms;
};

static certreload_handle *handle;
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

static certreload_client_auth mode_of(const struct server *server) {
    return strcmp(server->mode, "none") == 0       ? CERTRELOAD_CLIENT_AUTH_NONE
           : strcmp(server->mode, "optional") == 0 ? CERTRELOAD_CLIENT_AUTH_OPTIONAL
                                                   : CERTRELOAD_CLIENT_AUTH_REQUIRED;
}

/*
 * certreload: 2. Open certificate, client roots, revocation lists and server roots once, at start.
 * They are validated and published together, so no client meets new roots with old lists.
 */
static certreload_result open_handle(const struct server *server) {
    certreload_options *options = certreload_options_new();
    const uint32_t poll_ms = (uint32_t)strtoul(server->poll_ms, NULL, 10);

    certreload_options_add_identity(options, server->cert, server->key, NULL);
    certreload_options_set_client_auth(options, mode_of(server), server->roots);
    if (server->crls != NULL) {
        certreload_options_add_crl(options, server->crls);
    }
    if (server->peer != NULL) { /* the client role */
        certreload_options_set_server_roots(options, server->roots);
    }
    if (poll_ms != 0) {
        certreload_options_set_poll_interval_ms(options, poll_ms);
    }
    certreload_options_set_event_callback(options, on_event, NULL, NULL);
    /* Also returns the failure of any call above, so no server opens without its client checks. */
    const certreload_result result = certreload_open(options, &handle);
    certreload_options_free(options);
    return result;
}

/*
 * certreload: 3. Reload on SIGHUP. certreload_reload() is async-signal-safe. Renewed files are
 * found without it, too.
 */
static void on_hangup(int number) {
    (void)number;
    certreload_reload(handle);
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

/*
 * certreload: 4. The client role: make a TLS connection to the peer with the roots and the
 * certificate that are current now. Writes the serial numbers of both sides, or the reason of the
 * failure.
 */
static void ask_peer(const struct server *server, char *line, size_t room) {
    char answer[MAX_ANSWER], reason[MAX_REASON] = "no answer", serial[2 * MAX_SERIAL + 1];
    rustls_connection *tls = NULL;
    const int socket = connect_to("localhost", server->peer);

    if (socket >= 0 && certreload_client_connection_new(handle, "localhost", &tls) != 0) {
        snprintf(reason, sizeof reason, "%s", certreload_last_error());
    } else if (socket >= 0 && call(tls, socket, answer, reason)) {
        const char *seen = strstr(answer, "client ");
        serial_of_peer(tls, serial);
        snprintf(line, room, "peer %s\nhere %.*s\n", serial,
                 seen == NULL ? 0 : (int)strcspn(seen + 7, "\n"), seen == NULL ? "" : seen + 7);
        reason[0] = '\0';
    }
    if (reason[0] != '\0') {
        snprintf(line, room, "peer failed: %s\n", reason);
    }
    rustls_connection_free(tls);
    if (socket >= 0) {
        close(socket);
    }
}

/*
 * certreload: 5. Make a TLS connection for each client with the certificate, the roots and the
 * lists that are current now. It replaces rustls_server_connection_new(config, &tls). The client's
 * certificate comes from rustls-ffi, as before.
 */
static void serve(const struct server *server, int socket) {
    const int64_t deadline = now() + REQUEST_SECONDS;
    rustls_connection *tls = NULL;
    struct request request;
    char body[1024], serial[2 * MAX_SERIAL + 1];

    if (certreload_server_connection_new(handle, &tls) == CERTRELOAD_RESULT_OK &&
        read_request(tls, socket, deadline, &request)) {
        const rustls_str kind = rustls_handshake_kind_str(rustls_connection_handshake_kind(tls));
        serial_of_peer(tls, serial);
        int size = snprintf(body, sizeof body, "client %s\nhandshake %.*s\n", serial, (int)kind.len,
                            kind.data);
        if (server->peer != NULL) {
            ask_peer(server, body + size, sizeof body - (size_t)size);
        }
        send_answer(tls, socket, deadline, &request, body);
    }
    rustls_connection_free(tls);
    hang_up(socket, deadline);
}

int main(int argc, char **argv) {
    struct server server = {.mode = "required", .poll_ms = "0"};
    const char *port = "8443";
    const struct option_text known[] = {
        {"--cert", &server.cert}, {"--key", &server.key},          {"--roots", &server.roots},
        {"--crls", &server.crls}, {"--client-auth", &server.mode}, {"--peer", &server.peer},
        {"--port", &port},        {"--poll", &server.poll_ms},     {NULL, NULL}};
    const char *help = "--cert CHAIN --key KEY --roots FILE-OR-DIRECTORY\n"
                       "       [--crls FILE-OR-DIRECTORY] [--client-auth none|optional|required]\n"
                       "       [--peer PORT] [--port N] [--poll MS]";
    sigset_t ends, before;

    parse_texts(argc, argv, known, help);
    setvbuf(stdout, NULL, _IOLBF, 0); /* each event is visible at once, as a whole line */
    if (open_handle(&server) != CERTRELOAD_RESULT_OK) {
        fprintf(stderr, "%s\n", certreload_last_error());
        return 1;
    }
    handle_signal(SIGPIPE, SIG_IGN);
    handle_signal(SIGHUP, on_hangup); /* after the open: the handler uses the handle */
    handle_signal(SIGTERM, on_terminate);
    handle_signal(SIGINT, on_terminate);
    sigemptyset(&ends); /* delivered only inside ppoll(), so that none is missed */
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, &before);

    const int listener = listen_on("127.0.0.1", (uint16_t)strtoul(port, NULL, 10));
    announce(listener, "127.0.0.1");
    while (!stopping) {
        struct pollfd wait = {listener, POLLIN, 0};
        if (ppoll(&wait, 1, NULL, &before) < 0) {
            continue; /* a signal */
        }
        const int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (socket >= 0) {
            no_delay(socket);
            serve(&server, socket);
        }
    }
    close(listener);
    handle_signal(SIGHUP, SIG_IGN); /* before the close: the handler uses the handle */
    certreload_close(handle);
    return 0;
}
