/* 32 weights at a time: consecutive stream positions are rows g and g + 8 of a tile; values are numbers of 16 bits.
 *
 * One position: the values of a tile meet the activations in registers. More: a row of tiles is decoded into a *strip*,
 * 16 rows of values, and multiplied from there, eight sums at a time. */
#include "window_product.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { GROUP_TILES = HC_PRODUCT_GROUP / HC_TILE };
enum { SUMS = 8 }; /* at a time */
enum { MAX_BYTES = HC_TILE_WEIGHTS / 8 * HC_WINDOW_MAX_K };
enum { QUARTERS = 0 | 2 << 2 | 1 << 4 | 3 << 6 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* ---- Activations: int16 x[16 tile_columns], quarter by quarter (struct rows); then a float for every group ----------
 */

struct group {
    float scale;
    int32_t offset; /* -255 times the sum of the integers for narrow values, else 0 */
};

static size_t groups_at(size_t tile_columns)
{
    return padded(tile_columns * HC_TILE * sizeof(int16_t));
}

static size_t activation_bytes(unsigned k, size_t tile_columns)
{
    (void)k;
    return groups_at(tile_columns) + padded((tile_columns + GROUP_TILES - 1) / GROUP_TILES * sizeof(struct group));
}

static float largest(const float *x, size_t n)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 m = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += 8)
        m = _mm256_max_ps(m, _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i)));
    __m128 m4 = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    __m128 m2 = _mm_max_ps(m4, _mm_movehl_ps(m4, m4));
    return _mm_cvtss_f32(_mm_max_ss(m2, _mm_movehdup_ps(m2)));
}

static int32_t lane_sum(__m256i lanes)
{
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    sum = _mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 1)));
}

static struct group activate_group(const float *x, size_t n, bool narrow, int16_t *out)
{
    const __m256i ones = _mm256_set1_epi16(1);
    float q = narrow ? HC_PRODUCT_X8 : HC_PRODUCT_X12, m = largest(x, n);
    bool zero = m < HC_PRODUCT_LEAST;
    const __m256 factor = _mm256_set1_ps(zero ? 0 : q / m);
    __m256i sum = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += HC_TILE) {
        __m256i left = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), factor));
        __m256i right = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i + 8), factor));
        /* Columns 0 .. 3, 8 .. 11, 4 .. 7, 12 .. 15, in pairs: 0, 4, 1, 5 and so on. */
        __m256i both = _mm256_shuffle_epi32(_mm256_packs_epi32(left, right), QUARTERS);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(both, ones));
        _mm256_storeu_si256((__m256i *)(out + i), both);
    }
    return (struct group){zero ? 0 : m / q, narrow ? -255 * lane_sum(sum) : 0};
}

static void activate(unsigned k, const float *x, size_t tile_columns, void *out)
{
    struct group *groups = (struct group *)((char *)out + groups_at(tile_columns));
    for (size_t tile = 0; tile < tile_columns; tile += GROUP_TILES) {
        size_t at = tile * HC_TILE, n = least(tile_columns - tile, GROUP_TILES) * HC_TILE;
        groups[tile / GROUP_TILES] = activate_group(x + at, n, k <= HC_PRODUCT_NARROW_K, (int16_t *)out + at);
    }
}

/* ---- Windows -------------------------------------------------------------------------------------------------- */

/* How eight consecutive windows are cut from the 16 bytes that begin where they do, in both halves of a register. The
 * two windows of a pair lie in one 32-bit lane; the pairs stand in the order 0, 2, 1, 3: first those of row g. */
struct decoder {
    size_t bytes; /* of a tile */
    unsigned k;
    __m256i shuffle, right, left;
    __m256i multiplier;
    __m256i a, b, c, half_step, above; /* of the polynomial */
    __m256i steps[8];                  /* (v + 255) / 2 for bytes 0 .. 127: every 16 against those before */
};

