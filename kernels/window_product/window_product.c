#include "window_product.h"

#include <math.h>
#include <string.h>

#include "convert/convert.h"
#include "window_decode/window_decode.h"

/* ---- Values --------------------------------------------------------------------------------------------------- */

enum { HIGH_BYTES = 256, MAGNITUDES = HIGH_BYTES / 2, SCALES = 128 };

/* The mean of g over the places of a high byte, for the positive ones: g is odd. */
static void byte_means(const struct hc_window_code *code, double mean[MAGNITUDES])
{
    int step = 1 << (16 - code->length), places = HIGH_BYTES / step;
    for (int i = 0; i < MAGNITUDES; i++) {
        double sum = 0;
        for (int place = 0; place < places; place++)
            sum += hc_window_value(code, (int16_t)(i * HIGH_BYTES + place * step));
        mean[i] = sum / places;
    }
}

/* 2 n + 1 is the odd number next to value / scale, up to 255. */
static long to_byte(double value, double scale)
{
    long n = (long)floor(value / scale / 2);
    return n < INT8_MAX ? n : INT8_MAX;
}

static double squared_error(const double mean[MAGNITUDES], double scale)
{
    double sum = 0;
    for (int i = 0; i < MAGNITUDES; i++) {
        double error = mean[i] - scale * (double)(2 * to_byte(mean[i], scale) + 1);
        sum += error * error;
    }
    return sum;
}

/* Clipping the last few values pays: of the scales from 3/4 of the one that clips nothing upwards, the best. */
static float best_scale(const double mean[MAGNITUDES])
{
    double largest = mean[MAGNITUDES - 1] / UINT8_MAX, least = INFINITY;
    float best = 0;
    for (int i = 0; i <= SCALES; i++) {
        float scale = (float)(largest * (1 - 0.25 * i / SCALES));
        double error = squared_error(mean, (double)scale);
        if (error < least) {
            least = error;
            best = scale;
        }
    }
    return best;
}

static void init_narrow(struct hc_window_values *values)
{
    double mean[MAGNITUDES];
    byte_means(&values->code, mean);
    values->scale = best_scale(mean);
    for (int i = 0; i < MAGNITUDES; i++) {
        long n = to_byte(mean[i], (double)values->scale);
        values->bytes[i] = (int8_t)n;
        values->bytes[HIGH_BYTES - 1 - i] = (int8_t)(-1 - n);
    }
}

static void init_wide(struct hc_window_values *values)
{
    enum { LARGEST = 32752, SHIFT = 4 };
    const struct hc_window_code *code = &values->code;
    double unit = LARGEST / (code->a + code->b + code->c);
    values->polynomial[0] = (int16_t)(code->a * unit + 0.5);
    values->polynomial[1] = (int16_t)(code->b * unit + 0.5);
    values->polynomial[2] = (int16_t)(code->c * unit + 0.5);
    values->polynomial[3] = (int16_t)(code->length < 16 ? 1 << (15 - code->length) : 0);
    values->polynomial[4] = code->length == 16;
    values->scale = (float)((1 << SHIFT) / unit);
}

void hc_window_values_init(struct hc_window_values *values, const struct hc_window_code *code)
{
    memset(values, 0, sizeof *values);
    values->code = *code;
    if (code->k <= HC_PRODUCT_NARROW_K)
        init_narrow(values);
    else
        init_wide(values);
}

/* An arithmetic shift right: what >> makes of negative numbers is the compiler's choice. */
static int32_t shift_down(int32_t x, unsigned bits)
{
    return x >= 0 ? x >> bits : -((-x - 1) >> bits) - 1;
}

static int32_t times(int32_t a, int32_t b)
{
    return shift_down(a * b + (1 << 14), 15);
}

static int32_t polynomial(const int16_t p[8], int16_t place)
{
    int32_t x = place | p[3], next = x + p[4];
    int32_t x2 = times(x, next < INT16_MAX ? next : INT16_MAX);
    int32_t x4 = times(x2, x2), x8 = times(x4, x4), x16 = times(x8, x8), x32 = times(x16, x16), x64 = times(x32, x32);
    return shift_down(times(p[0] + times(x4, p[1]) + times(x64, p[2]), x) + 8, 4);
}

int32_t hc_window_product_value(const struct hc_window_values *values, int16_t place)
{
    if (values->code.k <= HC_PRODUCT_NARROW_K)
        return 2 * values->bytes[(uint16_t)place >> 8] + 1;
    return polynomial(values->polynomial, place);
}

/* ---- Activations: int16 x[16 tile_columns], padded to 64 bytes, and a float for every group ------------------------
 */

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t group_count(size_t tile_columns)
{
    return (tile_columns * HC_TILE + HC_PRODUCT_GROUP - 1) / HC_PRODUCT_GROUP;
}

static size_t scales_at(size_t tile_columns)
{
    return padded(tile_columns * HC_TILE * sizeof(int16_t));
}

