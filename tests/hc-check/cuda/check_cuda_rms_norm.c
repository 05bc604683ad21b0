#include <float.h>
#include <math.h>

#include "device.h"
#include "rms_norm/rms_norm_cuda.h"

/* The sums of squares are made of positive numbers, in chains of at most width / 32 + 10 additions here, and at most
 * width / 16 + 4 in plain C: far below 2^7 units of 2^-24 each at these widths. The root halves that. */
static const float TOLERANCE = 0x1p-18f;

static void compare(struct check *c, const float *expected, const float *got, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float error = fabsf(got[i] - expected[i]);
        bool same = got[i] == expected[i] || (isnan(got[i]) && isnan(expected[i]));
        if (!same && !(error <= TOLERANCE * fabsf(expected[i]) + FLT_MIN))
            check_fail(c, "out", i, (double)error);
    }
}

static void one_case(struct check *c, size_t rows, size_t width, bool extreme, bool in_place)
{
    static const float extremes[] = {NAN, INFINITY, FLT_MAX, -1e18f, 0x1p-149f, -0.0f, 1e-20f};
    size_t bytes = rows * width * sizeof(float);
    check_case(c, "rows=%zu width=%zu extreme=%d in_place=%d", rows, width, extreme, in_place);
    float *x = check_buffer(c, bytes, 0), *gain = check_buffer(c, width * sizeof *gain, 0);
    float *expected = check_buffer(c, bytes, 0), *got = check_buffer(c, bytes, 0);
    check_fill_normal(&c->random, x, rows * width, 0, 1);
    check_fill_normal(&c->random, gain, width, 1, 0.2);
    for (size_t i = 0; extreme && i < rows * width; i += 1 + check_below(&c->random, 2 * width))
        x[i] = extremes[check_below(&c->random, sizeof extremes / sizeof extremes[0])];
    c->truth->kernels.rms_norm.rows(x, gain, rows, width, 1e-5f, expected);
    float *device = device_copy(c, x, bytes), *out = in_place ? device : device_buffer(c, bytes);
    device_launched(c, "rms_norm",
                    hc_rms_norm_cuda(device, device_copy(c, gain, width * sizeof *gain), rows, width, 1e-5f, out,
                                     device_stream(c)));
    device_fetch(c, out, got, bytes);
    compare(c, expected, got, rows * width);
    device_end(c);
}

static void run(struct check *c)
{
    static const size_t widths[] = {1, 31, 32, 64, 128, 511, 512, 513, 576, 1001, 2049};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        for (unsigned kind = 0; kind < 4; kind++)
            one_case(c, 1 + kind, widths[i], kind % 2, kind / 2);
}

const struct check_op check_cuda_rms_norm[] = {
    {"rms_norm.rows", "number", CHECK_DEVICE, NULL, run, NULL},
    {0},
};
