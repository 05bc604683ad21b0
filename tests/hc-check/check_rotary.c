#include <float.h>
#include <math.h>

#include "check.h"

static void one_case(struct check *c, size_t heads, size_t width, bool extreme)
{
    static const float extremes[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0x1p-149f, -0.0f};
    size_t n = heads * width, half = width / 2;
    check_case(c, "heads=%zu width=%zu extreme=%d", heads, width, extreme);
    float *x = check_buffer(c, n * sizeof *x, 0);
    float *cosines = check_buffer(c, half * sizeof *cosines, 0), *sines = check_buffer(c, half * sizeof *sines, 0);
    check_fill_normal(&c->random, x, n, 0, 1);
    for (size_t d = 0; d < half; d++) {
        double angle = 100 * check_uniform(&c->random);
        cosines[d] = (float)cos(angle);
        sines[d] = (float)sin(angle);
    }
    for (size_t i = 0; extreme && i < n; i += 1 + check_below(&c->random, 20))
        x[i] = extremes[check_below(&c->random, sizeof extremes / sizeof extremes[0])];
    int at = heads % 2 ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16);
    float *got = check_copy(c, x, n * sizeof *x, at);
    c->truth->kernels.rotary.heads(x, heads, width, cosines, sines);
    c->tested->kernels.rotary.heads(got, heads, width, check_copy(c, cosines, half * sizeof *cosines, at),
                                    check_copy(c, sines, half * sizeof *sines, at));
    check_f32(c, "element", x, got, n);
}

static void run(struct check *c)
{
    static const size_t widths[] = {2, 4, 6, 14, 16, 18, 30, 32, 34, 64, 80, 96, 128, 256};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        for (size_t heads = 0; heads < 6; heads++)
            for (int extreme = 0; extreme < 2; extreme++)
                one_case(c, heads, widths[i], extreme);
}

enum { HEADS = 32, WIDTH = 128 };

struct work {
    const struct hc_kernels *kernels;
    float *x, *cosines, *sines;
};

static void pass(void *state)
{
    const struct work *work = state;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += HEADS * WIDTH)
        work->kernels->rotary.heads(work->x + i, HEADS, WIDTH, work->cosines, work->sines);
}

static void bench(struct check_bench *b)
{
    struct work work = {&b->tier->kernels, check_bench_weights(b, 1), check_bench_alloc(b, WIDTH / 2 * sizeof(float)),
                        check_bench_alloc(b, WIDTH / 2 * sizeof(float))};
    if (work.x == NULL || work.cosines == NULL || work.sines == NULL)
        return;
    for (size_t d = 0; d < WIDTH / 2; d++) {
        work.cosines[d] = (float)cos((double)d);
        work.sines[d] = (float)sin((double)d);
    }
    check_bench_run(b, CHECK_BENCH_WEIGHTS, 8 * (uint64_t)CHECK_BENCH_WEIGHTS, pass, &work);
}

const struct check_op check_rotary[] = {
    {"rotary.heads", "number", CHECK_SLOT(rotary.heads), NULL, run, bench},
    {0},
};
