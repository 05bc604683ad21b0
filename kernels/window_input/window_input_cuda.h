/* Inputs of products on a GPU: the input of a layer, made ready for each of the matrices that read it, in half
 * precision.
 *
 * For position i, with v = x_i; or RMSNorm of x_i, where there is a gain (rms_norm.h); or silu(x_i) up_i, where there
 * is `up` (silu.h):
 *  - v is padded with zeros to padded columns, v_j *= factors_j, and every Hadamard block of it is transformed
 *    (hadamard.h); neither where factors is NULL;
 *  - of every group of HC_INPUT_GROUP columns (the last may be shorter), m is the largest magnitude and s the power of
 *    two with 512 <= m / s < 1024, held within 2^-126 .. 2^117; 2^-126 for a group of zeros. `uniform`:
 *    m is that of the whole position, so that all its groups have one scale;
 *  - halves = v / s to nearest, ties to even; scales = s. A group with NaN or infinity has the scale NaN, and adds to
 *    *not_finite.
 * But for the norm's sum of squares, whose order is its own, every step gives the CPU's bits.
 * Results do not depend on n, on the grid, or on what else is computed. All pointers are device memory. The launcher
 * queues on `stream` and returns the launch error.
 */
#ifndef HC_KERNELS_WINDOW_INPUT_CUDA_H
#define HC_KERNELS_WINDOW_INPUT_CUDA_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HC_INPUT_GROUP = 256, HC_INPUT_MATRICES = 3 };

/* For one matrix. */
struct hc_input_ready {
    const float *factors; /* padded; NULL: no transform */
    unsigned block;       /* of the Hadamard transform, 16 to 128; divides padded */
    size_t padded;        /* columns, a multiple of 16 */
    uint16_t *halves;     /* n x padded, 16-byte aligned for those who read them */
    float *scales;        /* n x groups, groups = ceil(padded / HC_INPUT_GROUP) */
};

struct hc_input_launch {
    const float *x;    /* n x columns */
    const float *gain; /* columns, or NULL */
    const float *up;   /* n x columns, or NULL; not together with a gain */
    float epsilon;     /* of the norm */
    size_t n, columns; /* n >= 1 */
    bool uniform;
    uint32_t *not_finite; /* becomes more than it was where a group is not finite */
    unsigned count;       /* 1 to HC_INPUT_MATRICES */
    struct hc_input_ready ready[HC_INPUT_MATRICES];
};

cudaError_t hc_window_input_cuda(const struct hc_input_launch *launch, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
