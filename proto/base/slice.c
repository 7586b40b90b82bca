/* Comparing and copying byte ranges; the text form of ids. */
#include "proto/base/slice.h"

#include <errno.h>

#include "proto/base/check.h"

static const char BASE64_URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int slice_compare(struct slice a, struct slice b)
{
    size_t shared = MIN(a.size, b.size);
    int order = shared ? memcmp(a.data, b.data, shared) : 0;
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

char *slice_to_text(struct slice s)
{
    if (slice_is_null(s))
        return NULL;
    char *text = mem_alloc(s.size + 1);
    memcpy(text, s.data, s.size);
    text[s.size] = '\0';
    return text;
}

void uuid_to_text(struct uuid id, char text[UUID_TEXT_SIZE])
{
    size_t out = 0;
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < sizeof(id.bytes); i++) {
        bits = (bits << 8) | id.bytes[i];
        held += 8;
        while (held >= 6) {
            held -= 6;
            text[out++] = BASE64_URL[(bits >> held) & 63];
        }
    }
    text[out++] = BASE64_URL[(bits << (6 - held)) & 63];
    text[out] = '\0';
}

int uuid_from_text(struct slice text, struct uuid *id)
{
    *id = UUID_ZERO;
    if (text.size != UUID_TEXT_SIZE - 1)
        return -EINVAL;
    size_t out = 0;
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char *at = text.data[i] ? strchr(BASE64_URL, text.data[i]) : NULL;
        if (at == NULL)
            return -EINVAL;
        bits = (bits << 6) | (uint32_t)(at - BASE64_URL);
        held += 6;
        if (held >= 8) {
            held -= 8;
            id->bytes[out++] = (uint8_t)(bits >> held);
        }
    }
    return 0;
}
