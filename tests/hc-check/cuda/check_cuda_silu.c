#include <float.h>
#include <math.h>

#include "device.h"
#include "silu/silu_cuda.h"

static float *numbers_of(struct check *c, size_t n, bool extreme)
{
    static const float extremes[] = {NAN,   INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0x1p-149f,
                                     -0.0f, 88.7f,    -88.7f,    -88.8f,  87.4f,    0x1.62e426p+6f};
    float *x = check_buffer(c, n * sizeof *x, 0);
    check_fill_normal(&c->random, x, n, 0, 3);
    for (size_t i = 0; extreme && i < n; i += 1 + check_below(&c->random, 3))
        x[i] = extremes[check_below(&c->random, sizeof extremes / sizeof extremes[0])];
    return x;
}

static void gate_case(struct check *c, size_t n, bool extreme)
{
    check_case(c, "n=%zu extreme=%d", n, extreme);
    float *gate = numbers_of(c, n, extreme), *up = numbers_of(c, n, extreme);
    float *got = check_buffer(c, n * sizeof *got, 0), *device = device_copy(c, gate, n * sizeof *gate);
    device_launched(c, "silu_gate", hc_silu_gate_cuda(device, device_copy(c, up, n * sizeof *up), n, device_stream(c)));
    device_fetch(c, device, got, n * sizeof *got);
    c->truth->kernels.silu.gate(gate, up, n);
    check_f32(c, "gate", gate, got, n);
    device_end(c);
}

static void add_case(struct check *c, size_t n, bool extreme)
{
    check_case(c, "n=%zu extreme=%d", n, extreme);
    float *x = numbers_of(c, n, extreme), *y = numbers_of(c, n, extreme);
    float *got = check_buffer(c, n * sizeof *got, 0), *device = device_copy(c, x, n * sizeof *x);
    device_launched(c, "add", hc_add_cuda(device, device_copy(c, y, n * sizeof *y), n, device_stream(c)));
    device_fetch(c, device, got, n * sizeof *got);
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
    check_f32(c, "sum", x, got, n);
    device_end(c);
}

static const size_t sizes[] = {1, 31, 255, 256, 257, 1000};

static void run_gate(struct check *c)
{
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++)
        gate_case(c, sizes[i / 2], i % 2);
}

static void run_add(struct check *c)
{
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++)
        add_case(c, sizes[i / 2], i % 2);
}

const struct check_op check_cuda_silu[] = {
    {"silu.gate", "number", CHECK_DEVICE, NULL, run_gate, NULL},
    {"silu.add", "number", CHECK_DEVICE, NULL, run_add, NULL},
    {0},
};
