/*
 * What certreload costs where a server calls it: against the same work done without it, in one run.
 *
 * Each pair is measured in turns, many short rounds of each, and compared by its medians: what else
 * the machine does meets both alike. Usage: hot_path CHAIN KEY
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "measure.h"
#include "rustls.h"

enum { ROUNDS = 41, CONNECTIONS = 2000, ACQUISITIONS = 200000, OPENS = 41, MAX_THREADS = 2 };

static certreload_handle *handle;
static const rustls_server_config *fixed;

/* The two ways to a connection. */

static void connections_by_rustls(long count) {
    for (long i = 0; i < count; i++) {
        rustls_connection *connection = NULL;
        if (rustls_server_connection_new(fixed, &connection) != RUSTLS_RESULT_OK) {
            die("rustls_server_connection_new");
        }
        rustls_connection_free(connection);
    }
}

static void connections_by_certreload(long count) {
    for (long i = 0; i < count; i++) {
        rustls_connection *connection = NULL;
        if (certreload_server_connection_new(handle, &connection) != CERTRELOAD_RESULT_OK) {
            die("certreload_server_connection_new");
        }
        rustls_connection_free(connection);
    }
}

/* The two ways to a counted config. The peer is what C servers write by hand: a read lock around a
 * pointer and its count. */

struct counted {
    atomic_long references;
};

static struct counted only = {1};
static struct counted *current = &only;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

static void configs_by_rwlock(long count) {
    for (long i = 0; i < count; i++) {
        pthread_rwlock_rdlock(&lock);
        struct counted *mine = current;
        atomic_fetch_add_explicit(&mine->references, 1, memory_order_relaxed);
        pthread_rwlock_unlock(&lock);
        if (atomic_fetch_sub_explicit(&mine->references, 1, memory_order_acq_rel) == 1) {
            abort();
        }
    }
}

static void configs_by_certreload(long count) {
    for (long i = 0; i < count; i++) {
        rustls_server_config_free(certreload_acquire_server_config(handle));
    }
}

/* Measuring. */

struct job {
    void (*work)(long);
    long count;
    pthread_barrier_t *start;
    double begun, ended;
};

static void *run_job(void *argument) {
    struct job *job = argument;
    pthread_barrier_wait(job->start);
    job->begun = now_ns();
    job->work(job->count);
    job->ended = now_ns();
    return NULL;
}

/* Nanoseconds for each call on each of `threads` threads at once: from when the first one begins
 * until the last one ends. */
static double measure(void (*work)(long), long count, int threads) {
    pthread_t ids[MAX_THREADS];
    struct job jobs[MAX_THREADS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        jobs[i] = (struct job){work, count, &start, 0, 0};
    }
    for (int i = 1; i < threads; i++) {
        if (pthread_create(&ids[i], NULL, run_job, &jobs[i]) != 0) {
            die("pthread_create");
        }
    }
    run_job(&jobs[0]);
    double begun = jobs[0].begun, ended = jobs[0].ended;
    for (int i = 1; i < threads; i++) {
        pthread_join(ids[i], NULL);
        begun = jobs[i].begun < begun ? jobs[i].begun : begun;
        ended = jobs[i].ended > ended ? jobs[i].ended : ended;
    }
    pthread_barrier_destroy(&start);
    return (ended - begun) / (double)count;
}

static void compare(const char *what, void (*ours)(long), void (*theirs)(long), long count,
                    int threads) {
    double mine[ROUNDS], peer[ROUNDS];
    measure(ours, count / 4, threads);
    measure(theirs, count / 4, threads);
    for (int round = 0; round < ROUNDS; round++) {
        mine[round] = measure(ours, count, threads);
        peer[round] = measure(theirs, count, threads);
    }
    double a = percentile(mine, ROUNDS, 0.5), b = percentile(peer, ROUNDS, 0.5);
    printf("%-56s %2d %10.1f %10.1f %7.3f\n", what, threads, a, b, a / b);
}

