/*
 * An HTTPS server with a thread per connection. Its certificates are renewed while it runs.
 *
 *     https_server --cert fullchain.pem --key privkey.pem
 *     curl -k https://127.0.0.1:8443/
 *
 * Replace the files in any way: new connections get the new certificate, and existing connections
 * keep theirs. There is no restart and no dropped client. The lines that matter are marked
 * "certreload:"; there are four places.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#define _GNU_SOURCE

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "certreload.h"
#include "plumbing.h"
#include "rustls.h"

enum { MAX_CONNECTIONS = 512, SILENCE_SECONDS = 10 };

struct connection {
    enum { FREE, RUNNING, FINISHED } state; /* state and socket are guarded by `lock` */
    int socket;
    pthread_t thread;
    rustls_connection *tls;
    int64_t deadline;     /* for the next whole request */
    uint64_t generation;  /* of the connection since its start */
    char certificate[65]; /* SHA-256 of the certificate that the client got */
};

static certreload_handle *certificates;
static struct connection connections[MAX_CONNECTIONS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool stopping;
static int stop_pipe[2];

/*
 * certreload: 1. Print events, so that operators see each renewal and each failure with its reason.
 * The library calls this on its own thread, one call at a time, in order.
 */
static void on_event(void *userdata, const certreload_event *event) {
    (void)userdata;
    printf("event %s generation %" PRIu64 ": %s\n", certreload_event_kind_str(event->kind),
           event->generation, event->message);
}

/*
 * certreload: 2. Open the certificates once, at start. A broken file is reported here, with path
 * and reason, instead of at the first client.
 */
static certreload_result open_certificates(const struct arguments *arguments) {
    certreload_options *options = certreload_options_new();

    for (size_t i = 0; i < arguments->identities; i++) {
        certreload_options_add_identity(options, arguments->certs[i], arguments->keys[i], NULL);
    }
    if (arguments->poll_ms != 0) {
        certreload_options_set_poll_interval_ms(options, arguments->poll_ms);
    }
    if (!arguments->quiet) {
        certreload_options_set_event_callback(options, on_event, NULL, NULL);
    }
    /* Also returns the failure of any call above: options fail closed. */
    const certreload_result result = certreload_open(options, &certificates);
    certreload_options_free(options);
    return result;
}

/*
 * certreload: 3. Reload on SIGHUP. certreload_reload() is async-signal-safe. Renewed files are
 * found without it, too.
 */
static void on_hangup(int number) {
    (void)number;
    certreload_reload(certificates);
}

/* The callbacks of rustls: it reads bytes of the client, or writes bytes to it. */

static rustls_io_result receive(void *userdata, uint8_t *bytes, size_t size, size_t *size_out) {
    const struct connection *c = userdata;
    ssize_t count;
    do { /* a socket with a timeout is not restarted by SA_RESTART */
        count = recv(c->socket, bytes, size, 0);
    } while (count < 0 && errno == EINTR);
    *size_out = count < 0 ? 0 : (size_t)count;
    return count < 0 ? errno : 0;
}

static rustls_io_result transmit(void *userdata, const uint8_t *bytes, size_t size,
                                 size_t *size_out) {
    const struct connection *c = userdata;
    ssize_t count;
    do {
        count = send(c->socket, bytes, size, 0);
    } while (count < 0 && errno == EINTR);
    *size_out = count < 0 ? 0 : (size_t)count;
    return count < 0 ? errno : 0;
}

static bool send_all(struct connection *c) {
    size_t count;
    while (rustls_connection_wants_write(c->tls)) {
        if (now() > c->deadline || rustls_connection_write_tls(c->tls, transmit, c, &count) != 0) {
            return false;
        }
    }
    return true;
}

/* Sends pending bytes, then waits for bytes of the client. Returns false at the end. */
static bool exchange(struct connection *c) {
    size_t count;
    if (!send_all(c) || stopping || now() > c->deadline ||
        rustls_connection_read_tls(c->tls, receive, c, &count) != 0 || count == 0) {
        return false;
    }
    if (rustls_connection_process_new_packets(c->tls) != RUSTLS_RESULT_OK) {
        send_all(c); /* the alert that gives the client the reason */
        return false;
    }
    return true;
}

/*
 * certreload: 4. Make a TLS connection for each client with the certificate that is current now.
 *
 * Most servers only replace rustls_server_connection_new(config, &c->tls) by
 * certreload_server_connection_new(certificates, &c->tls). This one also reports the generation and
 * the certificate of each client. So it keeps the generation until the handshake has received the
 * server name. The connection itself keeps its config for as long as it lasts.
 */
static bool handshake(struct connection *c) {
    const certreload_generation *generation = certreload_generation_acquire(certificates);
    bool good = rustls_server_connection_new(certreload_generation_borrow_server_config(generation),
                                             &c->tls) == RUSTLS_RESULT_OK;

    while (good && rustls_connection_is_handshaking(c->tls)) {
        good = exchange(c);
    }
    if (good) {
        const rustls_str sni = rustls_server_connection_get_server_name(c->tls);
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)sni.len, sni.len == 0 ? "" : sni.data);
        const certreload_identity *identity = certreload_generation_select(generation, name);
        c->generation = certreload_generation_number(generation);
        snprintf(c->certificate, sizeof c->certificate, "%s", certreload_identity_sha256(identity));
    }
    certreload_generation_release(generation);
    return good;
}

