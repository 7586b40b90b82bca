/* The command line of the simulation; see README.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/logging.h"
#include "tests/sim/sim.h"

int mutant_active;

static const char *const names[] = {
    "acked",          "duplicates",     "truncations",   "shrinks",
    "expansions",     "elections",      "crashes",       "inside",
    "power_losses",   "wipes",          "lost_bytes",    "refused_under_min",
    "refused_append", "fenced_fetches", "stale_fetches", "refused_proposals",
    "eligible",       "clean_stops",    "committed",     "reads",
    "sync_failures",  "full_disks",     "controllers",   "deletes",
    "simulated_ms",
};

_Static_assert(sizeof(names) / sizeof(*names) == sizeof(struct counters) / sizeof(int64_t),
               "names");

static void add(struct counters *to, const struct counters *from)
{
    const int64_t *in = (const int64_t *)from;
    int64_t *out = (int64_t *)to;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        out[i] += in[i];
}

/* A run in which something never happened proves less than it says. */
static int report(const struct counters *c, bool all)
{
    const int64_t *each = (const int64_t *)c;
    int missing = 0;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        printf("%s%s=%lld", i ? " " : "", names[i], (long long)each[i]);
    printf("\n");
    for (size_t i = 0; all && i < ARRAY_COUNT(names); i++) {
        if (each[i] == 0) {
            printf("void: %s never happened\n", names[i]);
            missing++;
        }
    }
    return missing;
}

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--mutant N [--try SEED]] [--trace] --seeds FIRST COUNT\n"
            "  --seeds    run these seeds; the first failure of each is printed\n"
            "  --mutant   break a rule; succeeds when a seed notices\n"
            "  --try      this seed before the others\n"
            "  --trace    what happens, line by line\n",
            program);
    return 2;
}

static bool run_one(struct sim *s, const char *program, uint64_t seed)
{
    if (sim_run(s, seed))
        return true;
    printf("seed %llu failed: %s\n", (unsigned long long)seed, s->failure);
    if (mutant_active)
        return false;
    plan_print(&s->plan);
    printf("replay: %s --trace --seeds %llu 1\n", program, (unsigned long long)seed);
    return false;
}

static int run(const char *program, uint64_t first, uint64_t count)
{
    struct sim *s = mem_zalloc(sizeof(*s));
    struct counters total = {0};
    int failed = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        failed += !run_one(s, program, seed);
        add(&total, &s->seen);
    }
    free(s);
    return report(&total, count >= 100) + failed > 0;
}

/* Until a seed notices the mutant. */
static int hunt(const char *program, uint64_t try_first, uint64_t first, uint64_t count)
{
    struct sim *s = mem_zalloc(sizeof(*s));
    bool found = try_first > 0 && !run_one(s, program, try_first);
    for (uint64_t seed = first; seed < first + count && !found; seed++)
        found = !run_one(s, program, seed);
    free(s);
    printf("mutant %d %s\n", mutant_active, found ? "found" : "NOT found");
    return found ? 0 : 1;
}

int main(int argc, char **argv)
{
    uint64_t first = 0, count = 0, try_first = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mutant") == 0 && i + 1 < argc) {
            mutant_active = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--try") == 0 && i + 1 < argc) {
            try_first = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--trace") == 0) {
            trace_enabled = true;
        } else if (strcmp(argv[i], "--seeds") == 0 && i + 2 < argc) {
            first = strtoull(argv[++i], NULL, 10);
            count = strtoull(argv[++i], NULL, 10);
        } else {
            return usage(argv[0]);
        }
    }
    if (count == 0)
        return usage(argv[0]);
    log_set_level(getenv("SIM_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_OFF);
    return mutant_active ? hunt(argv[0], try_first, first, count) : run(argv[0], first, count);
}
