/* Quota entities and what can be set for them. */
#include "broker/quota_entity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/base/check.h"

#define DEFAULT_NAME "<default>"

static const char *const TYPES[QUOTA_PARTS_MAX] = {"client-id", "ip", "user"};

static int type_index(struct slice type)
{
    for (int i = 0; i < QUOTA_PARTS_MAX; i++)
        if (slice_equals_text(type, TYPES[i]))
            return i;
    return -1;
}

static enum error_code refuse(char reason[200], const char *what, struct slice about)
{
    snprintf(reason, 200, "%s: %.*s", what, (int)MIN(about.size, 100), (const char *)about.data);
    return ERR_INVALID_REQUEST;
}

const struct quota_part *quota_entity_find(const struct quota_entity *e, struct slice type)
{
    for (int i = 0; i < e->count; i++)
        if (slice_equal(e->parts[i].type, type))
            return &e->parts[i];
    return NULL;
}

enum error_code quota_entity_add(struct quota_entity *e, struct slice type, struct slice name,
                                 char reason[200])
{
    if (type_index(type) < 0)
        return refuse(reason, "Unhandled client quota entity type", type);
    if (quota_entity_find(e, type) != NULL)
        return refuse(reason, "Entity type is named twice", type);
    if (!slice_is_null(name) && name.size == 0)
        return refuse(reason, "Empty name not supported for entity type", type);
    int at = e->count++;
    while (at > 0 && type_index(e->parts[at - 1].type) > type_index(type)) {
        e->parts[at] = e->parts[at - 1];
        at--;
    }
    e->parts[at] = (struct quota_part){type, name};
    return ERR_NONE;
}

static bool address_valid(struct slice name)
{
    char text[64];
    uint8_t bytes[16];
    if (name.size >= sizeof(text))
        return false;
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

enum error_code quota_entity_check(const struct quota_entity *e, char reason[200])
{
    if (e->count == 0)
        return refuse(reason, "Invalid empty client quota entity", SLICE(""));
    const struct quota_part *ip = quota_entity_find(e, SLICE("ip"));
    if (ip == NULL)
        return ERR_NONE;
    if (e->count > 1)
        return refuse(reason, "Invalid quota entity combination", SLICE("ip beside another"));
    if (!slice_is_null(ip->name) && !address_valid(ip->name))
        return refuse(reason, "Not a valid IP", ip->name);
    return ERR_NONE;
}

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

static size_t name_encode(struct slice name, char *out)
{
    static const char HEX[] = "0123456789ABCDEF";
    size_t size = 0;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (is_plain(c)) {
            out[size++] = (char)c;
            continue;
        }
        out[size++] = '%';
        out[size++] = HEX[c >> 4];
        out[size++] = HEX[c & 15];
    }
    return size;
}

struct slice quota_entity_encode(const struct quota_entity *e, struct arena *arena)
{
    size_t most = 0;
    for (int i = 0; i < e->count; i++)
        most += e->parts[i].type.size + 3 * e->parts[i].name.size + sizeof(DEFAULT_NAME) + 2;
    char *text = arena_need(arena, most + 1);
    size_t size = 0;
    for (int i = 0; i < e->count; i++) {
        const struct quota_part *p = &e->parts[i];
        if (i > 0)
            text[size++] = ',';
        memcpy(text + size, p->type.data, p->type.size);
        size += p->type.size;
        text[size++] = '=';
        if (slice_is_null(p->name)) {
            memcpy(text + size, DEFAULT_NAME, sizeof(DEFAULT_NAME) - 1);
            size += sizeof(DEFAULT_NAME) - 1;
        } else {
            size += name_encode(p->name, text + size);
        }
    }
    return slice_of(text, size);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int name_decode(struct slice text, struct arena *arena, struct slice *name)
{
    *name = SLICE_NULL;
    if (slice_equals_text(text, DEFAULT_NAME))
        return 0;
    uint8_t *bytes = arena_need(arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '%') {
            bytes[size++] = text.data[i];
            continue;
        }
        int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
        int low = i + 2 < text.size ? hex_digit(text.data[i + 2]) : -1;
        if (high < 0 || low < 0)
            return -EBADMSG;
        bytes[size++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    *name = slice_of(bytes, size);
    return 0;
}

int quota_entity_decode(struct slice text, struct arena *arena, struct quota_entity *e)
{
    *e = (struct quota_entity){0};
    while (text.size > 0) {
        const uint8_t *comma = memchr(text.data, ',', text.size);
        size_t size = comma != NULL ? (size_t)(comma - text.data) : text.size;
        const uint8_t *equals = memchr(text.data, '=', size);
        if (equals == NULL)
            return -EBADMSG;
        size_t type_size = (size_t)(equals - text.data);
        struct slice name;
        char reason[200];
        if (name_decode(slice_of(equals + 1, size - type_size - 1), arena, &name) != 0 ||
            quota_entity_add(e, slice_of(text.data, type_size), name, reason) != ERR_NONE)
            return -EBADMSG;
        size_t used = MIN(size + 1, text.size);
        text = slice_of(text.data + used, text.size - used);
    }
    return 0;
}

double quota_value_parse(struct slice text)
{
    char copy[64] = "";
    if (!slice_is_null(text))
        memcpy(copy, text.data, MIN(text.size, sizeof(copy) - 1));
    return strtod(copy, NULL);
}

enum error_code quota_value_check(const struct quota_entity *e, struct slice key, double value,
                                  char reason[200])
{
    static const struct {
        const char *key;
        bool of_address;
        double max; /* whole numbers up to it; 0: any number */
    } KEYS[] = {{"producer_byte_rate", false, 9.2e18},
                {"consumer_byte_rate", false, 9.2e18},
                {"request_percentage", false, 0},
                {"controller_mutation_rate", false, 0},
                {"connection_creation_rate", true, INT32_MAX}};
    bool of_address = quota_entity_find(e, SLICE("ip")) != NULL;
    for (size_t i = 0; i < ARRAY_COUNT(KEYS); i++) {
        if (!slice_equals_text(key, KEYS[i].key) || KEYS[i].of_address != of_address)
            continue;
        if (!isfinite(value) || value <= 0)
            return refuse(reason, "Quota must be greater than 0", key);
        if (KEYS[i].max > 0 && (value > KEYS[i].max || value != floor(value)))
            return refuse(reason, "Quota must be a whole number", key);
        return ERR_NONE;
    }
    return refuse(reason, "Invalid configuration key", key);
}
