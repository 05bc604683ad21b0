/* Four pairs at a time. Masks are vectors of all-ones and all-zeros lanes. */
#include "pair_search.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "common/lanes.h"

/* The grid as this file reads it; points are numbered from 0 until the end, the centre is -1. */
struct wide_grid {
    __m256d centre_x, centre_y, half, mid, inv_m, m, last, last_row, r_max;
    float pad;
    uint32_t classes;
    const double *limit2, *scale, *unit;
    double first_code[HC_PAIR_MAX_CLASSES + 1]; /* code of point 0 in a class */
};

struct pairs {
    __m256d dx, dy;
};

struct candidates {
    __m256d d2, a, b, point;
};

/* Where the winding of a pair's class runs. */
struct classes {
    __m256d scale, unit, first_code;
};

static struct wide_grid widen(const struct hc_pair_grid *grid)
{
    struct wide_grid g = {
        .centre_x = _mm256_set1_pd(grid->centre[0]),
        .centre_y = _mm256_set1_pd(grid->centre[1]),
        .half = _mm256_set1_pd(grid->half),
        .mid = _mm256_set1_pd(grid->mid),
        .inv_m = _mm256_set1_pd(grid->inv_m),
        .m = _mm256_set1_pd(grid->m),
        .last = _mm256_set1_pd(grid->m - 1.0),
        .last_row = _mm256_set1_pd(grid->last_row),
        .r_max = _mm256_set1_pd(grid->r_max),
        .pad = grid->pad,
        .classes = grid->classes,
        .limit2 = grid->limit2,
        .scale = grid->scale,
        .unit = grid->unit,
    };
    for (uint32_t k = 0; k <= grid->classes; k++)
        g.first_code[k] = 1.0 + (grid->points + 1.0) * k;
    return g;
}

static inline __m256d absolute(__m256d x)
{
    return _mm256_andnot_pd(_mm256_set1_pd(-0.0), x);
}

/* All ones in the first `count` of four lanes. */
static inline __m256d first4(size_t count)
{
    __m256i limit = _mm256_set1_epi64x(count < 4 ? (int64_t)count : 4);
    return _mm256_castsi256_pd(_mm256_cmpgt_epi64(limit, _mm256_setr_epi64x(0, 1, 2, 3)));
}

/* Eight weights; what is missing counts as the padding. */
static inline __m256 load8(const struct wide_grid *g, const float *weights, size_t left)
{
    if (left >= 8)
        return _mm256_loadu_ps(weights);
    float copy[8];
    for (size_t i = 0; i < 8; i++)
        copy[i] = i < left ? weights[i] : g->pad;
    return _mm256_loadu_ps(copy);
}

static inline struct pairs offsets(const struct wide_grid *g, __m256 weights)
{
    const __m256i even_then_odd = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    __m256 xy = _mm256_permutevar8x32_ps(weights, even_then_odd);
    return (struct pairs){
        .dx = _mm256_sub_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(xy)), g->centre_x),
        .dy = _mm256_sub_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(xy, 1)), g->centre_y),
    };
}

static inline __m256d outside(const struct wide_grid *g, struct pairs d)
{
    return _mm256_or_pd(_mm256_cmp_pd(absolute(d.dx), g->half, _CMP_GT_OQ),
                        _mm256_cmp_pd(absolute(d.dy), g->half, _CMP_GT_OQ));
}

/* Limits grow with k, so that class k + 1 may overwrite class k. */
static inline struct classes classify(const struct wide_grid *g, struct pairs d, __m256d outer)
{
    struct classes c = {_mm256_set1_pd(g->scale[0]), _mm256_set1_pd(g->unit[0]), _mm256_set1_pd(g->first_code[0])};
    if (_mm256_movemask_pd(outer) == 0)
        return c;
    __m256d distance2 = _mm256_add_pd(_mm256_mul_pd(d.dx, d.dx), _mm256_mul_pd(d.dy, d.dy));
    for (uint32_t k = 1; k <= g->classes; k++) {
        if (k > 1) {
            __m256d farther = _mm256_cmp_pd(distance2, _mm256_set1_pd(g->limit2[k - 1]), _CMP_GT_OQ);
            outer = _mm256_and_pd(outer, farther);
        }
        c.scale = _mm256_blendv_pd(c.scale, _mm256_set1_pd(g->scale[k]), outer);
        c.unit = _mm256_blendv_pd(c.unit, _mm256_set1_pd(g->unit[k]), outer);
        c.first_code = _mm256_blendv_pd(c.first_code, _mm256_set1_pd(g->first_code[k]), outer);
    }
    return c;
}

