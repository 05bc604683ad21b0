/* What the vector tiers of window_encode share. A tier's file defines a register and what can be done with it (vec_...)
 * and then includes this one.
 *
 * A code is written theta = n 2^(L-k) + m 2^k + j: j the bits that leave, n the newest. In a step, the lanes of a
 * register run over m, or over all m and some n where there are fewer m than lanes; a *block* is the m of a register. A
 * block needs, for every j, the metrics before the step of the states m 2^k + j: its part of the row with the k lowest
 * bits of the index rotated to the top, made once and used for every n.
 *
 * For k >= 3 the rows of metrics are kept, and on the way back the candidates of one state are computed again: that is
 * cheaper than to note the choices of all. For k <= 2 the choices are few bits, and noted: rows would be long, and
 * take the memory's bandwidth.
 *
 * The functions `static inline` here get constants for k and what else decides the shape of a loop, so that every shape
 * is compiled for itself. */
#ifndef HC_KERNELS_WINDOW_ENCODE_LANES_H
#define HC_KERNELS_WINDOW_ENCODE_LANES_H

#include <string.h>

#define HC_INLINE static inline __attribute__((always_inline))

/* Before a loop whose accumulators are to stay in registers. */
#ifdef __clang__
#define HC_UNROLL _Pragma("unroll")
#else
#define HC_UNROLL _Pragma("GCC unroll 16")
#endif

enum { SLOTS = 4, MAX_REGISTERS = 64, MAX_TIMES = HC_TILE_WEIGHTS + 128 + 1, LARGEST16 = 32767 };

static const uint32_t largest32 = UINT32_C(3) << 29;

static inline bool is_wide(unsigned k)
{
    return k >= 6;
}

static inline bool is_covered(unsigned k, unsigned length)
{
    return length >= 2 * k;
}

/* Whether differences are those of halves, which do not saturate. */
static inline bool is_halved(unsigned k)
{
    return k != 5;
}

static inline unsigned metric_bytes(unsigned k)
{
    return is_wide(k) ? 4 : 2;
}

/* Bytes of the metrics of a row; a register at least. */
static inline size_t row_bytes(unsigned k, unsigned length)
{
    size_t bytes = ((size_t)1 << (length - k)) * metric_bytes(k);
    return bytes < VEC_BYTES ? VEC_BYTES : bytes;
}

/* Bytes of the metrics of all m, held to a register: what a register of a block holds once or several times. */
static inline unsigned period_bytes(unsigned k, unsigned length)
{
    size_t bytes = ((size_t)1 << (length - 2 * k)) * metric_bytes(k);
    return bytes < VEC_BYTES ? (unsigned)bytes : VEC_BYTES;
}

/* Registers of a block: before the step those of all j, after it those of all n. */
static inline unsigned block_registers(unsigned k, unsigned period)
{
    unsigned bytes = period << k;
    return bytes < VEC_BYTES ? 1 : bytes / VEC_BYTES;
}

static inline unsigned group_registers(unsigned k, unsigned period)
{
    unsigned registers = block_registers(k, period);
    return registers < GROUP ? registers : GROUP;
}

static size_t layout_bytes(unsigned k, unsigned length)
{
    return is_covered(k, length) ? row_bytes(k, length) << k : 0;
}

/* theta of a lane of register v (over the whole row after a step: v < row_bytes / VEC_BYTES) for j = 0. */
static uint32_t theta_of(unsigned k, unsigned length, size_t element)
{
    uint32_t state = (uint32_t)element & ((1u << (length - k)) - 1);
    return state << k;
}

