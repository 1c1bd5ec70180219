#define _GNU_SOURCE
#include "host.h"
#include "support.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SEVERAL_THOUSANDS = 5000, MAX_TEXT = 64 * 1024 };

bool is_readable_within(int descriptor, int milliseconds) {
    struct pollfd poll_for = {.fd = descriptor, .events = POLLIN};
    int ready = poll(&poll_for, 1, milliseconds);
    CHECK((poll_for.revents & ~POLLIN) == 0);
    return ready == 1;
}

bool is_readable(int descriptor) {
    return is_readable_within(descriptor, 0);
}

void wait_readable(int descriptor) {
    CHECK(is_readable_within(descriptor, PATIENCE_SECONDS * 1000));
}

static size_t count_entries(const char *path, const char *target) {
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char link[128] = "";
        if (target != NULL)
            (void)!readlinkat(dirfd(directory), entry->d_name, link, sizeof link - 1);
        count += entry->d_name[0] != '.' && (target == NULL || strcmp(link, target) == 0);
    }
    closedir(directory);
    return count;
}

size_t thread_count(void) {
    return count_entries("/proc/self/task", NULL);
}

size_t inotify_descriptor_count(void) {
    return count_entries("/proc/self/fd", "anon_inode:inotify");
}

certreload_options *host_options(const char *chain, const char *key) {
    certreload_options *options = certreload_options_new();
    CHECK(options != NULL);
    CHECK_OK(certreload_options_add_identity(options, chain, key, NULL));
    CHECK_OK(certreload_options_set_runtime(options, CERTRELOAD_RUNTIME_HOST));
    CHECK_OK(certreload_options_set_poll_interval_ms(options, 86400000));
    CHECK_OK(certreload_options_set_debounce_ms(options, 10));
    CHECK_OK(certreload_options_set_incomplete_timeout_ms(options, 5000));
    return options;
}

certreload_handle *open_and_free(certreload_options *options) {
    certreload_handle *handle = NULL;
    CHECK_OK(certreload_open(options, &handle));
    certreload_options_free(options);
    return handle;
}

int dispatch_all(certreload_handle *handle) {
    int descriptor = certreload_event_fd(handle), dispatched = 0;
    while (is_readable(descriptor)) {
        CHECK_OK(certreload_dispatch(handle));
        CHECK(++dispatched < SEVERAL_THOUSANDS);
    }
    return dispatched;
}

void dispatch_until_generation(certreload_handle *handle, uint64_t generation) {
    while (serving_generation(handle) < generation) {
        wait_readable(certreload_event_fd(handle));
        CHECK_OK(certreload_dispatch(handle));
    }
    CHECK_INT(serving_generation(handle), generation);
}

const certreload_event *take_event(certreload_handle *handle) {
    const certreload_event *event = NULL;
    CHECK_OK(certreload_next_event(handle, &event));
    CHECK_INT(event->size, sizeof *event);
    return event;
}

static size_t read_text(const char *path, char *text) {
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    size_t size = fread(text, 1, MAX_TEXT, file);
    CHECK(fclose(file) == 0 && size < MAX_TEXT);
    return size;
}

certreload_result push_files(certreload_handle *handle, size_t index, const char *chain,
                             const char *key) {
    char *texts = malloc(2 * MAX_TEXT);
    CHECK(texts != NULL);
    certreload_identity_bytes bytes = {0};
    bytes.chain_pem = texts;
    bytes.chain_pem_size = read_text(chain, texts);
    bytes.key_pem = texts + MAX_TEXT;
    bytes.key_pem_size = read_text(key, texts + MAX_TEXT);
    certreload_result result = certreload_push_identity(handle, index, &bytes, sizeof bytes);
    free(texts);
    return result;
}

void make_pair_for_seconds(const char *chain, const char *key, const char *name, int seconds) {
    char end[32];
    time_t when = time(NULL) + seconds;
    struct tm utc;
    CHECK(gmtime_r(&when, &utc) != NULL && strftime(end, sizeof end, "%Y%m%d%H%M%SZ", &utc) > 0);
    root_certificate();
    shell("umask 077;"
          " openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config ca.cnf"
          " -subj '/CN=%s' -addext 'subjectAltName=DNS:%s' -keyout '%s' -out leaf.csr;"
          " openssl ca -batch -notext -config ca.cnf -in leaf.csr -out '%s'"
          " -startdate 20200101000000Z -enddate %s",
          name, name, key, chain, end);
}
