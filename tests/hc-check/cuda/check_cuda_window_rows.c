#include <float.h>
#include <math.h>
#include <string.h>

#include "device.h"
#include "window_decode/window_decode.h"
#include "window_rows/window_rows_cuda.h"

enum { MOST_TILE_COLUMNS = 18 };

/* Extremes among normal weights; those from NaN on are not finite. */
static void fill(struct check *c, float *weights, size_t n, size_t extremes)
{
    static const float extreme[] = {FLT_MAX, -FLT_MAX, 0x1p-149f, -0.0f, NAN, INFINITY, -INFINITY};
    check_fill_normal(&c->random, weights, n, 0, 1);
    for (size_t i = check_below(&c->random, 9); extremes > 0 && i < n; i += 1 + check_below(&c->random, 17))
        weights[i] = extreme[check_below(&c->random, extremes)];
}

/* ---- Columns ------------------------------------------------------------------------------ */

/* Around the 64 rows and the 256 columns of a thread block. */
static const size_t shapes[][2] = {{1, 1},   {1, 257},  {5, 31},  {63, 256}, {64, 3},
                                   {65, 33}, {130, 17}, {3, 600}, {200, 1},  {129, 255}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void largest_case(struct check *c, size_t rows, size_t columns)
{
    uint64_t bad = 7, got_bad;
    check_case(c, "%zu x %zu", rows, columns);
    float *weights = check_buffer(c, rows * columns * sizeof *weights, 0);
    float *largest = check_buffer(c, columns * sizeof *largest, 0);
    float *got = check_buffer(c, columns * sizeof *got, 0);
    fill(c, weights, rows * columns, rows % 2 ? 7 : 0);
    for (size_t j = 0; j < columns; j++)
        largest[j] = (float)check_uniform(&c->random) * 4;
    float *device = device_copy(c, largest, columns * sizeof *largest);
    uint64_t *non_finite = device_copy(c, &bad, sizeof bad);
    device_launched(c, "window_largest",
                    hc_window_largest_cuda(device_copy(c, weights, rows * columns * sizeof *weights), rows, columns,
                                           device, non_finite, device_stream(c)));
    for (size_t r = 0; r < rows; r++)
        bad += c->truth->kernels.window_rows.largest(weights + r * columns, columns, largest);
    device_fetch(c, device, got, columns * sizeof *got);
    device_fetch(c, non_finite, &got_bad, sizeof got_bad);
    check_f32(c, "column", largest, got, columns);
    check_u64(c, "not finite", bad, got_bad);
    device_end(c);
}

static void largest(struct check *c)
{
    for (size_t i = 0; i < SHAPES; i++)
        largest_case(c, shapes[i][0], shapes[i][1]);
}

static void squares_case(struct check *c, size_t rows, size_t columns)
{
    check_case(c, "%zu x %zu", rows, columns);
    float *weights = check_buffer(c, rows * columns * sizeof *weights, 0);
    double *to_units = check_buffer(c, columns * sizeof *to_units, 0);
    uint64_t *sums = check_buffer(c, columns * sizeof *sums, 0), *got = check_buffer(c, columns * sizeof *got, 0);
    fill(c, weights, rows * columns, 0);
    for (size_t j = 0; j < columns; j++) {
        to_units[j] = ldexp(1, 20 - (int)check_below(&c->random, 19));
        sums[j] = check_bits(&c->random) >> 20;
        weights[j] = (float)((double)(int)check_below(&c->random, 1000) + 0.5) / (float)to_units[j]; /* ties */
    }
    uint64_t *device = device_copy(c, sums, columns * sizeof *sums);
    float *in = device_copy(c, weights, rows * columns * sizeof *weights);
    double *units = device_copy(c, to_units, columns * sizeof *to_units);
    device_launched(c, "window_squares", hc_window_squares_cuda(in, rows, columns, units, device, device_stream(c)));
    for (size_t r = 0; r < rows; r++)
        c->truth->kernels.window_rows.squares(weights + r * columns, columns, to_units, sums);
    device_fetch(c, device, got, columns * sizeof *got);
    check_bytes(c, "byte of the sums", (const uint8_t *)sums, (const uint8_t *)got, columns * sizeof *sums);
    device_end(c);
}

static void squares(struct check *c)
{
    for (size_t i = 0; i < SHAPES; i++)
        squares_case(c, shapes[i][0], shapes[i][1]);
}

/* ---- Into the frame ----------------------------------------------------------------------- */

static void scale_case(struct check *c, size_t rows, size_t columns)
{
    size_t padded = (columns + HC_TILE - 1) / HC_TILE * HC_TILE;
    check_case(c, "%zu x %zu", rows, columns);
    float *weights = check_buffer(c, rows * columns * sizeof *weights, 0);
    float *factors = check_buffer(c, padded * sizeof *factors, 0);
    float *expected = check_buffer(c, rows * padded * sizeof *expected, 0);
    float *got = check_buffer(c, rows * padded * sizeof *got, 0);
    fill(c, weights, rows * columns, 7);
    fill(c, factors, columns, 4);
    memset(factors + columns, 0, (padded - columns) * sizeof *factors);
    memset(expected, 0, rows * padded * sizeof *expected);
    for (size_t r = 0; r < rows; r++) {
        memcpy(expected + r * padded, weights + r * columns, columns * sizeof *expected);
        c->truth->kernels.window_rows.scale(expected + r * padded, padded, factors);
    }
    float *out = device_buffer(c, rows * padded * sizeof *out);
    float *in = device_copy(c, weights, rows * columns * sizeof *weights);
    float *by = device_copy(c, factors, padded * sizeof *factors);
    device_launched(c, "window_scale", hc_window_scale_cuda(in, rows, columns, padded, by, out, device_stream(c)));
    device_fetch(c, out, got, rows * padded * sizeof *got);
    check_f32(c, "weight", expected, got, rows * padded);
    device_end(c);
}

static void scale(struct check *c)
{
    for (size_t i = 0; i < SHAPES; i++)
        scale_case(c, shapes[i][0], shapes[i][1]);
}

static const double LEAST = 0x1p-25;

/* Rows of zeros, of the least deviation that counts, of a little less, and of large numbers. */
static void fill_rows(struct check *c, float *weights, size_t rows, size_t padded)
{
    static const float constants[] = {0.0f, 0x1p-25f, 0x1.fffffep-26f, 0x1p127f};
    fill(c, weights, rows * padded, 0);
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; r % 8 < 4 && j < padded; j++)
            weights[r * padded + j] = constants[r % 8];
}

