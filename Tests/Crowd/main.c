// Many clients in one process, which send and never read:
//
//   crowd PORT CONNECTIONS [TIMES] < request
//
// opens CONNECTIONS connections to 127.0.0.1 and prints "open" once the server's kernel has accepted all of them. Then it
// sends the request TIMES times (once by default) on each, as far as the server reads, and keeps the connections open
// until it is killed or its parent ends. It is a process of its own, because Foundation's Process cannot start another one
// from a process with thousands of open files.
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what) {
    fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
    exit(1);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: crowd PORT CONNECTIONS [TIMES] < request\n");
        return 64;
    }
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const size_t count = strtoul(argv[2], NULL, 10), times = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;

    static char request[1 << 20];
    const size_t length = fread(request, 1, sizeof request, stdin);
    struct rlimit files = {count + 16, count + 16};
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) fail("setrlimit");
    struct pollfd *clients = calloc(count + 1, sizeof *clients);
    size_t *sent = calloc(count, sizeof *sent);
    if (clients == NULL || sent == NULL) fail("calloc");

    for (size_t i = 0; i < count; i++) {
        const int client = socket(AF_INET, SOCK_STREAM, 0), bytes = 4096;
        if (client < 0) fail("socket");
        setsockopt(client, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
        if (connect(client, (struct sockaddr *)&server, sizeof server) != 0) fail("connect");
        clients[i] = (struct pollfd){.fd = client, .events = length > 0 ? POLLOUT : 0};
    }
    puts("open");
    fflush(stdout);

    struct pollfd *output = &clients[count];
    *output = (struct pollfd){.fd = STDOUT_FILENO};
    while ((output->revents & POLLERR) == 0) {
        if (poll(clients, count + 1, -1) < 0) fail("poll");
        for (size_t i = 0; i < count; i++) {
            if (clients[i].revents & (POLLERR | POLLHUP)) {
                close(clients[i].fd);
                clients[i].fd = -1;
            } else if (clients[i].revents & POLLOUT) {
                const size_t offset = sent[i] % length;
                const ssize_t n = send(clients[i].fd, request + offset, length - offset, MSG_DONTWAIT);
                if (n > 0) sent[i] += (size_t)n;
                if (sent[i] == length * times) clients[i].events = 0;
            }
        }
    }
}
