/* Scores: sixteen dot products at a time, of some positions with 4, 2 or 1 queries, a register of lanes each. Sums of
 * values: some registers of as many queries stay over a chunk of positions. What lies in the cache is converted on the
 * way; it is read once from memory, asked for early, and for further queries from the nearest cache. */
#include "attention.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "common/dot_avx512.h"
#include "convert/convert.h"
#include "softmax/softmax.h"

#define INLINE static inline __attribute__((always_inline))

/* CHUNK: positions. QUERIES: of a tile, at most. GROUP: queries that go through all steps together. SUMS: registers for
 * sums of values, of VECTORS at most per query. AHEAD: positions by which values are asked for early. */
enum { DOTS = 16, CHUNK = 64, QUERIES = 4, GROUP = 8, SUMS = 16, VECTORS = 8, AHEAD = 8, LINE = 64 };

/* Keys or values of positions 0 .. n - 1; `type` is a constant where it is read. */
struct cache {
    hc_type type;
    const char *data;
    const float *scales;
    size_t width, n;
};

INLINE size_t size_of(const hc_type type)
{
    return type == HC_TYPE_F32 ? 4 : type == HC_TYPE_F16 ? 2 : 1;
}

INLINE struct cache cache_of(const struct hc_attention_head *head, const hc_type type, const void *data,
                             const float *scales)
{
    return (struct cache){.type = type,
                          .data = (const char *)data + head->from * head->width * size_of(type),
                          .scales = type == HC_TYPE_I8 ? scales + head->from : NULL,
                          .width = head->width,
                          .n = head->to - head->from};
}

/* Sixteen numbers from d on of position t. */
INLINE __m512 load(const struct cache *cache, size_t t, size_t d, __mmask16 here)
{
    const char *at = cache->data + (t * cache->width + d) * size_of(cache->type);
    if (cache->type == HC_TYPE_F32)
        return _mm512_maskz_loadu_ps(here, at);
    if (cache->type == HC_TYPE_F16)
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(here, at));
    __m512i wide = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(here, at));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(wide), _mm512_set1_ps(cache->scales[t]));
}

/* ---- Scores -------------------------------------------------------------------------------------------------- */

/* Asks for a tile in the order of memory, as many bytes with every step as the step reads all over its own tile. */
INLINE void prefetch_tile(const struct cache *keys, size_t t, size_t d, const unsigned count)
{
    const size_t size = size_of(keys->type);
    const char *at = keys->data + (t * keys->width + d * count) * size;
#pragma GCC unroll 16
    for (size_t i = 0; i < 16 * count * size; i += LINE)
        _mm_prefetch(at + i, _MM_HINT_T0);
}

/* Numbers from d on, of DOTS / queries positions from t on. */
INLINE void step(const struct cache *keys, const float *query, const unsigned queries, size_t t, size_t d,
                 __mmask16 here, __m512 dots[DOTS])
{
    const unsigned count = DOTS / queries;
    __m512 at[QUERIES];
    prefetch_tile(keys, t + count, d, count);
#pragma GCC unroll 4
    for (unsigned q = 0; q < queries; q++)
        at[q] = _mm512_maskz_loadu_ps(here, query + q * keys->width + d);
#pragma GCC unroll 16
    for (unsigned k = 0; k < count; k++) {
        __m512 key = load(keys, t + k, d, here);
#pragma GCC unroll 4
        for (unsigned q = 0; q < queries; q++)
            dots[q * count + k] = _mm512_mask3_fmadd_ps(key, at[q], dots[q * count + k], here);
    }
}

INLINE void score_tile(const struct cache *keys, const float *query, const unsigned queries, size_t t, float scale,
                       float *scores)
{
    const unsigned count = DOTS / queries;
    __m512 dots[DOTS];
#pragma GCC unroll 16
    for (unsigned i = 0; i < DOTS; i++)
        dots[i] = _mm512_setzero_ps();
    size_t d = 0;
    for (; d + 16 <= keys->width; d += 16)
        step(keys, query, queries, t, d, 0xffff, dots);
    if (d < keys->width)
        step(keys, query, queries, t, d, hc_lanes16(d, keys->width), dots);
    float sums[DOTS];
    _mm512_storeu_ps(sums, _mm512_mul_ps(hc_dot_sums16(dots), _mm512_set1_ps(scale)));
#pragma GCC unroll 4
    for (unsigned q = 0; q < queries; q++)
        memcpy(scores + q * keys->n + t, sums + q * count, count * sizeof *sums);
}