/* The nearest points of rows q. */
static inline struct candidates nearest_of_row(const struct wide_grid *g, __m256d u, __m256d v, __m256d q)
{
    __m256d short_row = _mm256_cmp_pd(q, g->last_row, _CMP_GT_OQ);
    __m256d r_max = _mm256_sub_pd(g->r_max, _mm256_and_pd(short_row, _mm256_set1_pd(1)));
    __m256d s = _mm256_sub_pd(u, _mm256_mul_pd(q, g->inv_m));
    __m256d r = _mm256_ceil_pd(_mm256_sub_pd(s, _mm256_set1_pd(0.5)));
    r = _mm256_min_pd(_mm256_max_pd(r, _mm256_setzero_pd()), r_max);
    __m256d a = _mm256_sub_pd(s, r);
    __m256d b = _mm256_sub_pd(v, q);
    return (struct candidates){
        .d2 = _mm256_add_pd(_mm256_mul_pd(a, a), _mm256_mul_pd(b, b)),
        .a = a,
        .b = b,
        .point = _mm256_add_pd(_mm256_mul_pd(r, g->m), q),
    };
}

/* Those of `mask` take the lead where they are nearer, or as near with a lower number. */
static inline struct candidates take(struct candidates best, __m256d mask, struct candidates other)
{
    __m256d lower = _mm256_cmp_pd(other.point, best.point, _CMP_LT_OQ);
    __m256d as_near = _mm256_and_pd(lower, _mm256_cmp_pd(other.d2, best.d2, _CMP_EQ_OQ));
    __m256d better = _mm256_or_pd(as_near, _mm256_cmp_pd(other.d2, best.d2, _CMP_LT_OQ));
    better = _mm256_and_pd(better, mask);
    return (struct candidates){
        .d2 = _mm256_blendv_pd(best.d2, other.d2, better),
        .a = _mm256_blendv_pd(best.a, other.a, better),
        .b = _mm256_blendv_pd(best.b, other.b, better),
        .point = _mm256_blendv_pd(best.point, other.point, better),
    };
}

/* Row q, where it exists. */
static inline struct candidates take_row(const struct wide_grid *g, __m256d u, __m256d v, __m256d q,
                                         struct candidates best)
{
    __m256d exists =
        _mm256_and_pd(_mm256_cmp_pd(q, _mm256_setzero_pd(), _CMP_GE_OQ), _mm256_cmp_pd(q, g->last, _CMP_LE_OQ));
    return take(best, exists, nearest_of_row(g, u, v, q));
}

static inline bool some_beyond(__m256d d2, double limit)
{
    return _mm256_movemask_pd(_mm256_cmp_pd(d2, _mm256_set1_pd(limit), _CMP_NLT_UQ)) != 0;
}

/* Rows from below - 4 to below + 5, nearest first: rows below - i and below + 1 + i are at least i away, and cannot win
 * where the leader is nearer. Rare: kept out of the loop's registers. */
static __attribute__((noinline)) void search_rim(const struct wide_grid *g, __m256d u, __m256d v, __m256d below,
                                                 struct candidates *best)
{
    for (int i = 1; i <= 4 && some_beyond(best->d2, (double)i * i); i++) {
        *best = take_row(g, u, v, _mm256_sub_pd(below, _mm256_set1_pd(i)), *best);
        *best = take_row(g, u, v, _mm256_add_pd(below, _mm256_set1_pd(1 + i)), *best);
    }
}

/* The centre has the lowest number: it also takes the lead where it is as near. */
static inline struct candidates take_centre(const struct wide_grid *g, __m256d u, __m256d v, struct candidates best)
{
    __m256d a = _mm256_sub_pd(u, g->mid), b = _mm256_sub_pd(v, g->mid);
    __m256d d2 = _mm256_add_pd(_mm256_mul_pd(a, a), _mm256_mul_pd(b, b));
    __m256d better = _mm256_cmp_pd(d2, best.d2, _CMP_LE_OQ);
    return (struct candidates){
        .d2 = _mm256_min_pd(d2, best.d2),
        .a = _mm256_blendv_pd(best.a, a, better),
        .b = _mm256_blendv_pd(best.b, b, better),
        .point = _mm256_blendv_pd(best.point, _mm256_set1_pd(-1), better),
    };
}

