/* CUDA versions of window_rows.h, for many rows at once: the CPU's bit for bit.
 *
 * All pointers but `code` are device memory, aligned to their elements (codes to 4 bytes, rows of tiles to 16).
 * Launchers queue on `stream`, and return the launch error. Every count is 1 or more.
 */
#ifndef HC_KERNELS_WINDOW_ROWS_CUDA_H
#define HC_KERNELS_WINDOW_ROWS_CUDA_H

#include <cuda_runtime_api.h>

#include "window_rows/window_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of `rows` x columns weights: as in window_rows.h, and *non_finite += how many are not finite. */
cudaError_t hc_window_largest_cuda(const float *weights, size_t rows, size_t columns, float *largest,
                                   uint64_t *non_finite, cudaStream_t stream);
cudaError_t hc_window_squares_cuda(const float *weights, size_t rows, size_t columns, const double *to_units,
                                   uint64_t *sums, cudaStream_t stream);

/* out, rows x padded: weights[r][j] factors[j], and zeros from `columns` on. */
cudaError_t hc_window_scale_cuda(const float *weights, size_t rows, size_t columns, size_t padded, const float *factors,
                                 float *out, cudaStream_t stream);

/* What takes each of `rows` rows of `padded` weights to the units of a coder: full_scale / deviation, the deviation
 * being sqrt(energy / padded), in double, rounded to float32; 0 where the deviation is below `least`. */
cudaError_t hc_window_factors_cuda(const float *weights, size_t rows, size_t padded, float full_scale, double least,
                                   float *factors, cudaStream_t stream);

/* tile_rows x 16 rows of 16 tile_columns weights, one factor each. */
cudaError_t hc_window_tiles_cuda(const float *weights, size_t tile_rows, size_t tile_columns, const float *factors,
                                 int16_t *tiles, cudaStream_t stream);

/* How well a row and what its codes mean fit, in half precision: scale = product / values2 (0 unless product > 0),
 * rounded to float32, at most 65504, rounded to half precision; residual = weights2 - 2 scale product + scale scale
 * values2, in double, from left to right. */
struct hc_window_fitted {
    double residual;
    uint16_t scale;
};

/* `rows` rows of 16 tile_columns weights, and the codes of the rows of tiles that begin with the first of them. */
cudaError_t hc_window_fit_cuda(const struct hc_window_code *code, const uint16_t *table, const uint8_t *codes,
                               const float *weights, size_t rows, size_t tile_columns, struct hc_window_fitted *fitted,
                               uint16_t *scales, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
