/*
 * A prefork HTTPS server: a master, and workers that serve one client at a time each. Every worker
 * gets a renewed certificate without a restart.
 *
 *     prefork_server --workers 4 --cert fullchain.pem --key privkey.pem
 *     prefork_server --workers 4 --user www-data --cert fullchain.pem --key privkey.pem    (as
 * root)
 *
 * Without --user, the master opens a handle before it forks, and each worker continues with it and
 * watches the files itself. With --user, the workers cannot read the key: the master watches the
 * files and sends each renewed pair to the workers through a socket pair, without a file.
 *
 * The lines that matter are marked "certreload:"; there are six places. Read https_server.c first.
 *
 * SPDX-License-Identifier: Apache-2.0 OR ISC OR MIT
 */

#define _GNU_SOURCE

#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "blocking_tls.h"
#include "certreload.h"
#include "plumbing.h"
#include "rustls.h"

enum { MAX_WORKERS = 64, MAX_PAIR = 65536, RETRY_MS = 200 };

struct worker {
    pid_t pid;
    int channel; /* to the worker, which ends when the master closes it */
};

/* A matching chain and key, for workers that cannot read the files. */
struct pair {
    size_t chain_size, key_size;
    char bytes[MAX_PAIR]; /* the chain, followed by the key */
};

static certreload_handle *certificates;
static struct arguments arguments;
static struct passwd *user; /* NULL: the workers keep the user of the master */
static struct worker workers[MAX_WORKERS];
static size_t worker_count = 4;
static struct pair pair; /* with --user: the pair that every worker should serve */
static int listener;

/*
 * certreload: 1. Open the files once, in the master. A worker that cannot read them opens the bytes
 * of the master instead. An identity in memory has no files to watch, so that worker needs no
 * thread of the library.
 */
static bool open_certificates(const certreload_identity_bytes *bytes) {
    certreload_options *options = certreload_options_new();

    if (bytes == NULL) {
        certreload_options_add_identity(options, arguments.certs[0], arguments.keys[0], NULL);
    } else {
        certreload_options_add_identity_memory(options, bytes, sizeof *bytes);
        certreload_options_set_runtime(options, CERTRELOAD_RUNTIME_HOST);
    }
    if (arguments.poll_ms != 0) {
        certreload_options_set_poll_interval_ms(options, arguments.poll_ms);
    }
    /* Also returns the failure of any call above: options fail closed. */
    const certreload_result result = certreload_open(options, &certificates);
    certreload_options_free(options); /* wipes its copy of the key */
    return result == CERTRELOAD_RESULT_OK;
}

/*
 * certreload: 2. Take events in the loops of master and workers, when certreload_event_fd() is
 * readable. Returns whether there is a new certificate.
 */
static bool take_events(void) {
    const certreload_event *event;
    bool is_reloaded = false;

    while (certreload_next_event(certificates, &event) == CERTRELOAD_RESULT_OK) {
        is_reloaded = is_reloaded || event->kind == CERTRELOAD_EVENT_KIND_RELOADED;
        if (!arguments.quiet) {
            printf("event %s pid %ld generation %" PRIu64 ": %s\n",
                   certreload_event_kind_str(event->kind), (long)getpid(), event->generation,
                   event->message);
        }
    }
    return is_reloaded;
}

static certreload_identity_bytes bytes_of(const struct pair *from) {
    certreload_identity_bytes bytes = {0};
    bytes.chain_pem = from->bytes;
    bytes.chain_pem_size = from->chain_size;
    bytes.key_pem = from->bytes + from->chain_size;
    bytes.key_pem_size = from->key_size;
    return bytes;
}

/*
 * certreload: 3. In the master: read the pair for the workers.
 *
 * Both files may be renewed between the two reads. certreload_check() detects a pair that does not
 * match, and the caller retries.
 */
