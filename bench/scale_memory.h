/* What one of several GPUs takes of its memory to run a network, by shapes alone (docs/scaling.md): what
 * cuda/matrix_cuda.c, host/network.c, host/sequence.c and cuda/runtime_cuda.c allocate, said once more, so that
 * figures for models and GPUs that are not there can be held against a program that runs. */
#ifndef HC_BENCH_SCALE_MEMORY_H
#define HC_BENCH_SCALE_MEMORY_H

#include "arena.h"
#include "runtime.h"

#include "common/window.h"

/* How matrices are coded. */
struct scale_code {
    bool pair;
    unsigned k, length; /* of `window` */
    unsigned bits;      /* of a code of `pair` */
    uint32_t entries;   /* of its table */
};

struct scale_setting {
    struct scale_code layers, vocabulary; /* the matrices of layers; embedding and head */
    uint32_t context, batch;              /* positions in the cache, which is in half precision; at once */
};

/* Bytes. */
struct scale_memory {
    uint64_t stored; /* of what the weights are in their files: not in the total */
    uint64_t given;  /* what a device takes for the weights, every piece in multiples of 512: not in the total either */
    uint64_t weights, cache, activations, workspace;
};

static inline uint64_t scale_total(const struct scale_memory *memory)
{
    return memory->weights + memory->cache + memory->activations + memory->workspace;
}

static inline uint64_t scale_up(uint64_t number, uint64_t unit)
{
    return (number + unit - 1) / unit * unit;
}

static inline uint64_t scale_most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t scale_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- Weights ------------------------------------------------------------------------------------ */

/* Codes alone, of whole tiles (FORMAT.md, 4). */
static inline uint64_t scale_code_bytes(const struct scale_code *code, uint64_t rows, uint64_t columns)
{
    if (code->pair)
        return ((rows * columns + 1) / 2 * code->bits + 7) / 8;
    return scale_up(rows, HC_TILE) * scale_up(columns, HC_TILE) / 8 * code->k;
}

/* A matrix with its scales and tables, each at a multiple of 256 bytes. */
static inline uint64_t scale_matrix_bytes(const struct scale_code *code, uint64_t rows, uint64_t columns,
                                          bool embedding)
{
    enum { ALIGNMENT = 256, BEYOND = 16 };
    const uint64_t codes = scale_up(scale_code_bytes(code, rows, columns), ALIGNMENT);
    if (rows == 0 || columns == 0)
        return 0;
    if (code->pair)
        return codes + scale_up(BEYOND, ALIGNMENT) + scale_up(4ull * code->entries, ALIGNMENT) +
               (embedding ? scale_up(8ull * code->entries, ALIGNMENT) : 0);
    return codes + scale_up(2 * rows, ALIGNMENT) + scale_up(4 * scale_up(columns, HC_TILE), ALIGNMENT) +
           (embedding ? scale_up(2ull << code->length, ALIGNMENT) : 0);
}

/* The same in its file, where its parts fill up 64 bytes together; of a cut, its share of that. */
static inline uint64_t scale_stored_bytes(const struct scale_code *code, struct hc_matrix_shape whole,
                                          const struct hc_cut *cut)
{
    const uint64_t scales = code->pair ? 0 : 2ull * whole.rows + whole.columns;
    const uint64_t bytes = scale_up(scale_code_bytes(code, whole.rows, whole.columns) + scales, 64);
    return (uint64_t)((double)bytes * cut->rows * cut->columns / ((double)whole.rows * whole.columns));
}

static inline void scale_add_piece(struct scale_memory *memory, uint64_t bytes)
{
    memory->weights += bytes;
    memory->given += scale_up(bytes, 512);
}

/* Vectors are in float32. */
static inline void scale_add_vector(struct scale_memory *memory, uint64_t count)
{
    memory->stored += 4 * count;
    scale_add_piece(memory, 4 * count);
}

static inline void scale_add_matrix(struct scale_memory *memory, const struct scale_code *code,
                                    struct hc_matrix_shape whole, const struct hc_cut *cut, bool embedding)
{
    memory->stored += scale_stored_bytes(code, whole, cut);
    scale_add_piece(memory, scale_matrix_bytes(code, cut->rows, cut->columns, embedding));
}

