#include "sampling/sampling_cuda.h"

#include <float.h>

#include "common/exponential.cuh"
#include "common/lanes.cuh"

/* SORTED keys are what a block orders at once, or finds the largest of. */
enum { THREADS = 256, SORT_THREADS = 1024, SORTED = 2 * SORT_THREADS };

/* A token and its logit in one number: the better key is the greater one. 0 is no token. */
typedef uint64_t key;

/* Numbered logits, or keys that are made of them already. */
struct source {
    const float *logits; /* or NULL */
    const key *keys;
    size_t count;
};

/* ---- Keys -------------------------------------------------------------------------------------- */

/* The order of integers is that of numbers; -0 is 0. No NaN. */
static __device__ inline key key_of(float logit, size_t token)
{
    uint32_t bits = __float_as_uint(logit + 0.0f);
    bits = bits >> 31 ? ~bits : bits | 0x80000000;
    return (key)bits << 32 | (uint32_t) ~(uint32_t)token;
}

static __device__ inline int32_t token_of(key key)
{
    return (int32_t) ~(uint32_t)key;
}

static __device__ inline float logit_of(key key)
{
    uint32_t bits = (uint32_t)(key >> 32);
    return __uint_as_float(bits >> 31 ? bits & 0x7fffffff : ~bits);
}

/* ---- The largest ------------------------------------------------------------------------------- */

/* What the sampler makes of logits. */
static __device__ inline float made_finite(float logit)
{
    return fminf(fmaxf(logit, -FLT_MAX), FLT_MAX); /* NaN: -FLT_MAX */
}

static __device__ inline key load(const struct source *source, size_t i)
{
    if (!source->logits)
        return source->keys[i];
    return key_of(made_finite(source->logits[i]), i);
}

/* Grid: one block per 2048 keys, the last may have fewer; 256 threads; 64 bytes of shared memory. A thread owns every
 * 256th of them. Keys are all different, so that no order of comparisons matters. keys: of every block; token: of the
 * only block, else NULL. */
static __global__ void __launch_bounds__(THREADS) largest(struct source source, key *keys, int32_t *token)
{
    __shared__ key warps[THREADS / HC_LANES];
    size_t begin = (size_t)blockIdx.x * SORTED, end = min(begin + SORTED, source.count);
    key best = 0;

    for (size_t i = begin + threadIdx.x; i < end; i += THREADS)
        best = max(best, load(&source, i));
    for (int apart = HC_LANES / 2; apart > 0; apart /= 2)
        best = max(best, (key)__shfl_xor_sync(HC_WARP_ALL, best, apart));
    if (threadIdx.x % HC_LANES == 0)
        warps[threadIdx.x / HC_LANES] = best;
    __syncthreads();
    if (threadIdx.x > 0)
        return;
    for (uint32_t w = 1; w < THREADS / HC_LANES; w++)
        best = max(best, warps[w]);
    if (token)
        *token = token_of(best);
    else
        keys[blockIdx.x] = best;
}

/* ---- The best k -------------------------------------------------------------------------------- */

/* The keys of a block, in shared memory, the greatest first: a bitonic sort, of which a thread owns a pair in every
 * step. */
static __device__ inline void load_sorted(const struct source *source, key keys[SORTED])
{
    for (uint32_t i = threadIdx.x; i < SORTED; i += SORT_THREADS) {
        size_t place = (size_t)blockIdx.x * SORTED + i;
        keys[i] = place >= source->count ? 0
                  : source->logits       ? key_of(made_finite(source->logits[place]), place)
                                         : source->keys[place];
    }
    for (uint32_t size = 2; size <= SORTED; size *= 2)
        for (uint32_t apart = size / 2; apart > 0; apart /= 2) {
            uint32_t i = 2 * threadIdx.x - (threadIdx.x & (apart - 1));
            __syncthreads();
            key a = keys[i], b = keys[i + apart];
            bool falling = !(i & size);
            if (a < b ? falling : !falling) {
                keys[i] = b;
                keys[i + apart] = a;
            }
        }
    __syncthreads();
}

/* Grid: one block per 2048 keys, the last may have fewer; 1024 threads; 16 KB of shared memory: the keys. Leaves the
 * best k of each block, k <= 1024, so that half of the keys go at least; zeros where there are fewer. To sort is more
 * than needed, but 66 short steps, and all multiprocessors have a part. */
static __global__ void __launch_bounds__(SORT_THREADS) select(struct source source, uint32_t k, key *out)
{
    __shared__ key keys[SORTED];
    load_sorted(&source, keys);
    if (threadIdx.x < k)
        out[(size_t)blockIdx.x * k + threadIdx.x] = keys[threadIdx.x];
}

/* ---- The choice -------------------------------------------------------------------------------- */

