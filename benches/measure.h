/* What the benchmarks share: clocks, the way out, and what a row of samples comes to. */

#ifndef CERTRELOAD_MEASURE_H
#define CERTRELOAD_MEASURE_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "certreload.h"

static inline double clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline double now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

static inline void pause_ms(long ms) {
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static inline void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, certreload_last_error());
    exit(1);
}

static inline int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the samples; `share` is of 1, so 0.5 is the median. */
static inline double percentile(double *samples, size_t count, double share) {
    qsort(samples, count, sizeof *samples, ascending);
    return samples[(size_t)(share * (double)(count - 1) + 0.5)];
}

#endif