/* [block][group of registers][j][register of the group][lane]: in the order in which a step goes through it. */
static void prepare(unsigned k, unsigned length, const int16_t *codebook, void *layout)
{
    if (!is_covered(k, length))
        return;
    unsigned period = period_bytes(k, length), registers = block_registers(k, period);
    unsigned group = group_registers(k, period), lanes = VEC_BYTES / metric_bytes(k);
    size_t blocks = row_bytes(k, length) / VEC_BYTES / registers, at = 0;
    for (size_t block = 0; block < blocks; block++)
        for (unsigned first = 0; first < registers; first += group)
            for (uint32_t j = 0; j < 1u << k; j++)
                for (unsigned v = first; v < first + group; v++)
                    for (unsigned lane = 0; lane < lanes; lane++, at++) {
                        int16_t value = codebook[theta_of(k, length, (v * blocks + block) * lanes + lane) | j];
                        value = (int16_t)(is_halved(k) ? value >> 1 : value);
                        if (is_wide(k))
                            ((uint32_t *)layout)[at] = (uint16_t)value;
                        else
                            ((int16_t *)layout)[at] = value;
                    }
}

/* Choices of a register's states after a step: a mask for each comparison. */
static inline unsigned notes_per_register(unsigned k)
{
    return k <= 2 ? (1u << k) - 1 : 0;
}

/* Rows that are kept: all, or the one before a step and the one after it. */
static inline unsigned rows_kept(unsigned k, unsigned length)
{
    return k <= 2 ? 2 : HC_TILE_WEIGHTS + hc_window_seam(k, length) + 1;
}

/* Bytes of a tile's notes of a step. */
static inline size_t note_bytes(unsigned k, unsigned length)
{
    return row_bytes(k, length) / VEC_BYTES * notes_per_register(k) * sizeof(uint32_t);
}

static size_t tile_scratch_bytes(unsigned k, unsigned length)
{
    size_t steps = HC_TILE_WEIGHTS + hc_window_seam(k, length);
    return rows_kept(k, length) * row_bytes(k, length) + (steps * note_bytes(k, length) + 63) / 64 * 64;
}

/* Tiles at a time: more of them wait less on the way back, as long as their rows stay in a cache. */
static unsigned slot_count(unsigned k, unsigned length)
{
    return tile_scratch_bytes(k, length) <= 160 << 10 ? SLOTS : SLOTS / 2;
}

/* Plain C works in it where this file does not. */
static size_t scratch_bytes(unsigned k, unsigned length)
{
    struct hc_window_encode_ops plain;
    hc_window_encode_c(&plain);
    size_t bytes = plain.scratch_bytes(k, length);
    if (!is_covered(k, length))
        return bytes;
    size_t vectors = slot_count(k, length) * tile_scratch_bytes(k, length);
    return bytes > vectors ? bytes : vectors;
}

/* ---- A step --------------------------------------------------------------------------------- */

/* A tile on its way. */
struct tile {
    const int16_t *weights;
    uint8_t *metrics; /* rows_kept() rows: of every time, or of even and of odd ones */
    uint8_t *notes;   /* [step][register of the row][comparison] */
    bool saturated;
    uint16_t states[MAX_TIMES]; /* the path: a state for every time from the seam on */
};

/* Tiles that go together. */
struct flight {
    const struct hc_window_trellis *trellis;
    const int16_t *importance;
    unsigned seam, tiles;
    size_t row, step_notes; /* bytes */
    struct tile *tile[SLOTS];
};

static inline uint8_t *row_at(const struct flight *flight, const struct tile *tile, unsigned time)
{
    return tile->metrics + (flight->trellis->k <= 2 ? time % 2 : time) * flight->row;
}

/* The metrics of `registers` registers, the lowest bit of their index rotated to the top. */
HC_INLINE void rotate(const bool wide, const unsigned registers, vec *v)
{
    vec out[MAX_REGISTERS];
    if (registers == 1) {
        v[0] = vec_split16(v[0]);
        return;
    }
    HC_UNROLL
    for (unsigned i = 0; i < registers / 2; i++) {
        out[i] = wide ? vec_even32(v[2 * i], v[2 * i + 1]) : vec_even16(v[2 * i], v[2 * i + 1]);
        out[registers / 2 + i] = wide ? vec_odd32(v[2 * i], v[2 * i + 1]) : vec_odd16(v[2 * i], v[2 * i + 1]);
    }
    HC_UNROLL
    for (unsigned i = 0; i < registers; i++)
        v[i] = out[i];
}

