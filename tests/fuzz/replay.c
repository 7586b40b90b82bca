/*
 * Drives a fuzz target without libFuzzer:   fuzz_x [--seconds N] [--seed S] [FILE | FOLDER]…
 *
 * First every file, then until the time is over generated inputs with some damage. The seed of an
 * input is printed when the target stops the process; --seed S --seconds 0 runs that one again.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/base/clock.h"
#include "tests/fuzz/fuzz.h"

static uint64_t seed_running; /* read by the signal handler */

static void seed_print(int signal_number)
{
    char line[64];
    int size = snprintf(line, sizeof(line), "failing input: --seed %llu --seconds 0\n",
                        (unsigned long long)seed_running);
    if (write(STDERR_FILENO, line, (size_t)size) < 0)
        _exit(1);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void damage(struct rng *rng, struct buffer *b)
{
    static const uint8_t nasty[] = {0x00, 0x01, 0x02, 0x7f, 0x80, 0x81, 0xfe, 0xff};
    for (uint64_t times = rng_below(rng, 6); times > 0 && b->size > 0; times--) {
        size_t at = rng_below(rng, b->size), run = rng_below(rng, 16);
        switch (rng_below(rng, 5)) {
        case 0:
            b->data[at] = (uint8_t)rng_next(rng);
            break;
        case 1:
            b->data[at] = nasty[rng_below(rng, sizeof(nasty))];
            break;
        case 2:
            b->data[at] ^= (uint8_t)(1u << rng_below(rng, 8));
            break;
        case 3: /* cut, or copy a piece over another */
            if (rng_below(rng, 4) == 0)
                b->size = at;
            else
                memmove(b->data + at, b->data, MIN(b->size - at, run));
            break;
        default: { /* insert a byte */
            buffer_reserve(b, 1);
            memmove(b->data + at + 1, b->data + at, b->size - at);
            b->data[at] = (uint8_t)rng_next(rng);
            b->size++;
        }
        }
    }
}

static void run_seed(uint64_t seed)
{
    struct rng rng;
    struct buffer input = {0};
    seed_running = seed;
    rng_init(&rng, seed);
    fuzz_generate(&rng, &input);
    damage(&rng, &input);
    /* Memory of exactly this size, so that a sanitizer sees a read past it. */
    uint8_t *copy = malloc(input.size ? input.size : 1);
    if (input.size > 0)
        memcpy(copy, input.data, input.size);
    LLVMFuzzerTestOneInput(copy, input.size);
    free(copy);
    buffer_deinit(&input);
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    struct buffer input = {0};
    size_t got;
    while ((got = fread(buffer_reserve(&input, 65536), 1, 65536, file)) > 0)
        input.size += got;
    fclose(file);
    LLVMFuzzerTestOneInput(input.data, input.size);
    buffer_deinit(&input);
    return 0;
}

static int run_path(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return run_file(path);
    int failed = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        failed |= run_file(file);
    }
    closedir(folder);
    return failed;
}

int main(int argc, char **argv)
{
    int64_t seconds = 10;
    uint64_t seed = 1, runs = 0;
    signal(SIGABRT, seed_print);
    signal(SIGSEGV, seed_print);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            seconds = atoll(argv[++i]);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (run_path(argv[i]) != 0)
            return 1;
    }
    int64_t end_ms = clock_monotonic_ms() + seconds * 1000;
    do {
        run_seed(seed++);
        runs++;
    } while (clock_monotonic_ms() < end_ms);
    printf("%llu inputs, next seed %llu\n", (unsigned long long)runs, (unsigned long long)seed);
    return 0;
}
