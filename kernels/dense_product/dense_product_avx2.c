/* A few dot products at a time, a tile: of some rows with some positions, two registers of lanes each. */
#include "dense_product.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "common/dot_avx2.h"

#define INLINE static inline __attribute__((always_inline))

/* Tiles of ROWS x POSITIONS go in blocks of so many rows and positions, which stay in the second cache; positions that
 * are left go with SINGLE_ROWS rows. DOTS: room for any tile. */
enum { ROWS = 2, POSITIONS = 3, SINGLE_ROWS = 4, DOTS = 8, BLOCK_ROWS = 16, BLOCK_POSITIONS = 30 };

INLINE __m256 load(const float *from, const bool whole, __m256i here)
{
    return whole ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, here);
}

INLINE __m256 add(__m256 a, __m256 b, __m256 sum, const bool whole, __m256i here)
{
    __m256 next = _mm256_fmadd_ps(a, b, sum);
    return whole ? next : _mm256_blendv_ps(sum, next, _mm256_castsi256_ps(here));
}

/* Adds 8 lanes of a step: the whole of them, or those that are `here`. `count` and `positions` are constants; loops
 * that have constant ends before they are known to be are unrolled by all compilers. */
INLINE void step(const struct hc_dense_product *p, const float *rows, const unsigned count, const float *x,
                 const unsigned positions, const bool whole, __m256i here, __m256 dots[DOTS])
{
    __m256 weights[SINGLE_ROWS];
#pragma GCC unroll 4
    for (unsigned r = 0; r < SINGLE_ROWS; r++)
        if (r < count)
            weights[r] = load(rows + r * p->row_stride, whole, here);
#pragma GCC unroll 3
    for (unsigned i = 0; i < POSITIONS; i++) {
        if (i >= positions)
            break;
        __m256 at = load(x + i * p->x_stride, whole, here);
#pragma GCC unroll 4
        for (unsigned r = 0; r < SINGLE_ROWS; r++)
            if (r < count)
                dots[i * count + r] = add(weights[r], at, dots[i * count + r], whole, here);
    }
}

/* `count` rows from r on, `positions` from i on. */
INLINE void tile(const struct hc_dense_product *p, size_t r, const unsigned count, size_t i, const unsigned positions)
{
    const float *rows = p->rows + r * p->row_stride, *x = p->x + i * p->x_stride;
    const __m256i all = _mm256_set1_epi32(-1);
    __m256 low[DOTS], high[DOTS];
#pragma GCC unroll 8
    for (unsigned d = 0; d < DOTS; d++)
        low[d] = high[d] = _mm256_setzero_ps();
    size_t j = 0;
    for (; j + 16 <= p->columns; j += 16) {
        step(p, rows + j, count, x + j, positions, true, all, low);
        step(p, rows + j + 8, count, x + j + 8, positions, true, all, high);
    }
    if (j < p->columns)
        step(p, rows + j, count, x + j, positions, false, hc_lanes8(p->columns - j), low);
    if (j + 8 < p->columns)
        step(p, rows + j + 8, count, x + j + 8, positions, false, hc_lanes8(p->columns - j - 8), high);
    float sums[DOTS];
    _mm_storeu_ps(sums, hc_dot_sums4(low, high));
    if (count * positions > 4)
        _mm_storeu_ps(sums + 4, hc_dot_sums4(low + 4, high + 4));
#pragma GCC unroll 3
    for (unsigned k = 0; k < positions; k++)
        memcpy(p->out + (i + k) * p->out_stride + r, sums + k * count, count * sizeof *sums);
}

/* Rows from .. to with some positions; a last tile of one row finishes. */
INLINE void band(const struct hc_dense_product *p, size_t from, size_t to, const unsigned count, size_t i,
                 const unsigned positions)
{
    size_t r = from;
    for (; r + count <= to; r += count)
        tile(p, r, count, i, positions);
    for (; r < to; r++)
        tile(p, r, 1, i, positions);
}

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The first `positions`, a multiple of POSITIONS. */
static void blocks(const struct hc_dense_product *p, size_t positions)
{
    for (size_t k = 0; k < positions; k += BLOCK_POSITIONS)
        for (size_t r = 0; r < p->row_count; r += BLOCK_ROWS)
            for (size_t i = k; i < least(k + BLOCK_POSITIONS, positions); i += POSITIONS)
                band(p, r, least(r + BLOCK_ROWS, p->row_count), ROWS, i, POSITIONS);
}

static void multiply(const struct hc_dense_product *p)
{
    size_t i = p->n / POSITIONS * POSITIONS;
    blocks(p, i);
    for (; i < p->n; i++)
        band(p, 0, p->row_count, SINGLE_ROWS, i, 1);
}

void hc_dense_product_avx2(struct hc_dense_product_ops *ops)
{
    ops->multiply = multiply;
}