static void make_windows(struct decoder *d, unsigned k)
{
    uint8_t shuffle[32];
    uint32_t right[8], left[8];
    for (unsigned lane = 0; lane < 8; lane++) {
        unsigned pair = lane % 2 * 2 + lane / 2 % 2, bit = 2 * pair * k;
        for (unsigned i = 0; i < 4; i++)
            shuffle[4 * lane + i] = (uint8_t)(bit / 8 + i);
        right[lane] = bit % 8;
        left[lane] = 16 - bit % 8 - k;
    }
    d->bytes = HC_TILE_WEIGHTS / 8 * k;
    d->k = k;
    d->shuffle = _mm256_loadu_si256((const __m256i *)shuffle);
    d->right = _mm256_loadu_si256((const __m256i *)right);
    d->left = _mm256_loadu_si256((const __m256i *)left);
}

static struct decoder make_decoder(const struct hc_window_values *values)
{
    struct decoder d;
    const int16_t *p = values->polynomial;
    make_windows(&d, values->code.k);
    d.multiplier = _mm256_set1_epi16((short)values->code.multiplier);
    d.a = _mm256_set1_epi16(p[0]);
    d.b = _mm256_set1_epi16(p[1]);
    d.c = _mm256_set1_epi16(p[2]);
    d.half_step = _mm256_set1_epi16(p[3]);
    d.above = _mm256_set1_epi16(p[4]);
    __m128i before = _mm_setzero_si128();
    for (unsigned i = 0; i < 8; i++) {
        __m128i sixteen = _mm_loadu_si128((const __m128i *)(values->bytes + 16 * i));
        sixteen = _mm_xor_si128(sixteen, _mm_set1_epi8(INT8_MIN));
        d.steps[i] = _mm256_broadcastsi128_si256(_mm_xor_si128(sixteen, before));
        before = sixteen;
    }
    return d;
}

/* A tile with its beginning behind it, so that windows need not wrap around and 16 bytes can be read everywhere. */
struct cycle {
    uint8_t bytes[MAX_BYTES + 16];
};

INLINE void make_cycle(struct cycle *cycle, const uint8_t *codes, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 32)
        _mm256_storeu_si256((__m256i *)(cycle->bytes + i), _mm256_loadu_si256((const __m256i *)(codes + i)));
    memcpy(cycle->bytes + bytes, codes, 16);
}

/* The places of the octets `low` and `low` + 2 of a tile. */
INLINE __m256i places(const struct decoder *d, const struct cycle *cycle, unsigned low)
{
    const uint8_t *at = cycle->bytes + low * d->k;
    __m256i bytes = _mm256_loadu2_m128i((const __m128i *)(at + 2 * d->k), (const __m128i *)at);
    bytes = _mm256_shuffle_epi8(bytes, d->shuffle);
    __m256i even = _mm256_srlv_epi32(bytes, d->right), odd = _mm256_sllv_epi32(bytes, d->left);
    return _mm256_mullo_epi16(_mm256_blend_epi16(even, odd, 0xaa), d->multiplier);
}

/* ---- Values --------------------------------------------------------------------------------------------------- */

/* 16 numbers each of rows g and g + 8, quarter by quarter: columns 2t, 2t + 1, 2t + 8, 2t + 9. */
struct rows {
    __m256i upper, lower;
};

/* Only the low four bits of an index below 128 choose from a table of 16, and none do if it is negative: an index takes
 * part in the steps of its own table and of all before. */
INLINE __m256i look_up(const struct decoder *d, __m256i index)
{
    const __m256i sixteen = _mm256_set1_epi8(16);
    __m256i value = _mm256_shuffle_epi8(d->steps[0], index);
#pragma GCC unroll 7
    for (unsigned i = 1; i < 8; i++) {
        index = _mm256_sub_epi8(index, sixteen);
        value = _mm256_xor_si256(value, _mm256_shuffle_epi8(d->steps[i], index));
    }
    return value;
}

