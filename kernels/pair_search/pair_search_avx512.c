/* Eight pairs at a time. Intrinsics are contracted like any expression: -ffp-contract=off holds here too. */
#include "pair_search.h"

#include <immintrin.h>
#include <stdbool.h>

#include "common/lanes.h"

/* The grid as this file reads it; points are numbered from 0 until the end, the centre is -1. */
struct wide_grid {
    __m512d centre_x, centre_y, half, mid, inv_m, m, last, last_row, r_max;
    __m512 pad;
    uint32_t classes;
    const double *limit2, *scale, *unit;
    double first_code[HC_PAIR_MAX_CLASSES + 1]; /* code of point 0 in a class */
};

struct pairs {
    __m512d dx, dy;
};

struct candidates {
    __m512d d2, a, b, point;
};

/* Where the winding of a pair's class runs. */
struct classes {
    __m512d scale, unit, first_code;
};

static struct wide_grid widen(const struct hc_pair_grid *grid)
{
    struct wide_grid g = {
        .centre_x = _mm512_set1_pd(grid->centre[0]),
        .centre_y = _mm512_set1_pd(grid->centre[1]),
        .half = _mm512_set1_pd(grid->half),
        .mid = _mm512_set1_pd(grid->mid),
        .inv_m = _mm512_set1_pd(grid->inv_m),
        .m = _mm512_set1_pd(grid->m),
        .last = _mm512_set1_pd(grid->m - 1.0),
        .last_row = _mm512_set1_pd(grid->last_row),
        .r_max = _mm512_set1_pd(grid->r_max),
        .pad = _mm512_set1_ps(grid->pad),
        .classes = grid->classes,
        .limit2 = grid->limit2,
        .scale = grid->scale,
        .unit = grid->unit,
    };
    for (uint32_t k = 0; k <= grid->classes; k++)
        g.first_code[k] = 1.0 + (grid->points + 1.0) * k;
    return g;
}

/* Masks of the first `count` of 8 or 16. */
static inline __mmask8 first8(size_t count)
{
    return count >= 8 ? 0xff : (__mmask8)((1U << count) - 1);
}

static inline __mmask16 first16(size_t count)
{
    return count >= 16 ? 0xffff : (__mmask16)((1U << count) - 1);
}

/* Offsets of eight pairs from the centre; what is missing counts as the padding. */
static inline struct pairs offsets(const struct wide_grid *g, __m512 weights)
{
    const __m512i even_then_odd = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    __m512 xy = _mm512_permutexvar_ps(even_then_odd, weights);
    return (struct pairs){
        .dx = _mm512_sub_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(xy)), g->centre_x),
        .dy = _mm512_sub_pd(_mm512_cvtps_pd(_mm512_extractf32x8_ps(xy, 1)), g->centre_y),
    };
}

static inline __mmask8 outside(const struct wide_grid *g, struct pairs d)
{
    return _mm512_cmp_pd_mask(_mm512_abs_pd(d.dx), g->half, _CMP_GT_OQ) |
           _mm512_cmp_pd_mask(_mm512_abs_pd(d.dy), g->half, _CMP_GT_OQ);
}

/* Limits grow with k, so that class k + 1 may overwrite class k. */
static inline struct classes classify(const struct wide_grid *g, struct pairs d, __mmask8 outer)
{
    struct classes c = {_mm512_set1_pd(g->scale[0]), _mm512_set1_pd(g->unit[0]), _mm512_set1_pd(g->first_code[0])};
    if (outer == 0)
        return c;
    __m512d distance2 = _mm512_add_pd(_mm512_mul_pd(d.dx, d.dx), _mm512_mul_pd(d.dy, d.dy));
    for (uint32_t k = 1; k <= g->classes; k++) {
        if (k > 1)
            outer = _mm512_mask_cmp_pd_mask(outer, distance2, _mm512_set1_pd(g->limit2[k - 1]), _CMP_GT_OQ);
        c.scale = _mm512_mask_mov_pd(c.scale, outer, _mm512_set1_pd(g->scale[k]));
        c.unit = _mm512_mask_mov_pd(c.unit, outer, _mm512_set1_pd(g->unit[k]));
        c.first_code = _mm512_mask_mov_pd(c.first_code, outer, _mm512_set1_pd(g->first_code[k]));
    }
    return c;
}

