/* A chunk of positions is converted to float32, which stays in the nearest cache for all queries; its scores are a
 * dense product. */
#include "attention.h"

#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "common/dot_avx2.h"
#include "convert/convert.h"
#include "dense_product/dense_product.h"
#include "softmax/softmax.h"

#define INLINE static inline __attribute__((always_inline))

/* CHUNK: numbers, of 8 positions at least. GROUP: queries at a time. */
enum { CHUNK = 8 * HC_ATTENTION_WIDTH, GROUP = 8, VECTORS = 4 };

static void decode_i8(const int8_t *in, size_t n, float scale, float *out)
{
    size_t d = 0;
    for (; d + 8 <= n; d += 8) {
        __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(in + d)));
        _mm256_storeu_ps(out + d, _mm256_mul_ps(_mm256_cvtepi32_ps(wide), _mm256_set1_ps(scale)));
    }
    for (; d < n; d++)
        out[d] = (float)in[d] * scale;
}

/* `count` positions from t on, where they are in float32: in `room`, or already in the cache. */
static const float *decode(const struct hc_attention_head *head, const void *cache, const float *scales, size_t t,
                           size_t count, float *room)
{
    const size_t width = head->width, at = t * width;
    if (head->type == HC_TYPE_F32)
        return (const float *)cache + at;
    if (head->type == HC_TYPE_F16) {
        struct hc_convert_ops convert;
        hc_convert_avx2(&convert);
        convert.f16_to_f32((const uint16_t *)cache + at, count * width, room);
        return room;
    }
    for (size_t i = 0; i < count; i++)
        decode_i8((const int8_t *)cache + at + i * width, width, scales[t + i], room + i * width);
    return room;
}

static void multiply(float *x, size_t n, float factor)
{
    size_t j = 0;
    for (; j + 8 <= n; j += 8)
        _mm256_storeu_ps(x + j, _mm256_mul_ps(_mm256_loadu_ps(x + j), _mm256_set1_ps(factor)));
    for (; j < n; j++)
        x[j] *= factor;
}

static void score(const struct hc_attention_head *head, const float *query, size_t queries, float *scores)
{
    const size_t n = head->to - head->from, width = head->width;
    float room[CHUNK];
    struct hc_dense_product_ops dense;
    hc_dense_product_avx2(&dense);
    for (size_t t = 0, count; t < n; t += count) {
        count = n - t < CHUNK / width ? n - t : CHUNK / width;
        const float *keys = decode(head, head->keys, head->key_scales, head->from + t, count, room);
        dense.multiply(&(struct hc_dense_product){.rows = keys,
                                                  .row_count = count,
                                                  .row_stride = width,
                                                  .x = query,
                                                  .n = queries,
                                                  .x_stride = width,
                                                  .columns = width,
                                                  .out = scores + t,
                                                  .out_stride = n});
    }
    multiply(scores, queries * n, head->scale);
}

/* out += the sum of weights[i] values[i], `vectors` registers of them. */
INLINE void add_columns(const float *values, size_t width, const float *weights, size_t count, const unsigned vectors,
                        float *out)
{
    __m256 sums[VECTORS];
#pragma GCC unroll 4
    for (unsigned v = 0; v < vectors; v++)
        sums[v] = _mm256_loadu_ps(out + 8 * v);
    for (size_t i = 0; i < count; i++)
#pragma GCC unroll 4
        for (unsigned v = 0; v < vectors; v++)
            sums[v] = _mm256_fmadd_ps(_mm256_set1_ps(weights[i]), _mm256_loadu_ps(values + i * width + 8 * v), sums[v]);
#pragma GCC unroll 4
    for (unsigned v = 0; v < vectors; v++)
        _mm256_storeu_ps(out + 8 * v, sums[v]);
}

static void add_chunk(const float *values, size_t width, const float *weights, size_t count, float *out)
{
    size_t d = 0;
    for (; d + 8 * VECTORS <= width; d += 8 * VECTORS)
        add_columns(values + d, width, weights, count, VECTORS, out + d);
    for (; d + 8 <= width; d += 8)
        add_columns(values + d, width, weights, count, 1, out + d);
    for (; d < width; d++)
        for (size_t i = 0; i < count; i++)
            out[d] = fmaf(weights[i], values[i * width + d], out[d]);
}

