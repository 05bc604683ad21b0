#include <float.h>
#include <math.h>
#include <string.h>

#include "check.h"

enum { COLUMNS = 4096 };

/* The operands of any of the operations, on a row of n weights (for tiles: of 16 rows). */
struct operands {
    float *row;     /* read; by some written */
    float *factors; /* per column; largest writes its maxima there */
    double *to_units;
    uint64_t *sums;
    int16_t *coded;
    float scale;
    double result[3];
};

/* One operation of a tier. */
typedef void step(const struct hc_window_rows_ops *ops, struct operands *o, size_t n);

static void largest(const struct hc_window_rows_ops *ops, struct operands *o, size_t n)
{
    o->result[0] = (double)ops->largest(o->row, n, o->factors);
}

static void squares(const struct hc_window_rows_ops *ops, struct operands *o, size_t n)
{
    ops->squares(o->row, n, o->to_units, o->sums);
}

static void scale(const struct hc_window_rows_ops *ops, struct operands *o, size_t n)
{
    ops->scale(o->row, n, o->factors);
}

static void energy(const struct hc_window_rows_ops *ops, struct operands *o, size_t n)
{
    o->result[0] = ops->energy(o->row, n);
}

static void tiles(const struct hc_window_rows_ops *ops, struct operands *o, size_t n)
{
    float factor[HC_TILE];
    for (unsigned r = 0; r < HC_TILE; r++)
        factor[r] = 3000.0f * (float)(r + 1);
    ops->tiles(o->row, n, n / HC_TILE, factor, o->coded);
}

static void fit(const struct hc_window_rows_ops *ops, struct operands *o, size_t n)
{
    struct hc_window_fit fit;
    ops->fit(o->row, o->factors, n, &fit);
    o->result[0] = fit.weights2;
    o->result[1] = fit.values2;
    o->result[2] = fit.product;
}

static void restore(const struct hc_window_rows_ops *ops, struct operands *o, size_t n)
{
    ops->restore(o->row, n, o->scale, o->factors);
}

struct about {
    step *run;
    bool tiles, not_finite; /* works on 16 rows; takes weights that are not finite */
    uint64_t bytes;         /* per weight, read and written */
};

/* A copy of the truth's operands, at other addresses. */
static struct operands copy(struct check *c, const struct operands *o, size_t n, size_t rows)
{
    int at = n % 3 == 0 ? CHECK_FLUSH : 8 * (int)check_below(&c->random, 8);
    return (struct operands){check_copy(c, o->row, rows * n * sizeof *o->row, at),
                             check_copy(c, o->factors, n * sizeof *o->factors, at),
                             check_copy(c, o->to_units, n * sizeof *o->to_units, at),
                             check_copy(c, o->sums, n * sizeof *o->sums, at),
                             check_copy(c, o->coded, rows * n * sizeof *o->coded, at),
                             o->scale,
                             {0}};
}

static void fill(struct check *c, struct operands *o, size_t n, size_t rows)
{
    static const float extremes[] = {FLT_MAX, -FLT_MAX, 0x1p-149f, -0.0f, NAN, INFINITY, -INFINITY};
    const struct about *about = c->op->about;
    check_fill_normal(&c->random, o->row, rows * n, 0, 1);
    check_fill_normal(&c->random, o->factors, n, 0, 1);
    for (size_t i = 0; i < n; i++) {
        o->to_units[i] = 0x1p17;
        o->sums[i] = check_bits(&c->random) >> 20;
        if (about->run != squares && check_below(&c->random, 9) == 0)
            o->row[i] = extremes[check_below(&c->random, about->not_finite ? 7 : 4)];
    }
}

static void one_case(struct check *c, size_t n)
{
    const struct about *about = c->op->about;
    size_t rows = about->tiles ? HC_TILE : 1;
    check_case(c, "n=%zu", n);
    struct operands expected = {check_buffer(c, rows * n * sizeof(float), 0),
                                check_buffer(c, n * sizeof(float), 0),
                                check_buffer(c, n * sizeof(double), 0),
                                check_buffer(c, n * sizeof(uint64_t), 0),
                                check_buffer(c, rows * n * sizeof(int16_t), 0),
                                1.7f,
                                {0}};
    fill(c, &expected, n, rows);
    struct operands got = copy(c, &expected, n, rows);
    about->run(&c->truth->kernels.window_rows, &expected, n);
    about->run(&c->tested->kernels.window_rows, &got, n);
    check_f32(c, "weight", expected.row, got.row, rows * n);
    check_f32(c, "column", expected.factors, got.factors, n);
    check_bytes(c, "byte of the sums", (const uint8_t *)expected.sums, (const uint8_t *)got.sums, n * sizeof(uint64_t));
    check_bytes(c, "byte of the tiles", (const uint8_t *)expected.coded, (const uint8_t *)got.coded,
                rows * n * sizeof(int16_t));
    for (int i = 0; i < 3; i++)
        check_f64(c, "result", expected.result[i], got.result[i]);
}

static void run(struct check *c)
{
    static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 112, 1000, 4096};
    const struct about *about = c->op->about;
    for (size_t i = 0; i < 3 * sizeof sizes / sizeof sizes[0]; i++)
        if (!about->tiles || sizes[i / 3] % HC_TILE == 0)
            one_case(c, sizes[i / 3]);
}

struct work {
    const struct check_op *op;
    const struct hc_window_rows_ops *ops;
    struct operands operands;
};

static void pass(void *state)
{
    const struct work *work = state;
    const struct about *about = work->op->about;
    struct operands operands = work->operands;
    for (size_t i = 0; i < CHECK_BENCH_WEIGHTS; i += about->tiles ? HC_TILE * COLUMNS : COLUMNS) {
        about->run(work->ops, &operands, COLUMNS);
        operands.row += about->tiles ? HC_TILE * COLUMNS : COLUMNS;
    }
}

static void bench(struct check_bench *b)
{
    const struct about *about = b->op->about;
    struct operands o = {check_bench_weights(b, 1),
                         check_bench_alloc(b, COLUMNS * sizeof(float)),
                         check_bench_alloc(b, COLUMNS * sizeof(double)),
                         check_bench_alloc(b, COLUMNS * sizeof(uint64_t)),
                         check_bench_alloc(b, HC_TILE * COLUMNS * sizeof(int16_t)),
                         1,
                         {0}};
    if (o.row == NULL || o.factors == NULL || o.to_units == NULL || o.sums == NULL || o.coded == NULL)
        return;
    for (size_t i = 0; i < COLUMNS; i++) {
        o.factors[i] = 1; /* passes that scale the weights in place leave them as they are */
        o.to_units[i] = 0x1p17;
    }
    struct work work = {b->op, &b->tier->kernels.window_rows, o};
    check_bench_run(b, CHECK_BENCH_WEIGHTS, about->bytes * CHECK_BENCH_WEIGHTS, pass, &work);
}

static const struct about about_largest = {largest, false, true, 4}, about_squares = {squares, false, false, 4},
                          about_scale = {scale, false, true, 8}, about_energy = {energy, false, false, 4},
                          about_tiles = {tiles, true, false, 4}, about_fit = {fit, false, false, 4},
                          about_restore = {restore, false, true, 8};

#define ROW(name)                                                                                                      \
    {                                                                                                                  \
        "window_rows." #name, "weight", CHECK_SLOT(window_rows.name), &about_##name, run, bench                        \
    }
const struct check_op check_window_rows[] = {
    ROW(largest), ROW(squares), ROW(scale), ROW(energy), ROW(tiles), ROW(fit), ROW(restore), {0},
};
