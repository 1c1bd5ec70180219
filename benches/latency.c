/*
 * From a change to the first client that is shown it: what certreload adds to the quiet time.
 *
 * A pair is renewed by rename(2), 200 times; the clock runs from just before the last rename until
 * a whole handshake has shown the new certificate. The peer, in turns with it, is the least that
 * any watch can do: a thread that waits for inotify, then for the same quiet time, and reads both
 * files.
 *
 * Usage: latency SCRATCH PAIR PAIR; a PAIR is a path without ".pem" and ".key".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handshake.h"

enum { ROTATIONS = 200, QUIET_MS = 50, LIMIT_MS = 5000, MAX_PATH = PATH_MAX + 64 };

static const char *path_in(const char *directory, const char *name) {
    static _Thread_local char paths[8][MAX_PATH];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, MAX_PATH, "%s%s", directory, name);
    return path;
}

/* Renewing. */

static size_t read_file(const char *path, uint8_t *bytes) {
    struct stat facts;
    ssize_t size = -1;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &facts) != 0 || (size = read(file, bytes, MAX_BYTES)) < 0) {
        die(path);
    }
    close(file);
    return (size_t)size;
}

static void copy(const char *from, const char *to) {
    uint8_t bytes[MAX_BYTES];
    const size_t size = read_file(from, bytes);
    const int file = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || write(file, bytes, size) != (ssize_t)size) {
        die(to);
    }
    close(file);
}

/* Puts a pair into place; tells when the last rename began. */
static double renew(const char *directory, const char *pair) {
    copy(path_in(pair, ".key"), path_in(directory, "/new.key"));
    copy(path_in(pair, ".pem"), path_in(directory, "/new.pem"));
    if (rename(path_in(directory, "/new.key"), path_in(directory, "/live.key")) != 0) {
        die("rename");
    }
    const double begun = now_ns();
    if (rename(path_in(directory, "/new.pem"), path_in(directory, "/live.pem")) != 0) {
        die("rename");
    }
    return begun;
}

/* A handshake. */

/* The certificates are self-signed, and which of the two it is, is compared. */
static uint32_t trust_any(void *userdata, const rustls_verify_server_cert_params *shown) {
    (void)userdata;
    (void)shown;
    return RUSTLS_RESULT_OK;
}

static const rustls_client_config *client_config(void) {
    rustls_client_config_builder *builder = rustls_client_config_builder_new();
    const rustls_client_config *config = NULL;
    if (rustls_client_config_builder_dangerous_set_certificate_verifier(builder, trust_any) !=
            RUSTLS_RESULT_OK ||
        rustls_client_config_builder_build(builder, &config) != RUSTLS_RESULT_OK) {
        die("the client's config");
    }
    return config;
}

struct certificate {
    uint8_t der[4096];
    size_t size;
};

/* What a client that connects now is shown. */
static struct certificate shake_hands(certreload_handle *handle,
                                      const rustls_client_config *config) {
    rustls_connection *server = NULL, *client = NULL;
    if (certreload_server_connection_new(handle, &server) != CERTRELOAD_RESULT_OK ||
        rustls_client_connection_new(config, "localhost", &client) != RUSTLS_RESULT_OK) {
        die("a connection");
    }
    meet(client, server);
    struct certificate shown = {0};
    const uint8_t *der = NULL;
    if (rustls_certificate_get_der(rustls_connection_get_peer_certificate(client, 0), &der,
                                   &shown.size) != RUSTLS_RESULT_OK ||
        shown.size > sizeof shown.der) {
        die("the peer's certificate");
    }
    memcpy(shown.der, der, shown.size);
    rustls_connection_free(client);
    rustls_connection_free(server);
    return shown;
}

static bool same(const struct certificate *a, const struct certificate *b) {
    return a->size == b->size && memcmp(a->der, b->der, a->size) == 0;
}

/* The two watchers: nanoseconds from a renewal until it is seen. */

static double seen_by_certreload(certreload_handle *handle, const rustls_client_config *config,
                                 const char *directory, const char *pair) {
    const struct certificate before = shake_hands(handle, config);
    const double begun = renew(directory, pair);
    pause_ms(QUIET_MS - 5); /* and then connection after connection */
    for (;;) {
        const struct certificate shown = shake_hands(handle, config);
        const double taken = now_ns() - begun;
        if (!same(&before, &shown)) {
            return taken;
        }
        if (taken > LIMIT_MS * 1e6) {
            die("the renewal was not seen");
        }
    }
}

struct floor {
    const char *directory;
    int notifier;
    atomic_uint seen;
};