static bool read_pair(void) {
    static struct pair fresh;
    fresh.chain_size = read_file(arguments.certs[0], fresh.bytes, MAX_PAIR);
    fresh.key_size =
        read_file(arguments.keys[0], fresh.bytes + fresh.chain_size, MAX_PAIR - fresh.chain_size);
    const certreload_identity_bytes bytes = bytes_of(&fresh);
    certreload_options *options = certreload_options_new();
    certreload_options_add_identity_memory(options, &bytes, sizeof bytes);
    const bool is_pair = certreload_check(options) == CERTRELOAD_RESULT_OK;
    certreload_options_free(options); /* wipes its copy of the key */
    if (is_pair) {
        pair = fresh;
    }
    explicit_bzero(&fresh, sizeof fresh);
    return is_pair;
}

/* Returns false if a worker did not get the pair. A second copy of it has no effect on a worker. */
static bool send_to_workers(void) {
    const size_t size = offsetof(struct pair, bytes) + pair.chain_size + pair.key_size;
    bool is_sent = true;

    for (size_t i = 0; i < worker_count; i++) {
        is_sent = send(workers[i].channel, &pair, size, MSG_DONTWAIT) == (ssize_t)size && is_sent;
    }
    return is_sent;
}

/*
 * certreload: 4. In a worker: use the inherited handle. It serves since the fork;
 * certreload_after_fork() restores reloading. With --user the worker closes it, which does not
 * affect the master, and opens a handle with the inherited pair.
 */
static void start_serving(void) {
    bool is_good = user != NULL || certreload_after_fork(certificates) == CERTRELOAD_RESULT_OK;

    if (user != NULL) {
        const certreload_identity_bytes bytes = bytes_of(&pair);
        certreload_close(certificates);
        is_good = open_certificates(&bytes);
        explicit_bzero(&pair, sizeof pair);
    }
    if (!is_good) {
        fprintf(stderr, "%s\n", certreload_last_error());
        exit(1);
    }
    if (user != NULL &&
        (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)) {
        perror("cannot become the user");
        exit(1);
    }
}

/*
 * certreload: 5. In a worker: receive a message of the master. If the worker reads the files
 * itself, the message is a request to reload; otherwise it is the new pair. Returns false at the
 * end.
 */
static bool receive_from_master(int channel) {
    const ssize_t size = recv(channel, &pair, sizeof pair, 0);
    const certreload_identity_bytes bytes = bytes_of(&pair);

    if (size > 0 && user == NULL) {
        certreload_reload(certificates);
    } else if (size > 0 && certreload_push_identity(certificates, 0, &bytes, sizeof bytes) >
                               CERTRELOAD_RESULT_UNCHANGED) {
        fprintf(stderr, "%s\n", certreload_last_error());
    }
    explicit_bzero(&pair, sizeof pair);
    return size > 0;
}

/*
 * certreload: 6. Make a TLS connection for each client with the certificate that is current now.
 * certreload_server_connection_new() is enough for most servers; this one also reports the
 * certificate. It serves one request per connection, because the next client may be waiting.
 */
static void serve(int socket) {
    const certreload_generation *generation = certreload_generation_acquire(certificates);
    const int64_t deadline = now() + REQUEST_SECONDS;
    rustls_connection *tls = NULL;
    struct request request;
    char body[256];

    if (rustls_server_connection_new(certreload_generation_borrow_server_config(generation),
                                     &tls) == RUSTLS_RESULT_OK &&
        read_request(tls, socket, deadline, &request)) {
        snprintf(body, sizeof body, "pid %ld\ngeneration %" PRIu64 "\ncertificate %s\n",
                 (long)getpid(), certreload_generation_number(generation),
                 certreload_identity_sha256(certreload_generation_identity(generation, 0)));
        send_answer(tls, socket, deadline, &request, body);
    }
    rustls_connection_free(tls);
    certreload_generation_release(generation);
    hang_up(socket, deadline);
}

/* The loop of a worker: messages of the master, events of the handle, clients. */
static void work(int channel) {
    start_serving();
    for (;;) {
        struct pollfd wait[3] = {{channel, POLLIN, 0},
                                 {certreload_event_fd(certificates), POLLIN, 0},
                                 {listener, POLLIN, 0}};
        poll(wait, 3, -1);
        if (wait[0].revents != 0 && !receive_from_master(channel)) {
            break;
        }
        if (wait[1].revents != 0) {
            if (user != NULL) {
                certreload_dispatch(
                    certificates); /* CERTRELOAD_RUNTIME_HOST: runs the pending work */
            }
            take_events();
        }
        if (wait[2].revents != 0) {
            const int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            if (socket >= 0) {
                serve(socket);
            }
        }
    }
    certreload_close(certificates);
    exit(0);
}