HC_INLINE vec fill_number(const unsigned k, int16_t x)
{
    return is_wide(k) ? vec_fill32((uint16_t)x) : vec_fill16(x);
}

/* What a block of a step works on. */
struct place {
    vec weight, importance; /* in all lanes */
    const uint8_t *layout, *before;
    uint8_t *after, *notes;
    size_t next, apart; /* bytes from a row to the next, and between registers of a block after a step */
    size_t notes_apart;
};

/* The metrics before the step in the order [j][m]. */
HC_INLINE void turn_block(const unsigned k, const unsigned period, const uint8_t *before, vec *turned)
{
    const unsigned registers = block_registers(k, period);
    HC_UNROLL
    for (unsigned v = 0; v < registers; v++)
        turned[v] = vec_load(before + v * VEC_BYTES);
    HC_UNROLL
    for (unsigned bit = 0; bit < k; bit++)
        if (period > metric_bytes(k))
            rotate(is_wide(k), registers, turned);
}

/* The metric before the step of the lanes' predecessors by branch j. */
HC_INLINE vec metric_before(const unsigned period, const vec *turned, unsigned j)
{
    return period == VEC_BYTES ? turned[j] : vec_spread(period, (const uint8_t *)turned + j * period);
}

HC_INLINE vec candidate(const unsigned k, const bool weighted, const struct place *place, vec metric, vec value)
{
    vec d = is_halved(k) ? vec_sub16(place->weight, value) : vec_subs16(place->weight, value);
    if (weighted)
        d = vec_mulhrs16(d, place->importance);
    return is_wide(k) ? vec_add32(metric, vec_square32(d)) : vec_add16(metric, vec_mulhrs16(d, d));
}

/* The candidates of branch j into the registers of a group. */
HC_INLINE void run_branch(const unsigned k, const unsigned group, const bool weighted, const struct place *place,
                          const uint8_t *layout, vec metric, vec *best)
{
    HC_UNROLL
    for (unsigned v = 0; v < group; v++) {
        vec sum = candidate(k, weighted, place, metric, vec_load(layout + v * VEC_BYTES));
        best[v] = is_wide(k) ? vec_min32(best[v], sum) : vec_min16(best[v], sum);
    }
}

/* Branches one by one, the accumulators of a group in registers. Rows are written once and read much later, so they
 * leave the caches: the place of the next is fetched ahead. */
HC_INLINE void run_groups(const unsigned k, const unsigned period, const bool weighted, const struct place *place,
                          const vec *turned)
{
    const unsigned registers = block_registers(k, period), group = group_registers(k, period);
    const uint8_t *layout = place->layout;
    uint8_t *after = place->after;
    for (unsigned first = 0; first < registers; first += group) {
        vec best[GROUP];
        HC_UNROLL
        for (unsigned v = 0; v < group; v++)
            best[v] = is_wide(k) ? vec_fill32(UINT32_MAX) : vec_fill16(LARGEST16);
        for (unsigned j = 0; j < 1u << k; j++, layout += group * VEC_BYTES)
            run_branch(k, group, weighted, place, layout, metric_before(period, turned, j), best);
        HC_UNROLL
        for (unsigned v = 0; v < group; v++, after += place->apart) {
            vec_store(after, best[v]);
            __builtin_prefetch(after + place->next, 1, 2);
        }
    }
}

HC_INLINE void note(uint8_t *to, uint32_t mask)
{
    memcpy(to, &mask, sizeof mask);
}

/* The least of 2 or 4 candidates; notes say that the first of two was not above the second: for k = 2 of the halves,
 * then in each half. */