/* Shows which generation serves this connection: an old one keeps its own after a renewal. */
static bool answer(struct connection *c, struct request *request, uint64_t number) {
    char body[1024] = "";
    char out[MAX_ANSWER];
    size_t written;

    if (request->wants_status) {
        certreload_status status = {0};
        certreload_get_status(certificates, &status, sizeof status);
        status_text(&status, body, sizeof body);
    } else {
        snprintf(body, sizeof body, "generation %" PRIu64 "\ncertificate %s\nrequest %" PRIu64 "\n",
                 c->generation, c->certificate, number);
    }
    request->keep_alive = request->keep_alive && !stopping;
    size_t size = write_answer(out, request, body);
    return rustls_connection_write(c->tls, (const uint8_t *)out, size, &written) ==
               RUSTLS_RESULT_OK &&
           send_all(c) && request->keep_alive;
}

static void serve_requests(struct connection *c) {
    char in[MAX_HEAD] = "";
    size_t filled = 0;
    struct request request;

    for (uint64_t number = 1;;) {
        size_t count = 0;
        if (parse_request(in, filled, &request)) {
            if (!answer(c, &request, number++)) {
                return;
            }
            filled -= request.size;
            memmove(in, in + request.size, filled);
            c->deadline = now() + REQUEST_SECONDS;
            continue;
        }
        rustls_result result =
            rustls_connection_read(c->tls, (uint8_t *)in + filled, sizeof in - filled, &count);
        if (result == RUSTLS_RESULT_PLAINTEXT_EMPTY) {
            if (!exchange(c)) {
                return;
            }
        } else if (result != RUSTLS_RESULT_OK || count == 0) {
            return; /* end of the connection, or close_notify */
        }
        filled += count;
    }
}

/* close() with unread bytes makes TCP reset the connection and drop the last answer or alert. */
static void linger(const struct connection *c) {
    const struct timeval patience = {1, 0};
    const int64_t deadline = now() + 2;
    char ignored[4096];

    setsockopt(c->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    shutdown(c->socket, SHUT_WR);
    while (!stopping && now() <= deadline && recv(c->socket, ignored, sizeof ignored, 0) > 0) {
    }
}

static void *serve(void *argument) {
    struct connection *c = argument;
    const struct timeval patience = {SILENCE_SECONDS, 0};

    setsockopt(c->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(c->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    no_delay(c->socket);
    c->tls = NULL;
    c->deadline = now() + REQUEST_SECONDS;
    if (handshake(c)) {
        serve_requests(c);
        rustls_connection_send_close_notify(c->tls);
        send_all(c);
    }
    rustls_connection_free(c->tls);
    linger(c);

    pthread_mutex_lock(&lock);
    close(c->socket);
    c->state = FINISHED;
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Starts a thread for the client. Closes the socket if there are too many clients. */
static void start(int socket) {
    struct connection *c = NULL;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; c == NULL && i < MAX_CONNECTIONS; i++) {
        if (connections[i].state != RUNNING) {
            c = &connections[i];
        }
    }
    if (c != NULL && c->state == FINISHED) {
        pthread_join(c->thread, NULL); /* returns at once: the thread has finished */
        c->state = FREE;
    }
    if (c != NULL) {
        c->socket = socket;
        c->state = pthread_create(&c->thread, NULL, serve, c) == 0 ? RUNNING : FREE;
    }
    if (c == NULL || c->state == FREE) {
        close(socket);
    }
    pthread_mutex_unlock(&lock);
}

static void accept_until_stopped(int listener) {
    struct pollfd wait[2] = {{listener, POLLIN, 0}, {stop_pipe[0], POLLIN, 0}};

    for (;;) {
        if (poll(wait, 2, -1) < 0) {
            continue; /* a signal */
        }
        if (wait[1].revents != 0) {
            return;
        }
        int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (socket >= 0) {
            start(socket);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            poll(&wait[1], 1, 100); /* the client stays in the queue: wait instead of spinning */
        }
    }
}

/* Lets each thread finish its answer, then waits for it: the handle is closed afterwards. */
static void finish_connections(void) {
    stopping = true;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
        if (connections[i].state == RUNNING) {
            shutdown(connections[i].socket, SHUT_RD); /* wakes the thread from recv() */
        }
    }
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
        pthread_mutex_lock(&lock);
        const bool used = connections[i].state != FREE;
        pthread_mutex_unlock(&lock);
        if (used) {
            pthread_join(connections[i].thread, NULL);
        }
    }
}

/* Wakes the main thread through a pipe, because a handler may only call async-signal-safe
 * functions. */
static void on_terminate(int number) {
    const int saved = errno;
    const ssize_t written = write(stop_pipe[1], "", 1);
    (void)number;
    (void)written;
    errno = saved;
}

static void handle_signal(int number, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(number, &action, NULL);
}

int main(int argc, char **argv) {
    const struct arguments arguments = parse_arguments(argc, argv);

    setvbuf(stdout, NULL, _IOLBF, 0); /* each event is visible at once, as a whole line */
    if (open_certificates(&arguments) != CERTRELOAD_RESULT_OK) {
        fprintf(stderr, "%s\n", certreload_last_error());
        return 1;
    }
    if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
        perror("pipe2");
        return 1;
    }
    handle_signal(SIGPIPE, SIG_IGN);
    handle_signal(SIGHUP, on_hangup); /* after the open: the handler uses the handle */
    handle_signal(SIGTERM, on_terminate);
    handle_signal(SIGINT, on_terminate);

    const int listener = listen_on(arguments.host, arguments.port);
    announce(listener, arguments.host);
    accept_until_stopped(listener);

    close(listener);
    finish_connections();
    handle_signal(SIGHUP,
                  SIG_IGN); /* before the close: no other thread is inside the handler now */
    certreload_close(certificates);
    return 0;
}
