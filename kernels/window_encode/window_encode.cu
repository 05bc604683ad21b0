/* One block encodes one tile at a time: steps forward with a barrier after each, then one thread follows the path back,
 * while other blocks keep the multiprocessor busy.
 *
 * Metrics of the states before and after a step lie in shared memory. Branches chosen are noted, k bits each: for (k 4,
 * L 12) 32 KB a tile, for (4, 16) 512 KB, which a launch's few hundred blocks write to the workspace once, to read 300
 * words of it. To keep the rows of metrics and compute on the way back instead, as CPUs do, would be four times as many
 * bytes (16 bits a state for 4) and more work for the one thread that others wait for. Only the last 256 steps are
 * kept: the path uses no earlier ones.
 *
 * The codebook is read through the L1 cache, which all blocks of a multiprocessor share: a step of (4, 12) reads 4 KB
 * of the layout's 20, those near its weight, one of (4, 16) 40 of 147. Copies in shared memory would leave room for
 * fewer blocks.
 *
 * A metric M, its cost and the branch j are compared as one number, a *key*: (2^15 M + d d + 2^14), whose lowest 15
 * bits give way to j. The whole of 2^15 in it is M + q, and of equal ones the lowest j is least. What is found is held
 * to the key of the largest metric and the lowest j looked at. For bytes 15 is 15 + s, 2^(14+s) is added, and the
 * numbers are no smaller in memory: it is instructions that a step takes its time for. */
extern "C" {
#include "window_encode/window_encode_branch.h"
}

#include "window_encode/window_encode_cuda.h"

#include <string.h>

#include <algorithm>
#include <type_traits>

enum {
    LANES = 32,
    MOST_THREADS = 512,
    MOST_SHARED = 76800, /* bytes that a block asks for, of any shape */
    MOST_WARPS = MOST_THREADS / LANES,
    BLOCK_STRIDE = 34, /* see struct sweeping */
};

static constexpr unsigned ALL_LANES = 0xffffffffu;

/* ---- What a launch works on ----------------------------------------------------------------- */

/* Begins a layout. Then come the entries of the codebook in the order [number of the branch][r], and for sweeps those
 * of struct sweeping; else, for bytes, the values of all entries in the same order.
 */
struct tables {
    uint16_t start[1024];
    uint32_t branches[2 << HC_WINDOW_MAX_K]; /* by number: j A mod 2^L, and j << 16 */
};

/* Of keys and rows. */
struct range {
    uint32_t key_bits, rounding, largest, failing;
    uint32_t settled; /* steps until the least is subtracted */
};

struct coding {
    unsigned k, length, near, group, seam, splice, column_bits;
    uint32_t multiplier, states; /* A; 2^(L-k) */
    unsigned attempts;
    struct range ranges[MOST_ATTEMPTS], wide; /* wide: of window_encode_rest */
    uint32_t worst[32]; /* by the number of the first branch looked at, k = 3 to 5: the key that others are held to */
    const struct tables *tables;
    const int16_t *entries, *values, *planes; /* values: entries, but for bytes */
    const int16_t *weights, *importance;
    size_t tiles, note_bytes, slot_bytes; /* note_bytes: of a step */
    uint8_t *slots, *flags, *codes;       /* flags: by tile, whether it is left to window_encode_rest */
};

struct step {
    int32_t weight;
    uint16_t start, importance;
};

/* A tile on its way. */
struct tile {
    struct step steps[HC_TILE_WEIGHTS];
    uint16_t states[HC_TILE_WEIGHTS]; /* the path, from the seam on */
    uint8_t j[HC_TILE_WEIGHTS];
    uint32_t least[MOST_WARPS];
    bool closed;
};

/* The number of the first branch looked at into states that begin at r. */
static __device__ inline uint32_t first_branch(const struct coding *coding, uint32_t start, uint32_t r)
{
    uint32_t ahead = (start - (r << coding->k)) & ((1u << coding->length) - 1);
    return ahead >> (coding->length - coding->k);
}

static __device__ inline int32_t scaled(int32_t d, uint32_t importance)
{
    return (d * (int32_t)importance + (1 << 14)) >> 15;
}

/* ---- Steps of any shape --------------------------------------------------------------------- */

/* NARROW serves bytes, too. */
template <enum sums SUMS> struct best;

/* The key that others are held to, where all branches are looked at. */
static __device__ inline uint32_t worst_key(struct range range)
{
    return range.largest << range.key_bits;
}

template <> struct best<NARROW> {
    uint32_t key;

    __device__ void take(struct range range, uint32_t metric, int32_t d, uint32_t j)
    {
        uint32_t sum = (metric << range.key_bits) + (uint32_t)(d * d) + range.rounding;
        key = min(key, (sum >> range.key_bits << range.key_bits) | j);
    }
    __device__ void hold(uint32_t worst)
    {
        key = min(key, worst);
    }
    __device__ uint32_t metric(struct range range) const
    {
        return key >> range.key_bits;
    }
    __device__ uint32_t choice() const
    {
        return key & 0x7fff;
    }
};

