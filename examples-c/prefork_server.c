/*
 * An HTTPS server of the prefork kind: a master, and workers that serve one client at a time each.
 * All of them get a renewed certificate, and none is restarted for it.
 *
 *     prefork_server --workers 4 --cert fullchain.pem --key privkey.pem
 *     prefork_server --workers 4 --user nobody --cert fullchain.pem --key privkey.pem    (as root)
 *
 * Without --user, the master opens a handle before it forks, and each worker takes it up: from
 * there on the worker watches the files by itself. With --user, the workers may not read the key:
 * the master watches the files, and hands over what is new, in memory, through a socket pair.
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
    int channel; /* to the worker, which ends when this is closed */
};

/* A chain and a key that belong together, for workers that may not read them. */
struct pair {
    size_t chain_size, key_size;
    char bytes[MAX_PAIR]; /* the chain, and behind it the key */
};

static certreload_handle *certificates;
static struct arguments arguments;
static struct passwd *user; /* NULL: the workers stay who they are */
static struct worker workers[MAX_WORKERS];
static size_t worker_count = 4;
static struct pair pair; /* with --user: what the workers are to have */
static int listener;

/*
 * certreload: 1. Open the files, once, in the master; or what the master has sent, in a worker that
 * may not read them. Where all comes from memory nothing needs a thread: the worker's own will do.
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
    /* Returns the failure of any of the calls above, too. */
    const certreload_result result = certreload_open(options, &certificates);
    certreload_options_free(options); /* which wipes its copy of the key */
    return result == CERTRELOAD_RESULT_OK;
}

/*
 * certreload: 2. Events, taken in the loops of master and workers: certreload_event_fd() says when.
 * Tells whether there is a new certificate.
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

static certreload_identity_bytes bytes_of(const struct pair *pair) {
    certreload_identity_bytes bytes = {0};
    bytes.chain_pem = pair->bytes;
    bytes.chain_pem_size = pair->chain_size;
    bytes.key_pem = pair->bytes + pair->chain_size;
    bytes.key_pem_size = pair->key_size;
    return bytes;
}

/*
 * certreload: 3. In the master: keep the pair that workers are to have.
 *
 * After the chain was read and before the key was, both may have been renewed once more.
 * certreload_check() finds out, and the caller tries again.
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
    certreload_options_free(options); /* which wipes its copy of the key */
    if (is_pair) {
        pair = fresh;
    }
    explicit_bzero(&fresh, sizeof fresh);
    return is_pair;
}

/* False: not everybody has it. Those who get it twice are not disturbed. */
static bool hand_to_workers(void) {
    const size_t size = offsetof(struct pair, bytes) + pair.chain_size + pair.key_size;
    bool is_handed = true;

    for (size_t i = 0; i < worker_count; i++) {
        is_handed =
            send(workers[i].channel, &pair, size, MSG_DONTWAIT) == (ssize_t)size && is_handed;
    }
    return is_handed;
}

/*
 * certreload: 4. In a worker: what becomes of the handle that it inherits. It has served ever since
 * the fork; certreload_after_fork() makes it reload here, too. Or it is closed, which the master
 * does not notice, and another one is opened with the pair, which was inherited as well.
 */
static void take_over(void) {
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
 * certreload: 5. In a worker: what the master says. To one that reads the files itself it is no
 * more than "look again". False: there will be no more of it.
 */
static bool listen_to_master(int channel) {
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
 * certreload: 6. A TLS connection for each client, with the config that is current now.
 * certreload_server_connection_new() is all that most servers need; this one also tells which
 * certificate it is. One request of each, for the next client may be waiting.
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

static void work(int channel) {
    take_over();
    for (;;) {
        struct pollfd wait[3] = {{channel, POLLIN, 0},
                                 {certreload_event_fd(certificates), POLLIN, 0},
                                 {listener, POLLIN, 0}};
        poll(wait, 3, -1);
        if (wait[0].revents != 0 && !listen_to_master(channel)) {
            break;
        }
        if (wait[1].revents != 0) {
            if (user != NULL) {
                certreload_dispatch(certificates); /* nobody else does what there is to do */
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

static void start_worker(struct worker *worker) {
    int ends[2];

    /* A message of such a socket is whole, or is not sent. */
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
                close(workers[i].channel); /* none speaks to another in the master's name */
            }
        }
        signal(SIGHUP, SIG_IGN); /* a terminal tells everybody; workers listen to the master */
        signal(SIGINT, SIG_IGN);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        work(ends[1]);
    }
    close(ends[1]);
    worker->channel = ends[0];
}

/* Puts a worker in the place of each that has ended; false: they cannot even start. */
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

static int run_master(int signals) {
    struct pollfd wait[2] = {{signals, POLLIN, 0}, {certreload_event_fd(certificates), POLLIN, 0}};
    struct signalfd_siginfo info;
    bool is_behind = false; /* there is a new pair, and not every worker has it */

    for (;;) {
        poll(wait, 2, is_behind ? RETRY_MS : -1);
        is_behind = (take_events() && user != NULL) || is_behind;
        is_behind = is_behind && !(read_pair() && hand_to_workers());
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

/* The two options that are this server's own; the others are left for plumbing.h. */
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
    setvbuf(stdout, NULL, _IOLBF, 0); /* events show at once, whole lines */
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
