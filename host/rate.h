/* How many bits per weight, k, every tensor gets from the method `window`: by its name, or as its share of a rate. */
#ifndef HC_HOST_RATE_H
#define HC_HOST_RATE_H

#include "common/window.h"
#include "source.h"

/* What a tensor is for, by its name (Hugging Face's). */
enum hc_role {
    HC_ROLE_EMBEDDING, /* of tokens, positions, types: rows are looked up, or added */
    HC_ROLE_HEAD,      /* from the last hidden state to the vocabulary */
    HC_ROLE_OTHER
};

/* Decided by the last component in front of ".weight" (which may be missing), as the families name it: embed_tokens,
 * word_embeddings, wte, ... and lm_head, embed_out, ...; "shared", "output" and the like, which are words of blocks
 * too, count at the top only. */
enum hc_role hc_tensor_role(const char *name);

/* The k that the options give to a tensor: 1 to 6 or 8; 0: it is kept as it is; -1: it takes part in the sharing of a
 * fractional rate. Says nothing of whether it is coded at all (selection.h). hc_window_bits (hyperc.h) of its name. */
int hc_rate_fixed(const struct hc_tensor *tensor, const hc_compress_options *options);

/* A tensor that takes part in the sharing. Entries 1 to 6 and 8 count, up to `most`. */
struct hc_rate_tensor {
    uint64_t weights;
    unsigned most;                       /* largest k that it may get, 1 to 8 */
    uint64_t bytes[HC_WINDOW_MAX_K + 1]; /* stored, scales included; none is less than bytes[1] */
    double error[HC_WINDOW_MAX_K + 1];   /* finite, not negative, in a unit that all tensors share */
};

/* A rate this near to the asked one counts as met. */
#define HC_RATE_TOLERANCE 0.01

/* Chooses k for every tensor, so that the stored bits per weight of all of them together lie in
 *   asked - HC_RATE_TOLERANCE .. asked   if there is such a choice: the one of the least total error,
 *   asked .. asked + HC_RATE_TOLERANCE   else, the nearest to asked,
 *   below                                else, the nearest to asked; the least there is if all are above.
 * *reached gets that rate, 0 if there are no weights. The result depends on nothing but the numbers (+ - * / and
 * comparisons in double, no fma), not on the machine; equal choices are decided by the order of the tensors.
 *
 * How: tensors are added one by one to a table of the best choice so far for every total of bytes. Totals are told
 * apart to 1/16384 of the range (from 4096 tensors on less, but at least to 1/4096), and of two in the same place the
 * one of the lesser error + lambda bytes stays, lambda being the Lagrange multiplier of the asked rate: without it,
 * thousands of small preferences for more bytes would add up. With few tensors, where every choice has a place of its
 * own, that is exact. Takes time and, with one byte each, memory in proportion to tensors times places. HC_ERR_MEMORY.
 */
hc_status hc_rate_share(const struct hc_rate_tensor *tensors, size_t count, double asked, uint8_t *k, double *reached,
                        struct hc_error *error);

#endif
