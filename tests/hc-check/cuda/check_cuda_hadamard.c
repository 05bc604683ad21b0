#include <float.h>
#include <math.h>

#include "device.h"
#include "hadamard/hadamard_cuda.h"

static void one_case(struct check *c, unsigned block, size_t blocks, bool extreme)
{
    static const float extremes[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0x1p-149f, -0.0f, FLT_MIN};
    size_t n = blocks * block;
    check_case(c, "block=%u blocks=%zu extreme=%d", block, blocks, extreme);
    float *data = check_buffer(c, n * sizeof *data, 0);
    float *got = check_buffer(c, n * sizeof *got, 0);
    check_fill_normal(&c->random, data, n, 0, 1);
    for (size_t i = 0; extreme && i < n; i += 1 + check_below(&c->random, block))
        data[i] = extremes[check_below(&c->random, sizeof extremes / sizeof extremes[0])];
    float *device = device_copy(c, data, n * sizeof *data);
    device_launched(c, "hadamard", hc_hadamard_cuda(device, n, block, device_stream(c)));
    device_fetch(c, device, got, n * sizeof *got);
    c->truth->kernels.hadamard.blocks(data, n, block);
    check_f32(c, "element", data, got, n);
    device_end(c);
}

static void run(struct check *c)
{
    static const size_t sizes[] = {1, 2, 3, 7, 8, 33};
    for (unsigned block = HC_HADAMARD_MIN; block <= HC_HADAMARD_MAX; block *= 2)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (int extreme = 0; extreme < 2; extreme++)
                one_case(c, block, sizes[i], extreme);
}

const struct check_op check_cuda_hadamard[] = {
    {"hadamard.blocks", "weight", CHECK_DEVICE, NULL, run, NULL},
    {0},
};
