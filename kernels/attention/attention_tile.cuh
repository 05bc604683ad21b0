/* Many queries at once, by tensor cores. */
#ifndef HC_KERNELS_ATTENTION_TILE_CUH
#define HC_KERNELS_ATTENTION_TILE_CUH

#include <cuda_fp16.h>
#include <cuda_pipeline_primitives.h>

#include <float.h>

#include "attention/stretches.cuh"
#include "common/exponential.cuh"

/* Tiles of tensor cores: m16n8k16. */
enum { MMA_ROWS = 16, MMA_COLUMNS = 8, MMA_DEPTH = 16, TILE_ROWS = WARPS * MMA_ROWS, TILE_WIDTH = 256 };

/* Keys and values of a step; rows end apart from each other in the banks. */
template <int WIDTH> struct step {
    static constexpr uint32_t POSITIONS = 8192 / WIDTH;
    __half keys[POSITIONS][WIDTH + 8], values[POSITIONS][WIDTH + 8];
    float key_scales[POSITIONS];
};

/* Accumulators of a lane: of two rows, those of the tile that are lane / 4 and 8 more, columns 2 (lane % 4) and the
 * next of every eight. */
struct mma_sums {
    float v[4];
};

static __device__ inline uint32_t half_pair(float a, float b)
{
    __half2 pair = __floats2half2_rn(a, b);
    return *(uint32_t *)&pair;
}

