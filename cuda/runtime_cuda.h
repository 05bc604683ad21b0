/* The runtime of CUDA devices: the table of host/runtime.h over the launchers in kernels/, and cuBLAS. */
#ifndef HC_CUDA_RUNTIME_CUDA_H
#define HC_CUDA_RUNTIME_CUDA_H

#include "runtime.h"

/* As struct hc_backend says. `threads` is not used. */
hc_status hc_runtime_cuda(struct hc_runtime *runtime, const struct hc_kernels *kernels, int threads, const char *spec,
                          struct hc_error *error);

#endif
