#include "window_encode.h"

#include <math.h>
#include <string.h>

#include "convert/convert.h"

/* The largest metric of a path: narrow ones saturate there, wide ones stay below it. */
static const uint32_t narrow_largest = 32767, wide_largest = UINT32_C(3) << 29;

float hc_window_codebook(const uint16_t *table, unsigned length, int16_t *codebook)
{
    struct hc_convert_ops convert;
    float value, largest = 0;
    hc_convert_c(&convert);
    for (uint32_t theta = 0; theta < 1u << length; theta++) {
        convert.f16_to_f32(&table[theta], 1, &value);
        largest = fmaxf(largest, fabsf(value));
    }
    float scale = (float)HC_WINDOW_FULL_SCALE / largest;
    for (uint32_t theta = 0; theta < 1u << length; theta++) {
        convert.f16_to_f32(&table[theta], 1, &value);
        codebook[theta] = (int16_t)lrintf(value * scale);
    }
    return scale;
}

/* ---- The cost of a branch ------------------------------------------------------------------- */

static int32_t halved(int32_t x)
{
    return (x + 32768) / 2 - 16384;
}

static int32_t held(int32_t d)
{
    return d < INT16_MIN ? INT16_MIN : d > INT16_MAX ? INT16_MAX : d;
}

static int32_t weighted(int32_t d, int32_t importance)
{
    return (int32_t)((d * (int64_t)importance + (1 << 14) + ((int64_t)1 << 32)) / (1 << 15)) - (1 << 17);
}

static uint32_t narrow_cost(int32_t d)
{
    return (uint32_t)(d * d + (1 << 14)) >> 15;
}

static uint32_t wide_cost(int32_t d)
{
    return (uint32_t)(d * d) >> 4;
}

/* ---- Steps ---------------------------------------------------------------------------------- */

/* A tile on its way. */
struct tile {
    const struct hc_window_trellis *trellis;
    const int16_t *weights, *importance;
    bool wide, saturated;
    uint32_t *before, *after; /* metrics of all states around a step */
    uint8_t *choices;         /* j of every state after every step */
};

static size_t state_count(const struct hc_window_trellis *trellis)
{
    return (size_t)1 << (trellis->length - trellis->k);
}

static uint32_t branch_cost(const struct tile *tile, unsigned at, uint32_t theta)
{
    int32_t weight = tile->weights[at], value = tile->trellis->codebook[theta];
    bool halve = tile->wide || tile->trellis->k <= 4;
    int32_t d = halve ? halved(weight) - halved(value) : held(weight - value);
    if (tile->importance)
        d = weighted(d, tile->importance[at]);
    return tile->wide ? wide_cost(d) : narrow_cost(d);
}

static void run_step(struct tile *tile, unsigned step)
{
    size_t states = state_count(tile->trellis);
    unsigned k = tile->trellis->k;
    for (uint32_t s = 0; s < states; s++) {
        uint32_t least = UINT32_MAX, choice = 0;
        for (uint32_t j = 0; j < 1u << k; j++) {
            uint32_t theta = s << k | j, before = tile->before[theta & (states - 1)];
            uint32_t sum = before + branch_cost(tile, step % HC_TILE_WEIGHTS, theta);
            choice = sum < least ? j : choice;
            least = sum < least ? sum : least;
        }
        tile->choices[step * states + s] = (uint8_t)choice;
        tile->after[s] = !tile->wide && least > narrow_largest ? narrow_largest : least;
    }
}

static uint32_t least_state(const struct tile *tile)
{
    uint32_t best = 0;
    for (uint32_t s = 1; s < state_count(tile->trellis); s++)
        best = tile->before[s] < tile->before[best] ? s : best;
    return best;
}

static void subtract_least(struct tile *tile)
{
    uint32_t least = tile->before[least_state(tile)];
    for (size_t s = 0; s < state_count(tile->trellis); s++)
        tile->before[s] -= least;
    tile->saturated |= !tile->wide && least == narrow_largest;
}

/* Steps from .. to - 1; the metrics at time `to` are then those `before`. */
static void run_steps(struct tile *tile, unsigned from, unsigned to)
{
    for (unsigned step = from; step < to; step++) {
        run_step(tile, step);
        uint32_t *swap = tile->before;
        tile->before = tile->after;
        tile->after = swap;
        if (step % 16 == 15)
            subtract_least(tile);
    }
}

