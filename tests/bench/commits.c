/*
 * The load of the benchmark: offset commits (or whatever requests) at an even rate.
 *
 *   commits RATE SECONDS < FRAMES
 *
 * FRAMES: a line "PORT HEX" a request, without its length, its correlation id zero; all on
 * 127.0.0.1. Each port gets up to CONNECTIONS connections, over which its requests are spread.
 * Sends them round and round. A request's time runs from when it was due, so a server that is
 * behind is not spared. The last two bytes of an answer are its error code. Prints one line:
 * requests answered without an error a second, p50 and p99 in ms, errors.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 32 /* of one port */
#define PORTS_MAX   8
#define QUEUE       65536 /* requests of one connection that wait for an answer */
#define IN_BYTES    65536
#define GRACE_US    10000000

struct connection {
    int fd;
    int port;
    int64_t *due_us; /* of those that wait, a ring */
    uint64_t sent, answered;
    uint8_t in[IN_BYTES];
    size_t in_size;
};

struct frame {
    struct connection *connection;
    uint8_t *bytes; /* with its length */
    size_t size;
};

static struct connection connections[CONNECTIONS * PORTS_MAX];
static struct pollfd polled[CONNECTIONS * PORTS_MAX];
static int connections_count;
static int64_t *took_us;
static int64_t ok, failed;

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct connection *connection_of(int port, int number)
{
    static int made[65536];
    int which = number % CONNECTIONS;
    for (int i = 0, seen = 0; i < connections_count && made[port] == CONNECTIONS; i++)
        if (connections[i].port == port && seen++ == which)
            return &connections[i];
    made[port]++;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct connection *c = &connections[connections_count];
    c->port = port;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    c->due_us = calloc(QUEUE, sizeof *c->due_us);
    polled[connections_count++] = (struct pollfd){.fd = c->fd, .events = POLLIN};
    return c;
}

static struct frame *frames_read(size_t *count)
{
    struct frame *frames = NULL;
    char *line = NULL;
    size_t room = 0;
    for (*count = 0; getline(&line, &room, stdin) > 0; ++*count) {
        char *hex = strchr(line, ' ');
        size_t size = strspn(++hex, "0123456789abcdef") / 2;
        frames = realloc(frames, (*count + 1) * sizeof *frames);
        struct frame *f = &frames[*count];
        f->connection = connection_of(atoi(line), (int)*count);
        f->size = size + 4;
        f->bytes = malloc(f->size);
        uint32_t length = htonl((uint32_t)size);
        memcpy(f->bytes, &length, 4);
        for (size_t i = 0; i < size; i++)
            sscanf(hex + 2 * i, "%2hhx", &f->bytes[4 + i]);
    }
    free(line);
    return frames;
}

static void frame_send(const struct frame *f, int64_t due_us)
{
    struct connection *c = f->connection;
    if (c->sent - c->answered >= QUEUE)
        exit(2);
    c->due_us[c->sent++ % QUEUE] = due_us;
    for (size_t at = 0; at < f->size;) {
        ssize_t n = write(c->fd, f->bytes + at, f->size - at);
        if (n < 0)
            die("write");
        at += (size_t)n;
    }
}

static void answers_take(struct connection *c)
{
    ssize_t n = read(c->fd, c->in + c->in_size, sizeof c->in - c->in_size);
    if (n <= 0)
        die("read");
    c->in_size += (size_t)n;
    size_t at = 0;
    for (uint32_t size; c->in_size - at >= 4; at += 4 + size) {
        memcpy(&size, c->in + at, 4);
        size = ntohl(size);
        if (c->in_size - at - 4 < size)
            break;
        const uint8_t *error = c->in + at + 4 + size - 2;
        int64_t took = now_us() - c->due_us[c->answered++ % QUEUE];
        if (error[0] == 0 && error[1] == 0)
            took_us[ok++] = took;
        else
            failed++;
    }
    memmove(c->in, c->in + at, c->in_size - at);
    c->in_size -= at;
}

static void wait_until(int64_t due_us)
{
    do {
        int64_t left_us = due_us - now_us();
        int wait_ms = left_us > 1000 ? (int)(left_us / 1000) : 0;
        if (poll(polled, (nfds_t)connections_count, wait_ms) > 0)
            for (int i = 0; i < connections_count; i++)
                if (polled[i].revents != 0)
                    answers_take(&connections[i]);
    } while (now_us() < due_us);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    size_t count;
    int64_t rate = argc == 3 ? atoll(argv[1]) : 0;
    int64_t total = rate * (argc == 3 ? atoll(argv[2]) : 0);
    struct frame *frames = frames_read(&count);
    if (total <= 0 || count == 0)
        return 1;
    took_us = calloc((size_t)total, sizeof *took_us);
    int64_t began_us = now_us();
    for (int64_t i = 0; i < total; i++) {
        int64_t due_us = began_us + i * 1000000 / rate;
        if (now_us() < due_us || i % 64 == 0)
            wait_until(due_us);
        frame_send(&frames[(size_t)i % count], due_us);
    }
    int64_t until_us = now_us() + GRACE_US;
    while (ok + failed < total && now_us() < until_us)
        wait_until(now_us() + 1000);
    double seconds = (double)(now_us() - began_us) / 1e6;
    qsort(took_us, (size_t)ok, sizeof *took_us, compare);
    printf("%.0f %.2f %.2f %lld\n", (double)ok / seconds,
           ok ? (double)took_us[(ok - 1) / 2] / 1000 : 0.0,
           ok ? (double)took_us[(ok - 1) * 99 / 100] / 1000 : 0.0, (long long)(total - ok));
    return 0;
}
