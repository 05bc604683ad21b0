#include "window_decode/window_decode_cuda.h"

#include <float.h>
#include <math.h>

#include "hadamard/hadamard.cuh"
#include "window_decode/window_decode.cuh"

/* What restore works on: see window_decode_cuda.h. */
struct matrix {
    struct hc_window_lookup lookup;
    const uint8_t *codes;
    const uint16_t *scales;
    const float *from_code;
    unsigned block;
    float norm;
    size_t columns, tile_columns;
};

/* Grid: x = rows, y = 512 columns each; HC_WARPS warps, one per 128 columns, no shared memory. A thread owns 4 columns,
 * 32 apart, as hc_hadamard_warp wants them; any number of columns.
 *
 * Rows, not tiles, since single rows of embeddings are asked for, too. The 16 rows of a tile then read its codes from
 * the cache: k bits for every 32 that are written. */
static __global__ void __launch_bounds__(HC_WARPS *HC_LANES)
    restore(struct matrix m, const int32_t *rows, size_t first_row, float *out)
{
    size_t warp = (size_t)blockIdx.y * HC_WARPS + threadIdx.x / HC_LANES, padded = m.tile_columns * HC_TILE;
    size_t first = warp * HC_HADAMARD_MAX + threadIdx.x % HC_LANES;
    const bool none = rows && rows[blockIdx.x] < 0;
    size_t row = none ? 0 : rows ? (size_t)rows[blockIdx.x] : first_row + blockIdx.x;
    const uint8_t *codes = m.codes + row / HC_TILE * m.tile_columns * (HC_TILE_WEIGHTS / 8) * m.lookup.k;
    float scale = __half2float(__ushort_as_half(m.scales[row]));
    float at[HC_HADAMARD_EACH];

#pragma unroll
    for (unsigned i = 0; i < HC_HADAMARD_EACH; i++) {
        size_t column = first + i * HC_LANES;
        at[i] = column < padded ? hc_window_exact(m.lookup, codes, (unsigned)(row % HC_TILE), column) : 0.0f;
    }
    hc_hadamard_warp(at, m.block, m.norm);
#pragma unroll
    for (unsigned i = 0; i < HC_HADAMARD_EACH; i++) {
        size_t column = first + i * HC_LANES;
        if (column < m.columns) {
            float value = none ? 0.0f : at[i] * scale * m.from_code[column];
            out[blockIdx.x * m.columns + column] = value > FLT_MAX ? FLT_MAX : value < -FLT_MAX ? -FLT_MAX : value;
        }
    }
}

cudaError_t hc_window_restore_cuda(const struct hc_window_code *code, const uint16_t *table, const uint8_t *codes,
                                   const uint16_t *scales, const float *from_code, unsigned block, size_t columns,
                                   size_t tile_columns, const int32_t *rows, size_t first_row, size_t n, float *out,
                                   cudaStream_t stream)
{
    enum { BLOCK_TILES = HC_WARPS * HC_HADAMARD_MAX / HC_TILE };
    struct matrix m = {hc_window_lookup_of(code, table), codes,   scales,      from_code, block,
                       hc_hadamard_norm(block),          columns, tile_columns};
    dim3 shape((unsigned)n, (unsigned)((tile_columns + BLOCK_TILES - 1) / BLOCK_TILES));
    restore<<<shape, HC_WARPS * HC_LANES, 0, stream>>>(m, rows, first_row, out);
    return cudaGetLastError();
}