template <> struct best<NARROW_HELD> : best<NARROW> {
};

template <> struct best<WIDE> {
    uint32_t sum, j;

    __device__ void take(struct range, uint32_t metric, int32_t d, uint32_t branch)
    {
        uint32_t other = metric + ((uint32_t)(d * d) >> 4);
        if (other < sum || (other == sum && branch < j)) {
            sum = other;
            j = branch;
        }
    }
    __device__ void hold(uint32_t)
    {
    }
    __device__ uint32_t metric(struct range) const
    {
        return sum;
    }
    __device__ uint32_t choice() const
    {
        return j;
    }
};

/* A warp takes 32 states side by side; their choices become k words, of which word b holds bit b of each. Rows have a
 * gap of a word after 32 states, as neighbours read metrics 2^k apart. FAR: with all branches, and the rows in the
 * workspace: those of (k 1, L 16) are 136 KB, wide ones 264, and a block may have 99 on 8.6, 8.9 and 12.0. */
template <enum sums SUMS, bool FAR> struct plain {
    static constexpr bool far = FAR, wide = SUMS == WIDE, halved = SUMS != NARROW_HELD;
    static constexpr unsigned blocks = FAR ? 2 : 0;
    typedef typename std::conditional<SUMS == WIDE, uint32_t, uint16_t>::type metric;

    static __host__ __device__ inline uint32_t at(const struct coding *, uint32_t r)
    {
        return r + (r >> 5) * (uint32_t)(sizeof(uint32_t) / sizeof(metric));
    }

    static __device__ inline struct best<SUMS> choose(const struct coding *coding, struct range range, struct step step,
                                                      const metric *before, uint32_t r) {
        const uint32_t *branches = coding->tables->branches;
        uint32_t mask = (1u << coding->k) - 1, n = FAR ? mask + 1 : coding->near;
        uint32_t first = FAR ? 0 : first_branch(coding, step.start, r & -coding->group);
        const int16_t *values = wide ? coding->entries : coding->values;
        struct best<SUMS> best;
        memset(&best, 0xff, sizeof best);
        for (uint32_t i = first; i < first + n; i++) {
            uint32_t branch = __ldg(branches + i);
            uint32_t from = ((r << coding->k) + branch) & (coding->states - 1);
            int32_t value = __ldg(values + (i & mask) * coding->states + r);
            int32_t d = halved ? step.weight - (value >> 1) : min(max(step.weight - value, -32768), 32767);
            best.take(range, before[at(coding, from)], scaled(d, step.importance), branch >> 16);
        }
        best.hold(wide ? 0 : coding->k <= 2 ? worst_key(range) : coding->worst[first]);
        return best;
    }

    static __device__ inline void
    note(const struct coding *coding, uint32_t choice, uint32_t *words)
    {
        uint32_t lane = threadIdx.x % LANES, mine = 0;
        for (uint32_t bit = 0; bit < coding->k; bit++) {
            uint32_t word = __ballot_sync(ALL_LANES, choice >> bit & 1);
            mine = lane == bit ? word : mine;
        }
        if (lane < coding->k)
            words[lane] = mine;
    }

    /* Where there are fewer states than lanes, several do the same. */
    static __device__ void run(const struct coding *coding, struct range range, struct step step, const metric *before,
                               metric *after, uint8_t *notes)
    {
        for (uint32_t r = threadIdx.x; r < coding->states + LANES - 1 - (coding->states - 1) % LANES; r += blockDim.x) {
            uint32_t state = r & (coding->states - 1);
            struct best<SUMS> best = choose(coding, range, step, before, state);
            after[at(coding, state)] = (metric)best.metric(range);
            if (notes)
                note(coding, best.choice(), (uint32_t *)notes + r / LANES * coding->k);
        }
    }

    static __device__ uint32_t choice(const struct coding *coding, struct step, const uint8_t *notes, uint32_t r)
    {
        const uint32_t *words = (const uint32_t *)notes + r / LANES * coding->k;
        uint32_t j = 0;
        for (uint32_t bit = 0; bit < coding->k; bit++)
            j |= (words[bit] >> r % LANES & 1) << bit;
        return j;
    }
};

/* ---- Steps in sweeps ------------------------------------------------------------------------ */

/* The common shapes, k = 2 to 4 (see is_swept). With C = max(2^(L-2k), 32) *columns*, the states r, r + C, r + 2C ..
 * come by a branch from one and the same state, and the branches looked at begin D earlier with each: a thread owns a
 * column, of B = 2^k / D states, and goes through the branches once; each serves all the states that look at it, N / D.
 *
 * Number the states of a column by the first of their branches, in the order of these: q = 0, 1 .. begins at D q + p,
 * where p = e mod D and e belongs to state 0 of the column, so that state b is q = e / D - b mod B. Then which branch
 * serves which q is known when the loops are compiled. Notes are by q.
 *
 * By branch s, the i-th from the first on, state b has its value in the stretch e + i of the codebook, as s is e - D b
 * + i. Planes, in the order [32 columns][plane][s][lane], s < 2^k + D - 1 as p is added: planes 0 .. 2^k - 1 are halves
 * of values, by stretch; then come the byte of a row where the metric is, and j. In a row, state b of the column is at
 * 34 b + lane, and 32 columns are 34 B + 10 apart: then at most 3, mostly 1 or 2, of the metrics that a warp reads at
 * once share a bank. blocks: see window_encode.
 */
