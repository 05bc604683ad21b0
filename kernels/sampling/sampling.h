/* What a choice of a token does with all logits of a vocabulary; the choice itself, of the few that are left, is
 * host/sampler.c's. 1 <= n < 2^31. No alignment. All tiers give the same bits.
 *
 * make_finite takes any numbers, the others what it leaves: no NaN, no infinity. -0 equals 0 in all of them.
 */
#ifndef HC_KERNELS_SAMPLING_H
#define HC_KERNELS_SAMPLING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/exponential.h"

/* A token and its logit, no NaN, in one number: the better one, which has the greater logit or of equal ones the lower
 * token, is the greater number. -0 is kept as 0. */
static inline uint64_t hc_sampling_key(float logit, int32_t token)
{
    uint32_t bits;
    logit += 0.0f;
    memcpy(&bits, &logit, sizeof bits);
    bits = bits >> 31 ? ~bits : bits | 0x80000000;
    return (uint64_t)bits << 32 | (uint32_t)~token;
}

static inline int32_t hc_sampling_token(uint64_t key)
{
    return (int32_t) ~(uint32_t)key;
}

static inline float hc_sampling_logit(uint64_t key)
{
    uint32_t bits = (uint32_t)(key >> 32);
    float logit;
    bits = bits >> 31 ? bits & 0x7fffffff : ~bits;
    memcpy(&logit, &bits, sizeof logit);
    return logit;
}

/* In proportion to the probability; 1 for the most likely token, whose logit is `best`. temperature > 0. Double
 * precision, rounded to float32 before exp, which is that of common/exponential.h. */
static inline float hc_sampling_weight(float logit, float best, float temperature)
{
    return hc_exp((float)(((double)logit - (double)best) / (double)temperature));
}

struct hc_sampling_ops {
    /* NaN and -infinity become -FLT_MAX, infinity becomes FLT_MAX. */
    void (*make_finite)(float *logits, size_t n);
    /* A logit that at least k tokens reach, and not many more, 1 <= k <= n: the least of the greatest of k stretches.
     * Stretch i begins at token n * i / k, rounded down. Never -0. */
    float (*reached)(const float *logits, size_t n, size_t k);
    /* The keys of the tokens whose logit is `least` or more, in their order; returns how many: no more are written. */
    size_t (*collect)(const float *logits, size_t n, float least, uint64_t *keys);
    /* The sum of the weights of all tokens: in double precision, in their order, from 0 on. */
    double (*total)(const float *logits, size_t n, float best, float temperature);
};

void hc_sampling_c(struct hc_sampling_ops *ops);
void hc_sampling_avx2(struct hc_sampling_ops *ops);
void hc_sampling_avx512(struct hc_sampling_ops *ops);

#endif
