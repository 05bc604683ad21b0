#include "pair_product/pair_product_cuda.h"

#include "window_product/product.cuh"

/* A table of so many entries at most is copied to shared memory: 48 KB. */
enum { SHARED_ENTRIES = 12288 };

struct pair_codes {
    const uint32_t *words;
    const uint32_t *table; /* a pair of halves for each code */
    uint32_t *faults;
    uint32_t bits, entries;
};

struct pair_launch {
    struct product_parts parts;
    struct pair_codes codes[HC_INPUT_MATRICES];
    uint32_t columns[HC_INPUT_MATRICES];
    uint32_t table_words; /* in shared memory; for the largest table */
};

static struct pair_codes pair_codes_of(const struct hc_pair_matrix_cuda *matrix)
{
    return {(const uint32_t *)matrix->codes, (const uint32_t *)matrix->table, matrix->faults, matrix->bits,
            matrix->entries};
}

/* Code `index` of the string; entries if it is not in the table. `count`: whether that is a fault to count. */
static __device__ inline uint32_t code_at(const struct pair_codes *codes, size_t index, bool count)
{
    size_t begin = index * codes->bits;
    const uint32_t *words = codes->words + begin / 32;
    uint32_t code = __funnelshift_r(__ldg(words), __ldg(words + 1), begin % 32) & ((1u << codes->bits) - 1);
    if (code < codes->entries)
        return code;
    if (count)
        atomicAdd(codes->faults, 1u);
    return codes->entries;
}

/* ---- Products ------------------------------------------------------------------------------------------------- */

/* Tiles of a matrix whose codes lie row by row: a register of the operand A is one code. A lane has four codes of a
 * tile, (row g, columns 2 t), (g + 8, 2 t), (g, 2 t + 8), (g + 8, 2 t + 8), and loads the words that they lie in (two
 * for each) AHEAD tiles before they are needed. Where there is no weight it takes code 0: such a row is not written,
 * and such a column meets zeros. */
template <bool SHARED> struct pair_reader {
    enum { AHEAD = 2, CODES = 4, UNROLL = 1 };

    const uint32_t *table;
    const uint32_t *at[2];        /* the words where the lane's codes of the rows g and g + 8 begin */
    uint32_t bit[2];              /* the bits from there on, for the next tile */
    int left[2];                  /* columns of the rows, from the lane's first of the next tile on */
    uint32_t step, mask, entries; /* bits of four codes; of a code */
    uint32_t faults;
    uint32_t words[AHEAD][CODES][2];

    /* The words of the tile that is `tiles` after the next. */
    __device__ inline void load(int tiles, uint32_t to[CODES][2]) const
    {
#pragma unroll
        for (int code = 0; code < CODES; code++) {
            const uint32_t *from = at[code % 2] + (bit[code % 2] + (2 * tiles + code / 2) * step) / 32;
            bool there = tiles * HC_TILE + code / 2 * 8 < left[code % 2];
            to[code][0] = there ? __ldg(from) : 0;
            to[code][1] = there ? __ldg(from + 1) : 0;
        }
    }

    /* The columns `first` to `end` of the 16 rows from `row` on. */
    __device__ inline void start(const struct pair_codes *codes, uint32_t row, uint32_t rows, uint32_t first,
                                 uint32_t end, uint32_t columns, const uint32_t *shared_table)
    {
        uint32_t g = threadIdx.x % HC_LANES / 4, t = threadIdx.x % 4;
        table = SHARED ? shared_table : codes->table;
        step = 4 * codes->bits;
        mask = (1u << codes->bits) - 1;
        entries = codes->entries;
        faults = 0;
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t r = row + g + 8 * i;
            size_t begin = ((size_t)r * columns / 2 + first / 2 + t) * codes->bits;
            at[i] = codes->words + begin / 32;
            bit[i] = begin % 32;
            left[i] = r < rows ? (int)min(end, columns) - (int)(first + 2 * t) : 0;
        }
#pragma unroll
        for (int i = 0; i < AHEAD; i++)
            load(i, words[i]);
    }

    /* The next tile goes on where the last ended, also in the next unit. */
    __device__ inline void advance()
    {
    }

    /* What is not in the table counts as zeros. */
    __device__ inline uint32_t look_up(uint32_t code)
    {
        if (code < entries)
            return SHARED ? table[code] : __ldg(&table[code]);
        faults++;
        return 0;
    }

    __device__ inline void fragment(uint32_t i, uint32_t a[4])
    {
#pragma unroll
        for (int code = 0; code < CODES; code++) {
            const uint32_t *two = words[i % AHEAD][code];
            a[code] = look_up(__funnelshift_r(two[0], two[1], bit[code % 2] + code / 2 * step) & mask);
        }
        load(AHEAD, words[i % AHEAD]);
        for (int row = 0; row < 2; row++) {
            bit[row] += 2 * step;
            left[row] -= HC_TILE;
        }
    }
};

