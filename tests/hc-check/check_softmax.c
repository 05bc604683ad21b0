#include <math.h>
#include <string.h>

#include "check.h"

enum { NORMAL, FEW_VALUES, ANY_BITS, ALL_NAN, KINDS };

static void fill(struct check *c, float *x, size_t n, int kind)
{
    static const float few[] = {-0.0f, 0.0f, -1.0f, -INFINITY, NAN};
    check_fill_normal(&c->random, x, n, 0, 20);
    if (kind == ANY_BITS)
        check_fill(&c->random, x, n * sizeof *x);
    for (size_t i = 0; i < n && (kind == FEW_VALUES || kind == ALL_NAN); i++)
        x[i] = kind == ALL_NAN ? NAN : few[check_below(&c->random, sizeof few / sizeof few[0])];
}

/* Both operations on the same numbers; the row says which is under test. */
static void one_case(struct check *c, size_t n, int kind)
{
    check_case(c, "n=%zu kind=%d", n, kind);
    float *x = check_buffer(c, n * sizeof *x, 0);
    fill(c, x, n, kind);
    float *got = check_copy(c, x, n * sizeof *x, n % 2 ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16));
    size_t at = c->truth->kernels.softmax.largest(x, n);
    if (c->op->about == NULL) {
        check_u64(c, "index", at, c->tested->kernels.softmax.largest(got, n));
        return;
    }
    float max = x[at], sum = c->truth->kernels.softmax.exponentials(x, n, max);
    float got_sum = c->tested->kernels.softmax.exponentials(got, n, max);
    check_f32(c, "exponential", x, got, n);
    check_f32(c, "sum", &sum, &got_sum, 1);
}

static void run(struct check *c)
{
    static const size_t sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 100, 1000, 32003};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++)
        for (int kind = 0; kind < KINDS; kind++)
            one_case(c, sizes[i / 2], kind);
}

struct work {
    const struct hc_kernels *kernels;
    float *x;
    volatile size_t at;
};

static void pass_largest(void *state)
{
    struct work *work = state;
    work->at = work->kernels->softmax.largest(work->x, CHECK_BENCH_WEIGHTS);
}

/* What it makes of its own results stays between 1/e and 1. */
static void pass_exponentials(void *state)
{
    struct work *work = state;
    work->at = (size_t)work->kernels->softmax.exponentials(work->x, CHECK_BENCH_WEIGHTS, 1);
}

static void bench(struct check_bench *b)
{
    struct work work = {&b->tier->kernels, check_bench_weights(b, 0.1), 0};
    if (work.x == NULL)
        return;
    bool largest = b->op->about == NULL;
    check_bench_run(b, CHECK_BENCH_WEIGHTS, (largest ? 4 : 8) * (uint64_t)CHECK_BENCH_WEIGHTS,
                    largest ? pass_largest : pass_exponentials, &work);
}

static const bool exponentials = true;

const struct check_op check_softmax[] = {
    {"softmax.largest", "number", CHECK_SLOT(softmax.largest), NULL, run, bench},
    {"softmax.exponentials", "number", CHECK_SLOT(softmax.exponentials), &exponentials, run, bench},
    {0},
};
