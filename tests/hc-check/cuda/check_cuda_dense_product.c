/* The product that cuBLAS makes. It sums in an order of its own, in float32; products of halves are exact there. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "blas.h"
#include "dense_product/dense_product.h"
#include "device.h"

enum { WORKSPACE = 1 << 20 };

struct format {
    hc_type type;
    cudaDataType_t cuda;
};

static const struct format f32 = {HC_TYPE_F32, CUDA_R_32F}, f16 = {HC_TYPE_F16, CUDA_R_16F},
                           bf16 = {HC_TYPE_BF16, CUDA_R_16BF};

struct shape {
    uint32_t rows, columns, n, gap; /* numbers between one row and the next, and one position and the next */
};

/* Rows on both sides: on the host in float32. In the gaps is NaN. Nothing lies behind the last row. */
struct rows {
    float *numbers, *sizes; /* and their sizes without their signs */
    const void *device;
};

static struct rows make_rows(struct check *c, size_t count, size_t columns, size_t stride)
{
    const struct hc_convert_ops *convert = &c->truth->kernels.convert;
    const struct format *format = c->op->about;
    size_t n = (count - 1) * stride + columns;
    struct rows rows = {check_buffer(c, n * sizeof(float), 0), check_buffer(c, n * sizeof(float), 0), NULL};
    uint16_t *halves = check_buffer(c, n * sizeof *halves, 0);
    check_fill_normal(&c->random, rows.numbers, n, 0, 1);
    for (size_t i = 0; i < n; i++)
        if (i % stride >= columns)
            rows.numbers[i] = NAN;
    if (format->type == HC_TYPE_F16) {
        convert->f32_to_f16(rows.numbers, n, halves);
        convert->f16_to_f32(halves, n, rows.numbers);
    } else if (format->type == HC_TYPE_BF16) {
        convert->f32_to_bf16(rows.numbers, n, halves);
        convert->bf16_to_f32(halves, n, rows.numbers);
    }
    for (size_t i = 0; i < n; i++)
        rows.sizes[i] = fabsf(rows.numbers[i]);
    rows.device = format->type == HC_TYPE_F32 ? device_copy(c, rows.numbers, n * sizeof(float))
                                              : device_copy(c, halves, n * sizeof *halves);
    return rows;
}

static float *truth_of(struct check *c, const struct shape *s, const float *weights, const float *x)
{
    size_t stride = s->columns + s->gap;
    struct hc_dense_product product = {weights, s->rows, stride,     x,
                                       s->n,    stride,  s->columns, check_buffer(c, s->n * s->rows * sizeof(float), 0),
                                       s->rows};
    c->truth->kernels.dense_product.multiply(&product);
    return product.out;
}

/* Each of the two sums errs by at most half a unit of the sum of sizes for each of its terms, or a whole one where a
 * device truncates: together by less than two. */
static void check_sums(struct check *c, const struct shape *s, const float *expected, const float *sizes,
                       const float *got)
{
    for (size_t i = 0; i < (size_t)s->n * s->rows; i++) {
        double error = fabs((double)got[i] - (double)expected[i]);
        if (!(error <= 2.0 * s->columns * FLT_EPSILON * (double)sizes[i]))
            check_fail(c, "sum", i, error);
    }
}

static void one_case(struct check *c, const struct hc_cuda_blas *blas, const struct shape *s)
{
    const struct format *format = c->op->about;
    uint32_t stride = s->columns + s->gap;
    size_t bytes = (size_t)s->n * s->rows * sizeof(float);
    struct rows weights = make_rows(c, s->rows, s->columns, stride), x = make_rows(c, s->n, s->columns, stride);
    float *sums = device_buffer(c, bytes), *got = check_buffer(c, bytes, 0);
    device_stream(c); /* what was set up is complete */
    cublasStatus_t status = hc_cuda_blas_multiply(blas, &(struct hc_cuda_gemm){.weights = weights.device,
                                                                               .x = x.device,
                                                                               .type = format->cuda,
                                                                               .rows = s->rows,
                                                                               .columns = s->columns,
                                                                               .row_stride = stride,
                                                                               .x_stride = stride,
                                                                               .n = s->n,
                                                                               .sums = sums});
    if (status != CUBLAS_STATUS_SUCCESS)
        check_fail(c, blas->status_string(status), CHECK_WHOLE, INFINITY);
    device_fetch(c, sums, got, bytes);
    check_sums(c, s, truth_of(c, s, weights.numbers, x.numbers), truth_of(c, s, weights.sizes, x.sizes), got);
}

static void run(struct check *c)
{
    static const struct shape shapes[] = {{1, 1, 1, 0},    {1, 2, 3, 0},      {16, 64, 9, 0},
                                          {17, 63, 10, 0}, {63, 65, 2, 3},    {64, 128, 1, 8},
                                          {65, 127, 5, 0}, {40, 576, 33, 16}, {3, 1000, 64, 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct shape *s = &shapes[i];
        struct hc_cuda_blas blas = {0};
        struct hc_error error = {""};
        check_case(c, "rows=%u columns=%u n=%u gap=%u", s->rows, s->columns, s->n, s->gap);
        const struct hc_cuda_device device = {.stream = device_stream(c)};
        if (hc_cuda_blas_open(&blas, &device, device_buffer(c, WORKSPACE), WORKSPACE, &error) == HC_OK)
            one_case(c, &blas, s);
        else
            check_fail(c, error.text, CHECK_WHOLE, INFINITY);
        hc_cuda_blas_close(&blas);
        device_end(c);
    }
}

const struct check_op check_cuda_dense_product[] = {
    {"dense_product.multiply", "product", CHECK_DEVICE, &f32, run, NULL},
    {"dense_product.f16", "product", CHECK_DEVICE, &f16, run, NULL},
    {"dense_product.bf16", "product", CHECK_DEVICE, &bf16, run, NULL},
    {0},
};
