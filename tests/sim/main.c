/* sim --seeds FIRST COUNT | --mutant N FIRST COUNT: run seeds; see README.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/logging.h"
#include "replication/mutant.h"
#include "tests/sim/sim.h"

int mutant_active;

static void add(struct counters *to, const struct counters *from)
{
    const int64_t *in = (const int64_t *)from;
    int64_t *out = (int64_t *)to;
    for (size_t i = 0; i < sizeof(*to) / sizeof(int64_t); i++)
        out[i] += in[i];
}

static int report(const struct counters *c)
{
    printf("acked=%lld duplicates=%lld truncations=%lld shrinks=%lld expansions=%lld "
           "elections=%lld crashes=%lld power_losses=%lld lost_bytes=%lld "
           "refused_under_min=%lld refused_after_append=%lld fenced_fetches=%lld\n",
           (long long)c->acked, (long long)c->duplicates, (long long)c->truncations,
           (long long)c->shrinks, (long long)c->expansions, (long long)c->elections,
           (long long)c->crashes, (long long)c->power_losses, (long long)c->lost_bytes,
           (long long)c->refused_under_min, (long long)c->refused_after_append,
           (long long)c->fenced_fetches);
    const int64_t *each = (const int64_t *)c;
    for (size_t i = 0; i < sizeof(*c) / sizeof(int64_t); i++) {
        if (each[i] == 0) {
            printf("void: something that should have happened never did (counter %zu)\n", i);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    bool mutant = argc == 5 && strcmp(argv[1], "--mutant") == 0;
    if (!mutant && (argc != 4 || strcmp(argv[1], "--seeds") != 0)) {
        fprintf(stderr, "usage: %s --seeds FIRST COUNT | --mutant N FIRST COUNT\n", argv[0]);
        return 2;
    }
    if (mutant)
        mutant_active = atoi(argv[2]);
    log_set_level(getenv("SIM_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_OFF);
    uint64_t first = strtoull(argv[argc - 2], NULL, 10);
    uint64_t count = strtoull(argv[argc - 1], NULL, 10);
    struct sim *s = calloc(1, sizeof(*s));
    struct counters total = {0};
    int failed = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (!sim_run(s, seed)) {
            failed++;
            printf("seed %llu failed: %s\n", (unsigned long long)seed, s->failure);
            if (mutant)
                break;
            printf("  replay: SIM_LOG=1 %s --seeds %llu 1\n", argv[0], (unsigned long long)seed);
        }
        add(&total, &s->seen);
    }
    free(s);
    if (mutant) {
        printf("mutant %d %s\n", mutant_active, failed ? "found" : "NOT found");
        return failed ? 0 : 1;
    }
    int voided = count >= 50 ? report(&total) : 0;
    return failed > 0 || voided;
}