HC_INLINE vec choose(const unsigned k, const vec *sum, uint8_t *notes)
{
    vec low = vec_min16(sum[0], sum[1]);
    if (k == 1) {
        note(notes, vec_equal16(low, sum[0]));
        return low;
    }
    vec high = vec_min16(sum[2], sum[3]), least = vec_min16(low, high);
    note(notes, vec_equal16(least, low));
    note(notes + 4, vec_equal16(low, sum[0]));
    note(notes + 8, vec_equal16(high, sum[2]));
    return least;
}

/* For k <= 2. */
HC_INLINE void run_noted(const unsigned k, const unsigned period, const bool weighted, const struct place *place,
                         const vec *turned)
{
    const unsigned registers = block_registers(k, period);
    HC_UNROLL
    for (unsigned v = 0; v < registers; v++) {
        vec sum[4];
        HC_UNROLL
        for (unsigned j = 0; j < 1u << k; j++)
            sum[j] = candidate(k, weighted, place, metric_before(period, turned, j),
                               vec_load(place->layout + (j * registers + v) * VEC_BYTES));
        vec least = choose(k, sum, place->notes + v * place->notes_apart);
        vec_store(place->after + v * place->apart, vec_min16(least, vec_fill16(LARGEST16)));
    }
}

/* One block, and on to the next. */
HC_INLINE void run_block(const unsigned k, const unsigned period, const bool weighted, struct place *place)
{
    const unsigned registers = block_registers(k, period);
    vec turned[MAX_REGISTERS];
    turn_block(k, period, place->before, turned);
    if (k <= 2)
        run_noted(k, period, weighted, place, turned);
    else
        run_groups(k, period, weighted, place, turned);
    place->layout += (registers << k) * VEC_BYTES;
    place->before += registers * VEC_BYTES;
    place->after += VEC_BYTES;
    place->notes += notes_per_register(k) * sizeof(uint32_t);
}

HC_INLINE struct place begin_step(const unsigned k, const unsigned period, const bool weighted,
                                  const struct flight *flight, const struct tile *tile, unsigned step)
{
    const unsigned at = step % HC_TILE_WEIGHTS,
                   blocks = (unsigned)(flight->row / VEC_BYTES) / block_registers(k, period);
    return (struct place){.weight =
                              fill_number(k, (int16_t)(is_halved(k) ? tile->weights[at] >> 1 : tile->weights[at])),
                          .importance = fill_number(k, weighted ? flight->importance[at] : 0),
                          .layout = flight->trellis->layout,
                          .before = row_at(flight, tile, step),
                          .after = row_at(flight, tile, step + 1),
                          .notes = tile->notes + step * flight->step_notes,
                          .next = flight->row,
                          .apart = (size_t)blocks * VEC_BYTES,
                          .notes_apart = blocks * notes_per_register(k) * sizeof(uint32_t)};
}

/* All but what is subtracted after it. Tiles take turns: while one's sums are under way, the other's metrics are
 * turned, and what one fetched of the layout serves the other. */
HC_INLINE void run_step(const unsigned k, const unsigned period, const bool weighted, const struct flight *flight,
                        unsigned step)
{
    const size_t blocks = flight->row / VEC_BYTES / block_registers(k, period);
    struct place place[SLOTS];
    for (unsigned a = 0; a < flight->tiles; a++)
        place[a] = begin_step(k, period, weighted, flight, flight->tile[a], step);
    for (size_t block = 0; block < blocks; block++)
        for (unsigned a = 0; a < flight->tiles; a++)
            run_block(k, period, weighted, &place[a]);
}

static uint32_t least_lane(bool wide, vec v)
{
    uint32_t lanes32[VEC_BYTES / 4], least = UINT32_MAX;
    uint16_t lanes16[VEC_BYTES / 2];
    vec_store(lanes16, v);
    vec_store(lanes32, v);
    for (unsigned i = 0; i < (wide ? VEC_BYTES / 4 : VEC_BYTES / 2); i++) {
        uint32_t x = wide ? lanes32[i] : lanes16[i];
        least = x < least ? x : least;
    }
    return least;
}

