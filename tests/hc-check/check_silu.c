#include <math.h>
#include <string.h>

#include "check.h"

/* Numbers of every size, or any bits. */
static void fill(struct check *c, float *gate, size_t n, int kind)
{
    check_fill_normal(&c->random, gate, n, 0, kind == 0 ? 3 : 60);
    if (kind == 2)
        check_fill(&c->random, gate, n * sizeof *gate);
}

static void one_case(struct check *c, size_t n, int kind)
{
    check_case(c, "n=%zu kind=%d", n, kind);
    float *gate = check_buffer(c, n * sizeof *gate, 0), *up = check_buffer(c, n * sizeof *up, 0);
    fill(c, gate, n, kind);
    check_fill_normal(&c->random, up, n, 0, 1);
    int at = n % 2 ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16);
    float *got = check_copy(c, gate, n * sizeof *gate, at);
    c->truth->kernels.silu.gate(gate, up, n);
    c->tested->kernels.silu.gate(got, check_copy(c, up, n * sizeof *up, at), n);
    check_f32(c, "gate", gate, got, n);
}

static void run(struct check *c)
{
    static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100, 1000, 20000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int kind = 0; kind < 3; kind++)
            one_case(c, sizes[i], kind);
}

struct work {
    const struct hc_kernels *kernels;
    float *gate;
    const float *up;
};

static void pass(void *state)
{
    const struct work *work = state;
    work->kernels->silu.gate(work->gate, work->up, CHECK_BENCH_WEIGHTS);
}

static void bench(struct check_bench *b)
{
    struct work work = {&b->tier->kernels, check_bench_weights(b, 3), check_bench_weights(b, 1)};
    if (work.gate != NULL && work.up != NULL)
        check_bench_run(b, CHECK_BENCH_WEIGHTS, 12 * (uint64_t)CHECK_BENCH_WEIGHTS, pass, &work);
}

const struct check_op check_silu[] = {
    {"silu.gate", "number", CHECK_SLOT(silu.gate), NULL, run, bench},
    {0},
};
