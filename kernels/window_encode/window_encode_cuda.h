/* CUDA version of window_encode.h: the same codes, bit for bit.
 *
 * What is made of a codebook once (`prepare`) is host work and goes to the device as it is. A tile that has to be
 * encoded by wide arithmetic with all branches is so on the device, in a second launch; the caller never hears of it.
 * Launchers queue on `stream`, neither allocate nor wait, and return the launch error. */
#ifndef HC_KERNELS_WINDOW_ENCODE_CUDA_H
#define HC_KERNELS_WINDOW_ENCODE_CUDA_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hc_window_trellis;

/* As struct hc_window_trellis, with what is needed on the device. */
struct hc_window_trellis_cuda {
    unsigned k, length;
    uint16_t multiplier;
    bool all;
    const void *layout; /* device memory, 256-byte aligned: what `prepare` made */
};

/* Bytes of a layout; prepare fills trellis->layout, host memory here, from the rest of the trellis. */
size_t hc_window_encode_cuda_layout_bytes(unsigned k, unsigned length);
void hc_window_encode_cuda_prepare(const struct hc_window_trellis *trellis);

/* How many tiles the current device works on at a time: *slots. */
cudaError_t hc_window_encode_cuda_slots(unsigned k, unsigned length, unsigned *slots);

/* Bytes of workspace for `tiles` tiles in one launch, of which `slots` >= 1 are worked on at a time (more are of no
 * use, any number gives the same codes); 256-byte aligned, no contents expected or left. 35 KB a slot for (k 4, L 12),
 * 0.55 MB for (4, 16), 1.3 MB at most. */
size_t hc_window_encode_cuda_workspace(unsigned k, unsigned length, size_t tiles, unsigned slots);

/* hc_window_encode_ops.tiles over any number of tiles. All pointers are device memory, but `trellis` itself. */
cudaError_t hc_window_encode_cuda(const struct hc_window_trellis_cuda *trellis, const int16_t *weights,
                                  const int16_t *importance, size_t tiles, unsigned slots, void *workspace,
                                  uint8_t *codes, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
