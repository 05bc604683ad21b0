#include <float.h>
#include <math.h>
#include <string.h>

#include "device.h"
#include "window_input/window_input_cuda.h"

enum { PLAIN, NORM, GATE, KINDS };
enum { POSITIONS = 3, MOST_GROUPS = 17 };

struct input {
    int kind;
    bool uniform, extreme;
    size_t n, columns;
    const float *x, *with; /* with: gain or up */
};

/* v of one position, before the factors. */
static void values_of(const struct check *c, const struct input *in, size_t i, float *v)
{
    size_t bytes = in->columns * sizeof *v;
    memcpy(v, in->x + i * in->columns, bytes);
    if (in->kind == NORM)
        c->truth->kernels.rms_norm.rows(v, in->with, 1, in->columns, 1e-5f, v);
    else if (in->kind == GATE)
        c->truth->kernels.silu.gate(v, in->with + i * in->columns, in->columns);
}

static void transform(const struct check *c, const struct hc_input_ready *ready, const float *factors, float *v)
{
    if (!factors)
        return;
    c->truth->kernels.window_rows.scale(v, ready->padded, factors);
    c->truth->kernels.hadamard.blocks(v, ready->padded, ready->block);
}

/* The largest magnitude; NaN or infinity if there is one. */
static float largest_of(const float *v, size_t n)
{
    float most = 0;
    for (size_t j = 0; j < n; j++)
        if (!(fabsf(v[j]) <= most) && !isnan(most))
            most = fabsf(v[j]);
    return most;
}

static float scale_of(float largest)
{
    int exponent;
    if (!(largest <= FLT_MAX))
        return NAN;
    frexpf(largest, &exponent);
    exponent = largest > 0 ? exponent - 10 : -126;
    return ldexpf(1, exponent < -126 ? -126 : exponent > 117 ? 117 : exponent);
}

/* Exact but for the norm: its sum has an order of its own, so v is wrong by up to 2^-18 of itself
 * (check_cuda_rms_norm), and the transform adds such errors up; then a scale may be the next one where m is close to a
 * power of two, and rounding to a half, by up to s / 4, falls elsewhere. */
static void compare(struct check *c, const struct input *in, const float *v, size_t n, float largest,
                    const uint16_t *got, float got_scale)
{
    float scale = scale_of(largest), value;
    bool near = in->kind == NORM &&
                (got_scale == scale_of(largest * (1 + 0x1p-17f)) || got_scale == scale_of(largest * (1 - 0x1p-17f)));
    if (got_scale != scale && !near && !(isnan(got_scale) && isnan(scale)))
        check_fail(c, "scale", CHECK_WHOLE, fabs((double)got_scale - (double)scale));
    for (size_t j = 0; !isnan(scale) && j < n; j++) {
        uint16_t half;
        float scaled = v[j] / got_scale;
        c->truth->kernels.convert.f32_to_f16(&scaled, 1, &half);
        c->truth->kernels.convert.f16_to_f32(&got[j], 1, &value);
        double error = fabs((double)value * (double)got_scale - (double)v[j]);
        double tolerance = (double)got_scale / 4 + 0x1p-16 * (double)largest;
        if (in->kind == NORM ? !(error <= tolerance) : half != got[j])
            check_fail(c, "half", j, error);
    }
}

static void check_matrix(struct check *c, const struct input *in, const struct hc_input_ready *ready,
                         const float *factors)
{
    size_t groups = (ready->padded + HC_INPUT_GROUP - 1) / HC_INPUT_GROUP;
    uint16_t *halves = check_buffer(c, in->n * ready->padded * sizeof *halves, 0);
    float *scales = check_buffer(c, in->n * groups * sizeof *scales, 0);
    float *v = check_buffer(c, ready->padded * sizeof *v, 0);
    device_fetch(c, ready->halves, halves, in->n * ready->padded * sizeof *halves);
    device_fetch(c, ready->scales, scales, in->n * groups * sizeof *scales);
    for (size_t i = 0; i < in->n; i++) {
        memset(v, 0, ready->padded * sizeof *v);
        values_of(c, in, i, v);
        transform(c, ready, factors, v);
        for (size_t g = 0; g < groups; g++) {
            size_t begin = g * HC_INPUT_GROUP, left = ready->padded - begin;
            size_t n = left < HC_INPUT_GROUP ? left : HC_INPUT_GROUP;
            float largest = in->uniform ? largest_of(v, ready->padded) : largest_of(v + begin, n);
            compare(c, in, v + begin, n, largest, halves + i * ready->padded + begin, scales[i * groups + g]);
        }
    }
}

