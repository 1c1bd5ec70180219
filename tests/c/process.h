/* What this process is made of at the moment, as the kernel tells. */

#ifndef CERTRELOAD_TEST_PROCESS_H
#define CERTRELOAD_TEST_PROCESS_H

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

/* Whether a tool is at work that has memory of its own: limits of memory would meet the tool, and
 * everything takes its time. */
static inline bool is_under_a_tool(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#else
#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
#endif
}

static inline size_t entries_of(const char *directory) {
    DIR *entries = opendir(directory);
    CHECK(entries != NULL);
    size_t count = 0;
    while (readdir(entries) != NULL)
        count++;
    closedir(entries);
    return count - 2; /* "." and ".." */
}

static inline size_t threads_of_process(void) {
    return entries_of("/proc/self/task");
}

/* Without the one that it takes to count them. */
static inline size_t open_descriptors(void) {
    return entries_of("/proc/self/fd") - 1;
}

/* Of those, how many are called so: "anon_inode:inotify". */
static inline size_t descriptors_called(const char *name) {
    DIR *entries = opendir("/proc/self/fd");
    CHECK(entries != NULL);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char path[300], target[64] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        if (readlink(path, target, sizeof target - 1) > 0 && strcmp(target, name) == 0)
            count++;
    }
    closedir(entries);
    return count;
}

/* A thread that has been waited for may still be listed, and hold what it held, for a moment; also
 * while `threads` was counted. */
static inline void wait_until_as_before(size_t threads, size_t descriptors) {
    time_t limit = time(NULL) + PATIENCE_SECONDS;
    while ((threads_of_process() > threads || open_descriptors() != descriptors) &&
           time(NULL) < limit)
        sched_yield();
    CHECK(threads_of_process() <= threads);
    CHECK_INT(open_descriptors(), descriptors);
}

/* A line of a file of the kernel's in KiB: "Pss:" of /proc/self/smaps_rollup. */
static inline long kib_of(const char *path, const char *field) {
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    char line[256];
    long kib = -1;
    while (kib < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            kib = strtol(line + strlen(field), NULL, 10);
    fclose(file);
    CHECK(kib >= 0);
    return kib;
}

static inline double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#endif
