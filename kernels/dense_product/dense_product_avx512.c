/* Sixteen dot products at a time, a tile: of some rows with some positions, a register of lanes each. */
#include "dense_product.h"

#include <immintrin.h>
#include <string.h>

#include "common/dot_avx512.h"

#define INLINE static inline __attribute__((always_inline))

enum { DOTS = 16 };

/* Tiles of 4 x 4 go in blocks of so many rows and positions, which stay in the second cache. */
enum { SIDE = 4, BLOCK_ROWS = 16, BLOCK_POSITIONS = 32 };

/* Adds a step to the dot products of DOTS / positions rows with `positions` positions; `positions` is a constant. */
INLINE void step(const struct hc_dense_product *p, const float *rows, const float *x, const unsigned positions,
                 __mmask16 here, __m512 dots[DOTS])
{
    const unsigned count = DOTS / positions;
    __m512 at[SIDE];
#pragma GCC unroll 4
    for (unsigned i = 0; i < positions; i++)
        at[i] = _mm512_maskz_loadu_ps(here, x + i * p->x_stride);
#pragma GCC unroll 16
    for (unsigned r = 0; r < count; r++) {
        __m512 weights = _mm512_maskz_loadu_ps(here, rows + r * p->row_stride);
#pragma GCC unroll 4
        for (unsigned i = 0; i < positions; i++)
            dots[i * count + r] = _mm512_mask3_fmadd_ps(weights, at[i], dots[i * count + r], here);
    }
}

INLINE void tile(const struct hc_dense_product *p, size_t r, size_t i, const unsigned positions)
{
    const float *rows = p->rows + r * p->row_stride, *x = p->x + i * p->x_stride;
    const unsigned count = DOTS / positions;
    __m512 dots[DOTS];
#pragma GCC unroll 16
    for (unsigned d = 0; d < DOTS; d++)
        dots[d] = _mm512_setzero_ps();
    size_t j = 0;
    for (; j + 16 <= p->columns; j += 16)
        step(p, rows + j, x + j, positions, 0xffff, dots);
    if (j < p->columns)
        step(p, rows + j, x + j, positions, hc_lanes16(j, p->columns), dots);
    float sums[DOTS];
    _mm512_storeu_ps(sums, hc_dot_sums16(dots));
#pragma GCC unroll 4
    for (unsigned k = 0; k < positions; k++)
        memcpy(p->out + (i + k) * p->out_stride + r, sums + k * count, count * sizeof *sums);
}

/* Rows from .. to with `positions` positions. A last tile that does not fit moves back, and repeats some of them. */
INLINE void band(const struct hc_dense_product *p, size_t from, size_t to, size_t i, const unsigned positions)
{
    const size_t count = DOTS / positions;
    for (size_t r = from; r < to; r += count)
        tile(p, r + count <= p->row_count ? r : p->row_count - count, i, positions);
}

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The first `positions`, a multiple of SIDE. */
static void blocks(const struct hc_dense_product *p, size_t positions)
{
    for (size_t k = 0; k < positions; k += BLOCK_POSITIONS)
        for (size_t r = 0; r < p->row_count; r += BLOCK_ROWS)
            for (size_t i = k; i < least(k + BLOCK_POSITIONS, positions); i += SIDE)
                band(p, r, least(r + BLOCK_ROWS, p->row_count), i, SIDE);
}

/* Too few rows for a tile. */
static void singly(const struct hc_dense_product *p)
{
    for (size_t i = 0; i < p->n; i++)
        for (size_t r = 0; r < p->row_count; r++)
            p->out[i * p->out_stride + r] =
                hc_dot_avx512(p->rows + r * p->row_stride, p->x + i * p->x_stride, p->columns);
}

static void multiply(const struct hc_dense_product *p)
{
    if (p->row_count < DOTS) {
        singly(p);
        return;
    }
    size_t i = p->n / SIDE * SIDE;
    blocks(p, i);
    if (p->n - i >= 2) {
        band(p, 0, p->row_count, i, 2);
        i += 2;
    }
    if (i < p->n)
        band(p, 0, p->row_count, i, 1);
}

void hc_dense_product_avx512(struct hc_dense_product_ops *ops)
{
    ops->multiply = multiply;
}
