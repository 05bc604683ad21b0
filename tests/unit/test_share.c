/* Who holds what of a network: every part somewhere, once, cut where it can be cut. */
#include <criterion/criterion.h>
#include <string.h>

#include "share.h"
#include "window_frame.h"

enum { MOST = 64 };

static const struct {
    const char *name;
    struct hc_decoder decoder;
} models[] = {
#define MODEL(text, l, w, h, k, hw, i, v)                                                                              \
    {                                                                                                                  \
        text,                                                                                                          \
        {                                                                                                              \
            .layers = l, .width = w, .heads = h, .key_value_heads = k, .head_width = hw, .inner_width = i,             \
            .vocabulary = v                                                                                            \
        }                                                                                                              \
    }
    MODEL("LLaMA2-7B", 32, 4096, 32, 32, 128, 11008, 32000),
    MODEL("LLaMA2-13B", 40, 5120, 40, 40, 128, 13824, 32000),
    MODEL("LLaMA2-70B", 80, 8192, 64, 8, 128, 28672, 32000),
    MODEL("SmolLM2-135M", 30, 576, 9, 3, 64, 1536, 49152),
    MODEL("TinyLlama", 22, 2048, 32, 4, 64, 5632, 32000),
    MODEL("story260K", 5, 64, 8, 4, 8, 172, 512),
    MODEL("odd", 3, 72, 6, 3, 24, 99, 1001),
    MODEL("one block", 2, 256, 4, 4, 64, 128, 512),
    MODEL("two blocks", 2, 256, 4, 4, 64, 256, 512),
#undef MODEL
};
enum { MODELS = sizeof models / sizeof *models };

static const int counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 16, 64};
enum { COUNTS = sizeof counts / sizeof *counts };

static void make_shares(const struct hc_decoder *decoder, hc_split split, int ranks, const double *portions,
                        struct hc_share *shares)
{
    struct hc_error error;
    for (int r = 0; r < ranks; r++)
        cr_assert_eq(hc_share_make(&shares[r], decoder, split, r, ranks, portions, &error), HC_OK, "%s", error.text);
}

typedef struct hc_range (*range_fn)(const struct hc_share *share);

static struct hc_range heads(const struct hc_share *share)
{
    return share->heads;
}

static struct hc_range inner(const struct hc_share *share)
{
    return share->inner;
}

static struct hc_range vocabulary(const struct hc_share *share)
{
    return share->vocabulary;
}

static struct hc_range rows(const struct hc_share *share)
{
    return share->rows;
}

static struct hc_range layers(const struct hc_share *share)
{
    return share->layers;
}

/* One behind the other, from 0 to `all`; those of no two ranks differ by more than `apart`. */
static void check_ranges(const struct hc_share *shares, int ranks, range_fn range, uint32_t all, uint32_t apart,
                         const char *what)
{
    uint32_t at = 0, most = 0, least = UINT32_MAX;
    for (int r = 0; r < ranks; r++) {
        const struct hc_range mine = range(&shares[r]);
        cr_assert_eq(mine.first, at, "%s: rank %d of %d begins at %u, not at %u", what, r, ranks, mine.first, at);
        at += mine.count;
        most = mine.count > most ? mine.count : most;
        least = mine.count < least ? mine.count : least;
    }
    cr_assert_eq(at, all, "%s: %d ranks end at %u, not at %u", what, ranks, at, all);
    cr_assert(most - least <= apart, "%s: %d ranks have %u to %u", what, ranks, least, most);
}

/* The heads of keys and values that the local queries belong to are the rank's, by their local numbers. */
static void check_heads(const struct hc_share *share, const struct hc_decoder *whole)
{
    const struct hc_decoder local = hc_share_decoder(share, whole);
    const uint32_t group = whole->heads / whole->key_value_heads;
    cr_assert_eq(local.heads == 0, local.key_value_heads == 0);
    if (local.heads == 0)
        return;
    cr_assert_eq(local.heads % local.key_value_heads, 0);
    for (uint32_t i = 0; i < local.heads; i++) {
        const uint32_t key = share->key_value_heads.first + i / (local.heads / local.key_value_heads);
        cr_assert_eq(key, (share->heads.first + i) / group, "rank %d of %d, query %u", share->rank, share->ranks, i);
    }
}

static void check_edges(uint32_t first, uint32_t count, uint32_t all, uint32_t unit)
{
    cr_assert(count == 0 || first % unit == 0, "%u of %u at %u", count, all, first);
    cr_assert(count == 0 || (first + count) % unit == 0 || first + count == all, "%u to %u", first, first + count);
}

