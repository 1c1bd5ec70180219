/*
 * What many handles cost in one process: the time to open and to close them, memory, threads,
 * descriptors, and the processor time while nothing changes.
 * Usage: handles SCRATCH CHAIN KEY same|own THREAD|HOST COUNT [IDLE_SECONDS]
 *
 * "same" opens all on one pair, "own" each on a pair of its own, in a directory of its own.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"

enum { MAX_BYTES = 1 << 16, MAX_PATH = PATH_MAX + 64 };

static void copy(const char *from, const char *directory, const char *name) {
    static char bytes[MAX_BYTES];
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *in = fopen(from, "rb");
    size_t size = in == NULL ? 0 : fread(bytes, 1, sizeof bytes, in);
    const int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (size == 0 || out < 0 || write(out, bytes, size) != (ssize_t)size) {
        die(path);
    }
    fclose(in);
    close(out);
}

static certreload_handle *open_one(const char *directory, certreload_runtime runtime) {
    char chain[MAX_PATH], key[MAX_PATH];
    certreload_handle *handle = NULL;
    certreload_options *options = certreload_options_new();
    snprintf(chain, sizeof chain, "%s/chain.pem", directory);
    snprintf(key, sizeof key, "%s/key.pem", directory);
    if (certreload_options_add_identity(options, chain, key, NULL) != CERTRELOAD_RESULT_OK ||
        certreload_options_set_runtime(options, runtime) != CERTRELOAD_RESULT_OK ||
        certreload_open(options, &handle) != CERTRELOAD_RESULT_OK) {
        die("certreload_open");
    }
    certreload_options_free(options);
    return handle;
}

static int entries_of(const char *path) {
    DIR *directory = opendir(path);
    int count = -2; /* "." and ".." */
    while (directory != NULL && readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static long pss_kib(void) {
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long kib = -1;
    while (file != NULL && kib < 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "Pss:", 4) == 0) {
            kib = strtol(line + 4, NULL, 10);
        }
    }
    fclose(file);
    return kib;
}

/* What was asked of malloc() and not given back. */
static double heap_kib(void) {
    const struct mallinfo2 heap = mallinfo2();
    return (double)(heap.uordblks + heap.hblkhd) / 1024;
}

/* Returns the share of one core that the process uses while nothing changes, in percent. The first
 * polls are left out: they read files that are still too new for their time stamps to prove
 * anything. */
static double idle_percent(long seconds) {
    enum { FIRST_POLLS_MS = 15000 };
    pause_ms(FIRST_POLLS_MS);
    const double used = clock_ns(CLOCK_PROCESS_CPUTIME_ID), begun = now_ns();
    pause_ms(seconds * 1000);
    return 100 * (clock_ns(CLOCK_PROCESS_CPUTIME_ID) - used) / (now_ns() - begun);
}

int main(int argc, char **argv) {
    const int count = argc == 7 || argc == 8 ? atoi(argv[6]) : 0;
    const long idle_seconds = argc == 8 ? atol(argv[7]) : 0;
    if (count < 2 || idle_seconds < 0) {
        fprintf(stderr, "usage: %s SCRATCH CHAIN KEY same|own THREAD|HOST COUNT [IDLE_SECONDS]\n",
                argv[0]);
        return 2;
    }
    const bool own = strcmp(argv[4], "own") == 0;
    const certreload_runtime runtime =
        strcmp(argv[5], "HOST") == 0 ? CERTRELOAD_RUNTIME_HOST : CERTRELOAD_RUNTIME_THREAD;
    certreload_handle **handles = calloc((size_t)count, sizeof *handles);
    char(*directories)[64] = calloc((size_t)count, sizeof *directories);
    if (handles == NULL || directories == NULL || chdir(argv[1]) != 0) {
        die(argv[1]);
    }
    for (int i = 0; i < count; i++) {
        snprintf(directories[i], sizeof directories[i], "%d", own ? i : 0);
        if (mkdir(directories[i], 0700) == 0) {
            copy(argv[2], directories[i], "chain.pem");
            copy(argv[3], directories[i], "key.pem");
        }
    }

    handles[0] = open_one(directories[0], runtime);
    const int threads = entries_of("/proc/self/task"), descriptors = entries_of("/proc/self/fd");
    const long pss = pss_kib();
    const double heap = heap_kib(), begun = now_ns();
    for (int i = 1; i < count; i++) {
        handles[i] = open_one(directories[i], runtime);
    }
    const double opened = now_ns();
    const int more_threads = entries_of("/proc/self/task") - threads;
    const int more_descriptors = entries_of("/proc/self/fd") - descriptors;
    const double more_pss = (double)(pss_kib() - pss), more_heap = heap_kib() - heap;
    const double idle = idle_seconds > 0 ? idle_percent(idle_seconds) : 0;
    const double others = count - 1, closing = now_ns();
    for (int i = 0; i < count; i++) {
        certreload_close(handles[i]);
    }
    printf("%5d %-5s %-7s %9.2f %9.2f %10.1f %10.1f %8d %12d", count, argv[4], argv[5],
           (opened - begun) / 1e9, (now_ns() - closing) / 1e9, more_heap / others,
           more_pss / others, more_threads, more_descriptors);
    if (idle_seconds > 0) {
        printf(" %8.2f", idle);
    }
    putchar('\n');
    free(handles);
    free(directories);
    return 0;
}