/* (v + 255) / 2. */
INLINE struct rows narrow_values(const struct decoder *d, struct rows place)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i high = _mm256_packus_epi16(_mm256_srli_epi16(place.upper, 8), _mm256_srli_epi16(place.lower, 8));
    __m256i negative = _mm256_cmpgt_epi8(zero, high);
    __m256i value = _mm256_xor_si256(look_up(d, _mm256_xor_si256(high, negative)), negative);
    return (struct rows){_mm256_unpacklo_epi8(value, zero), _mm256_unpackhi_epi8(value, zero)};
}

INLINE __m256i polynomial(const struct decoder *d, __m256i place)
{
    __m256i x = _mm256_or_si256(place, d->half_step);
    __m256i x2 = _mm256_mulhrs_epi16(x, _mm256_adds_epi16(x, d->above));
    __m256i x4 = _mm256_mulhrs_epi16(x2, x2);
    __m256i x8 = _mm256_mulhrs_epi16(x4, x4);
    __m256i x16 = _mm256_mulhrs_epi16(x8, x8);
    __m256i x32 = _mm256_mulhrs_epi16(x16, x16);
    __m256i x64 = _mm256_mulhrs_epi16(x32, x32);
    __m256i sum = _mm256_add_epi16(d->a, _mm256_mulhrs_epi16(x4, d->b));
    sum = _mm256_add_epi16(sum, _mm256_mulhrs_epi16(x64, d->c));
    return _mm256_mulhrs_epi16(_mm256_mulhrs_epi16(sum, x), _mm256_set1_epi16(1 << 11)); /* (v + 8) >> 4 */
}

/* Rows g and g + 8. */
INLINE struct rows row_values(const struct decoder *d, const struct cycle *cycle, unsigned g, const bool narrow)
{
    __m256i even = places(d, cycle, 4 * g), odd = places(d, cycle, 4 * g + 1);
    struct rows place = {_mm256_unpacklo_epi64(even, odd), _mm256_unpackhi_epi64(even, odd)};
    if (narrow)
        return narrow_values(d, place);
    return (struct rows){polynomial(d, place.upper), polynomial(d, place.lower)};
}

/* ---- Rows ----------------------------------------------------------------------------------------------------- */

/* Sum i is of sums[i]. */
INLINE __m256i lane_sums(const __m256i sums[SUMS])
{
    __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[4], sums[5]), _mm256_hadd_epi32(sums[6], sums[7]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

/* The sums of a group from those of its products with v or, narrow, (v + 255) / 2. */
INLINE __m256 whole_sums(__m256i sums, __m256i offset, const bool narrow)
{
    return _mm256_cvtepi32_ps(narrow ? _mm256_add_epi32(_mm256_add_epi32(sums, sums), offset) : sums);
}

INLINE __m256 add_group(__m256 total, const struct group *group, __m256i sums, const bool narrow)
{
    __m256 whole = whole_sums(sums, _mm256_set1_epi32(group->offset), narrow);
    return _mm256_fmadd_ps(_mm256_set1_ps(group->scale), whole, total);
}

/* A row of tiles. */
struct band {
    const struct hc_window_product *product;
    const uint8_t *codes;
    size_t first, rows;
    __m256 factors[2];
};

static struct band make_band(const struct hc_window_product *product, size_t first)
{
    size_t tile_bytes = HC_TILE_WEIGHTS / 8 * (size_t)product->values->code.k;
    struct band band = {.product = product, .first = first, .rows = least(product->rows - first, HC_TILE)};
    const __m256 scale = _mm256_set1_ps(product->values->scale);
    uint16_t halves[HC_TILE] = {0};
    memcpy(halves, product->scales + first, band.rows * sizeof *halves);
    band.codes = product->codes + first / HC_TILE * product->tile_columns * tile_bytes;
    for (unsigned i = 0; i < 2; i++)
        band.factors[i] = _mm256_mul_ps(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)halves + i)), scale);
    return band;
}