template <unsigned K, unsigned D, unsigned N, bool WEIGHTED> struct sweeping {
    static constexpr bool far = false, wide = false, halved = true;
    static constexpr unsigned blocks = K == 2 ? 3 : 0;
    static constexpr unsigned ALL = 1u << K, B = ALL / D, PLANE = (ALL + D - 1) * LANES, WORDS = (B * K + 31) / 32;
    typedef uint16_t metric;

    static __device__ inline uint32_t at(const struct coding *coding, uint32_t r)
    {
        uint32_t column = r & ((1u << coding->column_bits) - 1), b = r >> coding->column_bits;
        return column / LANES * (B * BLOCK_STRIDE + 10) + b * BLOCK_STRIDE + column % LANES;
    }

    /* That of bytes comes with the attempt. */
    static __device__ inline uint32_t key_bits(struct range range)
    {
        return K == 2 ? range.key_bits : 15;
    }

    /* Number of the first branch looked at, for state 0 of a column. */
    static __device__ inline uint32_t first_of(const struct coding *coding, struct step step, uint32_t column)
    {
        return N == ALL ? 0 : first_branch(coding, step.start, column & -(uint32_t)LANES);
    }

    /* The least sums of a column with their j, by q. Planes and metrics begin at its lane. */
    static __device__ inline void find_best(struct range range, struct step step, uint32_t first, const int16_t *planes,
                                            const metric *before, uint32_t *best)
    {
        const uint32_t scale = 1u << key_bits(range), rounding = K == 2 ? range.rounding : 1u << 14;
        const int16_t *branch = planes + ALL * PLANE + first % D * LANES, *values[N];
#pragma unroll
        for (unsigned i = 0; i < N; i++)
            values[i] = planes + (first + i) % ALL * PLANE + first % D * LANES;
#pragma unroll
        for (unsigned q = 0; q < B; q++)
            best[q] = UINT32_MAX;
#pragma unroll
        for (unsigned t = 0; t < ALL; t++) {
            uint32_t place = __ldg((const uint16_t *)branch + t * LANES);
            uint32_t metric = *(const sweeping::metric *)((const uint8_t *)before + place);
            uint32_t j = (uint32_t)__ldg(branch + PLANE + t * LANES), rounded = metric * scale + rounding;
#pragma unroll
            for (unsigned i = t % D; i < N; i += D) {
                unsigned q = (t - i) % ALL / D;
                int32_t d = step.weight - __ldg(values[i] + t * LANES);
                if (WEIGHTED)
                    d = scaled(d, step.importance);
                best[q] = min(best[q], (((uint32_t)(d * d) + rounded) & -scale) | j);
            }
        }
    }

    /* chosen: k bits each of B states. */
    static __device__ inline void put_best(struct range range, uint32_t first, const uint32_t *worst,
                                           const uint32_t *best, metric *after, uint32_t *chosen)
    {
#pragma unroll
        for (unsigned q = 0; q < B; q++) {
            uint32_t held = K == 2 ? worst_key(range) : D == 2 && first % 2 ? worst[D * q + 1] : worst[D * q];
            uint32_t key = min(best[q], held);
            after[(first / D - q) % B * BLOCK_STRIDE] = (metric)(key >> key_bits(range));
            chosen[q * K / 32] = __funnelshift_r(chosen[q * K / 32], key, K);
        }
        chosen[0] >>= 32 * WORDS - B * K;
    }

    static __device__ inline void put_notes(const uint32_t *chosen, uint8_t *notes, uint32_t column)
    {
        if (WORDS == 2)
            ((uint2 *)notes)[column] = make_uint2(chosen[0], chosen[WORDS - 1]);
        else if (B * K > 8)
            ((uint32_t *)notes)[column] = chosen[0];
        else
            notes[column] = (uint8_t)chosen[0];
    }

    static __device__ void run(const struct coding *coding, struct range range, struct step step, const metric *before,
                               metric *after, uint8_t *notes)
    {
        for (uint32_t column = threadIdx.x; column < 1u << coding->column_bits; column += blockDim.x) {
            uint32_t first = first_of(coding, step, column), best[B], chosen[WORDS] = {};
            const int16_t *planes = coding->planes + (size_t)(column / LANES) * (ALL + 2) * PLANE + column % LANES;
            find_best(range, step, first, planes, before, best);
            put_best(range, first, coding->worst, best, after + at(coding, column), chosen);
            if (notes)
                put_notes(chosen, notes, column);
        }
    }

    static __device__ uint32_t choice(const struct coding *coding, struct step step, const uint8_t *notes, uint32_t r)
    {
        uint32_t column = r & ((1u << coding->column_bits) - 1);
        uint32_t q = (first_of(coding, step, column) / D - (r >> coding->column_bits)) % B;
        if (B * K > 8)
            return ((const uint32_t *)notes)[column * WORDS + q * K / 32] >> q * K % 32 & (ALL - 1);
        return notes[column] >> q * K & (ALL - 1);
    }
};

