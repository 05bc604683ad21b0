/* Numbers of a rank on its GPU; their sum over all ranks, and all ranks' together, as running networks have it made. */
#ifndef HC_BENCH_COMM_GPU_H
#define HC_BENCH_COMM_GPU_H

#include "comm.h"

struct gpu;

/* All ranks call it; HC_ERR_UNSUPPORTED: built without CUDA. */
hc_status gpu_open(struct gpu **gpu, struct hc_comm *comm, size_t count, struct hc_error *error);
void gpu_close(struct gpu *gpu); /* NULL: nothing */

bool gpu_is_emulated(const struct gpu *gpu);
const char *gpu_way(const struct gpu *gpu); /* that the numbers go */

hc_status gpu_write(struct gpu *gpu, const float *data, size_t count, struct hc_error *error);
hc_status gpu_read(struct gpu *gpu, float *data, size_t count, struct hc_error *error);
/* Queue it. bytes[r]: of rank r's numbers, which lie behind those of the ranks before it. */
hc_status gpu_all_reduce(struct gpu *gpu, size_t count, struct hc_error *error);
hc_status gpu_all_gather(struct gpu *gpu, const size_t *bytes, struct hc_error *error);
hc_status gpu_wait(struct gpu *gpu, struct hc_error *error);

#endif
