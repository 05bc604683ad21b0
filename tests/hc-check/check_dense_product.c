#include <float.h>
#include <math.h>

#include "check.h"

static void fill(struct check *c, float *data, size_t n, bool extreme)
{
    static const float extremes[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0x1p-149f, -0x1p-100f, -0.0f};
    check_fill_normal(&c->random, data, n, 0, 1);
    for (size_t i = 0; extreme && i < n; i += 1 + check_below(&c->random, 50))
        data[i] = extremes[check_below(&c->random, sizeof extremes / sizeof extremes[0])];
}

static void one_case(struct check *c, size_t rows, size_t n, size_t columns)
{
    size_t row_stride = columns + check_below(&c->random, 5), x_stride = columns + check_below(&c->random, 5);
    size_t out_stride = rows + check_below(&c->random, 5);
    bool extreme = check_below(&c->random, 4) == 0;
    check_case(c, "rows=%zu n=%zu columns=%zu extreme=%d", rows, n, columns, extreme);
    /* Nothing lies behind the columns of the last row. */
    size_t row_floats = rows > 0 ? (rows - 1) * row_stride + columns : 0;
    size_t x_floats = n > 0 ? (n - 1) * x_stride + columns : 0, out_floats = n > 0 ? (n - 1) * out_stride + rows : 0;
    float *weights = check_buffer(c, row_floats * sizeof(float), 0), *x = check_buffer(c, x_floats * sizeof(float), 0);
    fill(c, weights, row_floats, extreme);
    fill(c, x, x_floats, extreme);
    struct hc_dense_product product = {
        weights, rows, row_stride, x, n, x_stride, columns, check_buffer(c, out_floats * sizeof(float), 0), out_stride};
    c->truth->kernels.dense_product.multiply(&product);
    const float *expected = product.out;
    int at = check_below(&c->random, 2) == 0 ? CHECK_FLUSH : 4 * (int)check_below(&c->random, 16);
    product.rows = check_copy(c, weights, row_floats * sizeof(float), at);
    product.x = check_copy(c, x, x_floats * sizeof(float), at);
    product.out = check_buffer(c, out_floats * sizeof(float), at);
    c->tested->kernels.dense_product.multiply(&product);
    check_f32(c, "out", expected, product.out, out_floats);
}

static void run(struct check *c)
{
    static const size_t rows[] = {0, 1, 2, 3, 5, 15, 16, 17, 18, 21, 40}, counts[] = {0, 1, 2, 3, 4, 5, 6, 7, 11, 37};
    static const size_t columns[] = {0, 1, 7, 8, 9, 15, 16, 17, 24, 31, 33, 64, 100, 191};
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
            for (size_t j = 0; j < sizeof columns / sizeof columns[0]; j++)
                one_case(c, rows[r], counts[i], columns[j]);
}

/* Panels of 64 rows: a matrix of them from memory with one position, one of them with many. */
enum { COLUMNS = 2048, PANEL = 64 };

struct about {
    size_t rows, n;
};

struct work {
    const struct hc_kernels *kernels;
    const struct about *about;
    const float *weights, *x;
    float *out;
};

static void pass(void *state)
{
    const struct work *work = state;
    for (size_t r = 0; r < work->about->rows; r += PANEL) {
        struct hc_dense_product product = {work->weights + r * COLUMNS,
                                           PANEL,
                                           COLUMNS,
                                           work->x,
                                           work->about->n,
                                           COLUMNS,
                                           COLUMNS,
                                           work->out + r,
                                           work->about->rows};
        work->kernels->dense_product.multiply(&product);
    }
}

static void bench(struct check_bench *b)
{
    const struct about *about = b->op->about;
    size_t weights = about->rows * COLUMNS;
    struct work work = {&b->tier->kernels, about, check_bench_weights(b, 0.02), check_bench_weights(b, 1),
                        check_bench_alloc(b, about->rows * about->n * sizeof(float))};
    if (work.weights != NULL && work.x != NULL && work.out != NULL)
        check_bench_run(b, weights * about->n, weights * sizeof(float), pass, &work);
}

static const struct about one = {CHECK_BENCH_WEIGHTS / COLUMNS, 1}, many = {PANEL, 128};

const struct check_op check_dense_product[] = {
    {"dense_product.multiply", "product", CHECK_SLOT(dense_product.multiply), &one, run, bench},
    {"dense_product.panel", "product", CHECK_SLOT(dense_product.multiply), &many, run, bench},
    {0},
};
