/* The orthonormal Walsh-Hadamard transform of consecutive blocks of a row, in place. It is its own inverse.
 *
 * data: n floats, n a multiple of `block`; block: 16, 32, 64 or 128; no alignment. Per block, for h = 1, 2, 4 ..
 * block/2: every pair (a, b) that lies h apart, a at an index with bit h clear, becomes (a + b, a - b); at last every
 * element is multiplied by the float32 nearest to 1 / sqrt(block). Every operation is rounded to float32 once, so all
 * tiers give the same bits, but for NaN payloads.
 */
#ifndef HC_KERNELS_HADAMARD_H
#define HC_KERNELS_HADAMARD_H

#include <stddef.h>

enum { HC_HADAMARD_MIN = 16, HC_HADAMARD_MAX = 128 };

struct hc_hadamard_ops {
    void (*blocks)(float *data, size_t n, unsigned block);
};

void hc_hadamard_c(struct hc_hadamard_ops *ops);
void hc_hadamard_avx2(struct hc_hadamard_ops *ops);
void hc_hadamard_avx512(struct hc_hadamard_ops *ops);

#endif
