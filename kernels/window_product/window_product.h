/* Products of `window` matrices with the activations of n positions, straight from the codes.
 *
 * A matrix is coded as W = D_out W' H S D_in^-1 (docs/FORMAT.md). What is called x here is the input after its own
 * transform, H S D_in^-1 x of the layer's input, padded with zeros to 16 tile_columns: y = D_out W' x.
 *
 * Integer arithmetic, so that every tier gives the same bits, for one position as for many:
 *  - x is cut into groups of 256 columns (the last may be shorter). With m the largest magnitude of a group and q =
 *    HC_PRODUCT_X8 (127) for k <= 4, HC_PRODUCT_X12 (2047) for k >= 5, a number becomes round(x (q / m)), ties to even,
 *    and the group has the scale m / q (all in float32). A group with m < HC_PRODUCT_LEAST counts as zeros, of scale 0.
 *  - a code becomes an integer v(place), and stands for v scale: see hc_window_values.
 *  - y_r = (sum over groups, in order, by fused multiply-adds from 0 on, of scale_g (float)(sum v x over the group))
 *    (row scale, value scale): the two multiplied first, in float32.
 * Sums of a group are exact in 32 bits: 256 products of at most 255 x 127, or 2047 x 2047 (less than 2^30 in all).
 *
 * Narrow values, k <= 4: v = 2 bytes[high byte of the place] + 1, odd, -255 to 255, nearest to the mean of g over the
 * places that share the byte; the scale is the one that leaves the least squared error. bytes[~i] = ~bytes[i], v the
 * opposite. Over all places of any L the table's noise against g is at least so far below the signal: k = 1: 35.0 dB,
 * 2: 35.3, 3: 33.9, 4: 33.4.
 *
 * Wide values, k >= 5: g in fixed point, where a * b is (a b + 2^14) >> 15 and the polynomial is {A, B, C, h, s}, with
 * A, B, C the code's a, b, c times 32752 / (a + b + c), rounded half up:
 *     X = place | h,  X2 = X * min(X + s, 32767),  X4 = X2 * X2, and so on to X64,
 *     v = (((A + X4 * B) + X64 * C) * X + 8) >> 4,
 * -2047 to 2047; nothing on the way leaves 16 bits. h is the half step 2^(15-L); at L = 16, where that is less than a
 * unit, h = 0 and s = 1, else s = 0. |v scale - the normative table| <= HC_PRODUCT_WIDE_BOUND for every code.
 */
#ifndef HC_KERNELS_WINDOW_PRODUCT_H
#define HC_KERNELS_WINDOW_PRODUCT_H

#include "common/window.h"

enum { HC_PRODUCT_GROUP = 256, HC_PRODUCT_X8 = 127, HC_PRODUCT_X12 = 2047 };
enum { HC_PRODUCT_NARROW_K = 4 }; /* the largest k of narrow values */

#define HC_PRODUCT_LEAST 0x1p-100f
#define HC_PRODUCT_WIDE_BOUND 0x1.1p-8

/* What products with one (k, L) need. Read-only once made. */
struct hc_window_values {
    struct hc_window_code code;
    float scale;                    /* value = integer scale */
    _Alignas(64) int8_t bytes[256]; /* k <= 4: by the high byte of the place, 0 .. 255 as unsigned */
    int16_t polynomial[8];          /* k >= 5: A, B, C, h, s */
};

void hc_window_values_init(struct hc_window_values *values, const struct hc_window_code *code);

/* The integer of a place. */
int32_t hc_window_product_value(const struct hc_window_values *values, int16_t place);

struct hc_window_product {
    const struct hc_window_values *values;
    const uint8_t *codes;   /* of the first of these rows of tiles; no alignment, nothing is read beyond the last */
    const uint16_t *scales; /* per row, half precision */
    size_t rows;            /* the last row of tiles may be cut short */
    size_t tile_columns;
    const void *x; /* n positions, activation_bytes apart, as `activate` of the same tier made them; 64-byte aligned */
    size_t n;
    void *scratch; /* 64-byte aligned */
    float *out;    /* out[i out_stride + r]; no alignment */
    size_t out_stride;
};

struct hc_window_product_ops {
    /* Bytes of the activations of a position: a multiple of 64. */
    size_t (*activation_bytes)(unsigned k, size_t tile_columns);
    /* x: 16 tile_columns floats, finite. out: 64-byte aligned. */
    void (*activate)(unsigned k, const float *x, size_t tile_columns, void *out);
    /* Bytes of scratch, 64-byte aligned, no contents expected or left; may be 0. */
    size_t (*scratch_bytes)(unsigned k, size_t tile_columns, size_t n);
    /* Any number of positions; a tile is decoded once. */
    void (*multiply)(const struct hc_window_product *product);
};

void hc_window_product_c(struct hc_window_product_ops *ops);
void hc_window_product_avx2(struct hc_window_product_ops *ops);
void hc_window_product_avx512(struct hc_window_product_ops *ops); /* needs VNNI too */

#endif