static __device__ inline void copy_table(const struct pair_codes *codes, uint32_t *table)
{
    for (uint32_t i = threadIdx.x; i < codes->entries; i += PRODUCT_THREADS)
        table[i] = __ldg(&codes->table[i]);
}

/* Grid: plan_parts; 512 threads; shared memory: the table, where it fits, and STAGES stages of inputs. A lane decodes 4
 * codes of each tile, and has 4 NT sums of 16 rows and 8 NT positions. Columns even, else any shape. A table that does
 * not fit is read through the first-level cache. Lanes that look up the table meet in its banks, 3.4 to one in the
 * mean: 14 clocks for the 4 look-ups of a warp that make a tile, beside some 70 instructions. */
template <bool SHARED, int NT>
static __global__ void __launch_bounds__(PRODUCT_THREADS, NT == 1 ? 2 : 1)
    pair_product(const __grid_constant__ struct pair_launch launch)
{
    SHARED_MEMORY;
    struct product_place place = find_place(&launch.parts);
    const struct product_part *part = &launch.parts.part[place.part];
    const struct pair_codes *codes = &launch.codes[place.part];
    uint32_t *table = (uint32_t *)shared, stages = shared_address(table + launch.table_words);
    float total[NT][4] = {};
    struct pair_reader<SHARED> reader;

    reader.start(codes, place.tile_row * HC_TILE, part->rows, place.tile * HC_TILE, place.end * HC_TILE,
                 launch.columns[place.part], table);
    copy_inputs<NT>(part, launch.parts.n, place.tile, stages);
    if (SHARED)
        copy_table(codes, table);
    multiply_tiles<struct pair_reader<SHARED>, NT>(reader, part, launch.parts.n, &place, stages, total);
    if (reader.faults > 0)
        atomicAdd(codes->faults, reader.faults);
    end_product<NT>(&launch.parts, &place, total);
}

static struct product_part part_of(const struct hc_pair_matrix_cuda *matrix)
{
    struct product_part part = {};
    part.halves = matrix->halves;
    part.x_scales = matrix->x_scales;
    part.bias = matrix->bias;
    part.out = matrix->out;
    part.rows = (uint32_t)matrix->rows;
    part.tile_columns = divide_up((uint32_t)matrix->columns, HC_TILE);
    part.add = matrix->add;
    return part;
}

/* Returns the number of blocks. */
static uint32_t make_launch(const struct hc_pair_matrix_cuda *matrices, unsigned count, size_t n, void *workspace,
                            struct pair_launch *launch)
{
    *launch = {};
    launch->parts.count = count;
    launch->parts.n = (uint32_t)n;
    launch->parts.workspace = workspace;
    for (unsigned i = 0; i < count; i++) {
        launch->parts.part[i] = part_of(&matrices[i]);
        launch->codes[i] = pair_codes_of(&matrices[i]);
        launch->columns[i] = (uint32_t)matrices[i].columns;
        if (matrices[i].entries > launch->table_words)
            launch->table_words = matrices[i].entries;
    }
    launch->table_words = divide_up(launch->table_words, 64) * 64; /* stages begin at 256 bytes */
    return plan_parts(&launch->parts);
}

size_t hc_pair_product_cuda_workspace(const struct hc_pair_matrix_cuda *matrices, unsigned count, size_t n)
{
    struct pair_launch launch;
    uint32_t blocks = make_launch(matrices, count, n, NULL, &launch);
    return workspace_bytes(&launch.parts, blocks, n);
}

template <bool SHARED, int NT>
static cudaError_t launch_one(const struct pair_launch *launch, uint32_t blocks, cudaStream_t stream)
{
    size_t shared = launch->table_words * sizeof(uint32_t) + STAGES * STAGE_BYTES<NT>;
    /* The most that any table wants: the attribute is the whole process's. */
    cudaError_t result = cudaFuncSetAttribute(pair_product<SHARED, NT>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                              (int)(SHARED_ENTRIES * sizeof(uint32_t) + STAGES * STAGE_BYTES<NT>));
    if (result != cudaSuccess)
        return result;
    pair_product<SHARED, NT><<<blocks, PRODUCT_THREADS, shared, stream>>>(*launch);
    return cudaGetLastError();
}

