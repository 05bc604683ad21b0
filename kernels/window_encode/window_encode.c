#include "window_encode.h"

#include <math.h>
#include <string.h>

#include "convert/convert.h"
#include "window_encode_branch.h"

float hc_window_codebook(const struct hc_window_code *code, const uint16_t *table, int16_t *codebook)
{
    struct hc_convert_ops convert;
    float value, largest = 0;
    hc_convert_c(&convert);
    for (uint32_t theta = 0; theta < 1u << code->length; theta++) {
        convert.f16_to_f32(&table[theta], 1, &value);
        largest = fmaxf(largest, fabsf(value));
    }
    float scale = (float)HC_WINDOW_FULL_SCALE / largest;
    for (uint32_t theta = 0; theta < 1u << code->length; theta++) {
        uint16_t place = (uint16_t)(theta * code->multiplier);
        convert.f16_to_f32(&table[theta], 1, &value);
        codebook[place >> (HC_WINDOW_MAX_LENGTH - code->length)] = (int16_t)lrintf(value * scale);
    }
    return scale;
}

/* ---- The branches looked at ----------------------------------------------------------------- */

/* By insertion. */
int32_t hc_window_find_order(const struct hc_window_trellis *trellis, uint8_t *order)
{
    const uint32_t all = 1u << trellis->k;
    int32_t sum = 0;
    for (uint32_t j = 0; j < all; j++) {
        uint32_t place = branch_place(trellis, 0, j), at = j;
        for (; at > 0 && branch_place(trellis, 0, order[at - 1]) > place; at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)j;
        sum += (int32_t)place;
    }
    memcpy(order + all, order, all);
    sum -= (int32_t)((all - 1) << (trellis->length - 1));
    return (sum - (sum & (int32_t)(all - 1))) / (int32_t)all;
}

/* How many entries of the codebook are less than the middle of every bucket. */
static void count_less(const struct hc_window_trellis *trellis, uint32_t *less)
{
    memset(less, 0, 1024 * sizeof *less);
    for (uint32_t u = 0; u < 1u << trellis->length; u++) {
        int32_t bucket = (trellis->codebook[u] + 32736) / 64 + 1;
        if (bucket < 1024)
            less[bucket]++;
    }
    for (unsigned bucket = 1; bucket < 1024; bucket++)
        less[bucket] += less[bucket - 1];
}

static void find_near(const struct hc_window_trellis *trellis, struct hc_window_head *head)
{
    const unsigned k = trellis->k, length = trellis->length, n = hc_window_near(k, length);
    const uint32_t group = hc_window_group(k, length), apart = 1u << (length - k);
    uint32_t less[1024], before = (group << k) / 2 + (uint32_t)hc_window_find_order(trellis, head->order);
    count_less(trellis, less);
    before += (n - 1) / 2 * apart - n % 2 * (apart / 2) + (1u << (length - 1));
    for (unsigned bucket = 0; bucket < 1024; bucket++)
        head->start[bucket] = (uint16_t)((less[bucket] - before) & ((1u << length) - 1));
}

static void find_levels(const struct hc_window_trellis *trellis, int16_t *level)
{
    int64_t sum[HC_WINDOW_LEVELS] = {0};
    uint32_t count[HC_WINDOW_LEVELS] = {0};
    for (uint32_t u = 0; u < 1u << trellis->length; u++) {
        unsigned own = hc_window_level(trellis->codebook[u]);
        sum[own] += trellis->codebook[u];
        count[own]++;
    }
    for (unsigned i = 0; i < HC_WINDOW_LEVELS; i++)
        level[i] = (int16_t)(count[i] ? (sum[i] + (int64_t)count[i] * 32768) / count[i] - 32768 : 0);
}

void hc_window_fill_head(const struct hc_window_trellis *trellis, struct hc_window_head *head)
{
    find_near(trellis, head);
    find_levels(trellis, head->level);
}

/* ---- Steps ---------------------------------------------------------------------------------- */

/* A tile on its way. */
struct tile {
    const struct hc_window_trellis *trellis;
    const int16_t *weights, *importance;
    enum sums sums;
    unsigned shift;           /* cost_shift */
    bool all, failed;         /* all: branches, not only the near ones */
    uint32_t *before, *after; /* metrics of all states around a step */
    uint8_t *choices;         /* j of every state after every step */
};

static size_t state_count(const struct hc_window_trellis *trellis)
{
    return (size_t)state_mask(trellis) + 1;
}

