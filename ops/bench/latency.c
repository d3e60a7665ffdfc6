// latency PORT KEY TEMPLATE BATCH CONNECTIONS SECONDS PAUSE_MS RUN: posts batches and prints how long the answers took.
//
// Each connection sends its next batch when it has its answer, or after an exponentially distributed pause of PAUSE_MS
// on the average. What is sent in the first half second is not counted: a server that has just begun takes several times
// as long for its first answers. The same load as batch.lua makes for wrk, in one thread as well, but for times: wrk with
// a script collects garbage now and then, and its 99th percentile is more than twice what this one sees on the same
// server.
#define _GNU_SOURCE
#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
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
    double began, due;
    char answer[4096];
    size_t received;
};

static unsigned counter;
static int poller;

// When a connection that has its answer sends again.
static double due(double pause) { return now() + (pause > 0 ? -log(1 - drand48()) * pause : 0); }

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
        if (count < 0 && errno == EAGAIN) break;
        check(count > 0, "send");
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

static void begin(struct connection *self) {
    self->sent = self->received = 0;
    self->is_busy = 1;
    self->began = now();
    send_more(self);
}

// Reads on; whether the answer is whole, which has to be 200.
static int is_answered(struct connection *self) {
    ssize_t count = recv(self->socket, self->answer + self->received, sizeof self->answer - 1 - self->received, 0);
    if (count < 0 && errno == EAGAIN) return 0;
    check(count > 0, "recv");
    self->received += count;
    self->answer[self->received] = 0;
    char *end = strstr(self->answer, "\r\n\r\n"), *length = strcasestr(self->answer, "content-length:");
    if (!end || !length) return 0;
    if (strncmp(self->answer, "HTTP/1.1 200 ", 13)) {
        fprintf(stderr, "latency: %s\n", self->answer);
        exit(1);
    }
    return self->received >= (size_t)(end + 4 - self->answer) + strtoul(length + 15, NULL, 10);
}

static void open_connection(struct connection *self, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    self->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(self->socket >= 0 && connect(self->socket, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    int yes = 1;
    check(setsockopt(self->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) == 0, "setsockopt");
    check(fcntl(self->socket, F_SETFL, O_NONBLOCK) == 0, "fcntl");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = self};
    check(epoll_ctl(poller, EPOLL_CTL_ADD, self->socket, &event) == 0, "epoll_ctl");
}

int main(int count, char **arguments) {
    if (count != 9) {
        fprintf(stderr, "usage: latency PORT KEY TEMPLATE BATCH CONNECTIONS SECONDS PAUSE_MS RUN\n");
        return 64;
    }
    int batch = atoi(arguments[4]), connection_count = atoi(arguments[5]), run = atoi(arguments[8]), answers = 0;
    double seconds = atof(arguments[6]), pause = atof(arguments[7]) / 1000;
    if (batch < 1 || connection_count < 1 || connection_count > most_connections || seconds <= 0) return 64;
    char template[65536];
    FILE *file = fopen(arguments[3], "r");
    check(file && fgets(template, sizeof template, file), arguments[3]);
    template[strcspn(template, "\n")] = 0;

    srand(run);
    check((poller = epoll_create1(EPOLL_CLOEXEC)) >= 0, "epoll_create1");
    struct connection *connections = calloc(connection_count, sizeof *connections);
    double *times = malloc(most_answers * sizeof *times), start = now() + 0.5;
    for (int index = 0; index < connection_count; index++) {
        open_connection(&connections[index], atoi(arguments[1]));
        prepare(&connections[index], template, batch, run, arguments[2]);
        renew(&connections[index], batch);
        connections[index].due = due(pause);
    }
    struct epoll_event events[64];
    while (now() - start < seconds && answers < most_answers) {
        double next = start + seconds;
        for (int index = 0; index < connection_count; index++) {
            struct connection *self = &connections[index];
            if (self->is_busy) continue;
            if (self->due <= now()) begin(self);
            else if (self->due < next) next = self->due;
        }
        // Not epoll_wait, whose milliseconds would have several begin at once.
        double wait = fmax(0, next - now());
        struct timespec time = {.tv_sec = (time_t)wait, .tv_nsec = (long)(fmod(wait, 1) * 1e9)};
        int ready = epoll_pwait2(poller, events, 64, &time, NULL);
        check(ready >= 0 || errno == EINTR, "epoll_pwait2");
        for (int index = 0; index < ready; index++) {
            struct connection *self = events[index].data.ptr;
            if (events[index].events & EPOLLOUT) send_more(self);
            if (!(events[index].events & ~EPOLLOUT) || !is_answered(self)) continue;
            if (self->began >= start) times[answers++] = now() - self->began;
            self->is_busy = 0;
            self->due = due(pause);
            renew(self, batch);
            if (answers == most_answers) break;
        }
    }
    double elapsed = now() - start;
    if (answers == 0) {
        fprintf(stderr, "latency: no answer within %.1f s\n", elapsed);
        return 1;
    }
    qsort(times, answers, sizeof *times, by_value);
    printf("{\"requests\":%d,\"seconds\":%.4f,\"messages_per_second\":%.1f,\"p50_ms\":%.3f,\"p90_ms\":%.3f,"
           "\"p99_ms\":%.3f,\"max_ms\":%.3f}\n",
           answers, elapsed, answers * batch / elapsed, times[answers / 2] * 1e3, times[answers * 9L / 10] * 1e3,
           times[answers * 99L / 100] * 1e3, times[answers - 1] * 1e3);
    return 0;
}
