#include "share.h"

#include "error.h"

enum { TILE = 16, MOST_BLOCK = 128 };

static uint32_t units_of(uint32_t count, uint32_t unit)
{
    return count / unit + (count % unit != 0);
}

/* Of `count` things in units, the last of which may be cut short, what a rank gets; the first ones get no less than
 * others. */
static struct hc_range part_of(uint32_t count, uint32_t unit, int rank, int ranks)
{
    const uint64_t units = units_of(count, unit), n = (uint64_t)ranks, r = (uint64_t)rank;
    const uint64_t from = (r * units + n - 1) / n * unit, to = ((r + 1) * units + n - 1) / n * unit;
    const uint32_t first = from < count ? (uint32_t)from : count, end = to < count ? (uint32_t)to : count;
    return (struct hc_range){first, end - first};
}

/* The Hadamard block of a matrix of so many columns, or a multiple of it. */
static uint32_t block_of(uint32_t columns)
{
    const uint64_t padded = (uint64_t)units_of(columns, TILE) * TILE;
    uint32_t block = TILE;
    while (block < MOST_BLOCK && padded % (2 * block) == 0)
        block *= 2;
    return block;
}

/* The fewest heads whose rows end where tiles do. */
static uint32_t heads_of_tiles(uint32_t head_width)
{
    uint32_t heads = 1;
    while ((uint64_t)heads * head_width % TILE != 0)
        heads++;
    return heads;
}

struct heads {
    struct hc_range queries, keys;
};

/* One of several ranks that share a head of keys and values has some of its queries. */
static struct heads shared_heads(const struct hc_decoder *decoder, int rank, int ranks)
{
    const uint32_t keys = decoder->key_value_heads, group = decoder->heads / keys;
    const uint32_t key = (uint32_t)((uint64_t)rank * keys / (uint64_t)ranks);
    const int first = (int)(((uint64_t)key * (uint64_t)ranks + keys - 1) / keys);
    const int end = (int)(((uint64_t)(key + 1) * (uint64_t)ranks + keys - 1) / keys);
    struct hc_range queries = part_of(group, 1, rank - first, end - first);
    queries.first += key * group;
    return (struct heads){queries, {key, queries.count > 0}};
}

static struct heads heads_of(const struct hc_decoder *decoder, int rank, int ranks)
{
    const uint32_t unit = heads_of_tiles(decoder->head_width), group = decoder->heads / decoder->key_value_heads;
    if (unit == 1 && decoder->key_value_heads < (uint32_t)ranks)
        return shared_heads(decoder, rank, ranks);
    const struct hc_range keys = part_of(decoder->key_value_heads, unit, rank, ranks);
    return (struct heads){{keys.first * group, keys.count * group}, keys};
}

/* Whether the queries of some rank end where no Hadamard block of o does. */
static bool heads_cut_blocks(const struct hc_decoder *decoder, int ranks)
{
    const uint32_t block = block_of(decoder->heads * decoder->head_width);
    for (int r = 0; r < ranks; r++) {
        const struct hc_range queries = heads_of(decoder, r, ranks).queries;
        const uint32_t end = queries.first + queries.count;
        if (end != decoder->heads && (uint64_t)end * decoder->head_width % block != 0)
            return true;
    }
    return false;
}

/* Some rank would have no Hadamard block of down. */
static bool lacks_blocks(const struct hc_decoder *decoder, int ranks)
{
    return units_of(decoder->inner_width, block_of(decoder->inner_width)) < (uint32_t)ranks;
}

static void split_tensors(struct hc_share *share, const struct hc_decoder *decoder)
{
    const int rank = share->rank, ranks = share->ranks;
    const struct heads heads = heads_of(decoder, rank, ranks);
    share->heads = heads.queries;
    share->key_value_heads = heads.keys;
    share->output_by_rows = heads_cut_blocks(decoder, ranks);
    share->down_by_rows = lacks_blocks(decoder, ranks);
    const uint32_t inner_unit = share->down_by_rows ? TILE : block_of(decoder->inner_width);
    share->inner = part_of(decoder->inner_width, inner_unit, rank, ranks);
    if (share->output_by_rows || share->down_by_rows)
        share->rows = part_of(decoder->width, TILE, rank, ranks);
    share->vocabulary = part_of(decoder->vocabulary, TILE, rank, ranks);
    share->embeds = share->decides = share->vocabulary.count > 0;
}

