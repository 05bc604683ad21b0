/* What a CUDA runtime holds. Everything but matrices and what callers allocate is allocated by `prepare`, in one block,
 * before anything runs.
 */
#ifndef HC_CUDA_STATE_H
#define HC_CUDA_STATE_H

#include "blas.h"
#include "matrix_cuda.h"
#include "ranks.h"

enum {
    HC_CUDA_LEAST_POSITIONS = 256, /* of a recorded step */
    HC_CUDA_CONTEXT_BITS = 25,     /* doublings of that */
    HC_CUDA_PANEL = 1 << 24,       /* weights that are decoded for cuBLAS at a time */
    HC_CUDA_SUMS = 1 << 23         /* floats that it returns at a time */
};

/* A step of one token. The first of its kind runs as it comes, which loads what it needs; the second is recorded. */
struct hc_cuda_graph {
    bool seen;
    cudaGraphExec_t exec; /* NULL: not yet */
};

/* What kernels find wrong. */
struct hc_cuda_faults {
    uint32_t codes;  /* that are in no table */
    uint32_t inputs; /* that are not finite */
};

struct hc_cuda_runtime {
    struct hc_cuda_device device;
    const struct hc_kernels *kernels;
    struct hc_cuda_upload upload; /* opened with the first matrix */
    struct hc_cuda_ranks ranks;
    struct hc_cuda_blas blas;
    hc_status status; /* the first thing that went wrong since `finish` */
    struct hc_error error;

    uint32_t n;                  /* positions at once, at most */
    size_t panel_room, sum_room; /* weights and floats at a time */
    uint8_t *memory;
    uint16_t *halves[HC_INPUT_MATRICES]; /* inputs of products */
    float *scales[HC_INPUT_MATRICES];
    void *product_workspace, *attention_workspace, *blas_workspace;
    uint16_t *panel;
    float *sums;
    uint32_t *positions; /* 0, 1, 2 .. */
    uint32_t *first;     /* of a recorded step */
    int32_t *tokens;     /* of a step */
    float *parts;        /* what ranks have gathered, one behind the other */
    struct hc_cuda_faults *faults;
    double *uniform; /* of a choice, and */
    int32_t *chosen; /* its token */
    void *choice_workspace;
    /* Pinned: what goes to the device at the beginning of a step, and comes back at its end. */
    struct hc_cuda_exchange {
        double uniform;
        uint32_t first;
        int32_t chosen;
        struct hc_cuda_faults faults;
        int32_t tokens[];
    } * exchange;

    int32_t *chosen_for; /* where a choice is wanted; NULL: nowhere */

    /* Graphs by the power of two that bounds their positions, and whether logits are wanted. */
    struct hc_cuda_graph graphs[HC_CUDA_CONTEXT_BITS][2];
    struct hc_cuda_graph *recording; /* NULL: operations run as they come */
    uint32_t context, most;          /* positions in the cache; of the recorded step */
};

static inline struct hc_cuda_runtime *hc_cuda_runtime_of(const struct hc_runtime *runtime)
{
    return runtime->state;
}

/* Notes a call that failed. */
void hc_cuda_note(struct hc_cuda_runtime *cuda, cudaError_t result, const char *call);

/* product_cuda.c: linear layers. */
void hc_cuda_linear(struct hc_runtime *runtime, const struct hc_linear *layers, unsigned count,
                    const struct hc_input *input, uint32_t n);
/* Bytes that products with this matrix want, for up to cuda->n positions at once. */
struct hc_cuda_product_needs {
    size_t halves, scales, workspace; /* of one matrix of a call */
    size_t panel, sums;
};
void hc_cuda_product_need(const struct hc_cuda_runtime *cuda, const struct hc_cuda_matrix *matrix,
                          struct hc_cuda_product_needs *needs);

#endif
