#include <float.h>
#include <math.h>
#include <string.h>

#include "check.h"

enum { NORMAL, FEW_VALUES, EQUAL, ANY_BITS, KINDS };

/* What a network may give: NaN and infinities among it. */
static float *raw_logits(struct check *c, size_t n, int kind)
{
    static const float few[] = {-0.0f, 0.0f, -1, FLT_MAX, -FLT_MAX, INFINITY, -INFINITY, NAN};
    float *logits = check_buffer(c, n * sizeof *logits, 0);
    size_t most = 2 + check_below(&c->random, 7); /* often none of the largest */
    check_fill_normal(&c->random, logits, n, 0, 3);
    if (kind == ANY_BITS)
        check_fill(&c->random, logits, n * sizeof *logits);
    for (size_t t = 0; t < n && kind == FEW_VALUES; t++)
        logits[t] = few[check_below(&c->random, most)];
    for (size_t t = 1; t < n && kind == EQUAL; t++)
        logits[t] = logits[0];
    return logits;
}

static float *made_finite(struct check *c, size_t n, int kind)
{
    float *logits = raw_logits(c, n, kind);
    c->truth->kernels.sampling.make_finite(logits, n);
    return logits;
}

/* For what is tested: at the end of memory, or anywhere. */
static float *moved(struct check *c, const float *logits, size_t n)
{
    return check_copy(c, logits, n * sizeof *logits, n % 2 ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16));
}

static void finite_case(struct check *c, size_t n, int kind)
{
    float *logits = raw_logits(c, n, kind), *got = moved(c, logits, n);
    c->truth->kernels.sampling.make_finite(logits, n);
    c->tested->kernels.sampling.make_finite(got, n);
    check_f32(c, "logit", logits, got, n);
}

static void reached_case(struct check *c, size_t n, int kind)
{
    const float *logits = made_finite(c, n, kind), *there = moved(c, logits, n);
    const size_t stretches[] = {1, n, n / 8 + 1, n < 40 ? n : 40, 1 + check_below(&c->random, n)};
    for (size_t i = 0; i < sizeof stretches / sizeof stretches[0]; i++) {
        float expected = c->truth->kernels.sampling.reached(logits, n, stretches[i]);
        float got = c->tested->kernels.sampling.reached(there, n, stretches[i]);
        check_f32(c, "reached", &expected, &got, 1);
    }
}

static void collect_case(struct check *c, size_t n, int kind)
{
    const float *logits = made_finite(c, n, kind), *there = moved(c, logits, n);
    const float leasts[] = {-FLT_MAX, FLT_MAX, 0, logits[check_below(&c->random, n)], 6};
    uint64_t *expected = check_buffer(c, n * sizeof *expected, 0);
    for (size_t i = 0; i < sizeof leasts / sizeof leasts[0]; i++) {
        size_t count = c->truth->kernels.sampling.collect(logits, n, leasts[i], expected);
        uint64_t *got = check_buffer(c, count * sizeof *got, CHECK_FLUSH);
        check_u64(c, "count", count, c->tested->kernels.sampling.collect(there, n, leasts[i], got));
        check_bytes(c, "keys", (const uint8_t *)expected, (const uint8_t *)got, count * sizeof *got);
    }
}

static void total_case(struct check *c, size_t n, int kind)
{
    static const float temperatures[] = {0.8f, 1, 1e-30f, 0x1p-149f, 1e30f, FLT_MAX};
    const float *logits = made_finite(c, n, kind), *there = moved(c, logits, n);
    const float best = logits[c->truth->kernels.softmax.largest(logits, n)];
    for (size_t i = 0; i < sizeof temperatures / sizeof temperatures[0]; i++)
        check_f64(c, "total", c->truth->kernels.sampling.total(logits, n, best, temperatures[i]),
                  c->tested->kernels.sampling.total(there, n, best, temperatures[i]));
}

static void run(struct check *c)
{
    static const size_t sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 100, 1000, 32003};
    void (*const *one_case)(struct check *, size_t, int) = c->op->about;
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++)
        for (int kind = 0; kind < KINDS; kind++) {
            check_case(c, "n=%zu kind=%d", sizes[i / 2], kind);
            (*one_case)(c, sizes[i / 2], kind);
        }
}

/* ---- Times: a choice among 40 of so many tokens, or among all ----------------------------------------------- */

enum { ROOM = 1 << 16 };

struct work {
    const struct hc_sampling_ops *ops;
    float *logits;
    uint64_t *keys; /* ROOM of them: 4 deviations leave some hundred tokens */
    volatile double result;
};

static void pass_make_finite(void *state)
{
    const struct work *work = state;
    work->ops->make_finite(work->logits, CHECK_BENCH_WEIGHTS);
}

static void pass_reached(void *state)
{
    struct work *work = state;
    work->result = (double)work->ops->reached(work->logits, CHECK_BENCH_WEIGHTS, 40);
}

static void pass_collect(void *state)
{
    struct work *work = state;
    work->result = (double)work->ops->collect(work->logits, CHECK_BENCH_WEIGHTS, 4, work->keys);
}

static void pass_total(void *state)
{
    struct work *work = state;
    work->result = work->ops->total(work->logits, CHECK_BENCH_WEIGHTS, 6, 0.8f);
}

static void bench_pass(struct check_bench *b, uint64_t bytes, void (*pass)(void *state))
{
    struct work work = {&b->tier->kernels.sampling, check_bench_weights(b, 1),
                        check_bench_alloc(b, ROOM * sizeof(uint64_t)), 0};
    if (work.logits != NULL && work.keys != NULL)
        check_bench_run(b, CHECK_BENCH_WEIGHTS, bytes * CHECK_BENCH_WEIGHTS, pass, &work);
}

static void bench_make_finite(struct check_bench *b)
{
    bench_pass(b, 8, pass_make_finite);
}

static void bench_reached(struct check_bench *b)
{
    bench_pass(b, 4, pass_reached);
}

static void bench_collect(struct check_bench *b)
{
    bench_pass(b, 4, pass_collect);
}

static void bench_total(struct check_bench *b)
{
    bench_pass(b, 4, pass_total);
}

static void (*const cases[])(struct check *, size_t, int) = {finite_case, reached_case, collect_case, total_case};

const struct check_op check_sampling[] = {
    {"sampling.make_finite", "logit", CHECK_SLOT(sampling.make_finite), &cases[0], run, bench_make_finite},
    {"sampling.reached", "logit", CHECK_SLOT(sampling.reached), &cases[1], run, bench_reached},
    {"sampling.collect", "logit", CHECK_SLOT(sampling.collect), &cases[2], run, bench_collect},
    {"sampling.total", "logit", CHECK_SLOT(sampling.total), &cases[3], run, bench_total},
    {0},
};
