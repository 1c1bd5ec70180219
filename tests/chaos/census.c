/* Counts what a process has: threads, descriptors of each kind, memory. */

#define _GNU_SOURCE
#include "chaos.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void count_descriptor(census *all, const char *target) {
    static const char anonymous[] = "anon_inode:";
    const char *kind = strncmp(target, anonymous, sizeof anonymous - 1) == 0
                           ? target + sizeof anonymous - 1
                           : target;
    if (strcmp(kind, "inotify") == 0)
        all->inotify++;
    else if (strcmp(kind, "[eventfd]") == 0)
        all->eventfds++;
    else if (strcmp(kind, "[timerfd]") == 0)
        all->timers++;
    else if (strcmp(kind, "[eventpoll]") == 0)
        all->epolls++;
    else if (strncmp(kind, "socket:", 7) == 0)
        all->sockets++;
    else
        all->others++;
}

census census_take(void) {
    census all = {0};
    struct dirent *entry;
    DIR *directory = opendir("/proc/self/task");
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL)
        all.threads += entry->d_name[0] != '.';
    closedir(directory);
    directory = opendir("/proc/self/fd");
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        char target[256];
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        if (length > 0) {
            target[length] = '\0';
            count_descriptor(&all, target);
        }
    }
    closedir(directory);
    return all;
}

void census_compare(const census *before) {
    /* A thread that closed the last handle in a callback of its own ends a moment later. */
    census now = census_take();
    for (int tries = 0; tries < 200 && memcmp(&now, before, sizeof now) != 0; tries++) {
        usleep(10000);
        now = census_take();
    }
    CHECK_INT(now.threads, before->threads);
    CHECK_INT(now.inotify, before->inotify);
    CHECK_INT(now.eventfds, before->eventfds);
    CHECK_INT(now.timers, before->timers);
    CHECK_INT(now.epolls, before->epolls);
    CHECK_INT(now.sockets, before->sockets);
    CHECK_INT(now.others, before->others);
}

size_t memory_in_use(void) {
    struct mallinfo2 all = mallinfo2();
    return all.uordblks + all.hblkhd;
}

size_t memory_resident(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total = 0, resident = 0;
    CHECK(file != NULL && fscanf(file, "%lu %lu", &total, &resident) == 2 && fclose(file) == 0);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}