/* The metric of the branch at u with the cost of weight number `at`. */
static uint32_t sum_of(const struct tile *tile, unsigned at, uint32_t u)
{
    const struct hc_window_trellis *trellis = tile->trellis;
    const struct hc_window_head *head = trellis->layout;
    const int16_t entry = trellis->codebook[u], *importance = tile->importance ? tile->importance + at : NULL;
    int16_t value = tile->sums == BYTES ? head->level[hc_window_level(entry)] : entry;
    uint32_t sum = tile->before[u & state_mask(trellis)] +
                   branch_cost(tile->sums, tile->shift, tile->weights[at], importance, value);
    return tile->sums != WIDE && sum > largest_metric(tile->sums) ? largest_metric(tile->sums) : sum;
}

/* The least metric of the state at r after a step, and the branch that it comes by: the lowest such of n. */
static uint32_t least_sum(const struct tile *tile, unsigned at, uint32_t r, const uint8_t *order, unsigned n,
                          uint8_t *choice)
{
    uint32_t least = UINT32_MAX;
    for (unsigned i = 0; i < n; i++) {
        uint32_t sum = sum_of(tile, at, branch_place(tile->trellis, r, order[i]));
        if (sum < least || (sum == least && order[i] < *choice)) {
            least = sum;
            *choice = order[i];
        }
    }
    return least;
}

static void run_step(struct tile *tile, unsigned step)
{
    const struct hc_window_trellis *trellis = tile->trellis;
    const struct hc_window_head *head = trellis->layout;
    const unsigned at = step % HC_TILE_WEIGHTS;
    const unsigned n = tile->all ? 1u << trellis->k : hc_window_near(trellis->k, trellis->length);
    size_t states = state_count(trellis);
    for (uint32_t r = 0; r < states; r++) {
        const uint8_t *order = head->order + (tile->all ? 0 : first_near(trellis, tile->weights[at], r));
        tile->after[r] = least_sum(tile, at, r, order, n, &tile->choices[step * states + r]);
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
    tile->failed |= least >= failing_metric(tile->sums);
}

/* Steps from .. to - 1; the metrics at time `to` are then those `before`. */
static void run_steps(struct tile *tile, unsigned from, unsigned to)
{
    for (unsigned step = from; step < to; step++) {
        run_step(tile, step);
        uint32_t *swap = tile->before;
        tile->before = tile->after;
        tile->after = swap;
        if ((step + 1) % settled_after(tile->sums) == 0)
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
        state = branch_place(tile->trellis, state, choice) & state_mask(tile->trellis);
    }
    return state;
}

/* False if the path does not close. */
static bool splice(struct tile *tile, uint32_t x, unsigned seam, uint8_t *j)
{
    unsigned end = seam + hc_window_splice(tile->trellis->length);
    uint32_t joint = follow(tile, x, HC_TILE_WEIGHTS + seam, end, j);
    for (size_t s = 0; s < state_count(tile->trellis); s++)
        tile->before[s] = s == x ? 0 : largest_metric(tile->sums);
    run_steps(tile, seam, end);
    return !tile->failed && follow(tile, joint, end, seam, j) == x;
}

/* False if metrics grow too large, or the path does not close. */
static bool find_path(struct tile *tile, uint8_t *j)
{
    unsigned seam = hc_window_seam(tile->trellis->k, tile->trellis->length), end = HC_TILE_WEIGHTS + seam;
    memset(tile->before, 0, state_count(tile->trellis) * sizeof *tile->before);
    tile->failed = false;
    run_steps(tile, 0, 2 * seam);
    uint32_t x = follow(tile, least_state(tile), 2 * seam, seam, j);
    run_steps(tile, 2 * seam, end);
    if (tile->failed)
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

static void encode(struct tile *tile, uint8_t *j)
{
    const struct hc_window_trellis *trellis = tile->trellis;
    const enum sums sums = sums_of(trellis->k);
    const unsigned attempts = trellis->all ? 0 : attempts_of(trellis->k);
    tile->sums = sums;
    for (unsigned attempt = 0; attempt < attempts; attempt++) {
        tile->shift = cost_shift(trellis->k, sums, attempt);
        if (find_path(tile, j))
            return;
    }
    tile->sums = WIDE;
    tile->all = true;
    find_path(tile, j);
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
                            .before = metrics,
                            .after = metrics + state_count(trellis),
                            .choices = (uint8_t *)(metrics + 2 * state_count(trellis))};
        encode(&tile, j);
        pack(j, trellis->k, codes + i * HC_TILE_WEIGHTS / 8 * trellis->k);
    }
}

static size_t layout_bytes(unsigned k, unsigned length)
{
    (void)k;
    (void)length;
    return sizeof(struct hc_window_head);
}

static void prepare(const struct hc_window_trellis *trellis)
{
    hc_window_fill_head(trellis, trellis->layout);
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
