/* The most likely tokens of a part of a vocabulary: what a rank tells the others for a choice. */
#ifndef HC_HOST_CANDIDATES_H
#define HC_HOST_CANDIDATES_H

#include <stdint.h>

struct hc_candidate {
    float logit;
    int32_t token;
};

/* The `most` best of `count` logits, or all if there are fewer, in no order: the greater logit is better, of equal ones
 * the lower token; NaN counts as -infinity. Logit i is of token first + i. most: 1 or
 * more. */
void hc_candidates_best(const float *logits, uint32_t count, int32_t first, uint32_t most, struct hc_candidate *best);

#endif
