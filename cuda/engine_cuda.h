/* The engine of CUDA devices: the table of host/engine.h over the launchers in kernels/. */
#ifndef HC_CUDA_ENGINE_CUDA_H
#define HC_CUDA_ENGINE_CUDA_H

#include "engine.h"

/* As struct hc_backend says. `kernels` must outlive the engine: it converts the types that the device does not.
 * `threads` is not used. On failure `engine` is unchanged. */
hc_status hc_engine_cuda(struct hc_engine *engine, const struct hc_kernels *kernels, int threads, const char *spec,
                         struct hc_error *error);

#endif
