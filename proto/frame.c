/* Frame lengths and headers. */
#include "proto/frame.h"

#include "proto/messages.h"

int request_header_version(int16_t api_key, int16_t api_version)
{
    const struct api_info *api = api_find(api_key);
    return api != NULL && api_version >= api->flexible_from ? 2 : 1;
}

int response_header_version(int16_t api_key, int16_t api_version)
{
    if (api_key == API_API_VERSIONS)
        return 0;
    return request_header_version(api_key, api_version) - 1;
}

int request_header_decode(struct wire_reader *r, struct request_header *out)
{
    *out = (struct request_header){0};
    out->api_key = wire_get_i16(r);
    out->api_version = wire_get_i16(r);
    out->correlation_id = wire_get_i32(r);
    out->client_id = wire_get_string(r, false, true);
    if (request_header_version(out->api_key, out->api_version) >= 2)
        wire_skip_tags(r);
    return r->err;
}

void request_header_encode(struct wire_writer *w, const struct request_header *in)
{
    wire_put_i16(w, in->api_key);
    wire_put_i16(w, in->api_version);
    wire_put_i32(w, in->correlation_id);
    wire_put_string(w, false, true, in->client_id);
    if (request_header_version(in->api_key, in->api_version) >= 2)
        wire_put_uvarint(w, 0);
}

int response_header_decode(struct wire_reader *r, int16_t api_key, int16_t api_version,
                           int32_t *correlation_id)
{
    *correlation_id = wire_get_i32(r);
    if (response_header_version(api_key, api_version) >= 1)
        wire_skip_tags(r);
    return r->err;
}

void response_header_encode(struct wire_writer *w, int16_t api_key, int16_t api_version,
                            int32_t correlation_id)
{
    wire_put_i32(w, correlation_id);
    if (response_header_version(api_key, api_version) >= 1)
        wire_put_uvarint(w, 0);
}

struct frame_mark frame_begin(struct wire_writer *w)
{
    size_t offset = w->out->size;
    wire_put_i32(w, 0);
    return (struct frame_mark){.offset = offset, .written = wire_written(w)};
}

void frame_end(struct wire_writer *w, struct frame_mark mark)
{
    size_t size = wire_written(w) - mark.written;
    CHECK(size <= INT32_MAX);
    wire_store(w->out->data + mark.offset, size, FRAME_LENGTH_SIZE);
}

void request_frame_encode(struct wire_writer *w, const struct request_header *header,
                          const void *message)
{
    const struct api_info *api = api_find(header->api_key);
    CHECK(api != NULL);
    struct frame_mark mark = frame_begin(w);
    request_header_encode(w, header);
    api->request.encode(w, header->api_version, message);
    frame_end(w, mark);
}

void response_frame_encode(struct wire_writer *w, const struct request_header *header,
                           const void *message)
{
    const struct api_info *api = api_find(header->api_key);
    CHECK(api != NULL);
    struct frame_mark mark = frame_begin(w);
    response_header_encode(w, header->api_key, header->api_version, header->correlation_id);
    api->response.encode(w, header->api_version, message);
    frame_end(w, mark);
}
