/* A query at a time: for few queries, and for what tensor cores do not take. */
#ifndef HC_KERNELS_ATTENTION_EACH_CUH
#define HC_KERNELS_ATTENTION_EACH_CUH

#include <cuda_fp16.h>

#include <float.h>

#include "attention/stretches.cuh"
#include "common/exponential.cuh"

/* Two neighbours at an even place. */
template <hc_type TYPE> static __device__ inline float2 load_pair(const void *cache, size_t at, float scale)
{
    if (TYPE == HC_TYPE_F32)
        return *(const float2 *)((const float *)cache + at);
    if (TYPE == HC_TYPE_F16)
        return __half22float2(*(const __half2 *)((const __half *)cache + at));
    char2 bytes = *(const char2 *)((const int8_t *)cache + at);
    return make_float2((float)bytes.x * scale, (float)bytes.y * scale);
}

/* For `PAIRS` pairs of numbers per lane, 64 apart: how many positions a warp takes at once, and queries. */
#define EACH_OF(pairs) (16 / (pairs))

template <int PAIRS> struct found {
    float largest[EACH_OF(PAIRS)], sum[EACH_OF(PAIRS)]; /* sum: of the lane's own positions */
    float2 out[EACH_OF(PAIRS)][PAIRS];
};

/* Adds N numbers of each lane over the warp: lane j gets the sum of number j / (32 / N). Half of the numbers go to the
 * other half of the lanes, and so on: fewer exchanges than for one number after another. */
template <int N> static __device__ inline float lane_sums(float v[N])
{
    uint32_t apart = HC_LANES / 2;
#pragma unroll
    for (int half = N / 2; half > 0; half /= 2, apart /= 2)
#pragma unroll
        for (int i = 0; i < half; i++) {
            bool upper = threadIdx.x & apart;
            float theirs = upper ? v[i] : v[i + half], own = upper ? v[i + half] : v[i];
            v[i] = own + __shfl_xor_sync(HC_WARP_ALL, theirs, apart);
        }
#pragma unroll
    for (; apart > 0; apart /= 2)
        v[0] += __shfl_xor_sync(HC_WARP_ALL, v[0], apart);
    return v[0];
}

/* The lane's pairs of the positions from t on, zeros at `to` and beyond. */
template <hc_type TYPE, int PAIRS>
static __device__ inline void load_positions(const struct hc_attention_cuda *attention, const void *cache,
                                             const float *scales, uint32_t head, uint32_t t, uint32_t to,
                                             float2 out[EACH_OF(PAIRS)][PAIRS])
{
    uint32_t d = 2 * (threadIdx.x % HC_LANES);
#pragma unroll
    for (uint32_t j = 0; j < EACH_OF(PAIRS); j++) {
        bool exists = t + j < to;
        float scale = TYPE == HC_TYPE_I8 && exists ? scales[(size_t)head * attention->context + t + j] : 1.0f;
#pragma unroll
        for (uint32_t i = 0; i < PAIRS; i++)
            out[j][i] = exists && d + 2 * HC_LANES * i < attention->width
                            ? load_pair<TYPE>(cache, cache_place(attention, head, t + j) + d + 2 * HC_LANES * i, scale)
                            : make_float2(0.0f, 0.0f);
    }
}

/* Takes a query through the positions at hand. score: the lane's, lanes in order of positions. */
template <int PAIRS>
static __device__ inline void take(struct found<PAIRS> *found, int q, float score,
                                   const float2 values[EACH_OF(PAIRS)][PAIRS])
{
    constexpr int EACH = EACH_OF(PAIRS), LANES_EACH = HC_LANES / EACH;
    float largest = score;
#pragma unroll
    for (int apart = LANES_EACH; apart < HC_LANES; apart *= 2)
        largest = fmaxf(largest, __shfl_xor_sync(HC_WARP_ALL, largest, apart));
    largest = fmaxf(largest, found->largest[q]);
    float factor = hc_exp_cuda(found->largest[q] - largest), p = hc_exp_cuda(score - largest);
    found->largest[q] = largest;
    found->sum[q] = found->sum[q] * factor + p;
#pragma unroll
    for (int i = 0; i < PAIRS; i++) {
        found->out[q][i].x *= factor;
        found->out[q][i].y *= factor;
    }
#pragma unroll
    for (int j = 0; j < EACH; j++) {
        float own = __shfl_sync(HC_WARP_ALL, p, j * LANES_EACH);
#pragma unroll
        for (int i = 0; i < PAIRS; i++) {
            found->out[q][i].x = fmaf(own, values[j][i].x, found->out[q][i].x);
            found->out[q][i].y = fmaf(own, values[j][i].y, found->out[q][i].y);
        }
    }
}

/* The score of a query and the lane's position among those at hand, but for the scale. */
template <int PAIRS>
static __device__ inline float score_of(const float2 *query, const float2 keys[EACH_OF(PAIRS)][PAIRS])
{
    float dots[EACH_OF(PAIRS)] = {};
#pragma unroll
    for (int i = 0; i < PAIRS; i++) {
        float2 own = query[i * HC_LANES + threadIdx.x % HC_LANES];
#pragma unroll
        for (int j = 0; j < EACH_OF(PAIRS); j++)
            dots[j] = fmaf(own.y, keys[j][i].y, fmaf(own.x, keys[j][i].x, dots[j]));
    }
    return lane_sums<EACH_OF(PAIRS)>(dots);
}

/* What the warps of a block found. */
template <int PAIRS> struct shared_found {
    float2 ends[WARPS][EACH_OF(PAIRS)];
    float2 out[WARPS][EACH_OF(PAIRS)][PAIRS * HC_LANES];
};

