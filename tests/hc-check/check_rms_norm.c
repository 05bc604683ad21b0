#include <float.h>
#include <math.h>

#include "check.h"

static void one_case(struct check *c, size_t rows, size_t width, bool extreme, bool in_place)
{
    static const float extremes[] = {NAN, INFINITY, FLT_MAX, -FLT_MAX, 0x1p-149f, -0.0f, 1e-20f};
    size_t n = rows * width;
    check_case(c, "rows=%zu width=%zu extreme=%d in_place=%d", rows, width, extreme, in_place);
    float *x = check_buffer(c, n * sizeof *x, 0), *gain = check_buffer(c, width * sizeof *gain, 0);
    check_fill_normal(&c->random, x, n, 0, 1);
    check_fill_normal(&c->random, gain, width, 1, 0.2);
    for (size_t i = 0; extreme && i < n; i += 1 + check_below(&c->random, 100))
        x[i] = extremes[check_below(&c->random, sizeof extremes / sizeof extremes[0])];
    float *expected = check_buffer(c, n * sizeof *expected, 0);
    c->truth->kernels.rms_norm.rows(x, gain, rows, width, 1e-5f, expected);
    int at = width % 3 == 0 ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16);
    float *copy = check_copy(c, x, n * sizeof *x, at), *out = in_place ? copy : check_buffer(c, n * sizeof *out, at);
    c->tested->kernels.rms_norm.rows(copy, check_copy(c, gain, width * sizeof *gain, at), rows, width, 1e-5f, out);
    check_f32(c, "out", expected, out, n);
}

static void run(struct check *c)
{
    static const size_t widths[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 96, 128, 576, 1001};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        for (size_t rows = 0; rows < 4; rows++)
            for (unsigned kind = 0; kind < 4; kind++)
                one_case(c, rows, widths[i], kind % 2, kind / 2);
}

enum { WIDTH = 4096 };

struct work {
    const struct hc_kernels *kernels;
    float *x, *gain;
};

static void pass(void *state)
{
    const struct work *work = state;
    work->kernels->rms_norm.rows(work->x, work->gain, CHECK_BENCH_WEIGHTS / WIDTH, WIDTH, 1e-5f, work->x);
}

static void bench(struct check_bench *b)
{
    struct work work = {&b->tier->kernels, check_bench_weights(b, 1), check_bench_alloc(b, WIDTH * sizeof(float))};
    if (work.x == NULL || work.gain == NULL)
        return;
    for (size_t i = 0; i < WIDTH; i++)
        work.gain[i] = 1;
    check_bench_run(b, CHECK_BENCH_WEIGHTS, 8 * (uint64_t)CHECK_BENCH_WEIGHTS, pass, &work);
}

const struct check_op check_rms_norm[] = {
    {"rms_norm.rows", "number", CHECK_SLOT(rms_norm.rows), NULL, run, bench},
    {0},
};
