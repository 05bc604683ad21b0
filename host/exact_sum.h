/* Sums of doubles whose result does not depend on the order of the terms, nor on how they are split.
 *
 * A long fixed-point number that spans every double (after Kulisch): limbs of 32 bits in 64-bit words, so that carries
 * wait. Adding the limbs of two sums adds the sums, which is what an all-reduce does. */
#ifndef HC_HOST_EXACT_SUM_H
#define HC_HOST_EXACT_SUM_H

#include <stdint.h>

/* Limb i weighs 2^(32 i - 1088): doubles reach from 2^-1074 to 2^1024. */
enum { HC_EXACT_LIMBS = 67 };

struct hc_exact_sum {
    int64_t limb[HC_EXACT_LIMBS];
    uint32_t pending; /* terms since the last carry; below 2^30 */
};

void hc_exact_add(struct hc_exact_sum *sum, double term); /* finite */
void hc_exact_add_sum(struct hc_exact_sum *sum, const struct hc_exact_sum *other);
/* Rounded to the nearest double. */
double hc_exact_value(const struct hc_exact_sum *sum);

#endif