/* Matrices are cut where their own tiles and Hadamard blocks end, whatever a part is of. */
static void check_cuts(const struct hc_share *share, const struct hc_decoder *whole)
{
    for (unsigned m = 0; m < HC_LAYER_MATRICES; m++) {
        const struct hc_matrix_shape shape = hc_layer_matrix_shape(whole, m);
        const struct hc_cut cut = hc_share_cut(share, whole, m);
        struct hc_window_frame frame;
        hc_window_frame_shape(&frame, shape.rows, shape.columns);
        check_edges(cut.first_row, cut.rows, shape.rows, 16);
        check_edges(cut.first_column, cut.columns, shape.columns, frame.block);
        cr_assert(cut.rows == 0 || cut.columns == 0 || cut.rows == shape.rows || cut.columns == shape.columns);
    }
    const struct hc_cut cut = hc_share_vocabulary_cut(share, whole);
    check_edges(cut.first_row, cut.rows, whole->vocabulary, 16);
    cr_assert_eq(cut.columns, whole->width);
}

static uint32_t block_of(uint32_t columns)
{
    struct hc_window_frame frame;
    hc_window_frame_shape(&frame, 1, columns);
    return frame.block;
}

static void check_tensors(const struct hc_decoder *whole, int ranks, const char *name)
{
    struct hc_share shares[MOST];
    make_shares(whole, HC_SPLIT_TENSORS, ranks, NULL, shares);
    const uint32_t group = whole->heads / whole->key_value_heads, tile = whole->head_width % 16 ? whole->heads : group;
    check_ranges(shares, ranks, heads, whole->heads, tile, name);
    const uint32_t block = block_of(whole->inner_width), blocks = (whole->inner_width + block - 1) / block;
    check_ranges(shares, ranks, inner, whole->inner_width, 2 * (shares[0].down_by_rows ? 16 : block) - 1, name);
    check_ranges(shares, ranks, vocabulary, whole->vocabulary, 31, name);
    check_ranges(shares, ranks, rows, shares[0].output_by_rows || shares[0].down_by_rows ? whole->width : 0, 31, name);
    for (int r = 0; r < ranks; r++) {
        cr_assert_eq(shares[r].output_by_rows, shares[0].output_by_rows);
        cr_assert_eq(shares[r].down_by_rows, blocks < (uint32_t)ranks, "%s, %d ranks", name, ranks);
        cr_assert_eq(shares[r].layers.count, whole->layers);
        check_heads(&shares[r], whole);
        check_cuts(&shares[r], whole);
    }
}

Test(share, tensors_are_whole_and_cut_where_they_can_be)
{
    for (int m = 0; m < MODELS; m++)
        for (int c = 0; c < COUNTS; c++)
            check_tensors(&models[m].decoder, counts[c], models[m].name);
}

struct expected {
    int model, ranks, rank;
    uint32_t heads, keys, inner, vocabulary;
    bool output_by_rows, down_by_rows;
    uint32_t rows, gathered;
};

/* Some that were worked out by hand. */
Test(share, tensors_by_hand)
{
    static const struct expected some[] = {
        {0, 2, 0, 16, 16, 5504, 16000, false, false, 0, 0},
        {0, 4, 3, 8, 8, 2688, 8000, false, false, 0, 0},
        {0, 64, 0, 1, 1, 256, 512, false, false, 0, 0},
        {0, 64, 1, 0, 0, 128, 496, false, false, 0, 0},
        {2, 8, 5, 8, 1, 3584, 4000, false, false, 0, 0},
        {2, 16, 5, 4, 1, 1792, 2000, false, false, 0, 0},
        {2, 64, 63, 1, 1, 384, 496, false, false, 0, 0},
        {3, 2, 0, 6, 2, 768, 24576, false, false, 0, 0},
        {3, 4, 1, 1, 1, 384, 12288, false, false, 0, 0},
        {4, 16, 3, 2, 1, 256, 2000, false, false, 0, 0},
        {4, 32, 3, 1, 1, 128, 992, true, false, 64, 2048},
        {5, 2, 0, 4, 2, 96, 256, true, false, 32, 64},
        {5, 4, 1, 0, 0, 48, 128, true, false, 16, 64},
        {7, 2, 1, 2, 2, 64, 256, false, true, 128, 256}, /* one block of 128 for two */
        {7, 3, 2, 1, 1, 32, 160, true, true, 80, 256},
        {8, 2, 1, 2, 2, 128, 256, false, false, 0, 0}, /* one for each */
        {8, 4, 3, 1, 1, 64, 128, true, true, 64, 256},
        {3, 16, 2, 1, 1, 96, 3072, false, true, 32, 1536}, /* 12 blocks */
        {5, 16, 8, 4, 2, 16, 32, true, true, 16, 172},
        {5, 16, 14, 0, 0, 12, 32, true, true, 0, 172}, /* 11 tiles, the last of 12 rows */
        {5, 16, 15, 0, 0, 0, 32, true, true, 0, 172},
    };
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        const struct expected *e = &some[i];
        struct hc_share shares[MOST];
        make_shares(&models[e->model].decoder, HC_SPLIT_TENSORS, e->ranks, NULL, shares);
        const struct hc_share *share = &shares[e->rank];
        cr_assert_eq(share->heads.count, e->heads, "%zu: %u heads", i, share->heads.count);
        cr_assert_eq(share->key_value_heads.count, e->keys, "%zu: %u keys", i, share->key_value_heads.count);
        cr_assert_eq(share->inner.count, e->inner, "%zu: inner %u", i, share->inner.count);
        cr_assert_eq(share->vocabulary.count, e->vocabulary, "%zu: vocabulary %u", i, share->vocabulary.count);
        cr_assert_eq(share->output_by_rows, e->output_by_rows, "%zu", i);
        cr_assert_eq(share->down_by_rows, e->down_by_rows, "%zu", i);
        cr_assert_eq(share->rows.count, e->rows, "%zu: %u rows", i, share->rows.count);
        const uint32_t gathered = hc_share_gathered(share, &models[e->model].decoder);
        cr_assert_eq(gathered, e->gathered, "%zu: %u gathered", i, gathered);
    }
}