static void factors_case(struct check *c, size_t rows, size_t padded)
{
    const float full_scale = 9172.6f;
    check_case(c, "%zu x %zu", rows, padded);
    float *weights = check_buffer(c, rows * padded * sizeof *weights, 0);
    float *expected = check_buffer(c, rows * sizeof *expected, 0);
    float *got = check_buffer(c, rows * sizeof *got, 0);
    fill_rows(c, weights, rows, padded);
    for (size_t r = 0; r < rows; r++) {
        double energy = c->truth->kernels.window_rows.energy(weights + r * padded, padded);
        double deviation = sqrt(energy / (double)padded);
        expected[r] = deviation >= LEAST ? (float)((double)full_scale / deviation) : 0;
    }
    float *out = device_buffer(c, rows * sizeof *out);
    float *in = device_copy(c, weights, rows * padded * sizeof *weights);
    device_launched(c, "window_factors",
                    hc_window_factors_cuda(in, rows, padded, full_scale, LEAST, out, device_stream(c)));
    device_fetch(c, out, got, rows * sizeof *got);
    check_f32(c, "factor", expected, got, rows);
    device_end(c);
}

static void factors(struct check *c)
{
    static const size_t widths[] = {16, 32, 48, 240, 256, 272, 1008};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        factors_case(c, 1 + 5 * i, widths[i]);
}

static void tiles_case(struct check *c, size_t tile_rows, size_t tile_columns)
{
    size_t rows = tile_rows * HC_TILE, stride = tile_columns * HC_TILE, n = rows * stride;
    check_case(c, "%zu x %zu tiles", tile_rows, tile_columns);
    float *weights = check_buffer(c, n * sizeof *weights, 0);
    float *row_factors = check_buffer(c, rows * sizeof *row_factors, 0);
    int16_t *expected = check_buffer(c, n * sizeof *expected, 0), *got = check_buffer(c, n * sizeof *got, 0);
    fill(c, weights, n, 7);
    for (size_t r = 0; r < rows; r++)
        row_factors[r] = r % 5 == 0 ? 0.0f : 2000.0f * (float)r;
    for (size_t j = 0; j < stride; j++)
        weights[stride + j] = ((float)j - 7.5f) / row_factors[1]; /* ties, or close to them */
    for (size_t i = 0; i < tile_rows; i++)
        c->truth->kernels.window_rows.tiles(weights + i * HC_TILE * stride, stride, tile_columns,
                                            row_factors + i * HC_TILE, expected + i * HC_TILE * stride);
    int16_t *out = device_buffer(c, n * sizeof *out);
    float *in = device_copy(c, weights, n * sizeof *weights);
    float *by = device_copy(c, row_factors, rows * sizeof *row_factors);
    device_launched(c, "window_tiles", hc_window_tiles_cuda(in, tile_rows, tile_columns, by, out, device_stream(c)));
    device_fetch(c, out, got, n * sizeof *got);
    check_bytes(c, "byte of the tiles", (const uint8_t *)expected, (const uint8_t *)got, n * sizeof *got);
    device_end(c);
}