static __device__ inline void mma(struct mma_sums *sums, const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    float *v = sums->v;
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+f"(v[0]), "+f"(v[1]), "+f"(v[2]), "+f"(v[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Four 8 x 8 matrices of halves; a lane names a row of one. */
static __device__ inline void load_matrices(uint32_t out[4], const __half *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}

static __device__ inline void load_transposed(uint32_t out[4], const __half *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}

/* Eight bytes times a scale. */
static __device__ inline void widen(const int8_t *bytes, float scale, __half *out)
{
    const char4 *fours = (const char4 *)bytes;
    char4 a = fours[0], b = fours[1];
    *(uint4 *)out = make_uint4(
        half_pair((float)a.x * scale, (float)a.y * scale), half_pair((float)a.z * scale, (float)a.w * scale),
        half_pair((float)b.x * scale, (float)b.y * scale), half_pair((float)b.z * scale, (float)b.w * scale));
}

/* Begins to bring keys or values of the positions from t on; zeros at `to` and beyond. Those of F16 come while the
 * block goes on. scales: of I8; NULL: none. */
template <hc_type TYPE, int WIDTH>
static __device__ inline void bring(const struct hc_attention_cuda *attention, const void *cache, const float *scales,
                                    uint32_t head, uint32_t t, uint32_t to, __half (*out)[WIDTH + 8])
{
    uint32_t chunks = attention->width / 8;
    for (uint32_t i = threadIdx.x; i < step<WIDTH>::POSITIONS * chunks; i += THREADS) {
        uint32_t j = i / chunks, d = i % chunks * 8, from = min(t + j, to - 1);
        size_t at = cache_place(attention, head, from) + d;
        if (TYPE == HC_TYPE_F16)
            __pipeline_memcpy_async(&out[j][d], (const __half *)cache + at, 16, t + j < to ? 0 : 16);
        else if (t + j < to)
            widen((const int8_t *)cache + at, scales ? scales[(size_t)head * attention->context + from] : 1.0f,
                  &out[j][d]);
        else
            *(uint4 *)&out[j][d] = make_uint4(0, 0, 0, 0);
    }
    __pipeline_commit();
}

/* What a warp keeps of its 16 rows; [0] and [1] are the lane's two. */
template <int WIDTH> struct rows {
    struct stretch sees[2];
    size_t place[2];                      /* in stretch 0 */
    float largest[2], sum[2];             /* sum: of the lane's own columns */
    uint32_t query[WIDTH / MMA_DEPTH][4]; /* as the left operand of mma */
    struct mma_sums out[WIDTH / MMA_COLUMNS];
};

/* Rows beyond the last are zeros, and see what the last one sees. */
template <int WIDTH>
static __device__ inline void begin_rows(const struct hc_attention_cuda *attention, const struct cut *cut,
                                         uint32_t head, uint32_t first_row, const float *queries,
                                         struct rows<WIDTH> *rows)
{
    uint32_t lane = threadIdx.x % HC_LANES, all = attention->count * cut->group;
    for (int h = 0; h < 2; h++) {
        uint32_t row = min(first_row + lane / 4 + 8 * h, all - 1);
        bool exists = first_row + lane / 4 + 8 * h < all;
        rows->sees[h] = seen_by(attention, *attention->first + row / cut->group);
        rows->place[h] = place_of(attention, cut, 0, head, row);
        rows->largest[h] = -FLT_MAX;
        rows->sum[h] = 0.0f;
        const float *query = queries + rows->place[h] * attention->width + 2 * (lane % 4);
#pragma unroll
        for (int i = 0; i < WIDTH / MMA_DEPTH; i++)
            for (int right = 0; right < 2; right++)
                rows->query[i][h + 2 * right] =
                    exists && i * MMA_DEPTH < attention->width
                        ? half_pair(query[i * MMA_DEPTH + 8 * right], query[i * MMA_DEPTH + 8 * right + 1])
                        : 0;
    }
#pragma unroll
    for (int i = 0; i < WIDTH / MMA_COLUMNS; i++)
        rows->out[i] = {};
}

/* Products of the queries with all keys of a step. */
template <int WIDTH>
static __device__ inline void products(const struct rows<WIDTH> *rows, const struct step<WIDTH> *step, uint32_t width,
                                       struct mma_sums scores[])
{
    uint32_t lane = threadIdx.x % HC_LANES;
#pragma unroll
    for (uint32_t n = 0; n < step->POSITIONS / MMA_DEPTH; n++) {
        scores[2 * n] = scores[2 * n + 1] = {};
#pragma unroll
        for (uint32_t i = 0; i < WIDTH / MMA_DEPTH; i++)
            if (i * MMA_DEPTH < width) {
                uint32_t keys[4];
                load_matrices(keys, &step->keys[n * 16 + lane / 16 * 8 + lane % 8][i * MMA_DEPTH + lane / 8 % 2 * 8]);
                mma(&scores[2 * n], rows->query[i], keys[0], keys[1]);
                mma(&scores[2 * n + 1], rows->query[i], keys[2], keys[3]);
            }
    }
}

/* Turns products into p, and what was found before into what it is beside the new largest score. t: the first position
 * of the step. Those at the end of the stretch and beyond are seen by no row. */
template <hc_type TYPE, int WIDTH>
static __device__ inline void exponentials(struct rows<WIDTH> *rows, const struct step<WIDTH> *step, uint32_t t,
                                           float scale, struct mma_sums scores[])
{
    uint32_t lane = threadIdx.x % HC_LANES;
    float largest[2] = {rows->largest[0], rows->largest[1]}, factor[2];
#pragma unroll
    for (uint32_t n = 0; n < step->POSITIONS / MMA_COLUMNS; n++)
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t column = n * MMA_COLUMNS + 2 * (lane % 4) + i % 2;
            struct stretch sees = rows->sees[i / 2];
            float score = scores[n].v[i] * (TYPE == HC_TYPE_I8 ? step->key_scales[column] * scale : scale);
            scores[n].v[i] = t + column >= sees.from && t + column < sees.to ? score : -INFINITY;
            largest[i / 2] = fmaxf(largest[i / 2], scores[n].v[i]);
        }
    for (int h = 0; h < 2; h++) {
        for (int apart = 1; apart < 4; apart *= 2)
            largest[h] = fmaxf(largest[h], __shfl_xor_sync(HC_WARP_ALL, largest[h], apart));
        factor[h] = hc_exp_cuda(rows->largest[h] - largest[h]);
        rows->largest[h] = largest[h];
        rows->sum[h] *= factor[h];
    }
#pragma unroll
    for (uint32_t n = 0; n < step->POSITIONS / MMA_COLUMNS; n++)
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            scores[n].v[i] = hc_exp_cuda(scores[n].v[i] - largest[i / 2]);
            rows->sum[i / 2] += scores[n].v[i];
        }
#pragma unroll
    for (uint32_t n = 0; n < WIDTH / MMA_COLUMNS; n++)
#pragma unroll
        for (uint32_t i = 0; i < 4; i++)
            rows->out[n].v[i] *= factor[i / 2];
}

/* out += p values */
template <int WIDTH>
static __device__ inline void add_values(struct rows<WIDTH> *rows, const struct step<WIDTH> *step, uint32_t width,
                                         const struct mma_sums p[])
{
    uint32_t lane = threadIdx.x % HC_LANES;
#pragma unroll
    for (uint32_t j = 0; j < step->POSITIONS / MMA_DEPTH; j++) {
        const float *left = p[2 * j].v, *right = p[2 * j + 1].v;
        uint32_t a[4] = {half_pair(left[0], left[1]), half_pair(left[2], left[3]), half_pair(right[0], right[1]),
                         half_pair(right[2], right[3])};
#pragma unroll
        for (uint32_t n = 0; n < WIDTH / MMA_DEPTH; n++)
            if (n * MMA_DEPTH < width) {
                uint32_t values[4];
                load_transposed(values, &step->values[j * MMA_DEPTH + lane % 16][n * MMA_DEPTH + lane / 16 * 8]);
                mma(&rows->out[2 * n], a, values[0], values[1]);
                mma(&rows->out[2 * n + 1], a, values[2], values[3]);
            }
    }
}