static uint32_t least_metric(bool wide, const uint8_t *row, size_t bytes)
{
    vec least = vec_load(row);
    for (size_t i = VEC_BYTES; i < bytes; i += VEC_BYTES)
        least = wide ? vec_min32(least, vec_load(row + i)) : vec_min16(least, vec_load(row + i));
    return least_lane(wide, least);
}

static void subtract_least(bool wide, const struct flight *flight, struct tile *tile, unsigned time)
{
    uint8_t *row = row_at(flight, tile, time);
    uint32_t least = least_metric(wide, row, flight->row);
    vec all = wide ? vec_fill32(least) : vec_fill16((int16_t)least);
    for (size_t i = 0; i < flight->row; i += VEC_BYTES) {
        vec metrics = vec_load(row + i);
        vec_store(row + i, wide ? vec_sub32(metrics, all) : vec_sub16(metrics, all));
    }
    tile->saturated |= !wide && least == LARGEST16;
}

HC_INLINE void run_shape(const unsigned k, const unsigned period, const bool weighted, const struct flight *flight,
                         unsigned from, unsigned to)
{
    for (unsigned step = from; step < to; step++) {
        run_step(k, period, weighted, flight, step);
        if (step % 16 == 15)
            for (unsigned a = 0; a < flight->tiles; a++)
                subtract_least(is_wide(k), flight, flight->tile[a], step + 1);
    }
}

/* Whether some length of 8 .. 16, and of 2 k at least, has this period. */
HC_INLINE bool is_period(const unsigned k, const unsigned period)
{
    const unsigned shortest = 2 * k > HC_WINDOW_MIN_LENGTH ? 2 * k : HC_WINDOW_MIN_LENGTH;
    const unsigned least = metric_bytes(k) << (shortest - 2 * k);
    const unsigned most = metric_bytes(k) << (HC_WINDOW_MAX_LENGTH - 2 * k);
    return period <= most && period >= (least < VEC_BYTES ? least : VEC_BYTES);
}

HC_INLINE void run_period(const unsigned k, const unsigned period, const struct flight *flight, unsigned from,
                          unsigned to)
{
    if (!is_period(k, period))
        return;
    if (flight->importance)
        run_shape(k, period, true, flight, from, to);
    else
        run_shape(k, period, false, flight, from, to);
}

HC_INLINE void run_k(const unsigned k, const struct flight *flight, unsigned from, unsigned to)
{
    switch (period_bytes(k, flight->trellis->length)) {
    case 2:
        run_period(k, 2, flight, from, to);
        break;
    case 4:
        run_period(k, 4, flight, from, to);
        break;
    case 8:
        run_period(k, 8, flight, from, to);
        break;
    case 16:
        run_period(k, 16, flight, from, to);
        break;
    case VEC_BYTES:
        run_period(k, VEC_BYTES, flight, from, to);
        break;
    default:
        run_period(k, VEC_BYTES / 2, flight, from, to);
    }
}

/* Steps from .. to - 1. */
static void run_steps(const struct flight *flight, unsigned from, unsigned to)
{
    switch (flight->trellis->k) {
    case 1:
        run_k(1, flight, from, to);
        break;
    case 2:
        run_k(2, flight, from, to);
        break;
    case 3:
        run_k(3, flight, from, to);
        break;
    case 4:
        run_k(4, flight, from, to);
        break;
    case 5:
        run_k(5, flight, from, to);
        break;
    case 6:
        run_k(6, flight, from, to);
        break;
    default:
        run_k(8, flight, from, to);
    }
}

/* ---- The path ------------------------------------------------------------------------------- */

/* Where the candidates of a state begin: the codes that lead to it, and the metrics before the step. */
struct fork {
    const int16_t *codebook;
    const uint8_t *before;
    int16_t weight, importance;
    bool weighted;
};