static void *watch_and_read(void *argument) {
    struct floor *floor = argument;
    struct pollfd events = {floor->notifier, POLLIN, 0};
    char ignored[4096];
    static uint8_t bytes[MAX_BYTES];
    for (bool changed = false;;) {
        const int count = poll(&events, 1, changed ? QUIET_MS : -1);
        if (count > 0 && read(floor->notifier, ignored, sizeof ignored) > 0) {
            changed = true;
        } else if (count == 0) {
            read_file(path_in(floor->directory, "/live.pem"), bytes);
            read_file(path_in(floor->directory, "/live.key"), bytes);
            changed = false;
            atomic_fetch_add(&floor->seen, 1);
        }
    }
    return NULL;
}

static double seen_by_floor(struct floor *floor, const char *pair) {
    const unsigned before = atomic_load(&floor->seen);
    const double begun = renew(floor->directory, pair);
    pause_ms(QUIET_MS - 5);
    while (atomic_load(&floor->seen) == before) {
        if (now_ns() - begun > LIMIT_MS * 1e6) {
            die("the peer has not seen the renewal");
        }
    }
    return now_ns() - begun;
}

static void start_floor(struct floor *floor) {
    pthread_t thread;
    floor->notifier = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (floor->notifier < 0 ||
        inotify_add_watch(floor->notifier, floor->directory, IN_MOVED_TO | IN_CLOSE_WRITE) < 0 ||
        pthread_create(&thread, NULL, watch_and_read, floor) != 0) {
        die("inotify");
    }
    pthread_detach(thread);
}

static certreload_handle *open_pair(const char *directory) {
    certreload_options *options = certreload_options_new();
    certreload_handle *handle = NULL;
    certreload_options_add_identity(options, path_in(directory, "/live.pem"),
                                    path_in(directory, "/live.key"), NULL);
    /* A client that resumes a session is not shown a certificate, and would report the one of
     * before. */
    if (certreload_options_set_debounce_ms(options, QUIET_MS) != CERTRELOAD_RESULT_OK ||
        certreload_options_set_incomplete_timeout_ms(options, LIMIT_MS) != CERTRELOAD_RESULT_OK ||
        certreload_options_set_resumption(options, CERTRELOAD_RESUMPTION_OFF) !=
            CERTRELOAD_RESULT_OK ||
        certreload_open(options, &handle) != CERTRELOAD_RESULT_OK) {
        die("certreload_open");
    }
    certreload_options_free(options);
    return handle;
}

static double report(const char *what, double *samples, double less) {
    const double median = (percentile(samples, ROTATIONS, 0.5) - less) / 1e6;
    printf("%-52s %8.3f %8.3f %8.3f\n", what, median,
           (percentile(samples, ROTATIONS, 0.99) - less) / 1e6,
           (samples[ROTATIONS - 1] - less) / 1e6);
    return median;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s SCRATCH PAIR PAIR\n", argv[0]);
        return 2;
    }
    static char ours[PATH_MAX], theirs[PATH_MAX];
    static double mine[ROTATIONS], peer[ROTATIONS], handshakes[ROTATIONS];
    struct floor floor = {theirs, -1, 0};
    snprintf(ours, sizeof ours, "%s/certreload", argv[1]);
    snprintf(theirs, sizeof theirs, "%s/peer", argv[1]);
    const char *const pairs[2] = {argv[2], argv[3]};
    mkdir(ours, 0700);
    mkdir(theirs, 0700);
    renew(ours, pairs[0]);
    renew(theirs, pairs[0]);
    certreload_handle *handle = open_pair(ours);
    const rustls_client_config *config = client_config();
    start_floor(&floor);

    for (int i = 0; i < ROTATIONS; i++) {
        const char *pair = pairs[(i + 1) % 2];
        mine[i] = seen_by_certreload(handle, config, ours, pair);
        peer[i] = seen_by_floor(&floor, pair);
        const double begun = now_ns();
        shake_hands(handle, config);
        handshakes[i] = now_ns() - begun;
    }
    printf("from the last rename to a change seen, less the quiet time of %d ms; %d rotations\n",
           QUIET_MS, ROTATIONS);
    printf("%-52s %8s %8s %8s\n", "ms", "p50", "p99", "slowest");
    const double a =
        report("certreload: a handshake shows the new certificate", mine, QUIET_MS * 1e6);
    const double b = report("peer: inotify tells, both files are read", peer, QUIET_MS * 1e6);
    report("of it: one handshake, both sides of it", handshakes, 0);
    printf("ratio of the medians: %.1f\n", a / b);
    certreload_close(handle);
    rustls_client_config_free(config);
    return 0;
}