template <bool SHARED>
static cudaError_t launch_pair(const struct pair_launch *launch, uint32_t blocks, cudaStream_t stream)
{
    if (launch->parts.n <= 8)
        return launch_one<SHARED, 1>(launch, blocks, stream);
    if (launch->parts.n <= 16)
        return launch_one<SHARED, 2>(launch, blocks, stream);
    if (launch->parts.n <= 32)
        return launch_one<SHARED, 4>(launch, blocks, stream);
    return launch_one<SHARED, 8>(launch, blocks, stream);
}

cudaError_t hc_pair_product_cuda(const struct hc_pair_matrix_cuda *matrices, unsigned count, size_t n, void *workspace,
                                 cudaStream_t stream)
{
    if (count < 1 || count > HC_INPUT_MATRICES || n < 1 || n > HC_PRODUCT_CUDA_POSITIONS)
        return cudaErrorInvalidValue;
    struct pair_launch launch;
    uint32_t blocks = make_launch(matrices, count, n, workspace, &launch);
    if (launch.table_words <= SHARED_ENTRIES)
        return launch_pair<true>(&launch, blocks, stream);
    launch.table_words = 0;
    return launch_pair<false>(&launch, blocks, stream);
}

/* ---- Panels and rows ------------------------------------------------------------------------------------------ */

enum { ROW_THREADS = 256 };

/* Grid: x = columns, one a thread, 256 in a block; y = rows. No shared memory; any shape. Two threads read the same
 * code; the one of its first weight counts its fault, or that of a row's beginning where the row before is not asked
 * for. */
static __global__ void __launch_bounds__(ROW_THREADS)
    pair_panel(const struct pair_codes codes, size_t columns, size_t first_row, uint16_t *out, size_t stride)
{
    size_t column = (size_t)blockIdx.x * ROW_THREADS + threadIdx.x;
    if (column >= stride)
        return;
    uint16_t value = 0;
    if (column < columns) {
        size_t weight = (first_row + blockIdx.y) * columns + column;
        uint32_t code = code_at(&codes, weight / 2, weight % 2 == 0 || (column == 0 && blockIdx.y == 0));
        if (code < codes.entries)
            value = ((const uint16_t *)codes.table)[2 * (size_t)code + weight % 2];
    }
    out[blockIdx.y * stride + column] = value;
}

/* The same for single rows; a negative one is zeros. */
static __global__ void __launch_bounds__(ROW_THREADS)
    pair_rows(const struct pair_codes codes, size_t columns, const float *exact, const int32_t *rows, float *out)
{
    size_t column = (size_t)blockIdx.x * ROW_THREADS + threadIdx.x;
    if (column >= columns)
        return;
    int32_t row = rows[blockIdx.y];
    float value = 0;
    if (row >= 0) {
        size_t weight = (size_t)row * columns + column;
        uint32_t code = code_at(&codes, weight / 2, weight % 2 == 0 || column == 0);
        value = code < codes.entries ? exact[2 * (size_t)code + weight % 2] : 0.0f;
    }
    out[blockIdx.y * columns + column] = value;
}

cudaError_t hc_pair_panel_cuda(const struct hc_pair_matrix_cuda *matrix, size_t first_row, size_t rows, uint16_t *out,
                               size_t out_stride, cudaStream_t stream)
{
    dim3 grid((unsigned)((out_stride + ROW_THREADS - 1) / ROW_THREADS), (unsigned)rows);
    pair_panel<<<grid, ROW_THREADS, 0, stream>>>(pair_codes_of(matrix), matrix->columns, first_row, out, out_stride);
    return cudaGetLastError();
}

cudaError_t hc_pair_rows_cuda(const struct hc_pair_matrix_cuda *matrix, const float *exact, const int32_t *rows,
                              size_t n, float *out, cudaStream_t stream)
{
    dim3 grid((unsigned)((matrix->columns + ROW_THREADS - 1) / ROW_THREADS), (unsigned)n);
    pair_rows<<<grid, ROW_THREADS, 0, stream>>>(pair_codes_of(matrix), matrix->columns, exact, rows, out);
    return cudaGetLastError();
}