/* ---- Steps together ------------------------------------------------------------------------- */

/* The least number of all threads. */
static __device__ inline uint32_t least_of_all(struct tile *tile, uint32_t x)
{
    x = __reduce_min_sync(ALL_LANES, x);
    if (threadIdx.x % LANES == 0)
        tile->least[threadIdx.x / LANES] = x;
    __syncthreads();
    for (uint32_t warp = 0; warp < blockDim.x / LANES; warp++)
        x = min(x, tile->least[warp]);
    __syncthreads();
    return x;
}

/* Returns whether metrics are too large. */
template <class STEPS>
static __device__ bool subtract_least(const struct coding *coding, struct range range, struct tile *tile,
                                      typename STEPS::metric *row)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t r = threadIdx.x; r < coding->states; r += blockDim.x)
        least = min(least, (uint32_t)row[STEPS::at(coding, r)]);
    least = least_of_all(tile, least);
    for (uint32_t r = threadIdx.x; r < coding->states; r += blockDim.x)
        row[STEPS::at(coding, r)] -= (typename STEPS::metric)least;
    __syncthreads();
    return !STEPS::wide && least >= range.failing;
}

/* The memory of a block: rows of metrics of even and odd times, and the notes of 256 steps. */
template <class STEPS> struct memory {
    typename STEPS::metric *rows;
    uint32_t row; /* metrics of one */
    uint8_t *notes;

    __device__ typename STEPS::metric *at(unsigned time) const
    {
        return rows + time % 2 * row;
    }
};

/* Steps from .. to - 1. Returns whether metrics grew too large. */
template <class STEPS>
static __device__ bool run_steps(const struct coding *coding, struct range range, struct tile *tile,
                                 struct memory<STEPS> memory, unsigned from, unsigned to)
{
    bool failed = false;
    for (unsigned step = from; step < to; step++) {
        unsigned at = step % HC_TILE_WEIGHTS;
        uint8_t *notes = step < coding->seam ? NULL : memory.notes + at * coding->note_bytes;
        STEPS::run(coding, range, tile->steps[at], memory.at(step), memory.at(step + 1), notes);
        __syncthreads();
        if ((step + 1) % (STEPS::wide ? 16 : range.settled) == 0) /* a known 16 saves a register */
            failed |= subtract_least<STEPS>(coding, range, tile, memory.at(step + 1));
    }
    return failed;
}

/* Where the least was just subtracted. */
template <class STEPS>
static __device__ uint32_t least_state(const struct coding *coding, struct tile *tile,
                                       const typename STEPS::metric *row)
{
    uint32_t state = threadIdx.x;
    while (state < coding->states && row[STEPS::at(coding, state)] != 0)
        state += blockDim.x;
    return least_of_all(tile, state);
}

/* The row when nothing but `state` is possible; everything is, if it is none. */
template <class STEPS>
static __device__ void begin_in(const struct coding *coding, struct range range, typename STEPS::metric *row,
                                uint32_t state)
{
    for (uint32_t r = threadIdx.x; r < coding->states; r += blockDim.x)
        row[STEPS::at(coding, r)] = (typename STEPS::metric)(r == state || state >= coding->states ? 0 : range.largest);
    __syncthreads();
}

/* ---- The path ------------------------------------------------------------------------------- */

/* A stretch of a path backwards in time. again: not the first one; where it meets that, the rest is known. */
struct way {
    unsigned from, to;
    bool again;
};

/* For one thread. States and branches go to the tile. */
template <class STEPS>
static __device__ void follow(const struct coding *coding, struct tile *tile, const uint8_t *notes, uint32_t state,
                              struct way way)
{
    for (unsigned step = way.from; step-- > way.to;) {
        unsigned at = step % HC_TILE_WEIGHTS;
        uint32_t j = STEPS::choice(coding, tile->steps[at], notes + at * coding->note_bytes, state);
        state = ((state << coding->k) + j * coding->multiplier) & (coding->states - 1);
        tile->j[at] = (uint8_t)j;
        if (way.again && tile->states[step - coding->seam] == state)
            return;
        tile->states[step - coding->seam] = (uint16_t)state;
    }
}

/* For one thread. settled: the state of the least metric at time 2 S. False if the path does not close. */
template <class STEPS>
static __device__ bool find_path(const struct coding *coding, struct tile *tile, const uint8_t *notes, uint32_t settled)
{
    const unsigned seam = coding->seam, end = HC_TILE_WEIGHTS + seam;
    follow<STEPS>(coding, tile, notes, settled, {2 * seam, seam, false});
    uint32_t x = tile->states[0];
    follow<STEPS>(coding, tile, notes, x, {end, seam, false});
    uint32_t y = tile->states[0];
    if (y == x)
        return true;
    follow<STEPS>(coding, tile, notes, y, {end, seam, true});
    return tile->states[0] == y;
}