/* d of eight branches. */
HC_INLINE __m128i differences(const unsigned k, const struct fork *fork, unsigned first)
{
    __m128i value = _mm_loadu_si128((const __m128i *)(const void *)(fork->codebook + first)), d;
    if (is_halved(k))
        d = _mm_sub_epi16(_mm_set1_epi16((int16_t)(fork->weight >> 1)), _mm_srai_epi16(value, 1));
    else
        d = _mm_subs_epi16(_mm_set1_epi16(fork->weight), value);
    return fork->weighted ? _mm_mulhrs_epi16(d, _mm_set1_epi16(fork->importance)) : d;
}

/* The lowest of 2^k branches whose candidate is least. */
HC_INLINE uint32_t least_narrow(const unsigned k, const struct fork *fork)
{
    uint32_t best = UINT32_MAX;
    HC_UNROLL
    for (unsigned first = 0; first < 1u << k; first += 8) {
        __m128i d = differences(k, fork, first);
        __m128i before = _mm_loadu_si128((const __m128i *)(const void *)(fork->before + first * sizeof(uint16_t)));
        uint32_t least = (uint32_t)_mm_cvtsi128_si32(_mm_minpos_epu16(_mm_add_epi16(before, _mm_mulhrs_epi16(d, d))));
        uint32_t key = least << 16 | (first + (least >> 16));
        best = key < best ? key : best;
    }
    return best & 0xffff;
}

/* The least of eight lanes, in all of them. */
static inline __m256i spread_least(__m256i x)
{
    x = _mm256_min_epu32(x, _mm256_permute2x128_si256(x, x, 1));
    x = _mm256_min_epu32(x, _mm256_shuffle_epi32(x, 0x4e));
    return _mm256_min_epu32(x, _mm256_shuffle_epi32(x, 0xb1));
}

HC_INLINE uint32_t least_wide(const unsigned k, const struct fork *fork)
{
    __m256i sums[1 << (HC_WINDOW_MAX_K - 3)], least = _mm256_set1_epi32(-1);
    for (unsigned i = 0; i < 1u << (k - 3); i++) {
        __m256i d = _mm256_cvtepi16_epi32(differences(k, fork, 8 * i));
        __m256i before = _mm256_loadu_si256((const __m256i *)(const void *)(fork->before + i * sizeof before));
        sums[i] = _mm256_add_epi32(before, _mm256_srli_epi32(_mm256_mullo_epi32(d, d), 4));
        least = _mm256_min_epu32(least, sums[i]);
    }
    least = spread_least(least);
    for (unsigned i = 0;; i++) {
        uint32_t equal = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi32(sums[i], least));
        if (equal != 0)
            return 8 * i + (uint32_t)__builtin_ctz(equal) / 4;
    }
}

/* The choice that was noted. */
HC_INLINE uint32_t noted(const unsigned k, const uint8_t *notes, uint32_t state)
{
    const unsigned lanes = VEC_BYTES / sizeof(uint16_t), shift = state % lanes * LANE_BITS;
    uint32_t masks[3] = {0};
    memcpy(masks, notes + state / lanes * notes_per_register(k) * sizeof(uint32_t),
           notes_per_register(k) * sizeof(uint32_t));
    uint32_t first = ~masks[0] >> shift & 1;
    return k == 1 ? first : first << 1 | (~masks[1 + first] >> shift & 1);
}

/* The state before a step from the state after it. */
HC_INLINE uint32_t step_back(const unsigned k, const struct flight *flight, const struct tile *tile, uint32_t state,
                             unsigned step)
{
    const struct hc_window_trellis *trellis = flight->trellis;
    const uint32_t theta = state << k, first = theta & ((1u << (trellis->length - k)) - 1);
    if (k <= 2)
        return first | noted(k, tile->notes + step * flight->step_notes, state);
    const unsigned at = step % HC_TILE_WEIGHTS;
    const struct fork fork = {trellis->codebook + theta, row_at(flight, tile, step) + first * (size_t)metric_bytes(k),
                              tile->weights[at], flight->importance ? flight->importance[at] : (int16_t)0,
                              flight->importance != NULL};
    return first | (is_wide(k) ? least_wide(k, &fork) : least_narrow(k, &fork));
}