/* The sum in order. */
static __device__ inline double total_of(const float *weights, uint32_t count)
{
    double total = 0.0;
    for (uint32_t i = 0; i < count; i++)
        total += weights[i];
    return total;
}

/* What top-p and min-p leave: the sampler's `cut`. */
static __device__ inline uint32_t cut(const struct hc_top_k_cuda *options, const float *weights, uint32_t count,
                                      double *total)
{
    double enough = options->top_p < 1.0f ? options->top_p * *total : INFINITY, sum = 0.0;
    uint32_t rank = 0;
    if (options->top_p >= 1.0f && options->min_p <= 0.0f)
        return count;
    for (; rank < count; rank++) {
        if (rank > 0 && (sum >= enough || weights[rank] < options->min_p))
            break;
        sum += weights[rank];
    }
    *total = sum;
    return rank;
}

/* The rank that a random number falls on. */
static __device__ inline uint32_t draw(const float *weights, uint32_t count, double total, double uniform)
{
    uint32_t chosen = 0;
    double sum = 0.0;
    for (uint32_t rank = 0; rank < count && sum <= uniform * total; rank++) {
        if (weights[rank] <= 0.0f)
            break;
        sum += weights[rank];
        chosen = rank;
    }
    return chosen;
}

/* Grid: one block of 1024 threads, for up to 2048 keys; 24 KB of shared memory: the keys, and weights by rank and by
 * token. A thread owns a weight; the sums are the sampler's, in its order, so one thread makes them, some thousand
 * additions at most. Where all tokens are candidates, the sampler adds their weights up in the order of tokens. */
static __global__ void __launch_bounds__(SORT_THREADS)
    choose(struct source source, struct hc_top_k_cuda options, const double *uniform, int32_t *token)
{
    __shared__ key keys[SORTED];
    __shared__ float weights[HC_TOP_K_CUDA], by_token[HC_TOP_K_CUDA];
    bool all = options.k >= options.vocabulary;
    uint32_t count = all ? (uint32_t)options.vocabulary : options.k, rank = threadIdx.x;

    static_assert((int)HC_TOP_K_CUDA == (int)SORT_THREADS, "a weight for each thread");
    load_sorted(&source, keys);
    if (rank < count) {
        double below = (double)logit_of(keys[rank]) - (double)logit_of(keys[0]);
        weights[rank] = hc_exp_cuda((float)(below / options.temperature));
        if (all)
            by_token[token_of(keys[rank])] = weights[rank];
    }
    __syncthreads();
    if (rank > 0)
        return;
    double total = total_of(all ? by_token : weights, count);
    count = cut(&options, weights, count, &total);
    *token = token_of(keys[draw(weights, count, total, *uniform)]);
}

/* ---- Launchers --------------------------------------------------------------------------------- */

static size_t blocks_of(size_t keys)
{
    return (keys + SORTED - 1) / SORTED;
}

size_t hc_largest_cuda_workspace(size_t n)
{
    return 2 * blocks_of(n) * sizeof(key);
}

cudaError_t hc_largest_cuda(const float *logits, size_t n, void *workspace, int32_t *token, cudaStream_t stream)
{
    struct source source = {logits, NULL, n};
    key *keys = (key *)workspace;
    while (source.count > SORTED) {
        size_t blocks = blocks_of(source.count);
        largest<<<(unsigned)blocks, THREADS, 0, stream>>>(source, keys, NULL);
        source = {NULL, keys, blocks};
        keys += blocks;
    }
    largest<<<1, THREADS, 0, stream>>>(source, NULL, token);
    return cudaGetLastError();
}

/* The keys of the first round, and of the second, which are at most as many; the third reuses the first's place. */
size_t hc_top_k_cuda_workspace(const struct hc_top_k_cuda *options)
{
    return 2 * blocks_of(options->vocabulary) * options->k * sizeof(key);
}

cudaError_t hc_top_k_cuda(const float *logits, const struct hc_top_k_cuda *options, const double *uniform,
                          void *workspace, int32_t *token, cudaStream_t stream)
{
    struct hc_top_k_cuda own = *options;
    struct source source = {logits, NULL, options->vocabulary};
    key *halves[] = {(key *)workspace, (key *)workspace + blocks_of(options->vocabulary) * options->k};
    if (own.temperature <= 0.0f) { /* the best one weighs 1 at any temperature */
        own.temperature = 1.0f;
        own.k = 1;
    }
    for (unsigned round = 0; source.count > SORTED; round++) {
        size_t blocks = blocks_of(source.count);
        select<<<(unsigned)blocks, SORT_THREADS, 0, stream>>>(source, own.k, halves[round % 2]);
        source = {NULL, halves[round % 2], blocks * own.k};
    }
    choose<<<1, SORT_THREADS, 0, stream>>>(source, own, uniform, token);
    return cudaGetLastError();
}
