// What programs that measure have in common.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/// Seconds of the monotonic clock.
static inline double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/// For qsort(3): doubles in ascending order.
static inline int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/// Ends the program when a call has failed, with what errno says.
static inline void check(int ok, const char *what) {
    if (ok) return;
    perror(what);
    exit(1);
}
