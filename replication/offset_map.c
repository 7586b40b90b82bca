/* Open addressing over SipHash-2-4 with 128 bits of output. */
#include "replication/offset_map.h"

#include <stdlib.h>

#include "proto/base/check.h"
#include "proto/base/rng.h"

struct sip {
    uint64_t v[4];
};

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_rounds(struct sip *s, int rounds)
{
    uint64_t *v = s->v;
    for (int i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v[3] ^= word;
    sip_rounds(s, 2);
    s->v[0] ^= word;
}

static void hash_key(const uint64_t secret[2], struct slice key, uint64_t hash[2])
{
    struct sip s = {
        {secret[0] ^ UINT64_C(0x736f6d6570736575), secret[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
         secret[0] ^ UINT64_C(0x6c7967656e657261), secret[1] ^ UINT64_C(0x7465646279746573)}};
    size_t at = 0;
    uint64_t word;
    for (; at + 8 <= key.size; at += 8) {
        memcpy(&word, key.data + at, 8);
        sip_word(&s, word);
    }
    word = 0;
    if (key.size > at)
        memcpy(&word, key.data + at, key.size - at);
    sip_word(&s, word | (uint64_t)key.size << 56);
    s.v[2] ^= 0xee;
    sip_rounds(&s, 4);
    hash[0] = s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
    s.v[1] ^= 0xdd;
    sip_rounds(&s, 4);
    hash[1] = s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}

void offset_map_init(struct offset_map *m, size_t slots_count)
{
    *m = (struct offset_map){.slots_count = slots_count};
    m->slots = mem_alloc(slots_count * sizeof(*m->slots));
    for (size_t i = 0; i < slots_count; i++)
        m->slots[i].offset = -1;
    rng_system_bytes(m->secret, sizeof(m->secret));
}

void offset_map_deinit(struct offset_map *m)
{
    free(m->slots);
    *m = (struct offset_map){0};
}

/* The key's slot, or the free one where it belongs; NULL: neither is there. */
static struct offset_map_slot *slot_of(const struct offset_map *m, struct slice key,
                                       uint64_t hash[2])
{
    hash_key(m->secret, key, hash);
    size_t at = hash[0] % m->slots_count;
    for (size_t i = 0; i < m->slots_count; i++) {
        struct offset_map_slot *slot = &m->slots[at];
        if (slot->offset < 0 || (slot->hash[0] == hash[0] && slot->hash[1] == hash[1]))
            return slot;
        at = at + 1 == m->slots_count ? 0 : at + 1;
    }
    return NULL;
}

void offset_map_put(struct offset_map *m, struct slice key, int64_t offset)
{
    uint64_t hash[2];
    struct offset_map_slot *slot = slot_of(m, key, hash);
    CHECK(slot != NULL);
    m->count += slot->offset < 0;
    *slot = (struct offset_map_slot){{hash[0], hash[1]}, offset};
}

int64_t offset_map_find(const struct offset_map *m, struct slice key)
{
    uint64_t hash[2];
    const struct offset_map_slot *slot = slot_of(m, key, hash);
    return slot != NULL ? slot->offset : -1;
}
