#include <float.h>
#include <math.h>

#include "device.h"
#include "rotary/rotary_cuda.h"

static void turns_case(struct check *c, uint32_t first, size_t n, size_t count)
{
    size_t bytes = n * 2 * count * sizeof(float);
    check_case(c, "first=%u n=%zu count=%zu", first, n, count);
    float *frequencies = check_buffer(c, count * sizeof *frequencies, 0), *got = check_buffer(c, bytes, 0);
    for (size_t d = 0; d < count; d++)
        frequencies[d] = (float)pow(1e4, -(double)d / (double)count);
    float *device = device_buffer(c, bytes);
    device_launched(c, "turns",
                    hc_rotary_turns_cuda(device_copy(c, &first, sizeof first), n,
                                         device_copy(c, frequencies, count * sizeof *frequencies), count, device,
                                         device_stream(c)));
    device_fetch(c, device, got, bytes);
    for (size_t i = 0; i < n * 2 * count; i++) {
        double angle = (double)((float)(first + i / (2 * count)) * frequencies[i % count]);
        float expected = (float)(i / count % 2 ? sin(angle) : cos(angle));
        bool near = got[i] >= nextafterf(expected, -2) && got[i] <= nextafterf(expected, 2);
        if (!near) /* the doubles may round to neighbours */
            check_fail(c, "turn", i, fabs((double)got[i] - (double)expected));
    }
    device_end(c);
}

static void run_turns(struct check *c)
{
    static const uint32_t firsts[] = {0, 1, 4095, 131071, 16777215};
    static const size_t counts[] = {1, 32, 64, 257};
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++)
        for (size_t j = 0; j < sizeof counts / sizeof counts[0]; j++)
            turns_case(c, firsts[i], 1 + j, counts[j]);
}

static void rotate_case(struct check *c, size_t n, size_t heads, size_t width, bool extreme)
{
    static const float extremes[] = {NAN, INFINITY, FLT_MAX, -FLT_MAX, 0x1p-149f, -0.0f};
    size_t bytes = n * heads * width * sizeof(float), turn_bytes = n * width * sizeof(float);
    check_case(c, "n=%zu heads=%zu width=%zu extreme=%d", n, heads, width, extreme);
    float *x = check_buffer(c, bytes, 0), *turns = check_buffer(c, turn_bytes, 0), *got = check_buffer(c, bytes, 0);
    check_fill_normal(&c->random, x, n * heads * width, 0, 1);
    check_fill_normal(&c->random, turns, n * width, 0, 0.7);
    for (size_t i = 0; extreme && i < n * heads * width; i += 1 + check_below(&c->random, 9))
        x[i] = extremes[check_below(&c->random, sizeof extremes / sizeof extremes[0])];
    float *device = device_copy(c, x, bytes);
    device_launched(c, "rotate",
                    hc_rotary_cuda(device, n, heads, width, device_copy(c, turns, turn_bytes), device_stream(c)));
    device_fetch(c, device, got, bytes);
    for (size_t i = 0; i < n; i++)
        c->truth->kernels.rotary.heads(x + i * heads * width, heads, width, turns + i * width,
                                       turns + i * width + width / 2);
    check_f32(c, "element", x, got, n * heads * width);
    device_end(c);
}

static void run_rotate(struct check *c)
{
    static const size_t widths[] = {2, 6, 64, 80, 128, 512};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        for (size_t n = 1; n < 4; n++)
            rotate_case(c, n, 1 + check_below(&c->random, 9), widths[i], n == 2);
}

const struct check_op check_cuda_rotary[] = {
    {"rotary.turns", "turn", CHECK_DEVICE, NULL, run_turns, NULL},
    {"rotary.heads", "number", CHECK_DEVICE, NULL, run_rotate, NULL},
    {0},
};
