/* What the timings on a GPU share: one device, buffers on it, clocks, and the table.
 *
 * Everything fails softly: the first failure is kept in `error`, and what follows does nothing. Work is recorded as a
 * graph, as running a network records it, so that no launch waits for the host. It goes round over as many *sets* of
 * operands as leave nothing of the first in the second-level cache when its turn comes again. A figure is the best of
 * the repeats, since what disturbs only makes them slower. Under an emulator everything runs once and is checked, and
 * no time is told.
 */
#ifndef HC_BENCH_CUDA_H
#define HC_BENCH_CUDA_H

#include <stdbool.h>

#include "../options.h"
#include "blas.h"
#include "device.h"

enum { GPU_BUFFERS = 64, GPU_SHAPES = 64 };

struct gpu {
    struct hc_cuda_device device;
    struct hc_error error;
    bool failed, emulated, csv;
    int repeats;
    struct shape shapes[GPU_SHAPES];
    size_t shape_count;
    struct hc_cuda_blas blas;
    size_t cache; /* bytes of the second level */
    double copy;  /* bytes per second that a plain copy reads and writes */
    void *buffers[GPU_BUFFERS];
    size_t buffer_count;
};

/* False for a call that failed. */
bool gpu_check(struct gpu *gpu, cudaError_t result, const char *call);
/* Device memory, until gpu_release; NULL after a failure. */
void *gpu_buffer(struct gpu *gpu, size_t bytes);
void *gpu_zeros(struct gpu *gpu, size_t bytes);
void *gpu_put(struct gpu *gpu, const void *data, size_t bytes);
/* Random bits; or random halves, of magnitudes from 1/32 to 1/16. */
void *gpu_random(struct gpu *gpu, size_t bytes);
void *gpu_random_halves(struct gpu *gpu, size_t count);
void *gpu_fill_floats(struct gpu *gpu, size_t count, float value);
void gpu_release(struct gpu *gpu);

/* Fails unless all `count` floats are finite, and most not zero; unless there is a byte that is not zero. */
void gpu_expect_floats(struct gpu *gpu, const float *device, size_t count, const char *what);
void gpu_expect_bytes(struct gpu *gpu, const void *device, size_t bytes, const char *what);

/* How many sets of so many bytes to go round over. */
size_t gpu_sets(const struct gpu *gpu, size_t bytes);

/* Queues the work on a set of operands. */
typedef cudaError_t gpu_work(const void *state, size_t set, cudaStream_t stream);

/* Seconds on one set; 0 after a failure, and under an emulator. */
double gpu_time(struct gpu *gpu, gpu_work *work, const void *state, size_t sets);

struct gpu_row {
    const char *operation, *shape;
    double k; /* bits per weight, or 0 */
    unsigned length;
    size_t n;                       /* positions */
    double seconds, weights, bytes; /* weights: 0 if there are none */
    double baseline;                /* seconds of cuBLAS in half precision, or 0 */
};

void gpu_print_head(const struct gpu *gpu);
/* Nothing after a failure. */
void gpu_print(const struct gpu *gpu, const struct gpu_row *row);

/* What is measured. */
void bench_products(struct gpu *gpu);
void bench_encoding(struct gpu *gpu);
void bench_pair_search(struct gpu *gpu);
void bench_attention(struct gpu *gpu);

#endif
