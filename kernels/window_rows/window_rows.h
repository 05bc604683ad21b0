/* The steps of `window` between a matrix and its tiles, on one row or a few at a time: what column scales are made of,
 * rows as the coder wants them, and the row scale that fits best afterwards. All tiers give the same bits, but for NaN
 * payloads.
 *
 * Nothing here depends on the order of rows: column sums are integers, row sums are made within the row, in lanes
 * (common/pair.h: weight j goes to lane j mod 32, lanes are then added in halves; no fma).
 */
#ifndef HC_KERNELS_WINDOW_ROWS_H
#define HC_KERNELS_WINDOW_ROWS_H

#include "common/window.h"

/* A column's sum of squares is counted in units: with 2^e the least power of two above its largest magnitude, a weight
 * is rounded to a multiple of 2^(e - HC_COLUMN_BITS) (to nearest, ties to even), and squared. Up to 2^24 rows fit. */
enum { HC_COLUMN_BITS = 19, HC_WINDOW_MAX_ROWS = 1 << 24 };

struct hc_window_fit {
    double weights2, values2, product; /* sums of w w, v v, w v */
};

struct hc_window_rows_ops {
    /* largest[j] = max(largest[j], |row[j]|); returns how many of the n weights are not finite (these are skipped). */
    size_t (*largest)(const float *row, size_t n, float *largest);
    /* sums[j] += (row[j] to_units[j] rounded to an integer)^2; to_units[j] = 2^(HC_COLUMN_BITS - e), in double, or any
     * other number that keeps the integers below 2^31. */
    void (*squares)(const float *row, size_t n, const double *to_units, uint64_t *sums);
    /* row[j] *= factors[j] */
    void (*scale)(float *row, size_t n, const float *factors);
    /* Sum of squares of a row. */
    double (*energy)(const float *row, size_t n);
    /* 16 rows (row r at rows + r stride) to tiles in stream order, 256 numbers each: row[j] factor[r] in float32,
     * rounded to nearest, ties to even, held within -32767 .. 32767. n = 16 tiles. */
    void (*tiles)(const float *rows, size_t stride, size_t tiles, const float factor[HC_TILE], int16_t *out);
    /* Of a row and the values that its codes mean. */
    void (*fit)(const float *row, const float *values, size_t n, struct hc_window_fit *fit);
    /* Back: row[j] = (row[j] scale) factors[j] in float32, held within the finite range. */
    void (*restore)(float *row, size_t n, float scale, const float *factors);
};

void hc_window_rows_c(struct hc_window_rows_ops *ops);
void hc_window_rows_avx2(struct hc_window_rows_ops *ops);
void hc_window_rows_avx512(struct hc_window_rows_ops *ops);

#endif
