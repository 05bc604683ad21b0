/* The kernels of one k, instantiated in window_product_<k>.cu: k by k, so that they compile side by side. */
#ifndef HC_KERNELS_WINDOW_KERNELS_CUH
#define HC_KERNELS_WINDOW_KERNELS_CUH

#include "window_product/product.cuh"
#include "window_product/window_reader.cuh"

struct window_launch {
    struct product_parts parts;
    const uint8_t *codes[HC_INPUT_MATRICES];
    struct window_constants constants[HC_INPUT_MATRICES];
};

/* ---- One position --------------------------------------------------------------------------------------------- */

/* Inputs of one position, laid out for the operand B: for tile and lane mod 4 = t the columns 2 t, 2 t + 8, 2 t + 1 and
 * 2 t + 9, each in the lower half of a word. The other seven positions get the same, and their sums are not looked at.
 */
enum { ONE_UNITS = 32, ONE_TILES = ONE_UNITS * UNIT_TILES, ONE_BYTES = ONE_TILES * 4 * sizeof(uint4) };

static __device__ inline void spread_inputs(const struct product_part *part, uint32_t first, uint32_t end,
                                            uint4 *inputs)
{
    uint32_t tiles = divide_up(end - first, UNIT_TILES) * UNIT_TILES;
    for (uint32_t at = threadIdx.x; at < tiles * 4; at += PRODUCT_THREADS) {
        uint32_t tile = first + at / 4, t = at % 4, low = 0, high = 0;
        if (tile < end) {
            const uint32_t *pairs = (const uint32_t *)part->halves + (size_t)tile * (HC_TILE / 2) + t;
            low = __ldg(pairs);
            high = __ldg(pairs + 4);
        }
        inputs[at] = make_uint4(low & 0xffff, high & 0xffff, low >> 16, high >> 16);
    }
}

/* With zeros in the upper halves of B, what is in the upper halves of A does not matter: nothing needs to be packed,
 * and a tile takes two mma of four values a lane. */
template <int K>
static __device__ inline void multiply_one(struct window_reader<K> &reader, const uint4 *inputs, float sum[1][4])
{
#pragma unroll
    for (int i = 0; i < UNIT_TILES; i++) {
        uint32_t v[8];
        reader.values(i, v);
        uint4 x = inputs[i * 4];
        const uint32_t even[4] = {v[0], v[2], v[4], v[6]}, odd[4] = {v[1], v[3], v[5], v[7]};
        multiply_add(sum[0], even, x.x, x.y);
        multiply_add(sum[0], odd, x.z, x.w);
    }
}

/* Grid: plan_parts; 512 threads; TABLE_BYTES + ONE_BYTES = 80 KB of shared memory: two blocks on a multiprocessor. A
 * lane decodes 8 windows of each tile; a warp sums up 16 rows. Any shape: tiles that do not fill the last unit meet
 * zeros.
 *
 * Codes go straight into registers, and where a tile is decoded the one AHEAD tiles further is asked for: with 32 warps
 * that keeps 32 x 8 tiles of 32 k bytes under way, 32 KB at k = 4. That is plenty: at 7 instructions per weight a
 * multiprocessor decodes at most 18 weights per clock, 9 bytes at k = 4, and memory answers within 1000 clocks. */
template <int K>
static __global__ void __launch_bounds__(PRODUCT_THREADS, 2)
    window_one(const __grid_constant__ struct window_launch launch)
{
    SHARED_MEMORY;
    uint4 *inputs = shared + TABLE_BYTES / sizeof(uint4);
    struct product_place place = find_place(&launch.parts);
    const struct product_part *part = &launch.parts.part[place.part];
    uint32_t lane = threadIdx.x % HC_LANES;
    float total[1][4] = {}, sum[1][4] = {};
    struct window_reader<K> reader;

    bool active = has_rows(part, &place);
    size_t tile = (size_t)place.tile_row * part->tile_columns + place.tile;
    reader.start(launch.codes[place.part] + tile * reader.TILE_WORDS * 4, active ? (int)(place.end - place.tile) : 0,
                 &launch.constants[place.part], shared);
    fill_table(&launch.constants[place.part], reader.LINE, shared);
    for (uint32_t first = place.tile; first < place.end; first += ONE_TILES) {
        uint32_t end = min(first + ONE_TILES, place.end);
        __syncthreads();
        spread_inputs(part, first, end, inputs);
        __syncthreads();
        if (!active)
            continue;
        for (uint32_t at = first; at < end; at += UNIT_TILES) {
            multiply_one<K>(reader, inputs + (at - first) * 4 + lane % 4, sum);
            reader.advance();
            if (at / UNIT_TILES % GROUP_UNITS == GROUP_UNITS - 1 || at + UNIT_TILES >= end)
                end_group<1>(part, 1, at / GROUP_TILES, lane, sum, total);
        }
    }
    end_product<1>(&launch.parts, &place, total);
}

/* ---- Up to 64 positions --------------------------------------------------------------------------------------- */

/* Grid: plan_parts; 512 threads; shared memory: TABLE_BYTES and STAGES stages, 68 KB (NT = 1) to 96 KB (NT = 8). A lane
 * decodes 8 windows of each tile into the operand A, and has 4 NT sums of 16 rows and 8 NT positions. Any shape.
 * Up to NT = 1 two blocks share a multiprocessor; beyond, sums take the registers of the second. */