/* The nearest points of rows q. */
static inline struct candidates nearest_of_row(const struct wide_grid *g, __m512d u, __m512d v, __m512d q)
{
    const __m512d one = _mm512_set1_pd(1);
    __mmask8 short_row = _mm512_cmp_pd_mask(q, g->last_row, _CMP_GT_OQ);
    __m512d r_max = _mm512_mask_sub_pd(g->r_max, short_row, g->r_max, one);
    __m512d s = _mm512_sub_pd(u, _mm512_mul_pd(q, g->inv_m));
    __m512d r = _mm512_roundscale_pd(_mm512_sub_pd(s, _mm512_set1_pd(0.5)), _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
    r = _mm512_min_pd(_mm512_max_pd(r, _mm512_setzero_pd()), r_max);
    __m512d a = _mm512_sub_pd(s, r);
    __m512d b = _mm512_sub_pd(v, q);
    return (struct candidates){
        .d2 = _mm512_add_pd(_mm512_mul_pd(a, a), _mm512_mul_pd(b, b)),
        .a = a,
        .b = b,
        .point = _mm512_add_pd(_mm512_mul_pd(r, g->m), q),
    };
}

/* Those of `mask` take the lead where they are nearer, or as near with a lower number. */
static inline struct candidates take(struct candidates best, __mmask8 mask, struct candidates other)
{
    __mmask8 lower = _mm512_cmp_pd_mask(other.point, best.point, _CMP_LT_OQ);
    __mmask8 better = _mm512_mask_cmp_pd_mask(mask, other.d2, best.d2, _CMP_LT_OQ) |
                      _mm512_mask_cmp_pd_mask(mask & lower, other.d2, best.d2, _CMP_EQ_OQ);
    return (struct candidates){
        .d2 = _mm512_mask_mov_pd(best.d2, better, other.d2),
        .a = _mm512_mask_mov_pd(best.a, better, other.a),
        .b = _mm512_mask_mov_pd(best.b, better, other.b),
        .point = _mm512_mask_mov_pd(best.point, better, other.point),
    };
}

/* Row q, where it exists. */
static inline struct candidates take_row(const struct wide_grid *g, __m512d u, __m512d v, __m512d q,
                                         struct candidates best)
{
    __mmask8 exists =
        _mm512_cmp_pd_mask(q, _mm512_setzero_pd(), _CMP_GE_OQ) & _mm512_cmp_pd_mask(q, g->last, _CMP_LE_OQ);
    return take(best, exists, nearest_of_row(g, u, v, q));
}

static inline bool some_beyond(__m512d d2, double limit)
{
    return _mm512_cmp_pd_mask(d2, _mm512_set1_pd(limit), _CMP_NLT_UQ) != 0;
}

/* Rows from below - 4 to below + 5, nearest first: rows below - i and below + 1 + i are at least i away, and cannot win
 * where the leader is nearer. Rare: kept out of the loop's registers. */
static __attribute__((noinline)) void search_rim(const struct wide_grid *g, __m512d u, __m512d v, __m512d below,
                                                 struct candidates *best)
{
    for (int i = 1; i <= 4 && some_beyond(best->d2, (double)i * i); i++) {
        *best = take_row(g, u, v, _mm512_sub_pd(below, _mm512_set1_pd(i)), *best);
        *best = take_row(g, u, v, _mm512_add_pd(below, _mm512_set1_pd(1 + i)), *best);
    }
}

/* The centre has the lowest number: it also takes the lead where it is as near. */
static inline struct candidates take_centre(const struct wide_grid *g, __m512d u, __m512d v, struct candidates best)
{
    __m512d a = _mm512_sub_pd(u, g->mid), b = _mm512_sub_pd(v, g->mid);
    __m512d d2 = _mm512_add_pd(_mm512_mul_pd(a, a), _mm512_mul_pd(b, b));
    __mmask8 better = _mm512_cmp_pd_mask(d2, best.d2, _CMP_LE_OQ);
    return (struct candidates){
        .d2 = _mm512_min_pd(d2, best.d2),
        .a = _mm512_mask_mov_pd(best.a, better, a),
        .b = _mm512_mask_mov_pd(best.b, better, b),
        .point = _mm512_mask_mov_pd(best.point, better, _mm512_set1_pd(-1)),
    };
}

static inline struct candidates nearest(const struct wide_grid *g, __m512d u, __m512d v)
{
    const __m512d zero = _mm512_setzero_pd(), one = _mm512_set1_pd(1);
    __m512d below = _mm512_roundscale_pd(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512d q0 = _mm512_min_pd(_mm512_max_pd(below, zero), g->last);
    __m512d q1 = _mm512_min_pd(_mm512_max_pd(_mm512_add_pd(below, one), zero), g->last);
    struct candidates best = take(nearest_of_row(g, u, v, q0), 0xff, nearest_of_row(g, u, v, q1));
    if (some_beyond(best.d2, 1))
        search_rim(g, u, v, below, &best);
    return take_centre(g, u, v, best);
}

static inline void add_to_lanes(double *lanes, __mmask8 mask, __m512d terms)
{
    __m512d sum = _mm512_load_pd(lanes);
    _mm512_store_pd(lanes, _mm512_mask_add_pd(sum, mask, sum, terms));
}

static void block(const float *weights, size_t n, const struct hc_pair_grid *grid, uint32_t *codes,
                  struct hc_pair_search *out)
{
    const struct wide_grid g = widen(grid);
    _Alignas(64) double lanes[2][HC_LANES] = {{0}};
    __m512d max_code[2] = {_mm512_set1_pd(-1), _mm512_set1_pd(-1)};
    for (size_t i = 0; 2 * i < n; i += 8) {
        size_t left = n - 2 * i;
        __mmask8 here = first8((left + 1) / 2), whole = first8(left / 2);
        struct pairs d = offsets(&g, _mm512_mask_loadu_ps(g.pad, first16(left), weights + 2 * i));
        __mmask8 outer = g.classes > 0 ? outside(&g, d) & here : 0;
        struct classes c = classify(&g, d, outer);
        __m512d u = _mm512_add_pd(_mm512_mul_pd(d.dx, c.scale), g.mid);
        __m512d v = _mm512_add_pd(_mm512_mul_pd(d.dy, c.scale), g.mid);
        struct candidates best = nearest(&g, u, v);

        __m512d error = _mm512_abs_pd(best.a);
        error = _mm512_mul_pd(_mm512_mask_add_pd(error, whole, error, _mm512_abs_pd(best.b)), c.unit);
        __m512d code = _mm512_add_pd(best.point, c.first_code);
        __mmask8 inner = here & (__mmask8)~outer;
        add_to_lanes(&lanes[0][i % HC_LANES], inner, error);
        max_code[0] = _mm512_mask_max_pd(max_code[0], inner, max_code[0], code);
        if (outer != 0) {
            add_to_lanes(&lanes[1][i % HC_LANES], outer, error);
            max_code[1] = _mm512_mask_max_pd(max_code[1], outer, max_code[1], code);
        }
        if (codes != NULL)
            _mm256_mask_storeu_epi32(codes + i, here, _mm512_cvttpd_epi32(code));
    }
    for (int k = 0; k < 2; k++) {
        out->error[k] = hc_lanes_sum(lanes[k]);
        out->max_code[k] = (int32_t)_mm512_reduce_max_pd(max_code[k]);
    }
}

static size_t outer(const float *weights, size_t n, const struct hc_pair_grid *grid, float *out)
{
    const struct wide_grid g = widen(grid);
    size_t count = 0;
    for (size_t i = 0; 2 * i < n; i += 8) {
        size_t left = n - 2 * i;
        __m512 w = _mm512_mask_loadu_ps(g.pad, first16(left), weights + 2 * i);
        __mmask8 taken = outside(&g, offsets(&g, w)) & first8((left + 1) / 2);
        size_t floats = 2 * (size_t)__builtin_popcount(taken);
        /* An odd count ends in half a pair. */
        if (left < 16 && left % 2 == 1 && (taken >> left / 2 & 1) != 0)
            floats--;
        __m512i kept = _mm512_maskz_compress_epi64(taken, _mm512_castps_si512(w));
        _mm512_mask_storeu_ps(out + count, first16(floats), _mm512_castsi512_ps(kept));
        count += floats;
    }
    return count;
}

void hc_pair_search_avx512(struct hc_pair_search_ops *ops)
{
    ops->block = block;
    ops->outer = outer;
}