/* A chunk from t on. A last tile that does not fit moves back, and repeats some of what is done. */
INLINE void score_chunk(const struct cache *keys, const float *query, const unsigned queries, size_t t, float scale,
                        float *scores)
{
    const size_t count = DOTS / queries, n = keys->n, end = n - t < CHUNK ? n : t + CHUNK;
    for (; t < end; t += count)
        score_tile(keys, query, queries, t + count <= n ? t : n - count, scale, scores);
}

static float score_one(const struct cache *keys, const float *query, size_t t, float scale)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t d = 0; d < keys->width; d += 16) {
        __mmask16 here = hc_lanes16(d, keys->width);
        sum = _mm512_mask3_fmadd_ps(load(keys, t, d, here), _mm512_maskz_loadu_ps(here, query + d), sum, here);
    }
    return hc_dot_sum_avx512(sum) * scale;
}

INLINE void score(const struct cache *keys, const float *query, size_t queries, float scale, float *scores)
{
    const size_t n = keys->n, width = keys->width;
    for (size_t i = 0; n < DOTS && i < queries * n; i++)
        scores[i] = score_one(keys, query + i / n * width, i % n, scale);
    for (size_t t = 0; n >= DOTS && t < n; t += CHUNK) {
        size_t q = 0;
        for (; q + 4 <= queries; q += 4)
            score_chunk(keys, query + q * width, 4, t, scale, scores + q * n);
        if (q + 2 <= queries) {
            score_chunk(keys, query + q * width, 2, t, scale, scores + q * n);
            q += 2;
        }
        if (q < queries)
            score_chunk(keys, query + q * width, 1, t, scale, scores + q * n);
    }
}

/* ---- Values -------------------------------------------------------------------------------------------------- */

INLINE void prefetch_position(const struct cache *values, size_t t)
{
    const size_t bytes = values->width * size_of(values->type);
    for (size_t i = 0; i < bytes; i += LINE)
        _mm_prefetch(values->data + t * bytes + i, _MM_HINT_T0);
}

/* Adds a chunk from t on to `vectors` registers from d on of `queries` outputs; `here`: in the registers. */
INLINE void add_columns(const struct cache *values, const float *weights, const unsigned queries, size_t t, size_t d,
                        const unsigned vectors, __mmask16 here, float *out)
{
    const size_t n = values->n, end = n - t < CHUNK ? n : t + CHUNK;
    __m512 sums[SUMS];
#pragma GCC unroll 16
    for (unsigned i = 0; i < queries * vectors; i++)
        sums[i] = _mm512_maskz_loadu_ps(here, out + i / vectors * values->width + d + i % vectors * 16);
    for (; t < end; t++) {
        if (d == 0)
            prefetch_position(values, t + AHEAD);
#pragma GCC unroll 8
        for (unsigned v = 0; v < vectors; v++) {
            __m512 value = load(values, t, d + 16 * v, here);
#pragma GCC unroll 4
            for (unsigned q = 0; q < queries; q++)
                sums[q * vectors + v] =
                    _mm512_fmadd_ps(_mm512_set1_ps(weights[q * n + t]), value, sums[q * vectors + v]);
        }
    }
#pragma GCC unroll 16
    for (unsigned i = 0; i < queries * vectors; i++)
        _mm512_mask_storeu_ps(out + i / vectors * values->width + d + i % vectors * 16, here, sums[i]);
}

INLINE void add_chunk(const struct cache *values, const float *weights, const unsigned queries, size_t t, float *out)
{
    const size_t width = values->width;
    const unsigned most = queries == QUERIES ? SUMS / QUERIES : VECTORS;
    size_t d = 0;
    for (; d + 16 * most <= width; d += 16 * most)
        add_columns(values, weights, queries, t, d, most, 0xffff, out);
    for (; d + 64 <= width; d += 64)
        add_columns(values, weights, queries, t, d, 4, 0xffff, out);
    for (; d < width; d += 16)
        add_columns(values, weights, queries, t, d, 1, hc_lanes16(d, width), out);
}

INLINE void add_values(const struct cache *values, const float *weights, size_t queries, float *out)
{
    const size_t n = values->n, width = values->width;
    memset(out, 0, queries * width * sizeof *out);
    for (size_t t = 0; t < n; t += CHUNK) {
        size_t q = 0;
        for (; q + 4 <= queries; q += 4)
            add_chunk(values, weights + q * n, 4, t, out + q * width);
        if (q + 2 <= queries) {
            add_chunk(values, weights + q * n, 2, t, out + q * width);
            q += 2;
        }
        if (q < queries)
            add_chunk(values, weights + q * n, 1, t, out + q * width);
    }
}

