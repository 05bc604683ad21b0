/* The families of launchers. A new one is a file check_cuda_<family>.c, a name here and a row. */
#include "../check.h"

extern const struct check_op check_cuda_hadamard[], check_cuda_window_decode[], check_cuda_window_rows[];

extern const struct check_op check_cuda_blocks[], check_cuda_codes[], check_cuda_dense_product[];

extern const struct check_op check_cuda_attention[], check_cuda_convert[], check_cuda_rms_norm[], check_cuda_rotary[],
    check_cuda_sampling[], check_cuda_silu[], check_cuda_window_input[];

extern const struct check_op check_cuda_window_encode[];

extern const struct check_op check_cuda_window_product[], check_cuda_pair_product[];

const struct check_op *const check_device_families[] = {
    check_cuda_hadamard,
    check_cuda_window_decode,
    check_cuda_window_rows,
    check_cuda_attention,
    check_cuda_convert,
    check_cuda_rms_norm,
    check_cuda_rotary,
    check_cuda_sampling,
    check_cuda_silu,
    check_cuda_window_input,
    check_cuda_window_encode,
    check_cuda_window_product,
    check_cuda_pair_product,
    check_cuda_blocks,
    check_cuda_codes,
    check_cuda_dense_product,
    NULL,
};
