/* The most likely tokens of a vocabulary, or of a rank's part of one: what a choice looks at, and what a rank tells the
 * others for it. Logits are as make_finite of kernels/sampling leaves them, keys are its own. */
#ifndef HC_HOST_CANDIDATES_H
#define HC_HOST_CANDIDATES_H

#include <stdint.h>

#include "sampling/sampling.h"

/* Makes a heap, the best on top, of the keys of the `reach` best of `count` logits and of some more; returns how many.
 * 1 <= reach <= count; heap: room for `count`. */
uint32_t hc_candidates_heap(const struct hc_sampling_ops *ops, const float *logits, uint32_t count, uint32_t reach,
                            uint64_t *heap);
/* Moves the best of a heap of `count` (1 or more) behind the others, which are a heap again. */
void hc_candidates_pop(uint64_t *heap, uint32_t count);

struct hc_candidate {
    float logit;
    int32_t token;
};

/* The `most` best of `count` logits, the best first, or all if there are fewer: the greater logit is better, of equal
 * ones the lower token. Logit i is of token first + i. most: 1 or more. heap: room for `count`, overwritten. */
void hc_candidates_best(const struct hc_sampling_ops *ops, const float *logits, uint32_t count, int32_t first,
                        uint32_t most, uint64_t *heap, struct hc_candidate *best);

#endif
