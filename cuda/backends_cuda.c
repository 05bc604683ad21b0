/* The devices of a build with CUDA. */
#include "backend.h"
#include "device.h"
#include "engine_cuda.h"
#include "runtime_cuda.h"

const struct hc_backend hc_backends[] = {{"cuda", hc_engine_cuda, hc_runtime_cuda, hc_cuda_device_speed},
                                         {NULL, NULL, NULL, NULL}};
