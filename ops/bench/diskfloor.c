// diskfloor FILE BYTES SECONDS: appends BYTES and synchronizes, again and again, and prints how long that took.
//
// The limit that the receiver's answer has on this disk, whatever the program: a group of batches is durable when one
// such append is. The file begins anew at 64 MiB, as the spool's segments do.
#define _GNU_SOURCE
#include "measure.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { segment_bytes = 64 << 20, most = 1 << 20 };

static int begin(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    check(file >= 0, path);
    return file;
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: diskfloor FILE BYTES SECONDS\n");
        return 64;
    }
    const char *path = arguments[1];
    size_t bytes = strtoul(arguments[2], NULL, 10);
    double until = now() + strtod(arguments[3], NULL);
    char *content = malloc(bytes);
    double *milliseconds = malloc(most * sizeof *milliseconds);
    check(content && milliseconds, "malloc");
    memset(content, 'x', bytes);

    int file = begin(path);
    size_t length = 0, appended = 0;
    double start = now();
    while (now() < until && appended < most) {
        double before = now();
        check(pwrite(file, content, bytes, length) == (ssize_t)bytes, "pwrite");
        check(fdatasync(file) == 0, "fdatasync");
        milliseconds[appended++] = (now() - before) * 1e3;
        length += bytes;
        if (length >= segment_bytes) {
            close(file);
            check(unlink(path) == 0, "unlink");
            file = begin(path);
            length = 0;
        }
    }
    double seconds = now() - start;
    close(file);
    unlink(path);
    qsort(milliseconds, appended, sizeof *milliseconds, by_value);
    printf("{\"appends_per_second\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n", appended / seconds,
           milliseconds[appended / 2], milliseconds[appended * 99 / 100], milliseconds[appended - 1]);
}