/* Finds the part behind the seam anew. False if metrics grow too large, or the path still does not close. */
template <class STEPS>
static __device__ bool splice(const struct coding *coding, struct range range, struct tile *tile,
                              struct memory<STEPS> memory)
{
    const unsigned seam = coding->seam, joint = seam + coding->splice;
    const uint32_t x = tile->states[0];
    __syncthreads();
    if (threadIdx.x == 0)
        follow<STEPS>(coding, tile, memory.notes, x, {HC_TILE_WEIGHTS + seam, joint, true});
    begin_in<STEPS>(coding, range, memory.at(seam), x);
    bool failed = run_steps<STEPS>(coding, range, tile, memory, seam, joint);
    if (threadIdx.x == 0)
        follow<STEPS>(coding, tile, memory.notes, tile->states[joint - seam], {joint, seam, false});
    __syncthreads();
    return !failed && tile->states[0] == x;
}

/* ---- Tiles ---------------------------------------------------------------------------------- */

/* An importance of 2^15 changes nothing. */
static __device__ void load_tile(const struct coding *coding, bool halved, size_t number, struct tile *tile)
{
    for (uint32_t t = threadIdx.x; t < HC_TILE_WEIGHTS; t += blockDim.x) {
        int32_t weight = coding->weights[number * HC_TILE_WEIGHTS + t];
        uint32_t importance = coding->importance ? (uint32_t)coding->importance[t] : 1u << 15;
        tile->steps[t] = {halved ? weight >> 1 : weight, coding->tables->start[(weight + 32768) >> 6],
                          (uint16_t)importance};
    }
}

static __device__ void pack(const struct coding *coding, const struct tile *tile, uint8_t *codes)
{
    for (uint32_t i = threadIdx.x; i < HC_TILE_WEIGHTS / 8 * coding->k; i += blockDim.x) {
        uint32_t byte = 0;
        for (uint32_t bit = 0; bit < 8; bit++) {
            uint32_t at = 8 * i + bit;
            byte |= (tile->j[at / coding->k] >> at % coding->k & 1u) << bit;
        }
        codes[i] = (uint8_t)byte;
    }
}

/* False if metrics grow too large, or the path does not close. */
template <class STEPS>
static __device__ bool encode(const struct coding *coding, struct range range, size_t number, struct tile *tile,
                              struct memory<STEPS> memory)
{
    const unsigned seam = coding->seam;
    load_tile(coding, STEPS::halved, number, tile);
    begin_in<STEPS>(coding, range, memory.at(0), coding->states);
    bool failed = run_steps<STEPS>(coding, range, tile, memory, 0, 2 * seam);
    uint32_t settled = least_state<STEPS>(coding, tile, memory.at(0));
    failed |= run_steps<STEPS>(coding, range, tile, memory, 2 * seam, HC_TILE_WEIGHTS + seam);
    if (failed)
        return false;
    if (threadIdx.x == 0)
        tile->closed = find_path<STEPS>(coding, tile, memory.notes, settled);
    __syncthreads();
    if (!tile->closed && !splice<STEPS>(coding, range, tile, memory))
        return false;
    pack(coding, tile, coding->codes + number * HC_TILE_WEIGHTS / 8 * coding->k);
    return true;
}

template <class STEPS> static __device__ inline struct memory<STEPS> memory_of(const struct coding *coding) {
    extern __shared__ uint32_t shared[];
    uint8_t *slot = coding->slots + blockIdx.x * coding->slot_bytes;
    uint8_t *rows = STEPS::far ? slot + HC_TILE_WEIGHTS * coding->note_bytes : (uint8_t *)shared;
    uint32_t row = STEPS::at(coding, coding->states - 1) + 1;
    row += row % 2;
    return {(typename STEPS::metric *)rows, row, slot};
}

/* Grid: x = slots, each taking every so manieth tile; threads: one per column or state, a multiple of 32 up to 512; 2.9
 * KB of shared memory, and two rows of metrics unless STEPS::far: 1.1 KB for (4, 12), 18 for (4, 16), 75 at most. A
 * thread owns the same states in all steps. Any number of tiles.
 *
 * A step is short (272 of 32 columns of 8 states for the default shape), and its barrier cheapest where the block is
 * small: there one warp has the tile, and what it waits for, on the path back too, is covered by other blocks.
 *
 * STEPS::blocks of 512 threads are to find registers in a multiprocessor; 0: as the compiler likes, which would be more
 * for k = 2, and where rows are in the workspace, with spills. */