static size_t activation_bytes(unsigned k, size_t tile_columns)
{
    (void)k;
    return scales_at(tile_columns) + padded(group_count(tile_columns) * sizeof(float));
}

static float activate_group(const float *x, size_t n, float q, int16_t *out)
{
    float m = 0;
    for (size_t i = 0; i < n; i++)
        m = fabsf(x[i]) > m ? fabsf(x[i]) : m;
    bool zero = m < HC_PRODUCT_LEAST;
    float factor = zero ? 0 : q / m;
    for (size_t i = 0; i < n; i++)
        out[i] = (int16_t)lrintf(x[i] * factor);
    return zero ? 0 : m / q;
}

static void activate(unsigned k, const float *x, size_t tile_columns, void *out)
{
    float q = k <= HC_PRODUCT_NARROW_K ? HC_PRODUCT_X8 : HC_PRODUCT_X12;
    float *scales = (float *)((char *)out + scales_at(tile_columns));
    size_t columns = tile_columns * HC_TILE;
    for (size_t at = 0; at < columns; at += HC_PRODUCT_GROUP) {
        size_t n = columns - at < HC_PRODUCT_GROUP ? columns - at : HC_PRODUCT_GROUP;
        scales[at / HC_PRODUCT_GROUP] = activate_group(x + at, n, q, (int16_t *)out + at);
    }
}

/* ---- Products ------------------------------------------------------------------------------------------------- */

/* What the tiles of a group mean, row by row. */
struct group {
    int16_t values[HC_TILE][HC_PRODUCT_GROUP];
    size_t columns;
};

static void decode_group(const struct hc_window_values *values, const uint8_t *codes, size_t tiles, struct group *group)
{
    unsigned k = values->code.k;
    for (size_t i = 0; i < tiles; i++, codes += HC_TILE_WEIGHTS / 8 * k)
        for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++) {
            int16_t place = hc_window_place(hc_window_theta(codes, k, values->code.length, t), values->code.multiplier);
            group->values[hc_window_row(t)][i * HC_TILE + hc_window_column(t)] =
                (int16_t)hc_window_product_value(values, place);
        }
    group->columns = tiles * HC_TILE;
}

static int32_t dot(const int16_t *v, const int16_t *x, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i] * x[i];
    return sum;
}

/* Adds group g to the outputs of a row of tiles. */
static void add_group(const struct hc_window_product *product, const struct group *group, size_t g, size_t rows,
                      float *out)
{
    const char *x = product->x;
    size_t stride = activation_bytes(product->values->code.k, product->tile_columns);
    for (size_t i = 0; i < product->n; i++, x += stride, out += product->out_stride) {
        float scale = ((const float *)(x + scales_at(product->tile_columns)))[g];
        const int16_t *columns = (const int16_t *)x + g * HC_PRODUCT_GROUP;
        for (size_t r = 0; r < rows; r++)
            out[r] = fmaf(scale, (float)dot(group->values[r], columns, group->columns), out[r]);
    }
}

static void scale_rows(const struct hc_window_product *product, size_t first, size_t rows)
{
    struct hc_convert_ops convert;
    float factors[HC_TILE];
    hc_convert_c(&convert);
    convert.f16_to_f32(product->scales + first, rows, factors);
    for (size_t r = 0; r < rows; r++)
        factors[r] *= product->values->scale;
    for (size_t i = 0; i < product->n; i++)
        for (size_t r = 0; r < rows; r++)
            product->out[i * product->out_stride + first + r] *= factors[r];
}

static void multiply(const struct hc_window_product *product)
{
    enum { GROUP_TILES = HC_PRODUCT_GROUP / HC_TILE };
    size_t tile_bytes = HC_TILE_WEIGHTS / 8 * (size_t)product->values->code.k;
    for (size_t first = 0; first < product->rows; first += HC_TILE) {
        const uint8_t *codes = product->codes + first / HC_TILE * product->tile_columns * tile_bytes;
        size_t rows = product->rows - first < HC_TILE ? product->rows - first : HC_TILE;
        for (size_t i = 0; i < product->n; i++)
            memset(product->out + i * product->out_stride + first, 0, rows * sizeof(float));
        for (size_t tile = 0; tile < product->tile_columns; tile += GROUP_TILES) {
            size_t left = product->tile_columns - tile;
            struct group group;
            decode_group(product->values, codes + tile * tile_bytes, left < GROUP_TILES ? left : GROUP_TILES, &group);
            add_group(product, &group, tile / GROUP_TILES, rows, product->out + first);
        }
        scale_rows(product, first, rows);
    }
}

static size_t scratch_bytes(unsigned k, size_t tile_columns, size_t n)
{
    (void)k;
    (void)tile_columns;
    (void)n;
    return 0;
}

void hc_window_product_c(struct hc_window_product_ops *ops)
{
    *ops = (struct hc_window_product_ops){activation_bytes, activate, scratch_bytes, multiply};
}
