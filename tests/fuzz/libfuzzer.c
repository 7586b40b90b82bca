/* libFuzzer's mutator with a source of valid inputs: one in sixteen starts afresh. */
#include "tests/fuzz/fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    if (seed % 16 != 0)
        return LLVMFuzzerMutate(data, size, size_max);
    struct rng rng;
    struct buffer input = {0};
    rng_init(&rng, seed);
    fuzz_generate(&rng, &input);
    size = MIN(input.size, size_max);
    if (size > 0)
        memcpy(data, input.data, size);
    buffer_deinit(&input);
    return size;
}