template <int K, int NT>
static __global__ void __launch_bounds__(PRODUCT_THREADS, NT == 1 ? 2 : 1)
    window_many(const __grid_constant__ struct window_launch launch)
{
    SHARED_MEMORY;
    struct product_place place = find_place(&launch.parts);
    const struct product_part *part = &launch.parts.part[place.part];
    uint32_t stages = shared_address(shared) + TABLE_BYTES;
    float total[NT][4] = {};
    struct window_reader<K> reader;

    size_t tile = (size_t)place.tile_row * part->tile_columns + place.tile;
    reader.start(launch.codes[place.part] + tile * reader.TILE_WORDS * 4,
                 has_rows(part, &place) ? (int)(place.end - place.tile) : 0, &launch.constants[place.part], shared);
    copy_inputs<NT>(part, launch.parts.n, place.tile, stages);
    fill_table(&launch.constants[place.part], reader.LINE, shared);
    multiply_tiles<struct window_reader<K>, NT>(reader, part, launch.parts.n, &place, stages, total);
    end_product<NT>(&launch.parts, &place, total);
}

/* ---- Panels --------------------------------------------------------------------------------------------------- */

/* Grid: a warp for each unit of 8 tiles (of a row of tiles; the last may be short), in strides; 512 threads;
 * TABLE_BYTES of shared memory. A lane writes the pairs of columns that mma would have it hold: a warp's stores fill
 * 32-byte sectors two by two. Any shape. */
template <int K>
static __global__ void __launch_bounds__(PRODUCT_THREADS, 2)
    window_panel(const __grid_constant__ struct window_constants constants, const uint8_t *codes, uint32_t tile_rows,
                 uint32_t tile_columns, uint32_t *out)
{
    SHARED_MEMORY;
    uint32_t lane = threadIdx.x % HC_LANES, row_units = divide_up(tile_columns, UNIT_TILES);
    struct window_reader<K> reader;
    fill_table(&constants, reader.LINE, shared);
    __syncthreads();
    for (uint32_t at = blockIdx.x * PRODUCT_WARPS + threadIdx.x / HC_LANES; at < tile_rows * row_units;
         at += gridDim.x * PRODUCT_WARPS) {
        uint32_t row = at / row_units, first = at % row_units * UNIT_TILES;
        int tiles = (int)min(tile_columns - first, (uint32_t)UNIT_TILES);
        reader.start(codes + ((size_t)row * tile_columns + first) * reader.TILE_WORDS * 4, tiles, &constants, shared);
        size_t stride = (size_t)tile_columns * (HC_TILE / 2);
        uint32_t *to = out + (row * HC_TILE + lane / 4) * stride + first * (HC_TILE / 2) + lane % 4;
#pragma unroll
        for (int i = 0; i < UNIT_TILES; i++, to += HC_TILE / 2) {
            uint32_t a[4];
            reader.fragment(i, a);
            if (i < tiles) {
                to[0] = a[0];
                to[8 * stride] = a[1];
                to[4] = a[2];
                to[8 * stride + 4] = a[3];
            }
        }
    }
}

/* ---- Launchers of one k --------------------------------------------------------------------------------------- */

template <class Kernel> static inline cudaError_t allow_shared(Kernel *kernel, size_t bytes)
{
    return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
}

static inline cudaError_t launch_product(void (*kernel)(struct window_launch), const struct window_launch *launch,
                                         uint32_t blocks, size_t shared, cudaStream_t stream)
{
    cudaError_t result = allow_shared(kernel, shared);
    if (result != cudaSuccess)
        return result;
    kernel<<<blocks, PRODUCT_THREADS, shared, stream>>>(*launch);
    return cudaGetLastError();
}

template <int K, int NT>
static inline cudaError_t launch_many(const struct window_launch *launch, uint32_t blocks, cudaStream_t stream)
{
    return launch_product(window_many<K, NT>, launch, blocks, TABLE_BYTES + STAGES * STAGE_BYTES<NT>, stream);
}

template <int K>
static inline cudaError_t launch_window(const struct window_launch *launch, uint32_t blocks, cudaStream_t stream)
{
    if (launch->parts.n == 1)
        return launch_product(window_one<K>, launch, blocks, TABLE_BYTES + ONE_BYTES, stream);
    if (launch->parts.n <= 8)
        return launch_many<K, 1>(launch, blocks, stream);
    if (launch->parts.n <= 16)
        return launch_many<K, 2>(launch, blocks, stream);
    if (launch->parts.n <= 32)
        return launch_many<K, 4>(launch, blocks, stream);
    return launch_many<K, 8>(launch, blocks, stream);
}

template <int K>
static inline cudaError_t launch_panel(const struct hc_window_code *code, const uint8_t *codes, uint32_t tile_rows,
                                       uint32_t tile_columns, uint16_t *out, cudaStream_t stream)
{
    cudaError_t result = allow_shared(window_panel<K>, TABLE_BYTES);
    if (result != cudaSuccess)
        return result;
    uint32_t blocks = divide_up(tile_rows * divide_up(tile_columns, UNIT_TILES), PRODUCT_WARPS);
    if (blocks > PRODUCT_BLOCKS)
        blocks = PRODUCT_BLOCKS;
    window_panel<K><<<blocks, PRODUCT_THREADS, TABLE_BYTES, stream>>>(window_constants_of(code), codes, tile_rows,
                                                                      tile_columns, (uint32_t *)out);
    return cudaGetLastError();
}

/* ---- What window_product.cu calls ----------------------------------------------------------------------------- */

struct window_launchers {
    cudaError_t (*product)(const struct window_launch *launch, uint32_t blocks, cudaStream_t stream);
    cudaError_t (*panel)(const struct hc_window_code *code, const uint8_t *codes, uint32_t tile_rows,
                         uint32_t tile_columns, uint16_t *out, cudaStream_t stream);
};

extern const struct window_launchers hc_window_1, hc_window_2, hc_window_3, hc_window_4, hc_window_5, hc_window_6,
    hc_window_8;

#endif