static const rustls_server_config *fixed_config(const char *chain, const char *key) {
    static unsigned char chain_pem[1 << 16], key_pem[1 << 16];
    FILE *file = fopen(chain, "rb");
    size_t chain_len = file ? fread(chain_pem, 1, sizeof chain_pem, file) : 0;
    if (file) {
        fclose(file);
    }
    file = fopen(key, "rb");
    size_t key_len = file ? fread(key_pem, 1, sizeof key_pem, file) : 0;
    if (file) {
        fclose(file);
    }
    const struct rustls_crypto_provider *provider = rustls_aws_lc_rs_crypto_provider();
    struct rustls_crypto_provider_builder *providers =
        rustls_crypto_provider_builder_new_with_base(provider);
    if (rustls_crypto_provider_builder_build_as_default(providers) != RUSTLS_RESULT_OK) {
        die("provider");
    }
    rustls_crypto_provider_builder_free(providers);
    rustls_crypto_provider_free(provider);
    const struct rustls_certified_key *certified = NULL;
    if (rustls_certified_key_build(chain_pem, chain_len, key_pem, key_len, &certified) !=
        RUSTLS_RESULT_OK) {
        die("rustls_certified_key_build");
    }
    struct rustls_server_config_builder *builder = rustls_server_config_builder_new();
    const rustls_server_config *config = NULL;
    if (rustls_server_config_builder_set_certified_keys(builder, &certified, 1) !=
            RUSTLS_RESULT_OK ||
        rustls_server_config_builder_build(builder, &config) != RUSTLS_RESULT_OK) {
        die("rustls_server_config_builder_build");
    }
    rustls_certified_key_free(certified);
    return config;
}

static void measure_open(const char *chain, const char *key) {
    double first = 0, warm[OPENS];
    for (int i = -1; i < OPENS; i++) {
        double begun = now_ns();
        certreload_handle *opened = NULL;
        if (certreload_open_files(chain, key, &opened) != CERTRELOAD_RESULT_OK) {
            die("certreload_open_files");
        }
        double took = (now_ns() - begun) / 1e6;
        certreload_close(opened);
        if (i < 0) {
            first = took;
        } else {
            warm[i] = took;
        }
    }
    double middle = percentile(warm, OPENS, 0.5);
    printf("certreload_open_files, threads and handshakes included: first %.2f ms, then median "
           "%.2f ms, slowest %.2f ms\n",
           first, middle, warm[OPENS - 1]);
}

/* The first random byte of a process makes aws-lc gather entropy for a while, with certreload or
 * without: told by itself. */
static void measure_first_random_byte(void) {
    const struct rustls_crypto_provider *provider = rustls_aws_lc_rs_crypto_provider();
    uint8_t byte;
    double begun = now_ns();
    if (rustls_crypto_provider_random(provider, &byte, sizeof byte) != RUSTLS_RESULT_OK) {
        die("rustls_crypto_provider_random");
    }
    printf("the first random byte of aws-lc, once a process: %.2f ms\n", (now_ns() - begun) / 1e6);
    rustls_crypto_provider_free(provider);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s CHAIN KEY\n", argv[0]);
        return 2;
    }
    measure_first_random_byte();
    measure_open(argv[1], argv[2]);
    fixed = fixed_config(argv[1], argv[2]);
    if (certreload_open_files(argv[1], argv[2], &handle) != CERTRELOAD_RESULT_OK) {
        die("certreload_open_files");
    }
    printf("%-56s %2s %10s %10s %7s\n", "ns for each call", "th", "certreload", "peer", "ratio");
    for (int threads = 1; threads <= 2; threads++) {
        compare("new connection, against rustls_server_connection_new", connections_by_certreload,
                connections_by_rustls, CONNECTIONS, threads);
    }
    for (int threads = 1; threads <= 2; threads++) {
        compare("config acquired and freed, against rwlock and count", configs_by_certreload,
                configs_by_rwlock, ACQUISITIONS, threads);
    }
    certreload_close(handle);
    rustls_server_config_free(fixed);
    return 0;
}