template <class STEPS>
static __global__ void __launch_bounds__(MOST_THREADS, STEPS::blocks) window_encode(const struct coding coding)
{
    __shared__ struct tile tile;
    const struct memory<STEPS> memory = memory_of<STEPS>(&coding);
    for (size_t number = blockIdx.x; number < coding.tiles; number += gridDim.x) {
        bool encoded = false;
        for (unsigned attempt = 0; !encoded && attempt < coding.attempts; attempt++) {
            __syncthreads();
            encoded = encode<STEPS>(&coding, coding.ranges[attempt], number, &tile, memory);
        }
        if (threadIdx.x == 0)
            coding.flags[number] = !encoded;
        __syncthreads();
    }
}

/* The tiles left over, by wide arithmetic with all branches. The grid is the same; threads: one per state, a multiple
 * of 32 up to 512; 2.9 KB of shared memory. Such tiles are rare, and the kernel seldom does more than read the flags.
 */
static __global__ void __launch_bounds__(MOST_THREADS) window_encode_rest(const struct coding coding)
{
    typedef plain<WIDE, true> steps;
    __shared__ struct tile tile;
    const struct memory<steps> memory = memory_of<steps>(&coding);
    for (size_t number = blockIdx.x; number < coding.tiles; number += gridDim.x) {
        if (coding.flags[number])
            encode<steps>(&coding, coding.wide, number, &tile, memory);
        __syncthreads();
    }
}

/* ---- Shapes --------------------------------------------------------------------------------- */

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Columns of 32 or more, and of the branches looked at all, or as few as three or four. */
static bool is_swept(unsigned k, unsigned length)
{
    return (k == 2 && length >= 9) || (k == 3 && length >= 11) || (k == 4 && length >= 12);
}

/* Rows of 136 KB: 8.0 would hold them (163 KB a block), and 9.0 (227), but 8.6, 8.9 and 12.0 (99) do not. */
static bool is_far(unsigned k, unsigned length)
{
    return k == 1 && length == HC_WINDOW_MAX_LENGTH;
}

static size_t state_count(unsigned k, unsigned length)
{
    return (size_t)1 << (length - k);
}

static unsigned column_bits(unsigned k, unsigned length)
{
    return length >= 2 * k + 5 ? length - 2 * k : 5;
}

static size_t column_count(unsigned k, unsigned length)
{
    return (size_t)1 << column_bits(k, length);
}

static size_t column_states(unsigned k, unsigned length)
{
    return state_count(k, length) >> column_bits(k, length);
}

/* Bytes of two rows. */
static size_t row_bytes(unsigned k, unsigned length, bool wide)
{
    size_t states = state_count(k, length), blocks = column_states(k, length);
    if (is_swept(k, length) && !wide)
        return 2 * sizeof(uint16_t) * (column_count(k, length) / LANES * (blocks * BLOCK_STRIDE + 10));
    return 2 * (states * (wide ? sizeof(uint32_t) : sizeof(uint16_t)) + (states / LANES + 1) * sizeof(uint32_t));
}

/* Notes of a step: k bits a state, in whole words of 32 states; in sweeps, whole words of a column. */
static size_t note_bytes(unsigned k, unsigned length, bool swept)
{
    size_t words = (state_count(k, length) + LANES - 1) / LANES, columns = column_count(k, length);
    if (!swept)
        return words * k * sizeof(uint32_t);
    size_t bits = column_states(k, length) * k;
    return columns * (bits <= 8 ? 1 : bits <= 32 ? 4 : 8);
}

/* A tile may come to be encoded in both ways. */
static size_t slot_bytes(unsigned k, unsigned length)
{
    size_t swept = HC_TILE_WEIGHTS * note_bytes(k, length, is_swept(k, length));
    size_t rest = HC_TILE_WEIGHTS * note_bytes(k, length, false) + row_bytes(k, length, true);
    return (larger(swept, rest) + 255) / 256 * 256;
}

static unsigned thread_count(unsigned k, unsigned length, bool swept)
{
    size_t threads = swept ? column_count(k, length) : larger(state_count(k, length), LANES);
    return threads < MOST_THREADS ? (unsigned)threads : (unsigned)MOST_THREADS;
}

typedef void (*kernel)(const struct coding coding);

static kernel kernel_of(unsigned k, unsigned length, bool weighted)
{
    if (k >= 6)
        return window_encode<plain<WIDE, false>>;
    if (k == 5)
        return window_encode<plain<NARROW_HELD, false>>;
    if (is_far(k, length))
        return window_encode<plain<NARROW, true>>;
    if (!is_swept(k, length))
        return window_encode<plain<NARROW, false>>;
    if (k == 2)
        return weighted ? window_encode<sweeping<2, 1, 4, true>> : window_encode<sweeping<2, 1, 4, false>>;
    if (k == 3)
        return weighted ? window_encode<sweeping<3, 1, 3, true>> : window_encode<sweeping<3, 1, 3, false>>;
    if (length == 12)
        return weighted ? window_encode<sweeping<4, 2, 4, true>> : window_encode<sweeping<4, 2, 4, false>>;
    return weighted ? window_encode<sweeping<4, 1, 3, true>> : window_encode<sweeping<4, 1, 3, false>>;
}