/* A stretch of a path backwards in time. */
struct way {
    unsigned from, to;
    bool again; /* a tile alone, and not its first path here: where that meets the one before, the rest is known */
};

/* The paths of all tiles of the flight at once, as each spends its time waiting. state[]: at time `from`. The states go
 * to the tiles. */
HC_INLINE void follow_k(const unsigned k, const struct flight *flight, struct way way, uint32_t *state)
{
    for (unsigned step = way.from; step-- > way.to;)
        for (unsigned a = 0; a < flight->tiles; a++) {
            struct tile *tile = flight->tile[a];
            state[a] = step_back(k, flight, tile, state[a], step);
            if (way.again && tile->states[step] == state[a])
                return;
            tile->states[step] = (uint16_t)state[a];
        }
}

static void follow(const struct flight *flight, struct way way, uint32_t *state)
{
    switch (flight->trellis->k) {
    case 1:
        follow_k(1, flight, way, state);
        break;
    case 2:
        follow_k(2, flight, way, state);
        break;
    case 3:
        follow_k(3, flight, way, state);
        break;
    case 4:
        follow_k(4, flight, way, state);
        break;
    case 5:
        follow_k(5, flight, way, state);
        break;
    case 6:
        follow_k(6, flight, way, state);
        break;
    default:
        follow_k(8, flight, way, state);
    }
}

static uint32_t least_state(const struct flight *flight, const struct tile *tile, unsigned time)
{
    const bool wide = is_wide(flight->trellis->k);
    const void *row = row_at(flight, tile, time);
    const uint32_t *row32 = row, least = least_metric(wide, row, flight->row);
    const uint16_t *row16 = row;
    uint32_t state = 0;
    while ((wide ? row32[state] : row16[state]) != least)
        state++;
    return state;
}

/* The row at `time` when nothing but `state` is possible. */
static void begin_in(const struct flight *flight, struct tile *tile, unsigned time, uint32_t state)
{
    const unsigned k = flight->trellis->k;
    uint8_t *row = row_at(flight, tile, time);
    const vec largest = is_wide(k) ? vec_fill32(largest32) : vec_fill16(LARGEST16);
    for (size_t i = 0; i < flight->row; i += VEC_BYTES)
        vec_store(row + i, largest);
    memset(row + state * metric_bytes(k), 0, metric_bytes(k));
}

/* False if the path does not close. The flight is of one tile. */
static bool splice(const struct flight *alone, uint32_t x)
{
    const unsigned seam = alone->seam, joint = seam + hc_window_splice(alone->trellis->length);
    struct tile *tile = alone->tile[0];
    follow(alone, (struct way){HC_TILE_WEIGHTS + seam, joint, true}, &(uint32_t){x});
    begin_in(alone, tile, seam, x);
    run_steps(alone, seam, joint);
    follow(alone, (struct way){joint, seam, false}, &(uint32_t){tile->states[joint]});
    return !tile->saturated && tile->states[seam] == x;
}

/* Goes on from a first path, which went from x back to states[seam]. False if metrics saturated. */
static bool close_path(const struct flight *flight, struct tile *tile, uint32_t x)
{
    const unsigned seam = flight->seam;
    const uint32_t y = tile->states[seam];
    struct flight alone = *flight;
    if (tile->saturated || y == x)
        return !tile->saturated;
    alone.tiles = 1;
    alone.tile[0] = tile;
    follow(&alone, (struct way){HC_TILE_WEIGHTS + seam, seam, true}, &(uint32_t){y});
    return tile->states[seam] == y || splice(&alone, tile->states[seam]);
}

/* ---- Tiles ---------------------------------------------------------------------------------- */

