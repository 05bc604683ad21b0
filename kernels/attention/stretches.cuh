/* How attention is cut up. Blocks take some queries of one key-value head through a stretch of positions, and leave
 * what they found; a second kernel puts the stretches together.
 *
 * What is found: the largest score m, the sum of p = exp(score - m), and the sum of p value. m begins with the least
 * finite number, so that no difference of two infinities arises before a score is infinite: where all scores are
 * -infinity, the sum stays 0, and its reciprocal makes NaN, as on the CPU. A score that is NaN is never the largest,
 * but its p is NaN. */
#ifndef HC_KERNELS_ATTENTION_STRETCHES_CUH
#define HC_KERNELS_ATTENTION_STRETCHES_CUH

#include "attention/attention_cuda.h"
#include "common/lanes.cuh"

enum {
    THREADS = 128,
    WARPS = THREADS / HC_LANES,
    LEAST_STRETCH = 64,  /* positions that are worth a block */
    MOST_STRETCHES = 128 /* at most THREADS, for the kernel that puts them together */
};

/* Row r of a key-value head is query head r % group, of those that share it, at position r / group. */
struct cut {
    uint32_t group;
    uint32_t rows, tiles; /* of a tile; tiles of a key-value head */
    uint32_t stretches;   /* of every tile, at most */
    float *sums;          /* [stretches][count][heads][width] of p value */
    float2 *ends;         /* [stretches][count][heads]: m, sum of p */
};

/* Positions from .. to - 1. */
struct stretch {
    uint32_t from, to;
};

static __device__ inline size_t cache_place(const struct hc_attention_cuda *attention, uint32_t head, uint32_t t)
{
    return ((size_t)head * attention->context + t) * attention->width;
}

/* What a query sees. */
static __device__ inline struct stretch seen_by(const struct hc_attention_cuda *attention, uint32_t position)
{
    uint32_t window = attention->window;
    return {window > 0 && position >= window ? position + 1 - window : 0, position + 1};
}

/* What all queries of a tile see, together. */
static __device__ inline struct stretch tile_stretch(const struct hc_attention_cuda *attention, const struct cut *cut,
                                                     uint32_t tile)
{
    uint32_t first = *attention->first, row = tile * cut->rows;
    uint32_t last = min((row + cut->rows - 1) / cut->group, attention->count - 1);
    return {seen_by(attention, first + row / cut->group).from, first + last + 1};
}

/* Positions of each stretch but the last: LEAST_STRETCH is a multiple of what any block takes in one step. */
static __device__ inline uint32_t stretch_length(struct stretch all, const struct cut *cut)
{
    uint32_t each = (all.to - all.from + cut->stretches - 1) / cut->stretches;
    return (each + LEAST_STRETCH - 1) / LEAST_STRETCH * LEAST_STRETCH;
}

/* Empty if there are fewer. */
static __device__ inline struct stretch stretch_of(struct stretch all, const struct cut *cut, uint32_t number)
{
    uint32_t length = stretch_length(all, cut), from = all.from + number * length;
    return {from, min(from + length, all.to)};
}

/* Where a row leaves what it found in a stretch; for stretch 0 that is where its query is, too. */
static __device__ inline size_t place_of(const struct hc_attention_cuda *attention, const struct cut *cut,
                                         uint32_t number, uint32_t key_value_head, uint32_t row)
{
    uint32_t head = key_value_head * cut->group + row % cut->group;
    return ((size_t)number * attention->count + row / cut->group) * attention->heads + head;
}

#endif