/* Dynamic shared memory of the kernel. */
static size_t shared_bytes(unsigned k, unsigned length)
{
    return is_far(k, length) ? 0 : row_bytes(k, length, k >= 6);
}

/* The most that any shape wants: the attribute is the whole process's. */
static cudaError_t allow_shared(kernel kernel)
{
    return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, MOST_SHARED);
}

static struct range make_range(unsigned k, enum sums sums, unsigned attempt)
{
    uint32_t shift = cost_shift(k, sums, attempt), rounding = (1u << 14) + (shift > 0 ? 1u << (14 + shift) : 0);
    return {15 + shift, rounding, largest_metric(sums), failing_metric(sums), settled_after(sums)};
}

/* ---- The layout ----------------------------------------------------------------------------- */

/* Entries of the planes of 32 columns, and of one plane: see struct sweeping. */
static size_t plane_entries(unsigned k, unsigned length)
{
    return (((size_t)1 << k) + ((size_t)1 << k) / column_states(k, length) - 1) * LANES;
}

static size_t planes_entries(unsigned k, unsigned length)
{
    return (((size_t)1 << k) + 2) * plane_entries(k, length);
}

size_t hc_window_encode_cuda_layout_bytes(unsigned k, unsigned length)
{
    size_t planes = is_swept(k, length) ? column_count(k, length) / LANES * planes_entries(k, length) : 0;
    size_t entries = (size_t)1 << length, values = sums_of(k) == BYTES && !is_swept(k, length) ? entries : 0;
    return sizeof(struct tables) + (entries + values + planes) * sizeof(int16_t);
}

/* Where in a row the metric of the state at r is. */
static uint32_t metric_place(unsigned k, unsigned length, uint32_t r)
{
    const uint32_t column = r & (uint32_t)(column_count(k, length) - 1), b = r >> column_bits(k, length);
    return column / LANES * ((uint32_t)column_states(k, length) * BLOCK_STRIDE + 10) + b * BLOCK_STRIDE +
           column % LANES;
}

/* What takes the place of the codebook's entry at u. */
static int16_t value_at(const struct hc_window_trellis *trellis, const struct hc_window_head *head, uint32_t u)
{
    int16_t entry = trellis->codebook[u & ((1u << trellis->length) - 1)];
    return sums_of(trellis->k) == BYTES ? head->level[hc_window_level(entry)] : entry;
}

static int16_t plane_entry(const struct hc_window_trellis *trellis, const struct hc_window_head *head,
                           const uint32_t *branches, uint32_t column, uint32_t plane, uint32_t s)
{
    const unsigned k = trellis->k, length = trellis->length;
    const uint32_t all = 1u << k, apart = all / (uint32_t)column_states(k, length);
    const uint32_t b = ((plane - s) & (all - 1)) / apart, branch = branches[s] & 0xffff;
    const uint32_t u = ((b << column_bits(k, length) | column) << k) + branch;
    if (plane == all + 1)
        return (int16_t)(branches[s] >> 16);
    if (plane == all)
        return (int16_t)(sizeof(uint16_t) * metric_place(k, length, u & (uint32_t)(state_count(k, length) - 1)));
    return (int16_t)(value_at(trellis, head, u) >> 1);
}

static void fill_planes(const struct hc_window_trellis *trellis, const struct hc_window_head *head,
                        const uint32_t *branches, int16_t *planes)
{
    const size_t in_plane = plane_entries(trellis->k, trellis->length) / LANES;
    for (uint32_t begin = 0; begin < column_count(trellis->k, trellis->length); begin += LANES)
        for (uint32_t plane = 0; plane < (1u << trellis->k) + 2; plane++)
            for (uint32_t s = 0; s < in_plane; s++)
                for (uint32_t lane = 0; lane < LANES; lane++)
                    *planes++ = plane_entry(trellis, head, branches, begin + lane, plane, s);
}

static void fill_tables(const struct hc_window_trellis *trellis, const struct hc_window_head *head,
                        struct tables *tables)
{
    const unsigned k = trellis->k;
    memset(tables, 0, sizeof *tables);
    memcpy(tables->start, head->start, sizeof head->start);
    for (uint32_t s = 0; s < 2u << k; s++)
        tables->branches[s] = branch_place(trellis, 0, head->order[s]) | (uint32_t)head->order[s] << 16;
}

void hc_window_encode_cuda_prepare(const struct hc_window_trellis *trellis)
{
    const unsigned k = trellis->k;
    const uint32_t states = (uint32_t)state_count(k, trellis->length);
    struct tables *tables = (struct tables *)trellis->layout;
    int16_t *entries = (int16_t *)(tables + 1), *values = entries + ((size_t)1 << trellis->length);
    const bool swept = is_swept(k, trellis->length);
    struct hc_window_head head;
    hc_window_fill_head(trellis, &head);
    fill_tables(trellis, &head, tables);
    for (uint32_t s = 0; s < 1u << k; s++)
        for (uint32_t r = 0; r < states; r++) {
            uint32_t u = branch_place(trellis, r, head.order[s]);
            *entries++ = trellis->codebook[u];
            if (sums_of(k) == BYTES && !swept)
                values[s * states + r] = value_at(trellis, &head, u);
        }
    if (swept)
        fill_planes(trellis, &head, tables->branches, values);
}

