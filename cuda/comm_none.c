/* A build without NCCL: GPUs of several ranks reach each other through memory of the host. */
#include "comm_nccl.h"

bool hc_nccl_is_here(void)
{
    return false;
}

hc_status hc_nccl_open(struct ncclComm **nccl, struct hc_cuda_device *device, struct hc_comm *comm,
                       struct hc_error *error)
{
    (void)device, (void)comm, (void)error;
    *nccl = NULL;
    return HC_OK;
}

bool hc_nccl_is_busy(struct ncclComm *nccl)
{
    (void)nccl;
    return false;
}

void hc_nccl_close(struct ncclComm *nccl, bool broken)
{
    (void)nccl, (void)broken;
}

static hc_status not_here(struct hc_error *error)
{
    return hc_fail(error, HC_ERR_UNSUPPORTED, "this hyperc was built without NCCL");
}

hc_status hc_nccl_all_reduce(struct ncclComm *nccl, const struct hc_cuda_device *device, float *x, size_t n,
                             struct hc_error *error)
{
    (void)nccl, (void)device, (void)x, (void)n;
    return not_here(error);
}

hc_status hc_nccl_send(struct ncclComm *nccl, const struct hc_cuda_device *device, int to, const float *x, size_t n,
                       struct hc_error *error)
{
    (void)nccl, (void)device, (void)to, (void)x, (void)n;
    return not_here(error);
}

hc_status hc_nccl_receive(struct ncclComm *nccl, const struct hc_cuda_device *device, int from, float *x, size_t n,
                          struct hc_error *error)
{
    (void)nccl, (void)device, (void)from, (void)x, (void)n;
    return not_here(error);
}

hc_status hc_nccl_all_gather(struct ncclComm *nccl, const struct hc_cuda_device *device,
                             const struct hc_cuda_parts *parts, float *all, struct hc_error *error)
{
    (void)nccl, (void)device, (void)parts, (void)all;
    return not_here(error);
}

hc_status hc_nccl_fault(struct ncclComm *nccl, const struct hc_cuda_device *device, struct hc_error *error)
{
    (void)nccl, (void)device, (void)error;
    return HC_OK;
}
