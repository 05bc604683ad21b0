/* GGUF block types to float32.
 *
 * Source of the layouts: the ggml project's public description of its block types. A block holds
 * 32 weights (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0) or 256 (the K types).
 * Shapes: `blocks` whole blocks, contiguous, at any alignment; out has blocks * weights per block.
 * Results are the exact value of the layout's formula evaluated in float32, each operation rounded
 * once, in the order that the comment above each function states.
 */
#ifndef HC_KERNELS_DEQUANT_H
#define HC_KERNELS_DEQUANT_H

#include <stddef.h>
#include <stdint.h>

struct hc_dequant_ops {
    void (*q4_0)(const uint8_t *in, size_t blocks, float *out);
    void (*q4_1)(const uint8_t *in, size_t blocks, float *out);
    void (*q5_0)(const uint8_t *in, size_t blocks, float *out);
    void (*q5_1)(const uint8_t *in, size_t blocks, float *out);
    void (*q8_0)(const uint8_t *in, size_t blocks, float *out);
    void (*q2_k)(const uint8_t *in, size_t blocks, float *out);
    void (*q3_k)(const uint8_t *in, size_t blocks, float *out);
    void (*q4_k)(const uint8_t *in, size_t blocks, float *out);
    void (*q5_k)(const uint8_t *in, size_t blocks, float *out);
    void (*q6_k)(const uint8_t *in, size_t blocks, float *out);
    void (*q8_k)(const uint8_t *in, size_t blocks, float *out);
};

void hc_dequant_c(struct hc_dequant_ops *ops);

#endif