static void pack(const uint16_t *states, unsigned seam, unsigned k, uint8_t *codes)
{
    for (unsigned first = 0; first < HC_TILE_WEIGHTS; first += 8, codes += k) {
        uint64_t bits = 0;
        for (unsigned i = 0; i < 8; i++) {
            unsigned time = first + i < seam ? first + i + HC_TILE_WEIGHTS : first + i;
            bits |= (uint64_t)(states[time] & ((1u << k) - 1)) << i * k;
        }
        for (unsigned i = 0; i < k; i++)
            codes[i] = (uint8_t)(bits >> 8 * i);
    }
}

/* Takes the tiles of a flight as far as the first path, and leaves in x[] the states it came from. */
static void find_paths(const struct flight *flight, uint32_t *x)
{
    const unsigned seam = flight->seam, end = HC_TILE_WEIGHTS + seam;
    uint32_t state[SLOTS];
    for (unsigned a = 0; a < flight->tiles; a++) {
        flight->tile[a]->saturated = false;
        memset(flight->tile[a]->metrics, 0, flight->row);
    }
    run_steps(flight, 0, 2 * seam);
    for (unsigned a = 0; a < flight->tiles; a++)
        state[a] = least_state(flight, flight->tile[a], 2 * seam);
    run_steps(flight, 2 * seam, end);
    follow(flight, (struct way){2 * seam, seam, false}, state);
    memcpy(x, state, sizeof state);
    follow(flight, (struct way){end, seam, false}, state);
}

/* What saturates is left to plain C, in the same scratch. */
static void fly(const struct flight *flight, void *scratch, uint8_t *codes)
{
    const unsigned k = flight->trellis->k;
    struct hc_window_encode_ops plain;
    bool closed[SLOTS];
    uint32_t x[SLOTS];
    find_paths(flight, x);
    for (unsigned a = 0; a < flight->tiles; a++) {
        closed[a] = close_path(flight, flight->tile[a], x[a]);
        if (closed[a])
            pack(flight->tile[a]->states, flight->seam, k, codes + a * HC_TILE_WEIGHTS / 8 * k);
    }
    hc_window_encode_c(&plain);
    for (unsigned a = 0; a < flight->tiles; a++)
        if (!closed[a])
            plain.tiles(flight->trellis, flight->tile[a]->weights, flight->importance, 1, scratch,
                        codes + a * HC_TILE_WEIGHTS / 8 * k);
}

static void covered_tiles(const struct hc_window_trellis *trellis, const int16_t *weights, const int16_t *importance,
                          size_t count, void *scratch, uint8_t *codes)
{
    const unsigned k = trellis->k, length = trellis->length, slots = slot_count(k, length);
    struct tile tile[SLOTS];
    struct flight flight = {.trellis = trellis,
                            .importance = importance,
                            .seam = hc_window_seam(k, length),
                            .row = row_bytes(k, length),
                            .step_notes = note_bytes(k, length)};
    for (unsigned a = 0; a < slots; a++) {
        tile[a].metrics = (uint8_t *)scratch + a * tile_scratch_bytes(k, length);
        tile[a].notes = tile[a].metrics + rows_kept(k, length) * flight.row;
        flight.tile[a] = &tile[a];
    }
    for (size_t i = 0; i < count; i += slots) {
        flight.tiles = count - i < slots ? (unsigned)(count - i) : slots;
        for (unsigned a = 0; a < flight.tiles; a++)
            tile[a].weights = weights + (i + a) * HC_TILE_WEIGHTS;
        fly(&flight, scratch, codes + i * HC_TILE_WEIGHTS / 8 * k);
    }
}

static void tiles(const struct hc_window_trellis *trellis, const int16_t *weights, const int16_t *importance,
                  size_t count, void *scratch, uint8_t *codes)
{
    struct hc_window_encode_ops plain;
    hc_window_encode_c(&plain);
    if (is_covered(trellis->k, trellis->length))
        covered_tiles(trellis, weights, importance, count, scratch, codes);
    else
        plain.tiles(trellis, weights, importance, count, scratch, codes);
}

#endif
