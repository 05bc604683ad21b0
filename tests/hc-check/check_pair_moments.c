#include "check.h"

#include <math.h>

static void run(struct check *c)
{
    static const size_t sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 66, 127, 129, 1000, 8191, 8192};
    for (size_t i = 0; i < 6 * sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i / 6];
        unsigned bad = i % 6 < 4 ? 0 : (unsigned)i % 6 - 3; /* some cases hold values that are not finite */
        check_case(c, "n=%zu bad=%u", n, bad);
        float *weights = check_buffer(c, n * sizeof *weights, 0);
        check_fill_normal(&c->random, weights, n, check_normal(&c->random), 0.1);
        for (unsigned j = 0; j < bad; j++) {
            const float values[] = {NAN, INFINITY, -INFINITY, -NAN};
            weights[check_below(&c->random, n)] = values[check_below(&c->random, 4)];
        }
        struct hc_pair_moments expected, got;
        c->truth->kernels.pair_moments.block(weights, n, &expected);
        int misalign = i % 2 ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16);
        c->tested->kernels.pair_moments.block(check_copy(c, weights, n * sizeof *weights, misalign), n, &got);
        check_u64(c, "non_finite", expected.non_finite, got.non_finite);
        if (expected.non_finite > 0)
            continue;
        check_f64(c, "sum[0]", expected.sum[0], got.sum[0]);
        check_f64(c, "sum[1]", expected.sum[1], got.sum[1]);
    }
}

struct work {
    const struct hc_kernels *kernels;
    const float *weights;
};

static void pass(void *state)
{
    const struct work *work = state;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += HC_BLOCK) {
        struct hc_pair_moments out;
        work->kernels->pair_moments.block(work->weights + i, HC_BLOCK, &out);
    }
}

static void bench(struct check_bench *b)
{
    struct work work = {&b->tier->kernels, check_bench_weights(b, 0.02)};
    if (work.weights != NULL)
        check_bench_run(b, CHECK_BENCH_WEIGHTS, 4 * (uint64_t)CHECK_BENCH_WEIGHTS, pass, &work);
}

const struct check_op check_pair_moments[] = {
    {"pair_moments.block", "weight", CHECK_SLOT(pair_moments.block), NULL, run, bench},
    {0},
};