static uint64_t weights_of(const struct hc_share *share, const struct hc_decoder *whole)
{
    uint64_t weights = 0;
    for (unsigned m = 0; m < HC_LAYER_MATRICES; m++) {
        const struct hc_cut cut = hc_share_cut(share, whole, m);
        weights += (uint64_t)cut.rows * cut.columns;
    }
    return weights * share->layers.count + (uint64_t)share->vocabulary.count * whole->width;
}

/* The largest share of the weights against an even one. */
Test(share, tensors_are_even)
{
    static const struct {
        int model, ranks;
        double most;
    } some[] = {{0, 2, 1.001}, {0, 4, 1.02},  {0, 8, 1.02},  {1, 2, 1.001}, {1, 4, 1.001},
                {1, 8, 1.03},  {2, 2, 1.001}, {2, 4, 1.001}, {2, 8, 1.001}, {2, 16, 1.07},
                {4, 4, 1.001}, {3, 3, 1.001}, {7, 2, 1.001}, {8, 4, 1.001}, {3, 16, 1.6}};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        const struct hc_decoder *whole = &models[some[i].model].decoder;
        struct hc_share shares[MOST], all;
        make_shares(whole, HC_SPLIT_TENSORS, some[i].ranks, NULL, shares);
        make_shares(whole, HC_SPLIT_TENSORS, 1, NULL, &all);
        uint64_t most = 0;
        for (int r = 0; r < some[i].ranks; r++) {
            const uint64_t mine = weights_of(&shares[r], whole);
            most = mine > most ? mine : most;
        }
        const double uneven = (double)most * some[i].ranks / (double)weights_of(&all, whole);
        cr_assert(uneven <= some[i].most, "%s, %d ranks: %g", models[some[i].model].name, some[i].ranks, uneven);
    }
}

Test(share, layers)
{
    struct hc_share shares[MOST];
    struct hc_error error;
    for (int m = 0; m < MODELS; m++)
        for (int c = 0; c < COUNTS; c++) {
            const struct hc_decoder *whole = &models[m].decoder;
            const int ranks = counts[c];
            if ((uint32_t)ranks > whole->layers) {
                cr_assert_eq(hc_share_make(shares, whole, HC_SPLIT_LAYERS, 0, ranks, NULL, &error), HC_ERR_UNSUPPORTED);
                continue;
            }
            make_shares(whole, HC_SPLIT_LAYERS, ranks, NULL, shares);
            check_ranges(shares, ranks, layers, whole->layers, 1, models[m].name);
            for (int r = 0; r < ranks; r++) {
                cr_assert_eq(shares[r].embeds, r == 0);
                cr_assert_eq(shares[r].decides, r == ranks - 1);
                cr_assert_eq(shares[r].heads.count, whole->heads);
                cr_assert_eq(shares[r].vocabulary.count, whole->vocabulary);
            }
        }
}

Test(share, layers_by_portions)
{
    static const double portions[] = {30, 2, 1000}, mine[] = {5, 3};
    struct hc_share shares[3];
    make_shares(&models[3].decoder, HC_SPLIT_LAYERS, 3, portions, shares);
    cr_assert_eq(shares[0].layers.count, 1);
    cr_assert_eq(shares[1].layers.count, 1, "at least one");
    cr_assert_eq(shares[2].layers.count, 28);
    make_shares(&models[0].decoder, HC_SPLIT_LAYERS, 2, mine, shares);
    cr_assert_eq(shares[0].layers.count, 20);
    cr_assert_eq(shares[1].layers.first, 20);
}

/* However uneven the portions are, every rank has a layer. */
Test(share, layers_by_uneven_portions)
{
    static const double some[][4] = {{1, .001, 1, 1}, {1e9, 1, 1, 1}, {1, 1, 1, 1e9}, {1, .001, .001, 1}, {0, 1, 0, 0}};
    for (size_t p = 0; p < sizeof some / sizeof *some; p++)
        for (uint32_t count = 4; count < 12; count++)
            for (int ranks = 2; ranks <= 4; ranks++) {
                struct hc_decoder whole = models[0].decoder;
                struct hc_share shares[4];
                whole.layers = count;
                make_shares(&whole, HC_SPLIT_LAYERS, ranks, some[p], shares);
                check_ranges(shares, ranks, layers, count, count, "portions");
                for (int r = 0; r < ranks; r++)
                    cr_assert(shares[r].layers.count > 0, "portions %zu, %u layers: rank %d of %d", p, count, r, ranks);
            }
}
