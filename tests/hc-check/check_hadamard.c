#include <float.h>
#include <math.h>

#include "check.h"

static void one_case(struct check *c, unsigned block, size_t blocks, bool extreme)
{
    static const float extremes[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0x1p-149f, -0.0f, FLT_MIN};
    size_t n = blocks * block;
    check_case(c, "block=%u blocks=%zu extreme=%d", block, blocks, extreme);
    float *data = check_buffer(c, n * sizeof *data, 0);
    check_fill_normal(&c->random, data, n, 0, 1);
    for (size_t i = 0; extreme && i < n; i += 1 + check_below(&c->random, block))
        data[i] = extremes[check_below(&c->random, sizeof extremes / sizeof extremes[0])];
    float *got = check_copy(c, data, n * sizeof *data, blocks % 2 ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16));
    c->truth->kernels.hadamard.blocks(data, n, block);
    c->tested->kernels.hadamard.blocks(got, n, block);
    check_f32(c, "element", data, got, n);
}

static void run(struct check *c)
{
    static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 33};
    for (unsigned block = HC_HADAMARD_MIN; block <= HC_HADAMARD_MAX; block *= 2)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (int extreme = 0; extreme < 2; extreme++)
                one_case(c, block, sizes[i], extreme);
}

struct work {
    const struct hc_kernels *kernels;
    float *data;
};

static void pass(void *state)
{
    const struct work *work = state;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += HC_BLOCK)
        work->kernels->hadamard.blocks(work->data + i, HC_BLOCK, HC_HADAMARD_MAX);
}

static void bench(struct check_bench *b)
{
    struct work work = {&b->tier->kernels, check_bench_weights(b, 1)};
    if (work.data != NULL)
        check_bench_run(b, CHECK_BENCH_WEIGHTS, 8 * (uint64_t)CHECK_BENCH_WEIGHTS, pass, &work);
}

const struct check_op check_hadamard[] = {
    {"hadamard.blocks", "weight", CHECK_SLOT(hadamard.blocks), NULL, run, bench},
    {0},
};
