#include "check.h"

static void run(struct check *c)
{
    static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100, 8191, 8192};
    for (size_t i = 0; i < 4 * sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i / 4];
        double mean = check_uniform(&c->random) - 0.5;
        check_case(c, "n=%zu", n);
        float *weights = check_buffer(c, n * sizeof *weights, 0);
        float *decoded = check_buffer(c, n * sizeof *decoded, 0);
        check_fill_normal(&c->random, weights, n, mean, 0.1);
        check_fill_normal(&c->random, decoded, n, mean, 0.1);
        struct hc_compare expected, got;
        c->truth->kernels.compare.block(weights, decoded, n, &expected);
        int misalign = 4 * (int)check_below(&c->random, 16);
        c->tested->kernels.compare.block(check_copy(c, weights, n * sizeof *weights, CHECK_FLUSH),
                                         check_copy(c, decoded, n * sizeof *decoded, misalign), n, &got);
        check_f64(c, "abs_error", expected.abs_error, got.abs_error);
        check_f64(c, "squared_error", expected.squared_error, got.squared_error);
        check_f64(c, "squared_weights", expected.squared_weights, got.squared_weights);
        check_f64(c, "max_abs_error", expected.max_abs_error, got.max_abs_error);
    }
}

struct work {
    const struct hc_kernels *kernels;
    const float *weights, *decoded;
};

static void pass(void *state)
{
    const struct work *work = state;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += HC_BLOCK) {
        struct hc_compare out;
        work->kernels->compare.block(work->weights + i, work->decoded + i, HC_BLOCK, &out);
    }
}

static void bench(struct check_bench *b)
{
    struct work work = {&b->tier->kernels, check_bench_weights(b, 0.02), check_bench_weights(b, 0.02)};
    if (work.weights != NULL && work.decoded != NULL)
        check_bench_run(b, CHECK_BENCH_WEIGHTS, 8 * (uint64_t)CHECK_BENCH_WEIGHTS, pass, &work);
}

const struct check_op check_compare[] = {
    {"compare.block", "weight", CHECK_SLOT(compare.block), NULL, run, bench},
    {0},
};
