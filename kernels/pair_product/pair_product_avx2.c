#include "pair_product_many.h"

#include "common/bits.h"
#include "common/bits_avx2.h"
#include "common/dot_avx2.h"
#include "common/pair_avx2.h"

#define INLINE static inline __attribute__((always_inline))

/* A step is of 16 weights: eight codes, which take as many bytes as one has bits. AHEAD: bytes that are fetched. */
enum { STEP = 16, AHEAD = 1024 };

/* The row at hand, and the lanes of its sum. */
struct row {
    const struct hc_pair_product *p;
    const uint8_t *in;  /* the byte in which it begins, */
    unsigned first_bit; /* and the bit in that */
    size_t first_code;
    size_t steps; /* that may be made without reading beyond the codes */
    __m256 low, high;
};

static struct row row_init(const struct hc_pair_product *p, size_t r, const uint8_t *end)
{
    const size_t code = r * (p->columns / 2), most = p->columns / STEP;
    struct row row = {.p = p,
                      .in = p->codes + code * p->bits / 8,
                      .first_bit = (unsigned)(code * p->bits % 8),
                      .first_code = code,
                      .low = _mm256_setzero_ps(),
                      .high = _mm256_setzero_ps()};
    const struct hc_eight eight = hc_eight_init(p->bits, row.first_bit);
    const size_t left = (size_t)(end - row.in), reads = hc_eight_reads(&eight);
    const size_t there = left < reads ? 0 : (left - reads) / p->bits + 1;
    row.steps = there < most ? there : most;
    return row;
}

/* Whether all codes of the steps are in the table: asked first, so that the steps themselves need not ask. */
static bool is_sound(const struct row *row)
{
    const struct hc_eight eight = hc_eight_init(row->p->bits, row->first_bit);
    const uint8_t *in = row->in;
    __m256i most = _mm256_setzero_si256();
    for (size_t i = 0; i < row->steps; i++, in += row->p->bits) {
        most = _mm256_max_epu32(most, hc_eight_unpack(&eight, in));
        _mm_prefetch((const char *)in + AHEAD, _MM_HINT_T0);
    }
    const __m256i last = _mm256_set1_epi32((int32_t)(row->p->entries - 1)); /* entries may be anything */
    const __m256i in_table = _mm256_cmpeq_epi32(_mm256_max_epu32(most, last), last);
    return _mm256_movemask_epi8(in_table) == -1;
}

/* The steps of a sound row. `fours` (hc_lookup_four) is a constant. */
INLINE void add_steps(struct row *row, const bool fours)
{
    const struct hc_lookup lookup = hc_lookup_init(row->p->table, row->p->bits, row->first_bit);
    const uint8_t *in = row->in;
    const float *x = row->p->x;
    __m256 low = row->low, high = row->high;
    for (size_t i = 0; i < row->steps; i++, in += row->p->bits, x += STEP) {
        low = _mm256_fmadd_ps(hc_lookup_four(&lookup, in, 0, fours), _mm256_loadu_ps(x), low);
        high = _mm256_fmadd_ps(hc_lookup_four(&lookup, in, 1, fours), _mm256_loadu_ps(x + 8), high);
    }
    row->low = low;
    row->high = high;
}

/* Code by code from the column j on: a row's end, the last row, and one that has stray codes. */
static size_t add_rest(struct row *row, size_t j)
{
    const struct hc_pair_product *p = row->p;
    size_t strays = 0;
    for (; j < p->columns; j += STEP) {
        const size_t columns = p->columns - j < STEP ? p->columns - j : STEP;
        float weights[STEP] = {0};
        for (size_t i = 0; i < columns; i += 2) {
            uint32_t code = hc_code_at(p->codes, row->first_code + (j + i) / 2, p->bits);
            strays += code >= p->entries;
            memcpy(weights + i, p->table[code < p->entries ? code : 0], sizeof *p->table);
        }
        row->low = hc_masked_fmadd(weights, p->x + j, row->low, hc_lanes8(columns));
        if (columns > 8)
            row->high = hc_masked_fmadd(weights + 8, p->x + j + 8, row->high, hc_lanes8(columns - 8));
    }
    return strays;
}

/* With one position. */
static size_t one(const struct hc_pair_product *p)
{
    const uint8_t *end = p->codes + (p->rows * (p->columns / 2) * p->bits + 7) / 8;
    size_t strays = 0;
    for (size_t r = 0; r < p->rows; r++) {
        struct row row = row_init(p, r, end);
        if (!is_sound(&row))
            row.steps = 0;
        else if (p->bits <= HC_LOOKUP_FOURS_BITS)
            add_steps(&row, true);
        else
            add_steps(&row, false);
        strays += add_rest(&row, row.steps * STEP);
        p->out[r] = hc_dot_sum_avx2(row.low, row.high);
    }
    return strays;
}

static size_t multiply(const struct hc_pair_product *p)
{
    struct hc_pair_decode_ops decode;
    struct hc_dense_product_ops dense;
    if (p->n == 1)
        return one(p);
    hc_pair_decode_avx2(&decode);
    hc_dense_product_avx2(&dense);
    return p->n > 0 ? hc_pair_product_many(p, &decode, &dense) : 0;
}

void hc_pair_product_avx2(struct hc_pair_product_ops *ops)
{
    ops->multiply = multiply;
}
