/* Hellos and answers to bytes and back, within their size. */
#include <stdio.h>
#include <stdlib.h>

#include "coord/transport_internal.h"
#include "proto/wire.h"

static void frame_begin(struct wire_writer *w, struct buffer *out, const char *magic)
{
    wire_writer_init(w, out);
    buffer_append(out, magic, strlen(magic));
    wire_put_u16(w, 0);
}

static void frame_end(struct wire_writer *w, size_t start)
{
    wire_store(w->out->data + start, w->out->size - start - 2, 2);
    wire_writer_deinit(w);
}

static void get_text(struct wire_reader *r, char out[TRANSPORT_TEXT_SIZE])
{
    struct slice text = wire_get_string(r, false, false);
    if (text.size >= TRANSPORT_TEXT_SIZE || (text.size > 0 && memchr(text.data, 0, text.size)))
        wire_fail(r, -EBADMSG);
    else if (text.size > 0)
        memcpy(out, text.data, text.size);
}

void hello_encode(struct buffer *out, const struct transport_hello *hello)
{
    struct wire_writer w;
    frame_begin(&w, out, TRANSPORT_MAGIC);
    wire_put_i8(&w, hello->kind);
    wire_put_i32(&w, hello->node_id);
    wire_put_i64(&w, (int64_t)hello->from);
    wire_put_i64(&w, (int64_t)hello->to);
    wire_put_bool(&w, hello->voter);
    wire_put_string(&w, false, false, slice_from_text(hello->cluster_id));
    wire_put_string(&w, false, false, slice_from_text(hello->address));
    frame_end(&w, strlen(TRANSPORT_MAGIC));
}

int hello_decode(struct slice body, struct transport_hello *out)
{
    struct wire_reader r;
    *out = (struct transport_hello){0};
    wire_reader_init(&r, body, NULL);
    out->kind = wire_get_i8(&r);
    out->node_id = wire_get_i32(&r);
    out->from = (raft_id)wire_get_i64(&r);
    out->to = (raft_id)wire_get_i64(&r);
    out->voter = wire_get_bool(&r);
    get_text(&r, out->cluster_id);
    get_text(&r, out->address);
    return r.err;
}

void answer_encode(struct buffer *out, const struct transport_answer *answer)
{
    struct wire_writer w;
    frame_begin(&w, out, "");
    wire_put_i8(&w, answer->status);
    wire_put_i32(&w, answer->node_id);
    wire_put_i32(&w, answer->leader_id);
    wire_put_string(&w, false, false, slice_from_text(answer->cluster_id));
    wire_put_string(&w, false, false, slice_from_text(answer->leader_address));
    frame_end(&w, 0);
}

int answer_decode(struct slice body, struct transport_answer *out)
{
    struct wire_reader r;
    *out = (struct transport_answer){0};
    wire_reader_init(&r, body, NULL);
    out->status = wire_get_i8(&r);
    out->node_id = wire_get_i32(&r);
    out->leader_id = wire_get_i32(&r);
    get_text(&r, out->cluster_id);
    get_text(&r, out->leader_address);
    return r.err;
}

bool transport_split(const char *address, char host[TRANSPORT_TEXT_SIZE], char port[8])
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || strlen(colon + 1) == 0 || strlen(colon + 1) >= 8)
        return false;
    snprintf(port, 8, "%s", colon + 1);
    size_t size = (size_t)(colon - address);
    if (size >= 2 && address[0] == '[' && address[size - 1] == ']') {
        address++;
        size -= 2;
    }
    if (size >= TRANSPORT_TEXT_SIZE)
        return false;
    memcpy(host, address, size);
    host[size] = '\0';
    return true;
}
