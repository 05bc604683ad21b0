#include "product_cases.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_MEMORY = 128 };

static void *memory[MOST_MEMORY];
static size_t memory_count;

void *product_memory(size_t bytes)
{
    void *new = memory_count < MOST_MEMORY ? calloc(bytes + 1, 1) : NULL;
    if (!new)
        abort();
    return memory[memory_count++] = new;
}

void product_end(struct check *c)
{
    while (memory_count > 0)
        free(memory[--memory_count]);
    device_end(c);
}

static size_t group_count(const struct product_case *m)
{
    return (m->tile_columns * HC_TILE + HC_INPUT_GROUP - 1) / HC_INPUT_GROUP;
}

static void random_halves(struct check *c, uint16_t *halves, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float x = (float)(300 * check_normal(&c->random));
        c->truth->kernels.convert.f32_to_f16(&x, 1, &halves[i]);
    }
}

/* Mostly alike, so that no group hides in the tolerance of others; now and then of any size. */
static float random_scale(struct check *c, bool wild)
{
    static const float scales[8] = {1, 0x1p-7f, 0x1p-9f, 0x1p-12f, 0x1p20f, 0x1p-60f, 0x1p-126f, 0.25f};
    return wild ? scales[check_below(&c->random, 8)] : (float)exp2((double)check_below(&c->random, 9) - 4);
}

void product_inputs(struct check *c, struct product_case *m, size_t n, bool scaled)
{
    size_t columns = m->tile_columns * HC_TILE, groups = group_count(m), outputs = n * m->rows;
    m->halves = product_memory(n * columns * sizeof *m->halves);
    m->x_scales = product_memory(n * groups * sizeof *m->x_scales);
    m->row_scales = product_memory(m->rows * sizeof *m->row_scales);
    m->bias = product_memory(m->rows * sizeof *m->bias);
    m->before = product_memory(outputs * sizeof *m->before);
    random_halves(c, m->halves, n * columns);
    bool wild = check_below(&c->random, 4) == 0;
    for (size_t i = 0; i < n * groups; i++)
        m->x_scales[i] = random_scale(c, wild);
    if (n > 2 || wild)
        m->x_scales[check_below(&c->random, n * groups)] = NAN;
    for (size_t r = 0; r < m->rows; r++)
        m->row_scales[r] = scaled ? (uint16_t)check_below(&c->random, 0x7c00) : 0x3c00;
    check_fill_normal(&c->random, m->bias, m->rows, 0, 100);
    check_fill_normal(&c->random, m->before, outputs, 0, 100);
    m->device.halves = device_copy(c, m->halves, n * columns * sizeof *m->halves);
    m->device.x_scales = device_copy(c, m->x_scales, n * groups * sizeof *m->x_scales);
    m->device.row_scales = scaled ? device_copy(c, m->row_scales, m->rows * sizeof *m->row_scales) : NULL;
    m->device.bias = m->with_bias ? device_copy(c, m->bias, m->rows * sizeof *m->bias) : NULL;
    m->device.out = device_buffer(c, outputs * sizeof *m->before);
    product_reset(c, m, n);
}

void product_reset(struct check *c, const struct product_case *m, size_t n)
{
    cudaError_t result = cudaMemcpy(m->device.out, m->before, n * m->rows * sizeof *m->before, cudaMemcpyHostToDevice);
    device_launched(c, "cudaMemcpy", result);
}

void product_fetch(struct check *c, const struct product_case *m, size_t n, float *out)
{
    device_fetch(c, m->device.out, out, n * m->rows * sizeof *out);
}

/* A sum, and that of the magnitudes of its terms. */
struct sum {
    double value, magnitude;
};

static struct sum dot(const struct product_case *m, const float *values, const float *x, const float *scales)
{
    struct sum sum = {0, 0};
    for (size_t j = 0; j < m->tile_columns * HC_TILE; j++) {
        double term = (double)values[j] * (double)x[j] * (double)scales[j / HC_INPUT_GROUP];
        sum.value += term;
        sum.magnitude += fabs(term);
    }
    return sum;
}

/* A tensor core rounds down whenever it adds, and a group takes up to 32 additions, each with an error of at most 2^-23
 * of the terms' magnitudes; what follows, the sums of groups and of splits, adds less, and the bias and what was in out
 * three roundings. */
static void check_result(struct check *c, const struct product_case *m, size_t i, size_t r, struct sum sum, float scale,
                         float got)
{
    double bias = m->with_bias ? (double)m->bias[r] : 0, before = m->add ? (double)m->before[i * m->rows + r] : 0;
    double expected = sum.value * (double)scale + bias + before;
    double tolerance = 0x1p-18 * sum.magnitude * (double)scale + 0x1p-22 * (fabs(bias) + fabs(before)) + 0x1p-140;
    double error = fabs((double)got - expected);
    if (isnan(expected) ? !isnan(got) : !(error <= tolerance))
        check_fail(c, "output", i * m->rows + r, error / tolerance);
}

void product_results(struct check *c, const struct product_case *m, size_t n)
{
    const struct hc_convert_ops *convert = &c->truth->kernels.convert;
    size_t columns = m->tile_columns * HC_TILE, groups = group_count(m);
    float *x = product_memory(n * columns * sizeof *x), *values = product_memory(columns * sizeof *values);
    float *got = product_memory(n * m->rows * sizeof *got);
    convert->f16_to_f32(m->halves, n * columns, x);
    product_fetch(c, m, n, got);
    for (size_t r = 0; r < m->rows; r++) {
        float scale;
        convert->f16_to_f32(&m->row_scales[r], 1, &scale);
        convert->f16_to_f32(m->values + r * columns, columns, values);
        for (size_t i = 0; i < n; i++) {
            struct sum sum = dot(m, values, x + i * columns, m->x_scales + i * groups);
            check_result(c, m, i, r, sum, scale, got[i * m->rows + r]);
        }
    }
}
