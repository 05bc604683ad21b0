/* A weight matrix on a CUDA device: its codes, or its numbers as they are stored, in one block of memory. */
#ifndef HC_CUDA_MATRIX_CUDA_H
#define HC_CUDA_MATRIX_CUDA_H

#include "pair_product/pair_product_cuda.h"
#include "runtime.h"
#include "upload.h"

enum hc_cuda_matrix_kind {
    HC_CUDA_WINDOW, /* codes of the method `window` */
    HC_CUDA_PAIR,   /* codes of the method `pair` */
    HC_CUDA_FLOATS  /* F32, F16 or BF16; types in blocks, and codes of other methods, as F16; the rest as F32 */
};

struct hc_cuda_matrix {
    enum hc_cuda_matrix_kind kind;
    uint32_t rows, columns, padded; /* columns to whole tiles */
    const char *name;               /* the model's */
    int ordinal;                    /* of the device */
    uint8_t *memory;
    struct hc_window_matrix_cuda window; /* what belongs to the matrix; the rest belongs to a product */
    const float *from_code;              /* of its inputs, and of its rows */
    unsigned block;
    const uint16_t *table; /* of values, where rows are wanted */
    struct hc_pair_matrix_cuda pair;
    const float *pair_table; /* in float32, where rows are wanted */
    const void *floats;
    hc_type type;
};

/* Uploads a tensor of a model, or what the cut says of it (runtime.h). embedding: its rows are wanted, too. */
hc_status hc_cuda_matrix_open(const struct hc_model_tensor *tensor, const struct hc_cut *cut, bool embedding,
                              struct hc_cuda_upload *upload, const struct hc_kernels *kernels,
                              struct hc_cuda_matrix **matrix, struct hc_error *error);
void hc_cuda_matrix_close(struct hc_cuda_matrix *matrix); /* NULL: nothing */

#endif
