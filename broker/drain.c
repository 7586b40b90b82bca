/* Asking for a drain, over a connection of its own. */
#include "broker/drain.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/errors.h"
#include "proto/frame.h"
#include "proto/messages.h"

#define KEY_DRAIN_BROKER 20004
#define ANSWER_BYTES_MAX 65536u
#define ANSWER_TIMEOUT_S 40 /* longer than request.timeout.ms */
#define ASK_EVERY_MS     500

/* Where this node's inter-broker listener can be reached. */
static int connect_to(const struct config *c)
{
    const struct listener_address *a = &c->listeners[0];
    for (int i = 0; i < c->listeners_count; i++)
        if (strcasecmp(c->listeners[i].name, c->inter_broker_listener) == 0)
            a = &c->listeners[i];
    bool any = a->host[0] == '\0' || strcmp(a->host, "0.0.0.0") == 0 || strcmp(a->host, "::") == 0;
    const char *host = any ? "127.0.0.1" : a->host;
    char port[16];
    snprintf(port, sizeof(port), "%d", a->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
    int rc = getaddrinfo(host, port, &hints, &found) == 0 ? 0 : -EHOSTUNREACH;
    int fd = rc == 0 ? socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (rc == 0 &&
        (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
         connect(fd, found->ai_addr, found->ai_addrlen) < 0))
        rc = -errno;
    if (found != NULL)
        freeaddrinfo(found);
    if (rc == 0)
        return fd;
    fprintf(stderr, "millrace: cannot reach a node at %s:%s: %s\n", host, port, strerror(-rc));
    if (fd >= 0)
        close(fd);
    return rc;
}

static int send_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n < 0)
            return -errno;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int receive_all(int fd, uint8_t *data, size_t size)
{
    ssize_t n = recv(fd, data, size, MSG_WAITALL);
    if (n < 0)
        return -errno;
    return (size_t)n == size ? 0 : -ECONNRESET;
}

static int send_request(int fd, const struct drain_broker_request *in)
{
    struct request_header header = {.api_key = KEY_DRAIN_BROKER, .client_id = SLICE("drain")};
    struct buffer bytes = {0};
    struct wire_writer writer;
    wire_writer_init(&writer, &bytes);
    request_frame_encode(&writer, &header, in);
    wire_writer_deinit(&writer);
    int rc = send_all(fd, bytes.data, bytes.size);
    buffer_deinit(&bytes);
    return rc;
}

/* The answer lives in the arena. */
static int receive_answer(int fd, struct arena *arena, struct drain_broker_response *out)
{
    uint8_t head[FRAME_LENGTH_SIZE];
    int rc = receive_all(fd, head, sizeof(head));
    size_t size = rc == 0 ? (size_t)wire_load(head, sizeof(head)) : 0;
    if (rc == 0 && size > ANSWER_BYTES_MAX)
        rc = -EBADMSG;
    if (rc < 0)
        return rc;
    uint8_t *frame = arena_need(arena, size + 1);
    rc = receive_all(fd, frame, size);
    struct wire_reader reader;
    int32_t correlation_id;
    wire_reader_init(&reader, slice_of(frame, size), arena);
    if (rc == 0)
        rc = response_header_decode(&reader, KEY_DRAIN_BROKER, 0, &correlation_id);
    return rc == 0 ? drain_broker_response_decode(&reader, 0, out) : rc;
}

/* One question. 1: ask again later, 0: done, -errno: told. */
static int ask(int fd, const struct drain_broker_request *in, int32_t *left)
{
    struct arena arena;
    struct drain_broker_response out;
    arena_init(&arena, 0);
    int rc = send_request(fd, in);
    if (rc == 0)
        rc = receive_answer(fd, &arena, &out);
    if (rc < 0) {
        fprintf(stderr, "millrace: no answer from the node: %s\n", strerror(-rc));
    } else if (out.error_code != ERR_NONE) {
        fprintf(stderr, "millrace: broker %d cannot be drained: %s " SLICE_FMT "\n", in->broker_id,
                error_name((enum error_code)out.error_code), SLICE_ARG(out.error_message));
        rc = -EINVAL;
    } else if (in->cancel) {
        printf("broker %d is not drained any more\n", in->broker_id);
    } else if (out.unregistered) {
        printf("broker %d has nothing left and is unregistered: its process may be stopped\n",
               in->broker_id);
    } else {
        if (out.partitions_left != *left)
            printf("broker %d: %d replicas left\n", in->broker_id, out.partitions_left);
        fflush(stdout);
        *left = out.partitions_left;
        rc = 1;
    }
    arena_deinit(&arena);
    return rc;
}

int drain_run(const struct config *c, int32_t node_id, bool cancel)
{
    struct drain_broker_request in;
    struct timespec pause = {.tv_nsec = ASK_EVERY_MS * 1000000};
    int32_t left = -1;
    int fd = connect_to(c);
    if (fd < 0)
        return fd;
    drain_broker_request_init(&in);
    in.broker_id = node_id;
    in.cancel = cancel;
    int rc;
    while ((rc = ask(fd, &in, &left)) > 0)
        nanosleep(&pause, NULL);
    close(fd);
    return rc;
}
