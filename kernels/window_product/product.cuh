/* What the fused products share, whatever the codes: how the work is cut, how inputs come to the tensor cores, and what
 * becomes of the sums.
 *
 * A block of 16 warps takes 16 rows of tiles, one for each warp, and a *split* of the columns: whole groups of
 * HC_INPUT_GROUP. It walks them in *units* of 8 tiles; the inputs of a unit are shared by all its warps. mma.m16n8k16
 * multiplies a tile with 8 positions: the codes of a tile are decoded once, into the operand A, for all positions.
 * Where rows are few, several blocks share the rows: each leaves its sums in the workspace, and the last to come (a
 * counter tells) adds them, in the order of the splits. */
#ifndef HC_KERNELS_WINDOW_PRODUCT_CUH
#define HC_KERNELS_WINDOW_PRODUCT_CUH

#include <cuda_fp16.h>

#include "common/lanes.cuh"
#include "common/window.h"
#include "window_product/window_product_cuda.h"

enum { PRODUCT_WARPS = 16, PRODUCT_THREADS = PRODUCT_WARPS * HC_LANES };
enum { UNIT_TILES = 8, UNIT_COLUMNS = UNIT_TILES * HC_TILE };
enum { GROUP_TILES = HC_INPUT_GROUP / HC_TILE, GROUP_UNITS = GROUP_TILES / UNIT_TILES };

/* Blocks that a launch aims at: two for each of the 132 multiprocessors of an H100. It is a constant, lest the order of
 * the sums depend on the device. With more blocks of rows than that nothing is split, so that as many counters do. */
enum { PRODUCT_BLOCKS = 264 };
static_assert(PRODUCT_BLOCKS * sizeof(uint32_t) <= HC_PRODUCT_CUDA_COUNTERS,
              "a counter for each block of rows that is split");

/* A matrix: what is the same for all codes. */
struct product_part {
    const uint16_t *halves;
    const float *x_scales;
    const uint16_t *row_scales; /* NULL: 1 */
    const float *bias;          /* or NULL */
    float *out;
    uint32_t rows, tile_columns;
    uint32_t row_blocks, splits, groups; /* groups of columns of a split */
    uint32_t first_block, first_counter;
    bool add;
};

struct product_parts {
    struct product_part part[HC_INPUT_MATRICES];
    uint32_t count, n;
    void *workspace;
};

/* ---- Host ----------------------------------------------------------------------------------------------------- */

static __host__ __device__ inline uint32_t divide_up(uint32_t a, uint32_t b)
{
    return (a + b - 1) / b;
}

/* Cuts the work. Returns the number of blocks. */
static inline uint32_t plan_parts(struct product_parts *parts)
{
    uint32_t row_blocks = 0, blocks = 0;
    for (uint32_t i = 0; i < parts->count; i++) {
        struct product_part *part = &parts->part[i];
        part->row_blocks = divide_up(part->rows, PRODUCT_WARPS * HC_TILE);
        part->first_counter = row_blocks;
        row_blocks += part->row_blocks;
    }
    uint32_t most = row_blocks < PRODUCT_BLOCKS ? PRODUCT_BLOCKS / row_blocks : 1;
    for (uint32_t i = 0; i < parts->count; i++) {
        struct product_part *part = &parts->part[i];
        uint32_t groups = divide_up(part->tile_columns, GROUP_TILES);
        part->groups = divide_up(groups, most);
        part->splits = divide_up(groups, part->groups);
        part->first_block = blocks;
        blocks += part->row_blocks * part->splits;
    }
    return blocks;
}

/* Where nothing is split, blocks leave nothing to each other. */
static inline size_t workspace_bytes(const struct product_parts *parts, uint32_t blocks, size_t n)
{
    bool split = false;
    for (uint32_t i = 0; i < parts->count; i++)
        split = split || parts->part[i].splits > 1;
    return HC_PRODUCT_CUDA_COUNTERS + (split ? blocks * (PRODUCT_WARPS * HC_TILE * sizeof(float)) * n : 0);
}

/* ---- Places --------------------------------------------------------------------------------------------------- */

/* Where a warp works. */
struct product_place {
    uint32_t part, row_block, split, tile_row;
    uint32_t tile, end; /* its tiles of the row; none where there is no such row */
};

static __device__ inline struct product_place find_place(const struct product_parts *parts)
{
    struct product_place place = {};
    while (place.part + 1 < parts->count && blockIdx.x >= parts->part[place.part + 1].first_block)
        place.part++;
    const struct product_part *part = &parts->part[place.part];
    uint32_t block = blockIdx.x - part->first_block;
    place.row_block = block / part->splits;
    place.split = block % part->splits;
    place.tile_row = place.row_block * PRODUCT_WARPS + threadIdx.x / HC_LANES;
    place.tile = place.split * part->groups * GROUP_TILES;
    place.end = min(place.tile + part->groups * GROUP_TILES, part->tile_columns);
    return place;
}