template <int PAIRS> static __device__ inline void share(struct shared_found<PAIRS> *shared, struct found<PAIRS> *found)
{
    uint32_t lane = threadIdx.x % HC_LANES, warp = threadIdx.x / HC_LANES;
#pragma unroll
    for (int q = 0; q < EACH_OF(PAIRS); q++) {
#pragma unroll
        for (int apart = HC_LANES / EACH_OF(PAIRS); apart < HC_LANES; apart *= 2)
            found->sum[q] += __shfl_xor_sync(HC_WARP_ALL, found->sum[q], apart);
        if (lane == 0)
            shared->ends[warp][q] = make_float2(found->largest[q], found->sum[q]);
#pragma unroll
        for (int i = 0; i < PAIRS; i++)
            shared->out[warp][q][i * HC_LANES + lane] = found->out[q][i];
    }
}

/* Puts together what the warps found for query q, and leaves it at `place`. */
template <int PAIRS>
static __device__ inline void leave(const struct shared_found<PAIRS> *shared, int q, uint32_t width,
                                    const struct cut *cut, size_t place)
{
    float largest = shared->ends[0][q].x, sum = 0.0f, factors[WARPS];
    for (int w = 1; w < WARPS; w++)
        largest = fmaxf(largest, shared->ends[w][q].x);
    for (int w = 0; w < WARPS; w++) {
        factors[w] = hc_exp_cuda(shared->ends[w][q].x - largest);
        sum = fmaf(factors[w], shared->ends[w][q].y, sum);
    }
    for (uint32_t d = threadIdx.x; d < width / 2; d += THREADS) {
        float2 all = make_float2(0.0f, 0.0f);
        for (int w = 0; w < WARPS; w++) {
            float2 own = shared->out[w][q][d];
            all.x = fmaf(factors[w], own.x, all.x);
            all.y = fmaf(factors[w], own.y, all.y);
        }
        ((float2 *)(cut->sums + place * width))[d] = all;
    }
    if (threadIdx.x == 0)
        cut->ends[place] = make_float2(largest, sum);
}

/* Queries of the rows from `row` on, padded with zeros. */
template <int PAIRS>
static __device__ inline void load_queries(const struct hc_attention_cuda *attention, const struct cut *cut,
                                           const float *queries, uint32_t head, uint32_t row, uint32_t count,
                                           float2 out[EACH_OF(PAIRS)][PAIRS * HC_LANES])
{
    for (uint32_t q = 0; q < count; q++) {
        const float *query = queries + place_of(attention, cut, 0, head, row + q) * attention->width;
        for (uint32_t d = threadIdx.x; d < PAIRS * HC_LANES; d += THREADS)
            out[q][d] = 2 * d < attention->width ? ((const float2 *)query)[d] : make_float2(0.0f, 0.0f);
    }
}

/* Grid: x = stretches, y = key-value heads, and parts of the queries that share one if they are many, z = positions;
 * 128 threads; 20 KB of shared memory: the queries, and what the warps found. A lane owns the pairs of numbers 2 lane +
 * 64 i of everything, so that a warp reads keys in a row, whatever the width; a warp takes 16 / PAIRS positions at a
 * time, for up to 16 / PAIRS queries. Even widths up to 64 PAIRS.
 *
 * The cache is read once for all queries that share it, and memory is to set the pace: so all keys and values of a step
 * are asked for before any is used. A block whose stretch is empty leaves at once. */
template <hc_type TYPE, int PAIRS>
static __global__ void __launch_bounds__(THREADS)
    attend_each(struct hc_attention_cuda attention, struct cut cut, const float *queries)
{
    constexpr uint32_t EACH = EACH_OF(PAIRS);
    __shared__ float2 query[EACH][PAIRS * HC_LANES];
    __shared__ struct shared_found<PAIRS> shared;
    uint32_t parts = (cut.group + EACH - 1) / EACH, head = blockIdx.y / parts, width = attention.width;
    uint32_t row = blockIdx.z * cut.group + blockIdx.y % parts * EACH;
    uint32_t count = min(EACH, (blockIdx.z + 1) * cut.group - row);
    struct stretch own = stretch_of(tile_stretch(&attention, &cut, blockIdx.z), &cut, blockIdx.x);
    struct found<PAIRS> found;

    if (own.from >= own.to)
        return;
    load_queries<PAIRS>(&attention, &cut, queries, head, row, count, query);
    __syncthreads();
    for (uint32_t q = 0; q < EACH; q++) {
        found.largest[q] = -FLT_MAX;
        found.sum[q] = 0.0f;
        for (int i = 0; i < PAIRS; i++)
            found.out[q][i] = make_float2(0.0f, 0.0f);
    }
    for (uint32_t t = own.from + threadIdx.x / HC_LANES * EACH; t < own.to; t += WARPS * EACH) {
        float2 keys[EACH][PAIRS], values[EACH][PAIRS];
        load_positions<TYPE, PAIRS>(&attention, attention.keys, attention.key_scales, head, t, own.to, keys);
        load_positions<TYPE, PAIRS>(&attention, attention.values, attention.value_scales, head, t, own.to, values);
        bool exists = t + threadIdx.x % HC_LANES / (HC_LANES / EACH) < own.to;
#pragma unroll
        for (uint32_t q = 0; q < EACH; q++)
            if (q < count) {
                float score = score_of<PAIRS>(query[q], keys) * attention.scale;
                take<PAIRS>(&found, (int)q, exists ? score : -INFINITY, values);
            }
    }
    share<PAIRS>(&shared, &found);
    __syncthreads();
    for (uint32_t q = 0; q < count; q++)
        leave<PAIRS>(&shared, (int)q, width, &cut, place_of(&attention, &cut, blockIdx.x, head, row + q));
}

#endif