static inline struct candidates nearest(const struct wide_grid *g, __m256d u, __m256d v)
{
    const __m256d zero = _mm256_setzero_pd(), one = _mm256_set1_pd(1), all = first4(4);
    __m256d below = _mm256_floor_pd(v);
    __m256d q0 = _mm256_min_pd(_mm256_max_pd(below, zero), g->last);
    __m256d q1 = _mm256_min_pd(_mm256_max_pd(_mm256_add_pd(below, one), zero), g->last);
    struct candidates best = take(nearest_of_row(g, u, v, q0), all, nearest_of_row(g, u, v, q1));
    if (some_beyond(best.d2, 1))
        search_rim(g, u, v, below, &best);
    return take_centre(g, u, v, best);
}

/* Terms are not negative, so that a lane is never -0 and adding +0 leaves it as it is. */
static inline void add_to_lanes(double *lanes, __m256d mask, __m256d terms)
{
    _mm256_store_pd(lanes, _mm256_add_pd(_mm256_load_pd(lanes), _mm256_and_pd(mask, terms)));
}

static inline void store_codes(uint32_t *codes, size_t count, __m128i four)
{
    if (count >= 4) {
        _mm_storeu_si128((__m128i *)codes, four);
    } else {
        uint32_t copy[4];
        _mm_storeu_si128((__m128i *)copy, four);
        memcpy(codes, copy, count * sizeof *codes);
    }
}

static int32_t largest(__m256d codes)
{
    double four[4];
    _mm256_storeu_pd(four, codes);
    double most = four[0];
    for (int i = 1; i < 4; i++)
        most = four[i] > most ? four[i] : most;
    return (int32_t)most;
}

static void block(const float *weights, size_t n, const struct hc_pair_grid *grid, uint32_t *codes,
                  struct hc_pair_search *out)
{
    const struct wide_grid g = widen(grid);
    const __m256d none = _mm256_set1_pd(-1);
    _Alignas(32) double lanes[2][HC_LANES] = {{0}};
    __m256d max_code[2] = {none, none};
    for (size_t i = 0; 2 * i < n; i += 4) {
        size_t left = n - 2 * i;
        __m256d here = first4((left + 1) / 2), whole = first4(left / 2);
        struct pairs d = offsets(&g, load8(&g, weights + 2 * i, left));
        __m256d outer = g.classes > 0 ? _mm256_and_pd(outside(&g, d), here) : _mm256_setzero_pd();
        struct classes c = classify(&g, d, outer);
        __m256d u = _mm256_add_pd(_mm256_mul_pd(d.dx, c.scale), g.mid);
        __m256d v = _mm256_add_pd(_mm256_mul_pd(d.dy, c.scale), g.mid);
        struct candidates best = nearest(&g, u, v);

        __m256d error = _mm256_add_pd(absolute(best.a), _mm256_and_pd(whole, absolute(best.b)));
        error = _mm256_mul_pd(error, c.unit);
        __m256d code = _mm256_add_pd(best.point, c.first_code);
        __m256d inner = _mm256_andnot_pd(outer, here);
        add_to_lanes(&lanes[0][i % HC_LANES], inner, error);
        max_code[0] = _mm256_max_pd(max_code[0], _mm256_blendv_pd(none, code, inner));
        add_to_lanes(&lanes[1][i % HC_LANES], outer, error);
        max_code[1] = _mm256_max_pd(max_code[1], _mm256_blendv_pd(none, code, outer));
        if (codes != NULL)
            store_codes(codes + i, (left + 1) / 2, _mm256_cvttpd_epi32(code));
    }
    for (int k = 0; k < 2; k++) {
        out->error[k] = hc_lanes_sum(lanes[k]);
        out->max_code[k] = largest(max_code[k]);
    }
}

/* Without branches on the data: every pair is written, and the next one over it unless it was taken. */
static size_t outer(const float *weights, size_t n, const struct hc_pair_grid *grid, float *out)
{
    const struct wide_grid g = widen(grid);
    size_t count = 0;
    for (size_t i = 0; 2 * i < n; i += 4) {
        size_t left = n - 2 * i;
        __m256d taken = outside(&g, offsets(&g, load8(&g, weights + 2 * i, left)));
        int mask = _mm256_movemask_pd(_mm256_and_pd(taken, first4((left + 1) / 2)));
        for (size_t j = 0; mask != 0; j++, mask >>= 1) {
            size_t floats = 2 * j + 1 < left ? 2 : 1;
            memcpy(out + count, weights + 2 * (i + j), floats * sizeof *out);
            count += (mask & 1) != 0 ? floats : 0;
        }
    }
    return count;
}

void hc_pair_search_avx2(struct hc_pair_search_ops *ops)
{
    ops->block = block;
    ops->outer = outer;
}