static inline void scale_add_layer(struct scale_memory *memory, const struct hc_share *share,
                                   const struct hc_decoder *whole, const struct scale_code *code)
{
    for (unsigned i = 0; i < 2; i++) {
        scale_add_vector(memory, whole->width);
        scale_add_vector(memory, whole->head_norms ? whole->head_width : 0);
    }
    for (unsigned m = 0; m < HC_LAYER_MATRICES; m++) {
        const struct hc_cut cut = hc_share_cut(share, whole, m);
        scale_add_matrix(memory, code, hc_layer_matrix_shape(whole, m), &cut, false);
        scale_add_vector(memory, hc_layer_has_bias(whole, m) ? cut.rows : 0);
    }
}

static inline void scale_add_weights(struct scale_memory *memory, const struct hc_share *share,
                                     const struct hc_decoder *whole, const struct scale_setting *setting)
{
    const struct hc_cut cut = hc_share_vocabulary_cut(share, whole);
    const struct hc_matrix_shape vocabulary = {whole->vocabulary, whole->width};
    for (uint32_t i = 0; i < share->layers.count; i++)
        scale_add_layer(memory, share, whole, &setting->layers);
    if (share->embeds || (share->decides && whole->tied))
        scale_add_matrix(memory, &setting->vocabulary, vocabulary, &cut, share->embeds);
    if (share->decides && !whole->tied)
        scale_add_matrix(memory, &setting->vocabulary, vocabulary, &cut, false);
    if (share->decides)
        scale_add_vector(memory, whole->width);
    scale_add_piece(memory, 2ull * whole->head_width); /* the frequencies of the rotation: half a head of float32 */
}

/* ---- A sequence --------------------------------------------------------------------------------- */

static inline uint64_t scale_cache_bytes(const struct hc_decoder *local, uint32_t context)
{
    return 2 * local->layers * hc_cache_bytes(local, HC_TYPE_F16, context);
}

static inline uint64_t scale_floats(const uint64_t *widths, size_t count, uint64_t n)
{
    struct hc_arena arena = {.alignment = 64};
    for (size_t i = 0; i < count; i++)
        hc_arena_take(&arena, n * widths[i] * sizeof(float));
    return arena.used;
}

/* Activations of n positions, and the logits of one where there are any. Attention and the inner layer share a place.
 */
static inline uint64_t scale_activation_bytes(const struct hc_share *share, const struct hc_decoder *whole, uint64_t n)
{
    const struct hc_decoder local = hc_share_decoder(share, whole);
    const uint64_t queries = (uint64_t)local.heads * local.head_width;
    const uint64_t keys = (uint64_t)local.key_value_heads * local.head_width;
    const uint64_t widths[] = {local.width, local.width, local.head_width, hc_share_gathered(share, whole),
                               share->rows.count};
    const uint64_t attention[] = {queries, keys, keys, queries}, inner[] = {local.inner_width, local.inner_width};
    return scale_floats(widths, sizeof widths / sizeof *widths, n) +
           scale_most(scale_floats(attention, 4, n), scale_floats(inner, 2, n)) +
           (share->decides ? local.vocabulary * sizeof(float) : 0);
}

/* ---- Workspace ---------------------------------------------------------------------------------- */

struct scale_product {
    uint64_t halves, scales, workspace, panel, sums;
};

/* Of a product from the codes, of n positions. Blocks take 256 rows; where they are few, several share the rows. */
static inline uint64_t scale_fused_bytes(uint64_t rows, uint64_t columns, uint64_t n)
{
    enum { COUNTERS = 2048, ROWS = 256, BLOCKS = 264, GROUP = 256 };
    const uint64_t row_blocks = (rows + ROWS - 1) / ROWS, groups = (scale_up(columns, HC_TILE) + GROUP - 1) / GROUP;
    const uint64_t most = row_blocks < BLOCKS ? BLOCKS / row_blocks : 1, each = (groups + most - 1) / most;
    const uint64_t splits = (groups + each - 1) / each;
    return COUNTERS + (splits > 1 ? row_blocks * splits * ROWS * sizeof(float) * n : 0);
}

