#include <math.h>
#include <string.h>

#include "convert/convert_cuda.h"
#include "convert/convert_rows_cuda.h"
#include "device.h"

enum { ROWS = 7 };

static const hc_type f32 = HC_TYPE_F32, f16 = HC_TYPE_F16, bf16 = HC_TYPE_BF16;

static void to_float(const struct check *c, hc_type type, const void *in, size_t n, float *out)
{
    if (type == HC_TYPE_F16)
        c->truth->kernels.convert.f16_to_f32(in, n, out);
    else if (type == HC_TYPE_BF16)
        c->truth->kernels.convert.bf16_to_f32(in, n, out);
    else
        memcpy(out, in, n * sizeof *out);
}

/* Any bits are numbers. Some of the rows are none. */
static void rows_case(struct check *c, size_t columns, size_t n)
{
    hc_type type = *(const hc_type *)c->op->about;
    size_t size = type == HC_TYPE_F32 ? 4 : 2, bytes = n * columns * sizeof(float);
    check_case(c, "columns=%zu n=%zu", columns, n);
    uint8_t *matrix = check_buffer(c, ROWS * columns * size, 0);
    int32_t *rows = check_buffer(c, n * sizeof *rows, 0);
    float *expected = check_buffer(c, bytes, 0), *got = check_buffer(c, bytes, 0);
    check_fill(&c->random, matrix, ROWS * columns * size);
    for (size_t i = 0; i < n; i++) {
        rows[i] = i == 0 ? ROWS - 1 : i % 3 == 2 ? -(int32_t)i : (int32_t)check_below(&c->random, ROWS);
        if (rows[i] < 0)
            memset(expected + i * columns, 0, columns * sizeof *expected);
        else
            to_float(c, type, matrix + (size_t)rows[i] * columns * size, columns, expected + i * columns);
    }
    float *device = device_buffer(c, bytes);
    device_launched(c, "convert_rows",
                    hc_convert_rows_cuda(device_copy(c, matrix, ROWS * columns * size), type, columns,
                                         device_copy(c, rows, n * sizeof *rows), n, device, device_stream(c)));
    device_fetch(c, device, got, bytes);
    check_f32(c, "element", expected, got, n * columns);
    device_end(c);
}

static void run_rows(struct check *c)
{
    static const size_t columns[] = {1, 17, 255, 256, 257, 576};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        for (size_t n = 1; n < 10; n += 4)
            rows_case(c, columns[i], n);
}

/* Any bits; and ties, and what rounds to zero, subnormals or infinity. */
static void fill_for_rounding(struct check *c, float *x, size_t n)
{
    static const float extremes[] = {0,        -0.0f,      65504,        65519.99f, 65520,    3.4e38f,
                                     -3.4e38f, 0x1.002p0f, 0x1.006p0f,   0x1.01p0f, 0x1p-25f, 0x1.000002p-25f,
                                     0x1p-24f, 0x1.8p-24f, 0x1.ffcp-15f, INFINITY,  NAN,      0x1.03p0f};
    check_fill(&c->random, x, n * sizeof *x);
    for (size_t i = 0; i < n; i += 2)
        x[i] = i / 2 < sizeof extremes / sizeof extremes[0] ? extremes[i / 2] : (float)check_normal(&c->random);
}

static void to_case(struct check *c, size_t n)
{
    hc_type type = *(const hc_type *)c->op->about;
    check_case(c, "n=%zu", n);
    float *x = check_buffer(c, n * sizeof *x, 0);
    uint16_t *expected = check_buffer(c, n * sizeof *expected, 0), *got = check_buffer(c, n * sizeof *got, 0);
    fill_for_rounding(c, x, n);
    if (type == HC_TYPE_F16)
        c->truth->kernels.convert.f32_to_f16(x, n, expected);
    else
        c->truth->kernels.convert.f32_to_bf16(x, n, expected);
    uint16_t *device = device_buffer(c, n * sizeof *device);
    device_launched(c, "convert_to",
                    hc_convert_to_cuda(device_copy(c, x, n * sizeof *x), n, type, device, device_stream(c)));
    device_fetch(c, device, got, n * sizeof *got);
    for (size_t i = 0; i < n; i++) {
        float value;
        to_float(c, type, &got[i], 1, &value);
        if (isnan(x[i]) ? !isnan(value) : expected[i] != got[i])
            check_fail(c, "element", i, fabs((double)expected[i] - (double)got[i]));
    }
    device_end(c);
}

static void run_to(struct check *c)
{
    static const size_t sizes[] = {1, 40, 255, 256, 257, 60000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        to_case(c, sizes[i]);
}

/* Every value there is. */
static void run_from(struct check *c)
{
    static const size_t sizes[] = {1, 2, 255, 256, 257, 3000, 65536};
    hc_type type = *(const hc_type *)c->op->about;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i];
        check_case(c, "n=%zu", n);
        uint16_t *halves = check_buffer(c, n * sizeof *halves, 0);
        float *expected = check_buffer(c, n * sizeof *expected, 0), *got = check_buffer(c, n * sizeof *got, 0);
        for (size_t j = 0; j < n; j++)
            halves[j] = (uint16_t)(j * 40503); /* odd: no two of the 65536 are equal */
        to_float(c, type, halves, n, expected);
        const uint16_t *in = device_copy(c, halves, n * sizeof *in);
        float *out = device_buffer(c, n * sizeof *out);
        device_launched(c, "to_f32",
                        (type == HC_TYPE_F16 ? hc_f16_to_f32_cuda : hc_bf16_to_f32_cuda)(in, n, out, device_stream(c)));
        device_fetch(c, out, got, n * sizeof *got);
        check_f32(c, "element", expected, got, n);
        device_end(c);
    }
}

const struct check_op check_cuda_convert[] = {
    {"convert.f16_to_f32", "number", CHECK_DEVICE, &f16, run_from, NULL},
    {"convert.bf16_to_f32", "number", CHECK_DEVICE, &bf16, run_from, NULL},
    {"convert.f32_to_f16", "number", CHECK_DEVICE, &f16, run_to, NULL},
    {"convert.f32_to_bf16", "number", CHECK_DEVICE, &bf16, run_to, NULL},
    {"convert.rows_f32", "number", CHECK_DEVICE, &f32, run_rows, NULL},
    {"convert.rows_f16", "number", CHECK_DEVICE, &f16, run_rows, NULL},
    {"convert.rows_bf16", "number", CHECK_DEVICE, &bf16, run_rows, NULL},
    {0},
};
