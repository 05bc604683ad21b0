#include "pair_cases.h"
#include "pair_grid.h"

enum { CASES = 3000 };

/* Draws a case, and begins it: its weights, or NULL if no grid fits them. */
static float *begin(struct check *c, struct pair_case *p, struct hc_pair_grid *grid)
{
    *p = pair_case_draw(&c->random);
    check_case(c, "kind=%d n=%zu side=%g centre=%g,%g points=%u classes=%u", p->kind, p->n, p->side, p->centre[0],
               p->centre[1], p->points, p->classes);
    float *weights = check_buffer(c, p->n * sizeof *weights, 0);
    pair_case_weights(&c->random, p, weights, grid);
    return pair_case_fit(p, &c->truth->kernels, weights, grid) ? weights : NULL;
}

static void compare(struct check *c, const struct hc_pair_search *expected, const struct hc_pair_search *got)
{
    check_f64(c, "error[0]", expected->error[0], got->error[0]);
    check_f64(c, "error[1]", expected->error[1], got->error[1]);
    check_u64(c, "max_code[0]", (uint32_t)expected->max_code[0], (uint32_t)got->max_code[0]);
    check_u64(c, "max_code[1]", (uint32_t)expected->max_code[1], (uint32_t)got->max_code[1]);
}

static void run_block(struct check *c)
{
    for (int i = 0; i < CASES; i++) {
        struct pair_case p;
        struct hc_pair_grid grid;
        const float *weights = begin(c, &p, &grid);
        if (weights == NULL)
            continue;
        size_t pairs = (p.n + 1) / 2;
        struct hc_pair_search expected, got;
        uint32_t *codes = check_buffer(c, pairs * sizeof *codes, 0);
        c->truth->kernels.pair_search.block(weights, p.n, &grid, codes, &expected);

        int misalign = 4 * (int)check_below(&c->random, 16);
        const float *copy = check_copy(c, weights, p.n * sizeof *copy, i % 2 ? misalign : CHECK_FLUSH);
        uint32_t *got_codes = check_buffer(c, pairs * sizeof *codes, i % 2 ? CHECK_FLUSH : misalign);
        c->tested->kernels.pair_search.block(copy, p.n, &grid, got_codes, &got);
        check_u32(c, "code", codes, got_codes, pairs);
        compare(c, &expected, &got);
        c->tested->kernels.pair_search.block(copy, p.n, &grid, NULL, &got);
        compare(c, &expected, &got);
    }
}

static void run_outer(struct check *c)
{
    for (int i = 0; i < CASES; i++) {
        struct pair_case p;
        struct hc_pair_grid grid;
        const float *weights = begin(c, &p, &grid);
        if (weights == NULL)
            continue;
        size_t bytes = (p.n + 1) * sizeof *weights;
        float *expected = check_buffer(c, bytes, 0);
        size_t count = c->truth->kernels.pair_search.outer(weights, p.n, &grid, expected);

        int misalign = 4 * (int)check_below(&c->random, 16);
        const float *copy = check_copy(c, weights, p.n * sizeof *copy, i % 2 ? misalign : CHECK_FLUSH);
        float *got = check_buffer(c, bytes, i % 2 ? CHECK_FLUSH : misalign);
        size_t got_count = c->tested->kernels.pair_search.outer(copy, p.n, &grid, got);
        check_u64(c, "count", count, got_count);
        check_f32(c, "weight", expected, got, count < got_count ? count : got_count);
    }
}

struct work {
    const struct hc_kernels *kernels;
    const float *weights;
    uint32_t *codes;
    float *outer;
    struct hc_pair_grid grid;
};

static void pass_block(void *state)
{
    const struct work *work = state;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += HC_BLOCK) {
        struct hc_pair_search out;
        work->kernels->pair_search.block(work->weights + i, HC_BLOCK, &work->grid, work->codes + i / 2, &out);
    }
}

static void pass_outer(void *state)
{
    const struct work *work = state;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += HC_BLOCK)
        work->kernels->pair_search.outer(work->weights + i, HC_BLOCK, &work->grid, work->outer);
}

/* The published setting, on weights of which one pair in forty lies outside the square. */
static void bench(struct check_bench *b, void (*pass)(void *state), uint64_t bytes)
{
    const double centre[2] = {0, 0};
    struct work work = {&b->tier->kernels,
                        check_bench_weights(b, 0.02),
                        check_bench_alloc(b, CHECK_BENCH_WEIGHTS / 2 * sizeof *work.codes),
                        check_bench_alloc(b, (HC_BLOCK + 1) * sizeof *work.outer),
                        {.half = 0}};
    if (work.weights == NULL || work.codes == NULL || work.outer == NULL)
        return;
    if (hc_pair_grid_init(&work.grid, centre, 0.1, 1600, 1, 0.15, 0, NULL) == HC_OK)
        check_bench_run(b, CHECK_BENCH_WEIGHTS, bytes, pass, &work);
}

static void bench_block(struct check_bench *b)
{
    bench(b, pass_block, 6 * (uint64_t)CHECK_BENCH_WEIGHTS);
}

static void bench_outer(struct check_bench *b)
{
    bench(b, pass_outer, 4 * (uint64_t)CHECK_BENCH_WEIGHTS);
}

const struct check_op check_pair_search[] = {
    {"pair_search.block", "weight", CHECK_SLOT(pair_search.block), NULL, run_block, bench_block},
    {"pair_search.outer", "weight", CHECK_SLOT(pair_search.outer), NULL, run_outer, bench_outer},
    {0},
};