/* What products with a matrix want, for up to n positions: from 65 on, cuBLAS multiplies a panel that is decoded. */
static inline void scale_need(struct scale_product *needs, uint64_t rows, uint64_t columns, uint64_t n)
{
    enum { FUSED = 64, GROUP = 256, PANEL = 1 << 24, SUMS = 1 << 23, MOST = UINT16_MAX / HC_TILE * HC_TILE };
    const uint64_t padded = scale_up(columns, HC_TILE);
    if (rows == 0 || columns == 0)
        return;
    const uint64_t room = scale_least(scale_least(SUMS / n, PANEL / padded), MOST) / HC_TILE * HC_TILE;
    const uint64_t at_once = scale_up(scale_least(scale_most(room, HC_TILE), rows), HC_TILE);
    needs->halves = scale_most(needs->halves, n * padded * 2);
    needs->scales = scale_most(needs->scales, n * ((padded + GROUP - 1) / GROUP) * sizeof(float));
    needs->workspace = scale_most(needs->workspace, scale_fused_bytes(rows, columns, scale_least(n, FUSED)));
    if (n <= FUSED)
        return;
    needs->sums = scale_most(needs->sums, n * at_once * sizeof(float));
    needs->panel = scale_most(needs->panel, at_once * padded * 2);
}

static inline struct scale_product scale_product_needs(const struct hc_share *share, const struct hc_decoder *whole,
                                                       uint64_t n)
{
    struct scale_product needs = {0};
    const struct hc_cut vocabulary = hc_share_vocabulary_cut(share, whole);
    for (unsigned m = 0; m < HC_LAYER_MATRICES; m++) {
        const struct hc_cut cut = hc_share_cut(share, whole, m);
        scale_need(&needs, cut.rows, cut.columns, n);
    }
    if (share->embeds || share->decides)
        scale_need(&needs, vocabulary.rows, vocabulary.columns, n);
    return needs;
}

/* Sums over stretches of positions, before they are put together. */
static inline uint64_t scale_attention_bytes(const struct hc_decoder *local, uint64_t n, uint64_t context)
{
    enum { BLOCKS = 256, TILE_ROWS = 64, TILE_WIDTH = 256, DEPTH = 16, LEAST_STRETCH = 64, MOST_STRETCHES = 128 };
    if (local->heads == 0)
        return 0;
    const bool tiles = local->head_width % DEPTH == 0 && local->head_width <= TILE_WIDTH;
    const uint64_t rows = n * local->heads, group = local->heads / local->key_value_heads;
    const uint64_t block_rows = tiles && group < TILE_ROWS ? TILE_ROWS : group;
    const uint64_t stretches = scale_least(MOST_STRETCHES, (context + LEAST_STRETCH - 1) / LEAST_STRETCH);
    uint64_t places = rows * stretches;
    if (places > BLOCKS * block_rows)
        places = scale_most(BLOCKS * block_rows, rows);
    return scale_up(places * 8, 256) + places * local->head_width * sizeof(float);
}

static inline uint64_t scale_workspace_bytes(const struct hc_share *share, const struct hc_decoder *whole,
                                             const struct hc_decoder *local, const struct scale_setting *setting)
{
    enum { INPUTS = 3, BLAS = 32 << 20, SORTED = 2048, TOP_K = 1024 };
    const uint64_t n = setting->batch, blocks = (local->vocabulary + SORTED - 1) / SORTED;
    const struct scale_product product = scale_product_needs(share, whole, n);
    const uint64_t pieces[] = {INPUTS * product.workspace,
                               scale_attention_bytes(local, n, setting->context),
                               BLAS,
                               product.panel,
                               product.sums,
                               setting->context * sizeof(uint32_t),
                               n * sizeof(int32_t),
                               n * hc_share_gathered(share, whole) * sizeof(float),
                               2 * blocks * TOP_K * sizeof(uint64_t)};
    struct hc_arena arena = {.alignment = 256};
    for (unsigned i = 0; i < INPUTS; i++) {
        hc_arena_take(&arena, product.halves);
        hc_arena_take(&arena, product.scales);
    }
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        hc_arena_take(&arena, pieces[i]);
    for (unsigned i = 0; i < 4; i++) /* the first position, faults, a random number and the token chosen by it */
        hc_arena_take(&arena, 8);
    return arena.used;
}

/* ---- All of it ---------------------------------------------------------------------------------- */

static inline struct scale_memory scale_memory_of(const struct hc_share *share, const struct hc_decoder *whole,
                                                  const struct scale_setting *setting)
{
    const struct hc_decoder local = hc_share_decoder(share, whole);
    struct scale_memory memory = {.cache = scale_cache_bytes(&local, setting->context),
                                  .activations = scale_activation_bytes(share, whole, setting->batch),
                                  .workspace = scale_workspace_bytes(share, whole, &local, setting)};
    scale_add_weights(&memory, share, whole, setting);
    return memory;
}

#endif