/* ---- The path ------------------------------------------------------------------------------- */

/* Follows the path back from `state` at time `from` to time `to`, and returns the state there. What it chooses for a
 * weight goes to j[weight]. */
static uint32_t follow(const struct tile *tile, uint32_t state, unsigned from, unsigned to, uint8_t *j)
{
    size_t states = state_count(tile->trellis);
    for (unsigned step = from; step-- > to;) {
        uint8_t choice = tile->choices[step * states + state];
        j[step % HC_TILE_WEIGHTS] = choice;
        state = (state << tile->trellis->k | choice) & (uint32_t)(states - 1);
    }
    return state;
}

/* False if the path does not close. */
static bool splice(struct tile *tile, uint32_t x, unsigned seam, uint8_t *j)
{
    unsigned end = seam + hc_window_splice(tile->trellis->length);
    uint32_t joint = follow(tile, x, HC_TILE_WEIGHTS + seam, end, j);
    for (size_t s = 0; s < state_count(tile->trellis); s++)
        tile->before[s] = s == x ? 0 : tile->wide ? wide_largest : narrow_largest;
    run_steps(tile, seam, end);
    return !tile->saturated && follow(tile, joint, end, seam, j) == x;
}

/* False if metrics saturated. */
static bool find_path(struct tile *tile, uint8_t *j)
{
    unsigned seam = hc_window_seam(tile->trellis->k, tile->trellis->length), end = HC_TILE_WEIGHTS + seam;
    memset(tile->before, 0, state_count(tile->trellis) * sizeof *tile->before);
    run_steps(tile, 0, 2 * seam);
    uint32_t x = follow(tile, least_state(tile), 2 * seam, seam, j);
    run_steps(tile, 2 * seam, end);
    if (tile->saturated)
        return false;
    uint32_t y = follow(tile, x, end, seam, j);
    if (y == x)
        return true;
    x = follow(tile, y, end, seam, j);
    return x == y || splice(tile, x, seam, j);
}

/* ---- Tiles ---------------------------------------------------------------------------------- */

static void pack(const uint8_t *j, unsigned k, uint8_t *codes)
{
    memset(codes, 0, HC_TILE_WEIGHTS / 8 * k);
    for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++)
        for (unsigned bit = 0; bit < k; bit++)
            codes[(t * k + bit) / 8] |= (uint8_t)((j[t] >> bit & 1) << (t * k + bit) % 8);
}

static void tiles(const struct hc_window_trellis *trellis, const int16_t *weights, const int16_t *importance,
                  size_t count, void *scratch, uint8_t *codes)
{
    uint8_t j[HC_TILE_WEIGHTS];
    uint32_t *metrics = scratch;
    for (size_t i = 0; i < count; i++) {
        struct tile tile = {.trellis = trellis,
                            .weights = weights + i * HC_TILE_WEIGHTS,
                            .importance = importance,
                            .wide = trellis->k >= 6,
                            .before = metrics,
                            .after = metrics + state_count(trellis),
                            .choices = (uint8_t *)(metrics + 2 * state_count(trellis))};
        if (!find_path(&tile, j)) {
            tile.wide = true;
            tile.saturated = false;
            find_path(&tile, j);
        }
        pack(j, trellis->k, codes + i * HC_TILE_WEIGHTS / 8 * trellis->k);
    }
}

static size_t layout_bytes(unsigned k, unsigned length)
{
    (void)k;
    (void)length;
    return 0;
}

static void prepare(unsigned k, unsigned length, const int16_t *codebook, void *layout)
{
    (void)k;
    (void)length;
    (void)codebook;
    (void)layout;
}

static size_t scratch_bytes(unsigned k, unsigned length)
{
    size_t steps = HC_TILE_WEIGHTS + hc_window_seam(k, length);
    return ((size_t)1 << (length - k)) * (2 * sizeof(uint32_t) + steps);
}

void hc_window_encode_c(struct hc_window_encode_ops *ops)
{
    *ops = (struct hc_window_encode_ops){layout_bytes, prepare, scratch_bytes, tiles};
}