static void write_rows(const struct band *band, size_t position, const __m256 totals[2])
{
    float out[HC_TILE];
    for (unsigned i = 0; i < 2; i++)
        _mm256_storeu_ps(out + 8 * i, _mm256_mul_ps(totals[i], band->factors[i]));
    memcpy(band->product->out + position * band->product->out_stride + band->first, out, band->rows * sizeof *out);
}

static const int16_t *columns(const struct hc_window_product *product, size_t position)
{
    const char *x = product->x;
    return (const int16_t *)(x + position * activation_bytes(product->values->code.k, product->tile_columns));
}

static const struct group *groups_of(const struct hc_window_product *product, size_t position)
{
    return (const struct group *)((const char *)columns(product, position) + groups_at(product->tile_columns));
}

/* ---- One position --------------------------------------------------------------------------------------------- */

INLINE void add_tile(const struct decoder *d, const uint8_t *codes, const int16_t *x, const bool narrow,
                     __m256i sums[HC_TILE])
{
    struct cycle cycle;
    make_cycle(&cycle, codes, d->bytes);
    const __m256i quarters = _mm256_loadu_si256((const __m256i *)x);
    for (unsigned g = 0; g < 8; g++) {
        struct rows v = row_values(d, &cycle, g, narrow);
        sums[g] = _mm256_add_epi32(sums[g], _mm256_madd_epi16(v.upper, quarters));
        sums[g + 8] = _mm256_add_epi32(sums[g + 8], _mm256_madd_epi16(v.lower, quarters));
    }
}