static double portion_of(const double *portions, int rank)
{
    return portions ? portions[rank] : 1;
}

/* Rank by rank, where the portions end, rounded: but every rank has a layer, and leaves one for each behind it. */
static struct hc_range layers_of(uint32_t layers, int rank, int ranks, const double *portions)
{
    double all = 0, before = 0;
    uint32_t first = 0, end = 0;
    for (int r = 0; r < ranks; r++)
        all += portion_of(portions, r);
    for (int r = 0; r <= rank; r++) {
        before += portion_of(portions, r);
        const uint32_t most = layers - (uint32_t)(ranks - 1 - r);
        const double exact = layers * (before / all) + 0.5;
        const uint32_t rounded = exact < most ? (uint32_t)exact : most;
        first = end;
        end = rounded > first ? rounded : first + 1;
    }
    return (struct hc_range){first, end - first};
}

static void split_layers(struct hc_share *share, const struct hc_decoder *decoder, const double *portions)
{
    share->layers = layers_of(decoder->layers, share->rank, share->ranks, portions);
    share->embeds = share->rank == 0;
    share->decides = share->rank == share->ranks - 1;
}

hc_status hc_share_make(struct hc_share *share, const struct hc_decoder *decoder, hc_split split, int rank, int ranks,
                        const double *portions, struct hc_error *error)
{
    *share = (struct hc_share){.rank = rank,
                               .ranks = ranks,
                               .split = split,
                               .layers = {0, decoder->layers},
                               .heads = {0, decoder->heads},
                               .key_value_heads = {0, decoder->key_value_heads},
                               .inner = {0, decoder->inner_width},
                               .vocabulary = {0, decoder->vocabulary}};
    if (split == HC_SPLIT_TENSORS)
        split_tensors(share, decoder);
    else if (decoder->layers < (uint32_t)ranks)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%u layers cannot be split over %d devices", decoder->layers, ranks);
    else
        split_layers(share, decoder, portions);
    return HC_OK;
}

struct hc_decoder hc_share_decoder(const struct hc_share *share, const struct hc_decoder *whole)
{
    struct hc_decoder decoder = *whole;
    decoder.layers = share->layers.count;
    decoder.heads = share->heads.count;
    decoder.key_value_heads = share->key_value_heads.count;
    decoder.inner_width = share->inner.count;
    decoder.vocabulary = share->vocabulary.count;
    return decoder;
}

static struct hc_range times(struct hc_range range, uint32_t width)
{
    return (struct hc_range){range.first * width, range.count * width};
}

static struct hc_cut rows_of(struct hc_range rows, uint32_t columns)
{
    return (struct hc_cut){rows.first, rows.count, 0, columns};
}

static struct hc_cut columns_of(uint32_t rows, struct hc_range columns)
{
    return (struct hc_cut){0, rows, columns.first, columns.count};
}

struct hc_cut hc_share_cut(const struct hc_share *share, const struct hc_decoder *whole, enum hc_layer_matrix which)
{
    const struct hc_range queries = times(share->heads, whole->head_width);
    switch (which) {
    case HC_QUERY:
        return rows_of(queries, whole->width);
    case HC_KEY:
    case HC_VALUE:
        return rows_of(times(share->key_value_heads, whole->head_width), whole->width);
    case HC_OUTPUT:
        return share->output_by_rows ? rows_of(share->rows, whole->heads * whole->head_width)
                                     : columns_of(whole->width, queries);
    case HC_DOWN:
        return share->down_by_rows ? rows_of(share->rows, whole->inner_width) : columns_of(whole->width, share->inner);
    default:
        return rows_of(share->inner, whole->width);
    }
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

uint32_t hc_share_gathered(const struct hc_share *share, const struct hc_decoder *whole)
{
    uint32_t most = share->output_by_rows || share->down_by_rows ? whole->width : 0;
    if (share->output_by_rows)
        most = larger(most, whole->heads * whole->head_width);
    return share->down_by_rows ? larger(most, whole->inner_width) : most;
}

struct hc_cut hc_share_vocabulary_cut(const struct hc_share *share, const struct hc_decoder *whole)
{
    return rows_of(share->vocabulary, whole->width);
}
