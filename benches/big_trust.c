/*
 * A bundle of roots of the platform's size and a revocation list of many entries, reloaded again
 * and again: how long that takes, whether handshakes on another thread are held up, and what memory
 * comes to. Each handshake is a full one, and looks the client's certificate up in the list.
 *
 * Usage: big_trust DIRECTORY, in which ca.pem, roots.pem (ca.pem among them), fewer.pem (the same
 * less one that signed none of these), ca.crl, server.pem, server.key, client.pem and client.key
 * are.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "handshake.h"

enum { RELOADS = 20, MAX_SAMPLES = 1 << 20, QUIET_MS = 3000, MAX_PATH = PATH_MAX + 64 };

static const char *directory;

static const char *path_to(const char *name) {
    static char paths[4][MAX_PATH];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, MAX_PATH, "%s/%s", directory, name);
    return path;
}

static certreload_handle *open_handle(void) {
    certreload_options *options = certreload_options_new();
    certreload_handle *handle = NULL;
    if (certreload_options_add_identity(options, path_to("server.pem"), path_to("server.key"),
                                        NULL) != CERTRELOAD_RESULT_OK ||
        certreload_options_set_client_auth(options, CERTRELOAD_CLIENT_AUTH_REQUIRED,
                                           path_to("live-roots")) != CERTRELOAD_RESULT_OK ||
        certreload_options_add_crl(options, path_to("ca.crl")) != CERTRELOAD_RESULT_OK ||
        /* Roots of the platform have no lists here. */
        certreload_options_set_crl_rules(options, CERTRELOAD_CRL_ALLOW_UNKNOWN) !=
            CERTRELOAD_RESULT_OK ||
        certreload_options_set_watch(options, CERTRELOAD_WATCH_OFF) != CERTRELOAD_RESULT_OK) {
        die("options");
    }
    const double begun = now_ns();
    if (certreload_open(options, &handle) != CERTRELOAD_RESULT_OK) {
        die("certreload_open");
    }
    printf("opened in %.0f ms\n", (now_ns() - begun) / 1e6);
    certreload_options_free(options);
    return handle;
}

/* Lets the link to the roots lead elsewhere. */
static void use_roots(const char *name) {
    if (symlink(name, path_to("live-roots.new")) != 0 ||
        rename(path_to("live-roots.new"), path_to("live-roots")) != 0) {
        die("live-roots");
    }
}

/* --- Clients that come all the time --- */

struct visits {
    certreload_handle *handle;
    struct clients clients;
    atomic_bool is_over;
    double *took;
    size_t count;
};

static void *visit(void *argument) {
    struct visits *visits = argument;
    for (visits->count = 0; !atomic_load(&visits->is_over) && visits->count < MAX_SAMPLES;) {
        const rustls_client_config *config = client_config_of(&visits->clients, 0x0304);
        rustls_connection *client = NULL, *server = NULL;
        const double begun = now_ns();
        if (rustls_client_connection_new(config, "localhost", &client) != RUSTLS_RESULT_OK ||
            certreload_server_connection_new(visits->handle, &server) != CERTRELOAD_RESULT_OK) {
            die("a connection");
        }
        meet(client, server);
        visits->took[visits->count++] = now_ns() - begun;
        rustls_connection_free(client);
        rustls_connection_free(server);
        rustls_client_config_free(config);
    }
    return NULL;
}

static pthread_t begin(struct visits *visits) {
    pthread_t thread;
    atomic_store(&visits->is_over, false);
    if (pthread_create(&thread, NULL, visit, visits) != 0) {
        die("pthread_create");
    }
    return thread;
}

static void report(const char *what, struct visits *visits, pthread_t thread) {
    atomic_store(&visits->is_over, true);
    pthread_join(thread, NULL);
    const double middle = percentile(visits->took, visits->count, 0.5) / 1e6;
    printf("%-40s %8zu %8.2f %8.2f %8.2f\n", what, visits->count, middle,
           percentile(visits->took, visits->count, 0.99) / 1e6,
           visits->took[visits->count - 1] / 1e6);
}

/* --- Reloads --- */

static long resident_kib(void) {
    long kib = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmRSS: %ld", &kib) == 1) {
            break;
        }
    }
    fclose(file);
    return kib;
}

static void reload_all(certreload_handle *handle) {
    double took[RELOADS];
    long memory[RELOADS];
    for (int i = 0; i < RELOADS; i++) {
        use_roots(i % 2 == 0 ? "fewer.pem" : "roots.pem");
        const double begun = now_ns();
        if (certreload_reload_wait(handle, 60000) != CERTRELOAD_RESULT_OK) {
            die("certreload_reload_wait");
        }
        took[i] = (now_ns() - begun) / 1e6;
        memory[i] = resident_kib();
    }
    const double middle = percentile(took, RELOADS, 0.5);
    printf("%d reloads: median %.0f ms, slowest %.0f ms; resident memory after number 1, 2, 5, "
           "10, 20: %ld %ld %ld %ld %ld KiB\n",
           RELOADS, middle, took[RELOADS - 1], memory[0], memory[1], memory[4], memory[9],
           memory[19]);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    directory = argv[1];
    use_aws_lc();
    use_roots("roots.pem");
    struct visits visits = {
        .clients = {verifier_of_servers(path_to("ca.pem")),
                    certified_key(path_to("client.pem"), path_to("client.key"))},
        .took = calloc(MAX_SAMPLES, sizeof(double))};
    printf("resident memory before: %ld KiB; ", resident_kib());
    visits.handle = open_handle();
    printf("%-40s %8s %8s %8s %8s\n", "ms for a handshake, both ends of it", "count", "p50", "p99",
           "slowest");
    pthread_t thread = begin(&visits);
    pause_ms(QUIET_MS);
    report("while nothing happens", &visits, thread);
    thread = begin(&visits);
    reload_all(visits.handle);
    report("while these reloads went on", &visits, thread);
    certreload_close(visits.handle);
    rustls_server_cert_verifier_free(visits.clients.verifier);
    rustls_certified_key_free(visits.clients.identity);
    free(visits.took);
    return 0;
}
