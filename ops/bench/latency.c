// latency PORT KEY TEMPLATE BATCH CONNECTIONS SECONDS RATE RUN: posts batches and prints how long the answers took.
//
// RATE 0 is a closed loop: each connection sends its next batch when it has its answer. Otherwise the loop is open: RATE
// batches a second, each with a fixed time of sending, and a time to the answer counts from that time, whether a
// connection was free or not. So an answer that takes long does not keep later batches out of the measurement
// (coordinated omission).
//
// Batches of the first half second are not counted: a server that has just begun takes several times as long for its first
// answers. The same load as batch.lua makes for wrk, in one thread as well, but for times: wrk with a script collects
// garbage now and then, and its 99th percentile is more than twice what this one sees on the same server.
#define _GNU_SOURCE
#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { devices = 10000, stride = 7919, first_minute = 28800000, most_connections = 1024, most_answers = 1 << 23 };

struct place {
    char *at;
    int message;
    char kind;
};

struct connection {
    int socket, is_busy, waits_for_room;
    char *request;
    size_t length, sent;
    struct place *places;
    int place_count;
    double due;
    char answer[4096];
    size_t received;
};

/// Seconds that are not counted at first, and those that an answer may take after the end.
static const double warm_up = 0.5, patience = 10;

static unsigned counter;
static int poller, port;

static void write_digits(char *at, int width, unsigned base, unsigned number) {
    for (; width > 0; number /= base) at[--width] = "0123456789abcdef"[number % base];
}