static float *numbers_of(struct check *c, size_t n, bool extreme)
{
    static const float extremes[] = {NAN, INFINITY, -INFINITY, FLT_MAX, 1e30f, 0x1p-149f, -0.0f, 0x1p-130f};
    float *x = check_buffer(c, n * sizeof *x, 0);
    check_fill_normal(&c->random, x, n, 0, extreme && check_below(&c->random, 2) ? 1e-37 : 1);
    for (size_t i = check_below(&c->random, 100); extreme && i < n; i += 1 + check_below(&c->random, n))
        x[i] = extremes[check_below(&c->random, sizeof extremes / sizeof extremes[0])];
    return x;
}

static float *factors_of(struct check *c, size_t n)
{
    float *factors = check_buffer(c, n * sizeof *factors, 0);
    for (size_t j = 0; j < n; j++)
        factors[j] = (float)(exp2(check_normal(&c->random)) * (check_below(&c->random, 2) ? 1 : -1));
    return factors;
}

/* That a group is not finite is told if, and only if, its scale says so. */
static void check_not_finite(struct check *c, const struct hc_input_launch *launch)
{
    uint32_t told = 0;
    bool expected = false;
    for (unsigned i = 0; i < launch->count; i++) {
        size_t scales = launch->n * ((launch->ready[i].padded + HC_INPUT_GROUP - 1) / HC_INPUT_GROUP);
        float got[POSITIONS * MOST_GROUPS];
        device_fetch(c, launch->ready[i].scales, got, scales * sizeof *got);
        for (size_t s = 0; s < scales; s++)
            expected = expected || isnan(got[s]);
    }
    device_fetch(c, launch->not_finite, &told, sizeof told);
    check_u64(c, "not finite", expected, told > 0);
}

/* `count` matrices: the first is not transformed if block is 0; each following one has the next smaller block, or 128.
 */
static void one_case(struct check *c, struct input in, unsigned block, unsigned count)
{
    const float *factors[HC_INPUT_MATRICES];
    check_case(c, "kind=%d uniform=%d extreme=%d n=%zu columns=%zu block=%u count=%u", in.kind, in.uniform, in.extreme,
               in.n, in.columns, block, count);
    in.x = numbers_of(c, in.n * in.columns, in.extreme);
    in.with = numbers_of(c, in.n * in.columns, false);
    size_t bytes = in.n * in.columns * sizeof(float);
    const float *with = in.kind == PLAIN ? NULL : device_copy(c, in.with, bytes);
    struct hc_input_launch launch = {.x = device_copy(c, in.x, bytes),
                                     .gain = in.kind == NORM ? with : NULL,
                                     .up = in.kind == GATE ? with : NULL,
                                     .epsilon = 1e-5f,
                                     .n = in.n,
                                     .columns = in.columns,
                                     .uniform = in.uniform,
                                     .not_finite = device_zeros(c, sizeof(uint32_t)),
                                     .count = count};
    for (unsigned i = 0; i < count; i++) {
        unsigned multiple = block ? block : HC_HADAMARD_MIN;
        size_t padded = (in.columns + multiple - 1) / multiple * multiple, groups = padded / HC_INPUT_GROUP + 1;
        float *own = factors_of(c, padded);
        factors[i] = block ? own : NULL;
        launch.ready[i].factors = block ? device_copy(c, own, padded * sizeof *own) : NULL;
        launch.ready[i].block = block;
        launch.ready[i].padded = padded;
        launch.ready[i].halves = device_buffer(c, in.n * padded * sizeof(uint16_t));
        launch.ready[i].scales = device_buffer(c, in.n * groups * sizeof(float));
        block = block > HC_HADAMARD_MIN ? block / 2 : HC_HADAMARD_MAX;
    }
    device_launched(c, "window_input", hc_window_input_cuda(&launch, device_stream(c)));
    for (unsigned i = 0; i < count; i++)
        check_matrix(c, &in, &launch.ready[i], factors[i]);
    check_not_finite(c, &launch);
    device_end(c);
}

static void run(struct check *c)
{
    static const size_t columns[] = {1, 16, 130, 256, 576, 1001, 1024, 1040, 2304, 4100};
    static const unsigned blocks[] = {0, 16, 32, 64, 128};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        for (int kind = 0; kind < 4 * KINDS; kind++) {
            struct input in = {.kind = kind % KINDS,
                               .uniform = kind / KINDS % 2,
                               .extreme = kind / KINDS / 2,
                               .n = 1 + check_below(&c->random, POSITIONS),
                               .columns = columns[i]};
            one_case(c, in, blocks[check_below(&c->random, 5)], 1 + (unsigned)check_below(&c->random, 3));
        }
}

const struct check_op check_cuda_window_input[] = {
    {"window_input", "number", CHECK_DEVICE, NULL, run, NULL},
    {0},
};
