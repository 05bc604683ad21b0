/* Products of `pair` matrices with the inputs of n positions on a GPU, straight from the codes; and rows of them.
 *
 * Codes of `bits` bits lie one behind the other, least significant bit first (bitpack.h), code i for the weights 2 i
 * and 2 i + 1 of the matrix, row-major. A code is the index of its decoded pair in the table; one that is not in the
 * table counts as zeros, and adds 1 to *faults. Values of products are the table's in half precision; they are summed
 * in float32, in an order that depends on shapes and n alone.
 *
 * All pointers are device memory but those of the structures themselves. Launchers queue on `stream` and return the
 * launch error. Workspaces are those of window_product_cuda.h.
 */
#ifndef HC_KERNELS_PAIR_PRODUCT_CUDA_H
#define HC_KERNELS_PAIR_PRODUCT_CUDA_H

#include <cuda_runtime_api.h>

#include "window_product/window_product_cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hc_pair_matrix_cuda {
    const uint8_t *codes;  /* 4-byte aligned; 8 bytes beyond the last may be read */
    unsigned bits;         /* 1 to 24 */
    const uint16_t *table; /* [entries][2], half precision; 4-byte aligned */
    uint32_t entries;
    size_t rows, columns;   /* columns even for products */
    const uint16_t *halves; /* n x padded (to 16), as hc_window_input_cuda made them without factors */
    const float *x_scales;
    const float *bias; /* per row, or NULL */
    float *out;        /* out[i rows + r] */
    bool add;          /* to what is in out */
    uint32_t *faults;
};

size_t hc_pair_product_cuda_workspace(const struct hc_pair_matrix_cuda *matrices, unsigned count, size_t n);

/* 1 to HC_INPUT_MATRICES matrices in one launch; n: 1 to HC_PRODUCT_CUDA_POSITIONS. */
cudaError_t hc_pair_product_cuda(const struct hc_pair_matrix_cuda *matrices, unsigned count, size_t n, void *workspace,
                                 cudaStream_t stream);

/* At most 65535 rows, first_row .. first_row + rows - 1, as half-precision numbers, out_stride apart, padded with zeros
 * from columns on; any number of columns. */
cudaError_t hc_pair_panel_cuda(const struct hc_pair_matrix_cuda *matrix, size_t first_row, size_t rows, uint16_t *out,
                               size_t out_stride, cudaStream_t stream);

/* out: n x columns, n <= 65535, the rows of these numbers, zeros for a negative one, from a table in float32
 * ([entries][2]). */
cudaError_t hc_pair_rows_cuda(const struct hc_pair_matrix_cuda *matrix, const float *exact, const int32_t *rows,
                              size_t n, float *out, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