INLINE void one(const struct hc_window_product *product, const bool narrow)
{
    const struct decoder d = make_decoder(product->values);
    const int16_t *x = columns(product, 0);
    const struct group *groups = groups_of(product, 0);
    for (size_t first = 0; first < product->rows; first += HC_TILE) {
        const struct band band = make_band(product, first);
        const uint8_t *codes = band.codes;
        __m256 totals[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
        for (size_t tile = 0; tile < product->tile_columns;) {
            size_t end = least(product->tile_columns, tile + GROUP_TILES), group = tile / GROUP_TILES;
            __m256i sums[HC_TILE];
            memset(sums, 0, sizeof sums);
            for (; tile < end; tile++, codes += d.bytes)
                add_tile(&d, codes, x + tile * HC_TILE, narrow, sums);
            totals[0] = add_group(totals[0], &groups[group], lane_sums(sums), narrow);
            totals[1] = add_group(totals[1], &groups[group], lane_sums(sums + SUMS), narrow);
        }
        write_rows(&band, 0, totals);
    }
}

/* ---- Many positions ------------------------------------------------------------------------------------------- */

/* strip: 16 rows of 16 tiles values. */
INLINE void decode_strip(const struct hc_window_values *values, const uint8_t *codes, size_t tiles, const bool narrow,
                         int16_t *strip)
{
    const struct decoder d = make_decoder(values);
    for (size_t i = 0; i < tiles; i++, codes += d.bytes) {
        struct cycle cycle;
        make_cycle(&cycle, codes, d.bytes);
        for (unsigned g = 0; g < 8; g++) {
            struct rows v = row_values(&d, &cycle, g, narrow);
            _mm256_storeu_si256((__m256i *)(strip + (g * tiles + i) * HC_TILE), v.upper);
            _mm256_storeu_si256((__m256i *)(strip + ((g + 8) * tiles + i) * HC_TILE), v.lower);
        }
    }
}

/* Products of tiles from .. to of SUMS / count rows with `count` positions: sum i count + j is of row j. */
INLINE __m256i block(const int16_t *rows, size_t stride, const int16_t *const x[2], size_t from, size_t to,
                     const unsigned count)
{
    const unsigned height = SUMS / count;
    __m256i sums[SUMS];
#pragma GCC unroll 8
    for (unsigned i = 0; i < SUMS; i++)
        sums[i] = _mm256_setzero_si256();
    for (size_t at = from * HC_TILE; at < to * HC_TILE; at += HC_TILE) {
#pragma GCC unroll 8
        for (unsigned j = 0; j < height; j++) {
            __m256i v = _mm256_loadu_si256((const __m256i *)(rows + j * stride + at));
#pragma GCC unroll 2
            for (unsigned i = 0; i < count; i++) {
                __m256i quarters = _mm256_loadu_si256((const __m256i *)(x[i] + at));
                sums[i * height + j] = _mm256_add_epi32(sums[i * height + j], _mm256_madd_epi16(v, quarters));
            }
        }
    }
    return lane_sums(sums);
}

/* Half a strip with one position, or a quarter with two. */
INLINE __m256 block_total(const struct hc_window_product *product, const int16_t *rows, size_t position,
                          const unsigned count, const bool narrow)
{
    const int16_t *x[2] = {columns(product, position), columns(product, position + count - 1)};
    const struct group *low = groups_of(product, position), *high = groups_of(product, position + count - 1);
    const size_t tiles = product->tile_columns;
    __m256 total = _mm256_setzero_ps();
    for (size_t tile = 0; tile < tiles; tile += GROUP_TILES, low++, high++) {
        __m256i sums = block(rows, tiles * HC_TILE, x, tile, least(tiles, tile + GROUP_TILES), count);
        __m256i offset = _mm256_set_m128i(_mm_set1_epi32(high->offset), _mm_set1_epi32(low->offset));
        __m256 scale = _mm256_set_m128(_mm_set1_ps(high->scale), _mm_set1_ps(low->scale));
        total = _mm256_fmadd_ps(scale, whole_sums(sums, offset, narrow), total);
    }
    return total;
}

INLINE void strip_two(const struct band *band, const int16_t *strip, size_t position, const bool narrow)
{
    const size_t quarter = 4 * band->product->tile_columns * HC_TILE;
    __m256 t[4];
    for (unsigned i = 0; i < 4; i++)
        t[i] = block_total(band->product, strip + i * quarter, position, 2, narrow);
    const __m256 first[2] = {_mm256_permute2f128_ps(t[0], t[1], 0x20), _mm256_permute2f128_ps(t[2], t[3], 0x20)};
    const __m256 second[2] = {_mm256_permute2f128_ps(t[0], t[1], 0x31), _mm256_permute2f128_ps(t[2], t[3], 0x31)};
    write_rows(band, position, first);
    write_rows(band, position + 1, second);
}

INLINE void strip_one(const struct band *band, const int16_t *strip, size_t position, const bool narrow)
{
    const size_t half = 8 * band->product->tile_columns * HC_TILE;
    const __m256 totals[2] = {block_total(band->product, strip, position, 1, narrow),
                              block_total(band->product, strip + half, position, 1, narrow)};
    write_rows(band, position, totals);
}

INLINE void many(const struct hc_window_product *product, const bool narrow)
{
    for (size_t first = 0; first < product->rows; first += HC_TILE) {
        const struct band band = make_band(product, first);
        size_t i = 0;
        decode_strip(product->values, band.codes, product->tile_columns, narrow, product->scratch);
        for (; i + 2 <= product->n; i += 2)
            strip_two(&band, product->scratch, i, narrow);
        if (i < product->n)
            strip_one(&band, product->scratch, i, narrow);
    }
}

static void multiply(const struct hc_window_product *product)
{
    bool narrow = product->values->code.k <= HC_PRODUCT_NARROW_K;
    if (product->n == 0)
        return;
    if (product->n == 1 && narrow)
        one(product, true);
    else if (product->n == 1)
        one(product, false);
    else if (narrow)
        many(product, true);
    else
        many(product, false);
}

static size_t scratch_bytes(unsigned k, size_t tile_columns, size_t n)
{
    (void)k;
    return n > 1 ? tile_columns * HC_TILE_WEIGHTS * sizeof(int16_t) : 0;
}

void hc_window_product_avx2(struct hc_window_product_ops *ops)
{
    *ops = (struct hc_window_product_ops){activation_bytes, activate, scratch_bytes, multiply};
}
