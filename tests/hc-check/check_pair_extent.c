#include "pair_cases.h"

enum { CASES = 2000 };

static void run(struct check *c)
{
    for (int i = 0; i < CASES; i++) {
        struct pair_case p = pair_case_draw(&c->random);
        check_case(c, "kind=%d n=%zu side=%g centre=%g,%g", p.kind, p.n, p.side, p.centre[0], p.centre[1]);
        float *weights = check_buffer(c, p.n * sizeof *weights, 0);
        struct hc_pair_grid grid;
        pair_case_weights(&c->random, &p, weights, &grid);
        struct hc_pair_extent expected, got;
        c->truth->kernels.pair_extent.block(weights, p.n, &grid, &expected);
        int misalign = i % 2 ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16);
        c->tested->kernels.pair_extent.block(check_copy(c, weights, p.n * sizeof *weights, misalign), p.n, &grid, &got);
        check_f64(c, "max_distance2", expected.max_distance2, got.max_distance2);
        check_u64(c, "outer", expected.outer, got.outer);
    }
}

struct work {
    const struct hc_kernels *kernels;
    const float *weights;
    struct hc_pair_grid grid;
};

static void pass(void *state)
{
    const struct work *work = state;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += HC_BLOCK) {
        struct hc_pair_extent out;
        work->kernels->pair_extent.block(work->weights + i, HC_BLOCK, &work->grid, &out);
    }
}

static void bench(struct check_bench *b)
{
    struct work work = {&b->tier->kernels, check_bench_weights(b, 0.02), {.half = 0.05}};
    if (work.weights != NULL)
        check_bench_run(b, CHECK_BENCH_WEIGHTS, 4 * (uint64_t)CHECK_BENCH_WEIGHTS, pass, &work);
}

const struct check_op check_pair_extent[] = {
    {"pair_extent.block", "weight", CHECK_SLOT(pair_extent.block), NULL, run, bench},
    {0},
};
