/* Products of `window` matrices with the inputs of n positions on a GPU, straight from the codes.
 *
 * y_r = scale_r sum over groups of (x scale of the group) (sum of value(code) half) + bias_r. Values are g (common/
 * window.h) in half precision, from a table of 512 entries over the places: for k <= HC_PRODUCT_CUDA_STEPS_K the mean
 * of an entry, above that a line. Over all codes of any L the noise against the normative table is at least so far
 * below the signal: k = 1: 41.4 dB, 2: 41.9, 3: 40.3, 4: 66.9, 5: 66.2, 6: 65.7, 8: 64.4; and no value is farther from
 * it than HC_PRODUCT_CUDA_STEPS_BOUND or HC_PRODUCT_CUDA_BOUND, which places at the ends come near. Products are summed
 * in float32, in an order that depends on shapes and n alone, never on timing.
 *
 * All pointers are device memory but those of the structures themselves, which launchers copy. Launchers queue on
 * `stream`, neither allocate nor wait, and return the launch error.
 */
#ifndef HC_KERNELS_WINDOW_PRODUCT_CUDA_H
#define HC_KERNELS_WINDOW_PRODUCT_CUDA_H

#include <cuda_runtime_api.h>

#include "common/window.h"
#include "window_input/window_input_cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HC_PRODUCT_CUDA_POSITIONS = 64 };  /* most at once */
enum { HC_PRODUCT_CUDA_STEPS_K = 3 };     /* the largest k of values in steps */
enum { HC_PRODUCT_CUDA_COUNTERS = 2048 }; /* bytes of counters in a workspace */

#define HC_PRODUCT_CUDA_STEPS_BOUND 0x1.8p-3
#define HC_PRODUCT_CUDA_BOUND 0x1p-6

struct hc_window_matrix_cuda {
    const uint8_t *codes;   /* tile rows x tile_columns tiles of 32 k bytes; 16-byte aligned */
    const uint16_t *scales; /* per row, half precision */
    size_t rows, tile_columns;
    struct hc_window_code code;
    const uint16_t *halves; /* n x 16 tile_columns, and */
    const float *x_scales;  /* n x groups: as hc_window_input_cuda made them */
    const float *bias;      /* per row, or NULL */
    float *out;             /* out[i rows + r]; no alignment */
    bool add;               /* to what is in out */
};

/* Bytes of workspace that products of these shapes need, 256-byte aligned; contents neither expected nor left but for
 * the counters at its beginning, which must be zero before the first use and are zero again after every one. */
size_t hc_window_product_cuda_workspace(const struct hc_window_matrix_cuda *matrices, unsigned count, size_t n);

/* 1 to HC_INPUT_MATRICES matrices of the same k, each of at least one row and column, in one launch; n: 1 to
 * HC_PRODUCT_CUDA_POSITIONS. */
cudaError_t hc_window_product_cuda(const struct hc_window_matrix_cuda *matrices, unsigned count, size_t n,
                                   void *workspace, cudaStream_t stream);

/* Rows of tiles as half-precision numbers for cuBLAS: 16 tile_rows x 16 tile_columns, row-major, as they are coded:
 * unit scale, transformed. The same values as the products'. out: 16-byte aligned. */
cudaError_t hc_window_panel_cuda(const struct hc_window_code *code, const uint8_t *codes, size_t tile_rows,
                                 size_t tile_columns, uint16_t *out, cudaStream_t stream);

/* What is left to do after cuBLAS: out[i stride + r] = sums[i rows + r] row_scales[r] x_scales[i x_stride] + bias[r]
 * (+ out, if `add`). n <= 65535. row_scales: half precision, NULL: 1. x_scales: NULL: 1. */
cudaError_t hc_product_finish_cuda(const float *sums, size_t n, size_t rows, const uint16_t *row_scales,
                                   const float *x_scales, size_t x_stride, const float *bias, bool add, float *out,
                                   size_t stride, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
