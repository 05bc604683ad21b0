#include "backend.h"

#include "partition.h"

#include <string.h>

bool hc_backend_is_cpu(const char *device)
{
    return !device || strcmp(device, "cpu") == 0;
}

static hc_status find(const char *device, const struct hc_backend **found, const char **spec, struct hc_error *error)
{
    size_t length = strcspn(device, ":");
    *spec = device[length] ? device + length + 1 : "";
    for (*found = hc_backends; (*found)->name; (*found)++)
        if (strlen((*found)->name) == length && strncmp((*found)->name, device, length) == 0)
            return HC_OK;
    if (length == 4 && strncmp(device, "cuda", length) == 0)
        return hc_fail(error, HC_ERR_DEVICE, "device cuda: this hyperc was built without CUDA");
    return hc_fail(error, HC_ERR_ARGUMENT, "unknown device '%s': cpu, cuda or cuda:N", device);
}

hc_status hc_backend_check(const char *device, struct hc_error *error)
{
    const struct hc_backend *backend;
    const char *spec;
    return hc_backend_is_cpu(device) ? HC_OK : find(device, &backend, &spec, error);
}

hc_status hc_backend_engine(const char *device, struct hc_engine *engine, const struct hc_kernels *kernels, int threads,
                            struct hc_error *error)
{
    const struct hc_backend *backend;
    const char *spec;
    if (hc_backend_is_cpu(device))
        return hc_engine_cpu(engine, kernels, threads, error);
    hc_status status = find(device, &backend, &spec, error);
    return status == HC_OK ? backend->open_engine(engine, kernels, threads, spec, error) : status;
}

hc_status hc_backend_runtime(const char *device, struct hc_runtime *runtime, const struct hc_kernels *kernels,
                             int threads, struct hc_error *error)
{
    const struct hc_backend *backend;
    const char *spec;
    if (hc_backend_is_cpu(device))
        return hc_runtime_cpu(runtime, kernels, threads, error);
    hc_status status = find(device, &backend, &spec, error);
    return status == HC_OK ? backend->open_runtime(runtime, kernels, threads, spec, error) : status;
}

double hc_backend_speed(const char *device, int threads)
{
    const struct hc_backend *backend;
    const char *spec;
    double said = 0; /* of an A100 */
    if (!hc_backend_is_cpu(device) && find(device, &backend, &spec, NULL) == HC_OK)
        said = backend->speed(spec);
    return hc_device_speed(device, threads) * (said > 0 ? said : 1);
}
