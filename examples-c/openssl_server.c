/*
 * An HTTPS server on OpenSSL with a thread per connection. Its certificates are renewed while it
 * runs.
 *
 *     openssl_server --cert fullchain.pem --key privkey.pem
 *     curl -k https://127.0.0.1:8443/
 *
 * Replace the files in any way: new connections get the new certificate, and existing connections
 * keep theirs. TLS is OpenSSL's alone: the server makes its SSL_CTX and its SSL as it always did.
 * The lines that matter are marked "certreload:". Two are needed, to open and to attach; the
 * others report what happens.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#define _GNU_SOURCE

#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "certreload_openssl.h"
#include "plumbing.h"

enum { MAX_CONNECTIONS = 512, SILENCE_SECONDS = 10 };

struct connection {
    enum { FREE, RUNNING, FINISHED } state; /* state and socket are guarded by `lock` */
    int socket;
    pthread_t thread;
    SSL *ssl;
    int64_t deadline; /* for the next whole request */
};

static certreload_handle *certificates;
static SSL_CTX *context;
static struct connection connections[MAX_CONNECTIONS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool stopping;
static int stop_pipe[2];

/* certreload: optional. Print events, so that operators see each renewal and each failure. */
static void on_event(void *userdata, const certreload_event *event) {
    (void)userdata;
    printf("event %s generation %" PRIu64 ": %s\n", certreload_event_kind_str(event->kind),
           event->generation, event->message);
}

/*
 * certreload: 1. Open the certificates once, at start. With one pair and no event callback,
 * certreload_open_files() is enough. OpenSSL alone decides which keys can be served.
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
    certreload_options_set_tls(options, CERTRELOAD_TLS_NONE);
    /* Also returns the failure of any call above: options fail closed. */
    const certreload_result result = certreload_open(options, &certificates);
    certreload_options_free(options);
    return result;
}

/* Makes the SSL_CTX as ever, without a certificate. */
static bool make_context(void) {
    static const unsigned char service[] = "openssl_server";

    context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_session_id_context(context, service, sizeof service - 1) != 1) {
        return false;
    }
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
    /* A connection that ends without close_notify is no error: finish_connections() ends it so. */
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
#endif
    /* certreload: 2. Attach it, as the last step. Each handshake uses what is current then. */
    return certreload_openssl_attach(context, certificates) == CERTRELOAD_RESULT_OK;
}

/* certreload: optional. Reload on SIGHUP; renewed files are found without it, too. */
static void on_hangup(int number) {
    (void)number;
    certreload_reload(certificates);
}

/* The SHA-256 of the certificate that this connection was made with. */
static void fingerprint(const SSL *ssl, char text[65]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    X509 *certificate = SSL_get_certificate(ssl);

    text[0] = '\0';
    if (certificate != NULL && X509_digest(certificate, EVP_sha256(), digest, &size) == 1) {
        for (unsigned int i = 0; i < size && i < 32; i++) {
            snprintf(text + (size_t)2 * i, 3, "%02x", digest[i]);
        }
    }
}

/* Shows which generation serves this connection: an old one keeps its own after a renewal. */
static bool answer(const struct connection *c, struct request *request, uint64_t number) {
    char body[1024] = "", out[MAX_ANSWER], certificate[65];

    if (request->wants_status) {
        certreload_status status = {0};
        certreload_get_status(certificates, &status, sizeof status);
        status_text(&status, body, sizeof body);
    } else {
        fingerprint(c->ssl, certificate);
        snprintf(body, sizeof body, "generation %" PRIu64 "\ncertificate %s\nrequest %" PRIu64 "\n",
                 certreload_openssl_generation(c->ssl), certificate, number);
    }
    request->keep_alive = request->keep_alive && !stopping;
    const size_t size = write_answer(out, request, body);
    return SSL_write(c->ssl, out, (int)size) == (int)size && request->keep_alive;
}

static void serve_requests(struct connection *c) {
    char in[MAX_HEAD] = "";
    size_t filled = 0;
    uint64_t number = 1;
    struct request request;

    for (;;) {
        while (parse_request(in, filled, &request)) {
            if (!answer(c, &request, number++)) {
                return;
            }
            filled -= request.size;
            memmove(in, in + request.size, filled);
            c->deadline = now() + REQUEST_SECONDS;
        }
        const int count = SSL_read(c->ssl, in + filled, (int)(sizeof in - filled));
        if (count <= 0 || stopping || now() > c->deadline) {
            return; /* end of the connection, close_notify, or silence */
        }
        filled += (size_t)count;
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

/* Signals are the main thread's: a socket with a timeout would end its read with EINTR otherwise.
 */
static void block_signals(void) {
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void *serve(void *argument) {
    struct connection *c = argument;
    const struct timeval patience = {SILENCE_SECONDS, 0};

    block_signals();
    setsockopt(c->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(c->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    no_delay(c->socket);
    c->deadline = now() + REQUEST_SECONDS;
    c->ssl = SSL_new(context);
    if (c->ssl != NULL && SSL_set_fd(c->ssl, c->socket) == 1 && SSL_accept(c->ssl) == 1) {
        serve_requests(c);
        SSL_shutdown(c->ssl);
    }
    SSL_free(c->ssl);
    ERR_clear_error();
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
        const int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (socket >= 0) {
            start(socket);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            poll(&wait[1], 1, 100); /* the client stays in the queue: wait instead of spinning */
        }
    }
}

/* Lets each thread finish its answer, and waits for it. */
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
    if (!make_context()) {
        fprintf(stderr, "cannot make the SSL_CTX: %s\n", certreload_openssl_last_error());
        return 1;
    }
    if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
        perror("pipe2");
        return 1;
    }
    handle_signal(SIGPIPE, SIG_IGN);  /* OpenSSL writes to sockets whose client has gone */
    handle_signal(SIGHUP, on_hangup); /* after the open: the handler uses the handle */
    handle_signal(SIGTERM, on_terminate);
    handle_signal(SIGINT, on_terminate);

    const int listener = listen_on(arguments.host, arguments.port);
    announce(listener, arguments.host);
    accept_until_stopped(listener);

    close(listener);
    finish_connections();
    handle_signal(SIGHUP, SIG_IGN); /* before the close: the handler uses the handle */
    certreload_close(certificates);
    SSL_CTX_free(context); /* in either order */
    return 0;
}
