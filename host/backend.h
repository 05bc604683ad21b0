/* Devices. The CPU is always there; others register in hc_backends (the top target links them in). Each has an engine,
 * which runs the operations of the methods, and a runtime, which runs networks.
 */
#ifndef HC_HOST_BACKEND_H
#define HC_HOST_BACKEND_H

#include "engine.h"
#include "runtime.h"

struct hc_backend {
    const char *name;
    /* `spec` is what follows the name in --device, such as "1" in "cuda:1", or "". `kernels` are the CPU's, for what
     * the host does itself, and outlive what is opened. On failure nothing is left open. */
    hc_status (*open_engine)(struct hc_engine *engine, const struct hc_kernels *kernels, int threads, const char *spec,
                             struct hc_error *error);
    hc_status (*open_runtime)(struct hc_runtime *runtime, const struct hc_kernels *kernels, int threads,
                              const char *spec, struct hc_error *error);
    /* How fast the device says it is: 1 is an A100. 0: it does not say, or is not there. */
    double (*speed)(const char *spec);
};

/* Ends with a NULL name. Defined once, by the target that links the program: host/backends_none.c has no device,
 * cuda/backends_cuda.c has "cuda". */
extern const struct hc_backend hc_backends[];

bool hc_backend_is_cpu(const char *device);
/* Whether there is such a device in this build. */
hc_status hc_backend_check(const char *device, struct hc_error *error);

/* Opens on a device: NULL or "cpu", or a registered name, with a colon and more behind it or without. */
hc_status hc_backend_engine(const char *device, struct hc_engine *engine, const struct hc_kernels *kernels, int threads,
                            struct hc_error *error);
hc_status hc_backend_runtime(const char *device, struct hc_runtime *runtime, const struct hc_kernels *kernels,
                             int threads, struct hc_error *error);

/* How fast a device is, in cores of a CPU (<hyperc/plan.h>): the CPU its threads, others as they say, or else as
 * hc_device_speed takes them. */
double hc_backend_speed(const char *device, int threads);

#endif
