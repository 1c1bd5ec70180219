/*
 * What a poll costs that finds nothing new: the processor time of the worker for each poll, over
 * more and more files.
 *
 * The peer, in the same run and woken as often, opens, stats, reads and closes each of the files
 * once. Usage: polling SCRATCH CHAIN KEY
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"

enum { POLLS = 30, WARM_POLLS = 3, AGE_MS = 3000, MAX_BYTES = 1 << 16, MAX_PATH = PATH_MAX + 64 };

struct row {
    int files;
    uint32_t interval_ms;
};

static const struct row rows[] = {{1, 50}, {100, 50}, {10000, 250}};

static const char *path_of(const char *directory, int number) {
    static char paths[2][MAX_PATH];
    snprintf(paths[number % 2], MAX_PATH, "%s/%d.%s", directory, number / 2,
             number % 2 == 0 ? "pem" : "key");
    return paths[number % 2];
}

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

/* Files 2n and 2n + 1 are a chain and its key; one without a partner is both. */
static void create_files(const char *directory, int count, const char *chain, const char *key) {
    static uint8_t bytes[2][MAX_BYTES];
    const size_t sizes[2] = {read_file(chain, bytes[0]), read_file(key, bytes[1])};
    mkdir(directory, 0700);
    for (int i = 0; i < count; i++) {
        const bool alone = i % 2 == 0 && i + 1 == count;
        FILE *file = fopen(path_of(directory, i), "wxe");
        if (file == NULL || fwrite(bytes[i % 2], 1, sizes[i % 2], file) != sizes[i % 2] ||
            (alone && fwrite(bytes[1], 1, sizes[1], file) != sizes[1]) || fclose(file) != 0) {
            die("writing");
        }
    }
}

static certreload_handle *open_all(const char *directory, const struct row *row) {
    certreload_options *options = certreload_options_new();
    certreload_handle *handle = NULL;
    for (int i = 0; i < row->files; i += 2) {
        const int key = i + 1 < row->files ? i + 1 : i;
        certreload_options_add_identity(options, path_of(directory, i), path_of(directory, key),
                                        NULL);
    }
    certreload_options_set_poll_interval_ms(options, row->interval_ms);
    if (certreload_open(options, &handle) != CERTRELOAD_RESULT_OK) {
        die("certreload_open");
    }
    certreload_options_free(options);
    return handle;
}

static bool is_of_library(const char *task) {
    char path[MAX_PATH], name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", task);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        (void)!fgets(name, sizeof name, file);
        fclose(file);
    }
    return strncmp(name, "certreload", strlen("certreload")) == 0;
}

/* Nanoseconds that the library's threads have had a processor. Those that only read may end in
 * between: their time is lost then, but the one that reads here delivers events, too, and stays. */
static double library_ns(void) {
    double spent = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks != NULL && (task = readdir(tasks)) != NULL;) {
        char path[MAX_PATH], text[64];
        snprintf(path, sizeof path, "/proc/self/task/%.20s/schedstat", task->d_name);
        FILE *file = is_of_library(task->d_name) ? fopen(path, "r") : NULL;
        if (file != NULL) {
            spent += fgets(text, sizeof text, file) != NULL ? strtod(text, NULL) : 0;
            fclose(file);
        }
    }
    closedir(tasks);
    return spent;
}

static uint64_t looks(certreload_handle *handle) {
    certreload_status status;
    if (certreload_get_status(handle, &status, sizeof status) != CERTRELOAD_RESULT_OK) {
        die("certreload_get_status");
    }
    return status.unchanged;
}

/* Until so many looks have found nothing new; tells how many that were. */
static uint64_t wait_for_looks(certreload_handle *handle, uint64_t more) {
    const uint64_t first = looks(handle);
    while (looks(handle) < first + more) {
        pause_ms(5);
    }
    return looks(handle) - first;
}

static double cost_of_certreload(certreload_handle *handle) {
    pause_ms(AGE_MS); /* time stamps of files that have just been written prove nothing */
    wait_for_looks(handle, WARM_POLLS);
    const double before = library_ns();
    const uint64_t polls = wait_for_looks(handle, POLLS);
    return (library_ns() - before) / (double)polls;
}

static double cost_of_peer(const char *directory, const struct row *row) {
    static uint8_t bytes[MAX_BYTES];
    double spent = 0;
    for (int pass = 0; pass < POLLS; pass++) {
        pause_ms(row->interval_ms);
        const double begun = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        for (int i = 0; i < row->files; i++) {
            read_file(path_of(directory, i), bytes);
        }
        spent += clock_ns(CLOCK_THREAD_CPUTIME_ID) - begun;
    }
    return spent / POLLS;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s SCRATCH CHAIN KEY\n", argv[0]);
        return 2;
    }
    printf("%-36s %8s %12s %12s %7s %12s\n", "processor time of a poll, in us", "files",
           "certreload", "peer", "ratio", "ns a file");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        char directory[PATH_MAX];
        snprintf(directory, sizeof directory, "%s/%d", argv[1], row->files);
        create_files(directory, row->files, argv[2], argv[3]);
        certreload_handle *handle = open_all(directory, row);
        const double mine = cost_of_certreload(handle);
        certreload_close(handle);
        const double peer = cost_of_peer(directory, row);
        printf("%-36s %8d %12.1f %12.1f %7.3f %12.0f\n", "nothing changed", row->files, mine / 1e3,
               peer / 1e3, mine / peer, mine / row->files);
    }
    return 0;
}