static void add_values(const struct hc_attention_head *head, const float *weights, size_t queries, float *out)
{
    const size_t n = head->to - head->from, width = head->width;
    float room[CHUNK];
    memset(out, 0, queries * width * sizeof *out);
    for (size_t t = 0, count; t < n; t += count) {
        count = n - t < CHUNK / width ? n - t : CHUNK / width;
        const float *values = decode(head, head->values, head->value_scales, head->from + t, count, room);
        for (size_t q = 0; q < queries; q++)
            add_chunk(values, width, weights + q * n + t, count, out + q * width);
    }
}

/* At most GROUP queries. */
static void attend_group(const struct hc_attention_head *head, const float *query, size_t queries, float *scores,
                         float *out)
{
    const size_t n = head->to - head->from;
    float factors[GROUP];
    struct hc_softmax_ops softmax;
    hc_softmax_avx2(&softmax);
    score(head, query, queries, scores);
    for (size_t q = 0; q < queries; q++) {
        float *at = scores + q * n;
        factors[q] = 1 / softmax.exponentials(at, n, at[softmax.largest(at, n)]);
    }
    add_values(head, scores, queries, out);
    for (size_t q = 0; q < queries; q++)
        multiply(out + q * head->width, head->width, factors[q]);
}

static void attend(const struct hc_attention_head *head, const float *query, size_t queries, float *out)
{
    for (size_t q = 0; q < queries; q += GROUP)
        attend_group(head, query + q * head->width, queries - q < GROUP ? queries - q : GROUP,
                     head->scores + q * (head->to - head->from), out + q * head->width);
}

/* As integers magnitudes have the order of their numbers, and NaN is above infinity. */
static float scale_of(const float *x, size_t width)
{
    __m256i largest = _mm256_setzero_si256();
    for (size_t d = 0; d < width; d += 8) {
        __m256i bits = _mm256_maskload_epi32((const int *)(x + d), hc_lanes8(width - d));
        largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, _mm256_set1_epi32(INT32_MAX)));
    }
    float lanes[8], most = 0;
    _mm256_storeu_ps(lanes, _mm256_castsi256_ps(largest));
    for (int l = 0; l < 8; l++) {
        if (!(lanes[l] <= FLT_MAX))
            return NAN;
        most = lanes[l] > most ? lanes[l] : most;
    }
    return most / HC_ATTENTION_I8;
}

static void store_i8(const float *x, size_t width, int8_t *to, float *scale)
{
    const __m256 most = _mm256_set1_ps(HC_ATTENTION_I8), least = _mm256_set1_ps(-HC_ATTENTION_I8);
    *scale = scale_of(x, width);
    for (size_t d = 0; d < width; d += 8) {
        int32_t rounded[8] = {0};
        __m256 value = _mm256_maskload_ps(x + d, hc_lanes8(width - d));
        value = _mm256_max_ps(_mm256_min_ps(_mm256_div_ps(value, _mm256_set1_ps(*scale)), most), least);
        if (*scale > 0)
            _mm256_storeu_si256((__m256i *)rounded, _mm256_cvtps_epi32(value));
        for (size_t i = 0; i < 8 && d + i < width; i++)
            to[d + i] = (int8_t)rounded[i];
    }
}

static void store(hc_type type, const float *x, size_t width, void *to, float *scale)
{
    struct hc_convert_ops convert;
    hc_convert_avx2(&convert);
    if (type == HC_TYPE_F32)
        memcpy(to, x, width * sizeof *x);
    else if (type == HC_TYPE_F16)
        convert.f32_to_f16(x, width, to);
    else
        store_i8(x, width, to, scale);
}

void hc_attention_avx2(struct hc_attention_ops *ops)
{
    *ops = (struct hc_attention_ops){attend, store};
}