/* ---- Both ---------------------------------------------------------------------------------------------------- */

static void multiply(float *x, size_t n, float factor)
{
    for (size_t d = 0; d < n; d += 16) {
        __mmask16 here = hc_lanes16(d, n);
        __m512 product = _mm512_mul_ps(_mm512_maskz_loadu_ps(here, x + d), _mm512_set1_ps(factor));
        _mm512_mask_storeu_ps(x + d, here, product);
    }
}

/* At most GROUP queries; `type` is a constant. */
INLINE void attend_type(const struct hc_attention_head *head, const hc_type type, const float *query, size_t queries,
                        float *scores, float *out)
{
    const struct cache keys = cache_of(head, type, head->keys, head->key_scales);
    const struct cache values = cache_of(head, type, head->values, head->value_scales);
    const size_t n = keys.n;
    float factors[GROUP];
    struct hc_softmax_ops softmax;
    hc_softmax_avx512(&softmax);
    score(&keys, query, queries, head->scale, scores);
    for (size_t q = 0; q < queries; q++) {
        float *at = scores + q * n;
        factors[q] = 1 / softmax.exponentials(at, n, at[softmax.largest(at, n)]);
    }
    add_values(&values, scores, queries, out);
    for (size_t q = 0; q < queries; q++)
        multiply(out + q * head->width, head->width, factors[q]);
}

static void attend_group(const struct hc_attention_head *head, const float *query, size_t queries, float *scores,
                         float *out)
{
    if (head->type == HC_TYPE_F32)
        attend_type(head, HC_TYPE_F32, query, queries, scores, out);
    else if (head->type == HC_TYPE_F16)
        attend_type(head, HC_TYPE_F16, query, queries, scores, out);
    else
        attend_type(head, HC_TYPE_I8, query, queries, scores, out);
}

static void attend(const struct hc_attention_head *head, const float *query, size_t queries, float *out)
{
    for (size_t q = 0; q < queries; q += GROUP)
        attend_group(head, query + q * head->width, queries - q < GROUP ? queries - q : GROUP,
                     head->scores + q * (head->to - head->from), out + q * head->width);
}

/* ---- Storing ------------------------------------------------------------------------------------------------- */

/* As integers magnitudes have the order of their numbers, and NaN is above infinity. */
static float scale_of(const float *x, size_t width)
{
    __m512i largest = _mm512_setzero_si512();
    for (size_t d = 0; d < width; d += 16) {
        __m512 magnitude = _mm512_abs_ps(_mm512_maskz_loadu_ps(hc_lanes16(d, width), x + d));
        largest = _mm512_max_epi32(largest, _mm512_castps_si512(magnitude));
    }
    int32_t bits = _mm512_reduce_max_epi32(largest);
    float magnitude;
    memcpy(&magnitude, &bits, sizeof magnitude);
    return magnitude <= FLT_MAX ? magnitude / HC_ATTENTION_I8 : NAN;
}

static void store_i8(const float *x, size_t width, int8_t *to, float *scale)
{
    const __m512 most = _mm512_set1_ps(HC_ATTENTION_I8), least = _mm512_set1_ps(-HC_ATTENTION_I8);
    *scale = scale_of(x, width);
    for (size_t d = 0; d < width; d += 16) {
        __mmask16 here = hc_lanes16(d, width), coded = *scale > 0 ? here : 0;
        __m512 value = _mm512_maskz_div_ps(coded, _mm512_maskz_loadu_ps(here, x + d), _mm512_set1_ps(*scale));
        value = _mm512_max_ps(_mm512_min_ps(value, most), least);
        _mm_mask_storeu_epi8(to + d, here, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(value)));
    }
}

static void store(hc_type type, const float *x, size_t width, void *to, float *scale)
{
    struct hc_convert_ops convert;
    hc_convert_avx512(&convert);
    if (type == HC_TYPE_F32)
        memcpy(to, x, width * sizeof *x);
    else if (type == HC_TYPE_F16)
        convert.f32_to_f16(x, width, to);
    else
        store_i8(x, width, to, scale);
}

void hc_attention_avx512(struct hc_attention_ops *ops)
{
    *ops = (struct hc_attention_ops){attend, store};
}