template <int WIDTH>
static __device__ inline void leave_rows(const struct hc_attention_cuda *attention, const struct cut *cut,
                                         uint32_t number, uint32_t first_row, struct rows<WIDTH> *rows)
{
    uint32_t lane = threadIdx.x % HC_LANES, all = attention->count * cut->group;
    for (int h = 0; h < 2; h++) {
        size_t place = rows->place[h] + (size_t)number * attention->count * attention->heads;
        float *sums = cut->sums + place * attention->width + 2 * (lane % 4);
        for (int apart = 1; apart < 4; apart *= 2)
            rows->sum[h] += __shfl_xor_sync(HC_WARP_ALL, rows->sum[h], apart);
        /* Asked again, not remembered: beside 256 columns there is no register for it. */
        if (first_row + lane / 4 + 8 * h >= all)
            continue;
        if (lane % 4 == 0)
            cut->ends[place] = make_float2(rows->largest[h], rows->sum[h]);
#pragma unroll
        for (uint32_t n = 0; n < WIDTH / MMA_COLUMNS; n++)
            if (n * MMA_COLUMNS < attention->width)
                *(float2 *)(sums + n * MMA_COLUMNS) = make_float2(rows->out[n].v[2 * h], rows->out[n].v[2 * h + 1]);
    }
}

/* Grid: x = tiles of 64 rows, the last, which see most, first; y = key-value heads, z = stretches; 128 threads; 34 KB
 * of shared memory: keys and values of 64 positions (32 where WIDTH is 256). A warp owns 16 rows: queries that share
 * keys and values, whatever their head, so that a tile is full where heads are few. width: a multiple of 16, up to
 * WIDTH.
 *
 * Queries, p and values go through half precision, sums are float32. Values come while scores are made, the next keys
 * while values are added. A block whose stretch is empty leaves at once. */
template <hc_type TYPE, int WIDTH>
static __global__ void __launch_bounds__(THREADS)
    attend_tile(struct hc_attention_cuda attention, struct cut cut, const float *queries)
{
    constexpr uint32_t POSITIONS = step<WIDTH>::POSITIONS;
    __shared__ __align__(16) struct step<WIDTH> step;
    uint32_t head = blockIdx.y, width = attention.width, tile = cut.tiles - 1 - blockIdx.x;
    struct stretch own = stretch_of(tile_stretch(&attention, &cut, tile), &cut, blockIdx.z);
    uint32_t first_row = tile * TILE_ROWS + threadIdx.x / HC_LANES * MMA_ROWS;
    struct rows<WIDTH> rows;

    static_assert(LEAST_STRETCH % POSITIONS == 0, "a stretch is whole steps");
    if (own.from >= own.to)
        return;
    bring<TYPE, WIDTH>(&attention, attention.keys, NULL, head, own.from, own.to, step.keys);
    begin_rows<WIDTH>(&attention, &cut, head, first_row, queries, &rows);
    for (uint32_t t = own.from; t < own.to; t += POSITIONS) {
        struct mma_sums scores[POSITIONS / MMA_COLUMNS];
        if (TYPE == HC_TYPE_I8 && threadIdx.x < POSITIONS && t + threadIdx.x < own.to)
            step.key_scales[threadIdx.x] = attention.key_scales[(size_t)head * attention.context + t + threadIdx.x];
        __pipeline_wait_prior(0);
        __syncthreads(); /* keys are there, and nobody needs the last values any more */
        bring<TYPE, WIDTH>(&attention, attention.values, attention.value_scales, head, t, own.to, step.values);
        products<WIDTH>(&rows, &step, width, scores);
        exponentials<TYPE, WIDTH>(&rows, &step, t, attention.scale, scores);
        __pipeline_wait_prior(0);
        __syncthreads(); /* values are there, and nobody needs the keys any more */
        if (t + POSITIONS < own.to)
            bring<TYPE, WIDTH>(&attention, attention.keys, NULL, head, t + POSITIONS, own.to, step.keys);
        add_values<WIDTH>(&rows, &step, width, scores);
    }
    leave_rows<WIDTH>(&attention, &cut, blockIdx.z, first_row, &rows);
}

#endif