/* Forks a worker. It inherits the open handle and, with --user, the pair. */
static void start_worker(struct worker *worker) {
    int ends[2];

    /* SOCK_SEQPACKET sends a message as a whole or not at all. */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0 ||
        (worker->pid = fork()) < 0) {
        perror("cannot start a worker");
        exit(1);
    }
    if (worker->pid == 0) {
        sigset_t none;
        close(ends[0]);
        for (size_t i = 0; i < worker_count; i++) {
            if (&workers[i] != worker && workers[i].channel > 0) {
                close(workers[i].channel); /* only the master writes to workers */
            }
        }
        signal(SIGHUP,
               SIG_IGN); /* a terminal signals every process; the master informs the workers */
        signal(SIGINT, SIG_IGN);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        work(ends[1]);
    }
    close(ends[1]);
    worker->channel = ends[0];
}

/* Replaces each worker that has ended. Returns false if a worker failed to start. */
static bool replace_workers(void) {
    pid_t ended;
    int status;

    while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
        if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
            return false;
        }
        for (size_t i = 0; i < worker_count; i++) {
            if (workers[i].pid == ended) {
                close(workers[i].channel);
                start_worker(&workers[i]);
                printf("worker %ld replaces %ld\n", (long)workers[i].pid, (long)ended);
            }
        }
    }
    return true;
}

/* The loop of the master. It sends each renewed pair again until every worker has it. */
static int run_master(int signals) {
    struct pollfd wait[2] = {{signals, POLLIN, 0}, {certreload_event_fd(certificates), POLLIN, 0}};
    struct signalfd_siginfo info;
    bool is_behind = false; /* a worker does not have the new pair yet */

    for (;;) {
        poll(wait, 2, is_behind ? RETRY_MS : -1);
        is_behind = (take_events() && user != NULL) || is_behind;
        is_behind = is_behind && !(read_pair() && send_to_workers());
        while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
            if (info.ssi_signo == SIGCHLD) {
                if (!replace_workers()) {
                    return 1;
                }
            } else if (info.ssi_signo == SIGHUP) {
                certreload_reload(certificates);
                for (size_t i = 0; user == NULL && i < worker_count; i++) {
                    send(workers[i].channel, "", 1, MSG_DONTWAIT);
                }
            } else {
                return 0;
            }
        }
    }
}

/* Removes the two options of this server; plumbing.h parses the others. */
static void take_own_arguments(int *argc, char **argv) {
    int kept = 1;

    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--workers") == 0 && i + 1 < *argc) {
            worker_count = number(argv[++i], MAX_WORKERS, argv[0]);
        } else if (strcmp(argv[i], "--user") == 0 && i + 1 < *argc) {
            user = getpwnam(argv[++i]);
            if (user == NULL || geteuid() != 0) {
                fprintf(stderr, "--user: root only, and an existing user\n");
                exit(1);
            }
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    argv[kept] = NULL;
}

int main(int argc, char **argv) {
    sigset_t handled;

    take_own_arguments(&argc, argv);
    arguments = parse_arguments(argc, argv);
    if (arguments.identities != 1 || worker_count == 0) {
        usage(argv[0]);
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* each event is visible at once, as a whole line */
    sigemptyset(&handled);
    sigaddset(&handled, SIGHUP);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGCHLD);
    sigprocmask(SIG_BLOCK, &handled, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (!open_certificates(NULL) || (user != NULL && !read_pair())) {
        fprintf(stderr, "%s\n", certreload_last_error());
        return 1;
    }
    listener = listen_on(arguments.host, arguments.port);
    const int signals = signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
    for (size_t i = 0; i < worker_count; i++) {
        start_worker(&workers[i]);
    }
    announce(listener, arguments.host);
    const int status = run_master(signals);

    close(listener);
    for (size_t i = 0; i < worker_count; i++) {
        close(workers[i].channel);
    }
    while (wait(NULL) > 0) {
    }
    close(signals);
    certreload_close(certificates);
    explicit_bzero(&pair, sizeof pair);
    return status;
}