static __device__ inline bool has_rows(const struct product_part *part, const struct product_place *place)
{
    return place->tile_row * HC_TILE < part->rows;
}

/* ---- Tensor cores --------------------------------------------------------------------------------------------- */

static __device__ inline void multiply_add(float sum[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

static __device__ inline uint32_t shared_address(const void *shared)
{
    return (uint32_t)__cvta_generic_to_shared(shared);
}

static __device__ inline void load_matrices(uint32_t b[4], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
                 : "r"(address)
                 : "memory");
}

/* ---- Inputs --------------------------------------------------------------------------------------------------- */

/* Inputs of a unit in shared memory: 128 halves for each of 8 NT positions, the 16-byte chunks of position i at their
 * number XOR i mod 8, so that neither writing nor ldmatrix meets a bank twice. */
#define SHARED_MEMORY extern __shared__ __align__(256) uint4 shared[] /* a row of the stages is 256 bytes */
template <int NT> static constexpr uint32_t STAGE_BYTES = NT * 8 * UNIT_COLUMNS * sizeof(uint16_t);
enum { STAGES = 2 };

/* Queues the copy of the inputs of the unit that begins at `tile`; zeros beyond the last position and column. */
template <int NT>
static __device__ inline void copy_inputs(const struct product_part *part, uint32_t n, uint32_t tile, uint32_t stage)
{
    constexpr uint32_t CHUNKS = UNIT_COLUMNS / 8;
    uint32_t columns = part->tile_columns * HC_TILE;
    for (uint32_t at = threadIdx.x; at < NT * 8 * CHUNKS; at += PRODUCT_THREADS) {
        uint32_t i = at / CHUNKS, chunk = at % CHUNKS, column = tile * HC_TILE + chunk * 8;
        bool inside = i < n && column < columns;
        const uint16_t *from = part->halves + (inside ? (size_t)i * columns + column : 0);
        uint32_t to = stage + i * (UNIT_COLUMNS * 2) + ((chunk ^ (i % 8)) << 4);
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(inside ? 16 : 0)
                     : "memory");
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* For the thread's column and half of ldmatrix: matrices 2 i and 2 i + 1 are the two of columns 0 .. 7 and 8 .. 15 of a
 * tile, for the 8 positions of number i; with one number of positions, of the next tile. */
template <int NT> static __device__ inline uint32_t matrix_offset(uint32_t lane)
{
    uint32_t i = lane % 8, half = lane / 8 % 2, second = lane / 16;
    uint32_t offset = i * (UNIT_COLUMNS * 2) + ((i ^ half) << 4);
    return NT == 1 ? offset ^ (second << 5) : offset + second * 8 * (UNIT_COLUMNS * 2);
}

/* Adds what the group that ends here has summed up, times the scale of the group. */
template <int NT>
static __device__ inline void end_group(const struct product_part *part, uint32_t n, uint32_t group, uint32_t lane,
                                        float sum[NT][4], float total[NT][4])
{
    uint32_t groups = divide_up(part->tile_columns, GROUP_TILES);
    uint32_t i = lane % 4 * 2;
    const float *scales = part->x_scales + (size_t)i * groups + group;
#pragma unroll
    for (int nt = 0; nt < NT; nt++, i += 8, scales += 8 * groups) {
        float scale[2] = {i < n ? __ldg(scales) : 0.0f, i + 1 < n ? __ldg(scales + groups) : 0.0f};
#pragma unroll
        for (int e = 0; e < 4; e++) {
            total[nt][e] = fmaf(sum[nt][e], scale[e % 2], total[nt][e]);
            sum[nt][e] = 0.0f;
        }
    }
}

/* A tile, the operand A, times its inputs, which with NT = 1 are loaded for two tiles at once. */
template <int NT>
static __device__ inline void multiply_tile(const uint32_t a[4], uint32_t base, uint32_t i, uint32_t b[4],
                                            float sum[NT][4])
{
    if constexpr (NT == 1) {
        if (i % 2 == 0)
            load_matrices(b, base ^ (i << 5));
        multiply_add(sum[0], a, b[i % 2 * 2], b[i % 2 * 2 + 1]);
    } else {
#pragma unroll
        for (int nt = 0; nt < NT; nt += 2) {
            load_matrices(b, (base ^ (i << 5)) + nt * 8 * (UNIT_COLUMNS * 2));
            multiply_add(sum[nt], a, b[0], b[1]);
            multiply_add(sum[nt + 1], a, b[2], b[3]);
        }
    }
}

/* The tiles of a unit times its inputs. Reader: fragment(i, a) gives tile i of the unit as the operand A; UNROLL is how
 * many pairs of tiles stand one behind the other in the program. */
template <class Reader, int NT>
static __device__ inline void multiply_unit(Reader &reader, uint32_t stage, uint32_t lane, float sum[NT][4])
{
    uint32_t base = stage + matrix_offset<NT>(lane);
    uint32_t b[4];
#pragma unroll Reader::UNROLL
    for (uint32_t pair = 0; pair < UNIT_TILES / 2; pair++)
#pragma unroll
        for (uint32_t i = 2 * pair; i < 2 * pair + 2; i++) {
            uint32_t a[4];
            reader.fragment(i, a);
            multiply_tile<NT>(a, base, i, b, sum);
        }
}

/* All the tiles of a warp; the whole block takes part. `stages`: the address of STAGES stages in shared memory. */
template <class Reader, int NT>
static __device__ inline void multiply_tiles(Reader &reader, const struct product_part *part, uint32_t n,
                                             const struct product_place *place, uint32_t stages, float total[NT][4])
{
    uint32_t lane = threadIdx.x % HC_LANES;
    bool active = has_rows(part, place);
    float sum[NT][4] = {};
    uint32_t stage = 0;
    for (uint32_t tile = place->tile; tile < place->end; tile += UNIT_TILES) {
        asm volatile("cp.async.wait_all;" ::: "memory");
        __syncthreads();
        uint32_t next = stage ^ STAGE_BYTES<NT>;
        if (tile + UNIT_TILES < place->end)
            copy_inputs<NT>(part, n, tile + UNIT_TILES, stages + next);
        if (active) {
            multiply_unit<Reader, NT>(reader, stages + stage, lane, sum);
            reader.advance();
            if (tile / UNIT_TILES % GROUP_UNITS == GROUP_UNITS - 1 || tile + UNIT_TILES >= place->end)
                end_group<NT>(part, n, tile / GROUP_TILES, lane, sum, total);
        }
        stage = next;
    }
}

/* ---- Results -------------------------------------------------------------------------------------------------- */

static __device__ inline void write_result(const struct product_part *part, uint32_t i, uint32_t row, float sum)
{
    if (row >= part->rows)
        return;
    float *out = &part->out[(size_t)i * part->rows + row];
    float scale = part->row_scales ? __half2float(__ushort_as_half(part->row_scales[row])) : 1.0f;
    float value = fmaf(sum, scale, part->bias ? part->bias[row] : 0.0f);
    *out = part->add ? *out + value : value;
}

/* The sums of a warp in the workspace: 16 rows for each position. */
static __device__ inline float *partial_sums(const struct product_parts *parts, uint32_t block)
{
    float *sums = (float *)((char *)parts->workspace + HC_PRODUCT_CUDA_COUNTERS);
    return sums + ((size_t)block * PRODUCT_WARPS + threadIdx.x / HC_LANES) * HC_TILE * parts->n;
}

/* Whether this block is the last of those that share its rows; all their partial sums are then to be seen. The counter
 * wraps to zero. */
static __device__ inline bool comes_last(const struct product_parts *parts, const struct product_place *place)
{
    const struct product_part *part = &parts->part[place->part];
    bool last = false;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        uint32_t *counters = (uint32_t *)parts->workspace;
        last = atomicInc(&counters[part->first_counter + place->row_block], part->splits - 1) == part->splits - 1;
    }
    last = __syncthreads_or(last);
    __threadfence();
    return last;
}

static __device__ inline void add_partials(const struct product_parts *parts, const struct product_place *place)
{
    const struct product_part *part = &parts->part[place->part];
    uint32_t count = HC_TILE * parts->n, first = blockIdx.x - place->split;
    for (uint32_t at = threadIdx.x % HC_LANES; at < count; at += HC_LANES) {
        float sum = 0.0f;
        for (uint32_t split = 0; split < part->splits; split++)
            sum += __ldcg(&partial_sums(parts, first + split)[at]);
        write_result(part, at / HC_TILE, place->tile_row * HC_TILE + at % HC_TILE, sum);
    }
}

/* The end of a block; all its threads take part. */
template <int NT>
static __device__ inline void end_product(const struct product_parts *parts, const struct product_place *place,
                                          const float total[NT][4])
{
    const struct product_part *part = &parts->part[place->part];
    uint32_t lane = threadIdx.x % HC_LANES;
    float *partial = partial_sums(parts, blockIdx.x);
#pragma unroll
    for (int nt = 0; nt < NT; nt++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            uint32_t i = nt * 8 + lane % 4 * 2 + e % 2, r = lane / 4 + e / 2 * 8;
            if (i >= parts->n)
                continue;
            if (part->splits == 1)
                write_result(part, i, place->tile_row * HC_TILE + r, total[nt][e]);
            else
                __stcg(&partial[i * HC_TILE + r], total[nt][e]);
        }
    if (part->splits > 1 && comes_last(parts, place))
        add_partials(parts, place);
}

#endif
