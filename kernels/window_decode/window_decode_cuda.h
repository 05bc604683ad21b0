/* CUDA versions of window_decode.h, down to the weights: all in exact values, the CPU's bit for bit.
 *
 * All pointers but `code` are device memory; codes aligned to 4 bytes, the rest to its elements. Launchers queue on
 * `stream`, and return the launch error. */
#ifndef HC_KERNELS_WINDOW_DECODE_CUDA_H
#define HC_KERNELS_WINDOW_DECODE_CUDA_H

#include <cuda_runtime_api.h>

#include "window_decode/window_decode.h"

#ifdef __cplusplus
extern "C" {
#endif

/* n >= 1 rows of a matrix: their codes decoded, transformed back in blocks of `block` (hadamard.h), times scale and
 * from_code (restore of window_rows.h).
 *
 * table: hc_window_table(code); codes: whole rows of tile_columns tiles; scales: half precision, one per row of the
 * matrix; from_code: 16 tile_columns factors; rows: the numbers of the n rows, of which a negative one is zeros, or
 * NULL: first_row, first_row + 1, ... out: n x columns, columns <= 16 tile_columns. */
cudaError_t hc_window_restore_cuda(const struct hc_window_code *code, const uint16_t *table, const uint8_t *codes,
                                   const uint16_t *scales, const float *from_code, unsigned block, size_t columns,
                                   size_t tile_columns, const int32_t *rows, size_t first_row, size_t n, float *out,
                                   cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