// Makes a connection's request once, and notes the places that differ from one to the next.
static void prepare(struct connection *self, const char *template, int batch, int run, const char *key) {
    size_t size = strlen(template);
    char *body = malloc(batch * (size + 1) + 32), *end = stpcpy(body, "{\"messages\":[");
    for (int message = 0; message < batch; message++) {
        if (message > 0) *end++ = ',';
        end = stpcpy(end, template);
    }
    end = stpcpy(end, "]}");
    check(asprintf(&self->request,
                   "POST /api/ingest/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                   "X-API-Key: %s\r\nContent-Length: %zu\r\n\r\n%s", key, (size_t)(end - body), body) > 0, "memory");
    free(body);
    self->length = strlen(self->request);
    self->places = malloc(batch * 8 * sizeof(struct place));
    int message = -1;
    for (char *at = strstr(self->request, "{\"messages\""); *at; at++) {
        if (!strncmp(at, "{\"src\"", 6)) message++;
        if (!strncmp(at, "RRRRR", 5)) {
            write_digits(at, 5, 16, run);
        } else if (!strncmp(at, "DDDDDDD", 7) || !strncmp(at, "SSSSSSSSSS", 10) || !strncmp(at, "MMMMMMMMMM", 10)) {
            char kind = *at;
            self->places[self->place_count++] = (struct place){at, message, kind};
            at += kind == 'D' ? 6 : 9;
        } else if (*at == 'V') {
            *at = '0' + rand() % 10;
        }
    }
}

// Sends what the socket takes, and has the poller say when it takes more.
static void send_more(struct connection *self) {
    while (self->sent < self->length) {
        ssize_t count = send(self->socket, self->request + self->sent, self->length - self->sent, MSG_NOSIGNAL);
        // An ended connection is found by the next recv.
        if (count < 0) break;
        self->sent += count;
    }
    int waits = self->sent < self->length;
    if (waits == self->waits_for_room) return;
    self->waits_for_room = waits;
    struct epoll_event event = {.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.ptr = self};
    check(epoll_ctl(poller, EPOLL_CTL_MOD, self->socket, &event) == 0, "epoll_ctl");
}

// Makes the next request, before it is due: its making is not to delay another connection's.
static void renew(struct connection *self, int batch) {
    for (int index = 0; index < self->place_count; index++) {
        struct place place = self->places[index];
        unsigned number = counter + place.message, minute = first_minute + number / devices;
        if (place.kind == 'D') write_digits(place.at, 7, 16, number % devices * stride % devices);
        else write_digits(place.at, 10, 10, minute * 60 + (place.kind == 'S' ? 17 : 0));
    }
    counter += batch;
}

static void begin(struct connection *self, double due) {
    self->sent = self->received = 0;
    self->is_busy = 1;
    self->due = due;
    send_more(self);
}

// Reads on: the answer's status when it is whole, 0 before, -1 when the connection has ended.
static int answered(struct connection *self) {
    ssize_t count = recv(self->socket, self->answer + self->received, sizeof self->answer - 1 - self->received, 0);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count <= 0) return -1;
    self->received += count;
    self->answer[self->received] = 0;
    char *end = strstr(self->answer, "\r\n\r\n"), *length = strcasestr(self->answer, "content-length:");
    if (!end || !length) return 0;
    if (self->received < (size_t)(end + 4 - self->answer) + strtoul(length + 15, NULL, 10)) return 0;
    return atoi(self->answer + strlen("HTTP/1.1 "));
}

static void open_connection(struct connection *self) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    self->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(self->socket >= 0 && connect(self->socket, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    int yes = 1;
    check(setsockopt(self->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) == 0, "setsockopt");
    check(fcntl(self->socket, F_SETFL, O_NONBLOCK) == 0, "fcntl");
    self->waits_for_room = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = self};
    check(epoll_ctl(poller, EPOLL_CTL_ADD, self->socket, &event) == 0, "epoll_ctl");
}

int main(int count, char **arguments) {
    if (count != 9) {
        fprintf(stderr, "usage: latency PORT KEY TEMPLATE BATCH CONNECTIONS SECONDS RATE RUN\n");
        return 64;
    }
    port = atoi(arguments[1]);
    int batch = atoi(arguments[4]), connection_count = atoi(arguments[5]), run = atoi(arguments[8]);
    double seconds = atof(arguments[6]), rate = atof(arguments[7]);
    if (batch < 1 || connection_count < 1 || connection_count > most_connections || seconds <= 0) return 64;
    char template[65536];
    FILE *file = fopen(arguments[3], "r");
    check(file && fgets(template, sizeof template, file), arguments[3]);
    template[strcspn(template, "\n")] = 0;
    // Without it the kernel may wake this thread 50 µs late.
    check(prctl(PR_SET_TIMERSLACK, 1) == 0, "prctl");

    srand(run);
    check((poller = epoll_create1(EPOLL_CLOEXEC)) >= 0, "epoll_create1");
    struct connection *connections = calloc(connection_count, sizeof *connections), *idle[most_connections];
    // In turn, so that none is idle for so long that the server closes it.
    int idle_count = 0, first = 0;
    for (int index = 0; index < connection_count; index++) {
        open_connection(&connections[index]);
        prepare(&connections[index], template, batch, run, arguments[2]);
        renew(&connections[index], batch);
        idle[idle_count++] = &connections[index];
    }
    double *times = malloc(most_answers * sizeof *times);
    double begun = now(), start = begun + warm_up, end = start + seconds, last = start;
    int answers = 0, sent = 0, ended = 0, errors = 0, is_all_sent = 0;
    struct epoll_event events[64];
    for (;;) {
        double next = end + patience;
        while (idle_count > 0) {
            double due = rate > 0 ? begun + sent / rate : now();
            if ((is_all_sent = due >= end)) break;
            if (due > now()) {
                next = due;
                break;
            }
            begin(idle[first], due);
            first = (first + 1) % connection_count;
            idle_count--;
            sent++;
        }
        if ((is_all_sent && ended == sent) || now() > end + patience || answers == most_answers) break;
        // Not epoll_wait, whose milliseconds would have several begin at once.
        double wait = fmax(0, next - now());
        struct timespec time = {.tv_sec = (time_t)wait, .tv_nsec = (long)(fmod(wait, 1) * 1e9)};
        int ready = epoll_pwait2(poller, events, 64, &time, NULL);
        check(ready >= 0 || errno == EINTR, "epoll_pwait2");
        for (int index = 0; index < ready; index++) {
            struct connection *self = events[index].data.ptr;
            if (events[index].events & EPOLLOUT) send_more(self);
            int status = events[index].events & ~EPOLLOUT ? answered(self) : 0;
            if (status == 0) continue;
            if (status != 200) {
                close(self->socket);
                open_connection(self);
            }
            if (!self->is_busy) continue;
            self->is_busy = 0;
            ended++;
            if (status != 200) {
                if (errors++ == 0) fprintf(stderr, "latency: %d: %s\n", status, self->answer);
            } else if (self->due >= start) {
                last = now();
                times[answers++] = last - self->due;
            }
            renew(self, batch);
            idle[(first + idle_count++) % connection_count] = self;
            if (answers == most_answers) break;
        }
    }
    if (answers == 0) {
        fprintf(stderr, "latency: no answer within %.1f s\n", now() - begun);
        return 1;
    }
    double elapsed = fmax(seconds, last - start);
    qsort(times, answers, sizeof *times, by_value);
    printf("{\"requests\":%d,\"seconds\":%.4f,\"intended_per_second\":%.1f,\"messages_per_second\":%.1f,\"p50_ms\":%.3f,"
           "\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f,\"errors\":%d}\n",
           answers, elapsed, rate * batch, answers * batch / elapsed, times[answers / 2] * 1e3,
           times[answers * 9L / 10] * 1e3, times[answers * 99L / 100] * 1e3, times[answers * 999L / 1000] * 1e3,
           times[answers - 1] * 1e3, errors + sent - ended);
    return 0;
}