/* ---- Launches ------------------------------------------------------------------------------- */

cudaError_t hc_window_encode_cuda_slots(unsigned k, unsigned length, unsigned *slots)
{
    int device, processors, blocks;
    kernel kernel = kernel_of(k, length, true);
    cudaError_t error = cudaGetDevice(&device);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
    if (error == cudaSuccess)
        error = allow_shared(kernel);
    if (error == cudaSuccess)
        error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(
            &blocks, kernel, (int)thread_count(k, length, is_swept(k, length)), shared_bytes(k, length));
    if (error == cudaSuccess)
        *slots = (unsigned)(blocks * processors);
    return error;
}

size_t hc_window_encode_cuda_workspace(unsigned k, unsigned length, size_t tiles, unsigned slots)
{
    return (tiles < slots ? tiles : slots) * slot_bytes(k, length) + tiles;
}

static void fill_worst(const struct hc_window_trellis_cuda *trellis, uint32_t *worst)
{
    const unsigned k = trellis->k, near = hc_window_near(k, trellis->length);
    struct hc_window_trellis order_of = {};
    uint8_t order[2 << HC_WINDOW_MAX_K];
    order_of.k = k;
    order_of.length = trellis->length;
    order_of.multiplier = trellis->multiplier;
    hc_window_find_order(&order_of, order);
    for (uint32_t first = 0; first < 1u << k; first++)
        worst[first] = largest_metric(NARROW) << 15 | *std::min_element(order + first, order + first + near);
}

static struct coding begin_coding(const struct hc_window_trellis_cuda *trellis, size_t slots, uint8_t *workspace)
{
    const unsigned k = trellis->k, length = trellis->length;
    struct coding coding = {};
    coding.k = k;
    coding.length = length;
    coding.near = hc_window_near(k, length);
    coding.group = hc_window_group(k, length);
    coding.seam = hc_window_seam(k, length);
    coding.splice = hc_window_splice(length);
    coding.column_bits = column_bits(k, length);
    coding.multiplier = (uint32_t)trellis->multiplier >> (HC_WINDOW_MAX_LENGTH - length);
    coding.states = (uint32_t)state_count(k, length);
    if (k >= 3 && k <= 5)
        fill_worst(trellis, coding.worst);
    coding.attempts = attempts_of(k);
    for (unsigned attempt = 0; attempt < coding.attempts; attempt++)
        coding.ranges[attempt] = make_range(k, sums_of(k), attempt);
    coding.wide = make_range(k, WIDE, 0);
    coding.tables = (const struct tables *)trellis->layout;
    coding.entries = (const int16_t *)(coding.tables + 1);
    coding.planes = coding.entries + ((size_t)1 << length);
    coding.values = sums_of(k) == BYTES ? coding.planes : coding.entries;
    coding.slot_bytes = slot_bytes(k, length);
    coding.slots = workspace;
    coding.flags = workspace + slots * coding.slot_bytes;
    return coding;
}

/* Encodes what can be, and flags the rest; everything, if that is asked for. */
static cudaError_t launch(const struct hc_window_trellis_cuda *trellis, struct coding coding, unsigned slots,
                          cudaStream_t stream)
{
    const unsigned k = trellis->k, length = trellis->length;
    const size_t bytes = shared_bytes(k, length);
    const kernel kernel = kernel_of(k, length, coding.importance != NULL);
    if (trellis->all)
        return cudaMemsetAsync(coding.flags, 1, coding.tiles, stream);
    cudaError_t error = allow_shared(kernel);
    if (error != cudaSuccess)
        return error;
    coding.note_bytes = note_bytes(k, length, is_swept(k, length));
    kernel<<<slots, thread_count(k, length, is_swept(k, length)), bytes, stream>>>(coding);
    return cudaGetLastError();
}

cudaError_t hc_window_encode_cuda(const struct hc_window_trellis_cuda *trellis, const int16_t *weights,
                                  const int16_t *importance, size_t tiles, unsigned slots, void *workspace,
                                  uint8_t *codes, cudaStream_t stream)
{
    const unsigned k = trellis->k, length = trellis->length;
    const unsigned blocks = tiles < slots ? (unsigned)tiles : slots;
    struct coding coding = begin_coding(trellis, blocks, (uint8_t *)workspace);
    coding.weights = weights;
    coding.importance = importance;
    coding.tiles = tiles;
    coding.codes = codes;
    if (tiles == 0)
        return cudaSuccess;
    cudaError_t error = launch(trellis, coding, blocks, stream);
    if (error != cudaSuccess)
        return error;
    coding.note_bytes = note_bytes(k, length, false);
    window_encode_rest<<<blocks, thread_count(k, length, false), 0, stream>>>(coding);
    return cudaGetLastError();
}
