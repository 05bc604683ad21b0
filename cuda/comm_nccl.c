#include "comm_nccl.h"

#include <nccl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool hc_nccl_is_here(void)
{
    return true;
}

/* An error of another kind than CUDA's: the device is as good as before. */
static hc_status check(const struct hc_cuda_device *device, struct ncclComm *nccl, ncclResult_t result,
                       const char *call, struct hc_error *error)
{
    return result == ncclSuccess || result == ncclInProgress
               ? HC_OK
               : hc_fail(error, HC_ERR_RANKS, "CUDA device %d: %s: %s (%s)", device->ordinal, call,
                         ncclGetErrorString(result), ncclGetLastError(nccl));
}

/* NCCL wants a device of its own for every rank; its number says nothing on several machines, or where some are hidden.
 */
static hc_status are_distinct(struct hc_cuda_device *device, struct hc_comm *comm, bool *distinct,
                              struct hc_error *error)
{
    const size_t ranks = (size_t)comm->ranks;
    struct cudaDeviceProp properties;
    cudaUUID_t *all = malloc(ranks * sizeof *all);
    size_t *bytes = malloc(ranks * sizeof *bytes);
    hc_status status = all && bytes ? HC_OK : hc_no_memory(error);
    if (status != HC_OK)
        goto done;
    HC_TRY(
        hc_cuda_check(device, cudaGetDeviceProperties(&properties, device->ordinal), "cudaGetDeviceProperties", error));
    for (size_t r = 0; r < ranks; r++)
        bytes[r] = sizeof *all;
    HC_TRY(hc_comm_all_gather(comm, &properties.uuid, all, bytes, "the names of the GPUs", error));
    *distinct = true;
    for (size_t r = 0; r < ranks; r++)
        for (size_t s = 0; s < r; s++)
            *distinct = *distinct && memcmp(&all[r], &all[s], sizeof *all) != 0;
done:
    free(all);
    free(bytes);
    return status;
}

hc_status hc_nccl_open(struct ncclComm **nccl, struct hc_cuda_device *device, struct hc_comm *comm,
                       struct hc_error *error)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    ncclUniqueId id;
    bool distinct = false;
    hc_status status;
    *nccl = NULL;
    config.blocking = 0; /* nothing could end its waiting for a rank that does not come */
    memset(&id, 0, sizeof id);
    HC_TRY(are_distinct(device, comm, &distinct, error));
    if (!distinct)
        goto done;
    if (comm->rank == 0)
        HC_TRY(check(device, NULL, ncclGetUniqueId(&id), "ncclGetUniqueId", error));
    HC_TRY(hc_comm_broadcast(comm, 0, &id, sizeof id, "where the GPUs meet", error));
    HC_TRY(check(device, NULL, ncclCommInitRankConfig(nccl, comm->ranks, id, comm->rank, &config),
                 "ncclCommInitRankConfig", error));
done:
    return status;
}

bool hc_nccl_is_busy(struct ncclComm *nccl)
{
    ncclResult_t result;
    return ncclCommGetAsyncError(nccl, &result) == ncclSuccess && result == ncclInProgress;
}

/* Whether all was brought to its end in time: other ranks may be gone. */
static bool is_finished(struct ncclComm *nccl)
{
    enum { TRIES = 2000 };
    ncclResult_t result = ncclCommFinalize(nccl);
    for (int i = 0; i < TRIES && result == ncclInProgress; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        if (ncclCommGetAsyncError(nccl, &result) != ncclSuccess)
            return false;
    }
    return result == ncclSuccess;
}

void hc_nccl_close(struct ncclComm *nccl, bool broken)
{
    if (nccl && (broken || !is_finished(nccl)))
        ncclCommAbort(nccl);
    else if (nccl)
        ncclCommDestroy(nccl);
}

hc_status hc_nccl_all_reduce(struct ncclComm *nccl, const struct hc_cuda_device *device, float *x, size_t n,
                             struct hc_error *error)
{
    return check(device, nccl, ncclAllReduce(x, x, n, ncclFloat32, ncclSum, nccl, device->stream), "ncclAllReduce",
                 error);
}

hc_status hc_nccl_send(struct ncclComm *nccl, const struct hc_cuda_device *device, int to, const float *x, size_t n,
                       struct hc_error *error)
{
    return check(device, nccl, ncclSend(x, n, ncclFloat32, to, nccl, device->stream), "ncclSend", error);
}

hc_status hc_nccl_receive(struct ncclComm *nccl, const struct hc_cuda_device *device, int from, float *x, size_t n,
                          struct hc_error *error)
{
    return check(device, nccl, ncclRecv(x, n, ncclFloat32, from, nccl, device->stream), "ncclRecv", error);
}

static bool are_even(const struct hc_cuda_parts *parts)
{
    for (int r = 1; r < parts->ranks; r++)
        if (parts->widths[r] != parts->widths[0])
            return false;
    return true;
}

/* Every part from its rank, in one launch. */
static hc_status broadcast_parts(struct ncclComm *nccl, const struct hc_cuda_device *device,
                                 const struct hc_cuda_parts *parts, float *all, struct hc_error *error)
{
    hc_status status = check(device, nccl, ncclGroupStart(), "ncclGroupStart", error);
    if (status != HC_OK)
        return status;
    for (int r = 0; status == HC_OK && r < parts->ranks; all += hc_cuda_part(parts, r++))
        if (parts->widths[r] > 0)
            status = check(device, nccl,
                           ncclBroadcast(r == parts->rank ? parts->mine : all, all, hc_cuda_part(parts, r), ncclFloat32,
                                         r, nccl, device->stream),
                           "ncclBroadcast", error);
    ncclResult_t end = ncclGroupEnd(); /* also after a failure */
    return status == HC_OK ? check(device, nccl, end, "ncclGroupEnd", error) : status;
}

hc_status hc_nccl_all_gather(struct ncclComm *nccl, const struct hc_cuda_device *device,
                             const struct hc_cuda_parts *parts, float *all, struct hc_error *error)
{
    if (!are_even(parts))
        return broadcast_parts(nccl, device, parts, all, error);
    return check(device, nccl,
                 ncclAllGather(parts->mine, all, hc_cuda_part(parts, 0), ncclFloat32, nccl, device->stream),
                 "ncclAllGather", error);
}

hc_status hc_nccl_fault(struct ncclComm *nccl, const struct hc_cuda_device *device, struct hc_error *error)
{
    ncclResult_t result = ncclSuccess;
    hc_status status = check(device, nccl, ncclCommGetAsyncError(nccl, &result), "ncclCommGetAsyncError", error);
    return status == HC_OK ? check(device, nccl, result, "NCCL", error) : status;
}