static void tiles(struct check *c)
{
    static const size_t counts[][2] = {{1, 1}, {1, 4}, {2, 5}, {3, 1}, {5, 3}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        tiles_case(c, counts[i][0], counts[i][1]);
}

/* ---- Scales ------------------------------------------------------------------------------- */

static struct hc_window_fitted best_scale(const struct hc_kernels *kernels, const struct hc_window_fit *fit)
{
    struct hc_window_fitted fitted;
    float scale = fminf(fit->product > 0 ? (float)(fit->product / fit->values2) : 0, 65504), rounded;
    kernels->convert.f32_to_f16(&scale, 1, &fitted.scale);
    kernels->convert.f16_to_f32(&fitted.scale, 1, &rounded);
    double s = (double)rounded;
    fitted.residual = fit->weights2 - 2 * s * fit->product + s * s * fit->values2;
    return fitted;
}

/* Rows like their codes, a size apart from one to the next, so that scales are of every kind; some are zeros or turned
 * around. */
static void fill_like(struct check *c, const float *values, size_t padded, size_t row, float *weights)
{
    static const float sizes[] = {1.0f, 0x1p-20f, 0x1p17f, 0.0f, -1.0f, 0x1p-15f, 0.3f, 70000.0f};
    for (size_t j = 0; j < padded; j++)
        weights[j] = (values[j] + 0.1f * (float)check_normal(&c->random)) * sizes[row % 8];
}

static void fit_case(struct check *c, const struct hc_window_code *code, size_t rows, size_t tile_columns)
{
    static float values[HC_TILE * MOST_TILE_COLUMNS * HC_TILE];
    size_t padded = tile_columns * HC_TILE, tile_rows = (rows + HC_TILE - 1) / HC_TILE;
    size_t band_bytes = tile_columns * HC_TILE_WEIGHTS / 8 * code->k;
    check_case(c, "k=%u L=%u %zu x %zu", (unsigned)code->k, (unsigned)code->length, rows, padded);
    uint16_t *table = check_buffer(c, sizeof *table << code->length, 0);
    uint8_t *codes = check_buffer(c, tile_rows * band_bytes, 0);
    float *weights = check_buffer(c, rows * padded * sizeof *weights, 0);
    struct hc_window_fitted *expected = check_buffer(c, rows * sizeof *expected, 0);
    struct hc_window_fitted *got = check_buffer(c, rows * sizeof *got, 0);
    uint16_t *scales = check_buffer(c, rows * sizeof *scales, 0);
    const struct hc_window_decoder decoder = {code, table};
    hc_window_table(code, table);
    check_fill(&c->random, codes, tile_rows * band_bytes);
    for (size_t r = 0; r < rows; r++) {
        struct hc_window_fit fit;
        float *row = weights + r * padded, *at = values + r % HC_TILE * padded;
        c->truth->kernels.window_decode.exact(&decoder, codes + r / HC_TILE * band_bytes, tile_columns, values, padded);
        fill_like(c, at, padded, r, row);
        c->truth->kernels.window_rows.fit(row, at, padded, &fit);
        expected[r] = best_scale(&c->truth->kernels, &fit);
    }
    struct hc_window_fitted *fitted = device_buffer(c, rows * sizeof *fitted);
    uint16_t *out = device_buffer(c, rows * sizeof *out);
    uint16_t *lookup = device_copy(c, table, sizeof *table << code->length);
    uint8_t *in = device_copy(c, codes, tile_rows * band_bytes);
    float *rows_in = device_copy(c, weights, rows * padded * sizeof *weights);
    device_launched(c, "window_fit",
                    hc_window_fit_cuda(code, lookup, in, rows_in, rows, tile_columns, fitted, out, device_stream(c)));
    device_fetch(c, fitted, got, rows * sizeof *got);
    device_fetch(c, out, scales, rows * sizeof *scales);
    for (size_t r = 0; r < rows; r++) {
        check_f64(c, "residual", expected[r].residual, got[r].residual);
        check_u64(c, "scale", expected[r].scale, got[r].scale);
        check_u64(c, "scale for the decoder", expected[r].scale, scales[r]);
    }
    device_end(c);
}

static void fit(struct check *c)
{
    static const size_t sizes[][2] = {{1, 1}, {17, 2}, {16, 5}, {35, 3}, {9, MOST_TILE_COLUMNS}};
    size_t turn = 0;
    for (unsigned k = 1; k <= HC_WINDOW_MAX_K; k++)
        for (unsigned length = HC_WINDOW_MIN_LENGTH; length <= HC_WINDOW_MAX_LENGTH; length++, turn++)
            if (hc_window_code_find(k, length))
                fit_case(c, hc_window_code_find(k, length), sizes[turn % 5][0], sizes[turn % 5][1]);
}

const struct check_op check_cuda_window_rows[] = {
    {"window_rows.largest", "weight", CHECK_DEVICE, NULL, largest, NULL},
    {"window_rows.squares", "weight", CHECK_DEVICE, NULL, squares, NULL},
    {"window_rows.scale", "weight", CHECK_DEVICE, NULL, scale, NULL},
    {"window_rows.factors", "weight", CHECK_DEVICE, NULL, factors, NULL},
    {"window_rows.tiles", "weight", CHECK_DEVICE, NULL, tiles, NULL},
    {"window_rows.fit", "weight", CHECK_DEVICE, NULL, fit, NULL},
    {0},
};
