/* Who holds what of a network that several ranks run (docs/scaling.md).
 *
 * HC_SPLIT_TENSORS: every rank has some heads of every layer (rows of q, k and v, columns of o), some of the inner
 * width (rows of gate and up, columns of down) and some of the vocabulary (rows of embedding and head). What o and down
 * give is added up over the ranks; or, where they are cut by rows, gathered, as is what they read. Cuts lie where tiles
 * and Hadamard blocks end, so that codes are cut and never made again:
 *
 *  - queries: whole groups that share a head of keys and values, as evenly as it goes. With more ranks than such heads,
 *    ranks that share a group have its keys and values each, and some of its queries.
 *  - where the heads of some rank do not end where Hadamard blocks of o end, or rows of k and v where tiles end, o is
 *    cut by rows (output_by_rows).
 *  - inner width: whole Hadamard blocks of down; with more ranks than those, whole tiles, and down is cut by rows
 *    (down_by_rows). vocabulary, and the rows of o and down: whole tiles. There may be ranks without any of them.
 *
 * HC_SPLIT_LAYERS: every rank has a run of layers, the first one the embedding, the last one the head, both of them
 * where they are tied.
 */
#ifndef HC_HOST_SHARE_H
#define HC_HOST_SHARE_H

#include <hyperc/hyperc.h>

#include "architecture.h"

struct hc_range {
    uint32_t first, count;
};

struct hc_share {
    int rank, ranks;
    hc_split split;
    struct hc_range layers;
    struct hc_range heads, key_value_heads, inner, vocabulary;
    bool output_by_rows, down_by_rows;
    struct hc_range rows; /* of o and down, where they are cut so; else none */
    bool embeds, decides; /* has (some of) the embedding; of the head */
};

/* portions: of the layers, by rank, any positive scale; NULL: alike. HC_ERR_UNSUPPORTED names what cannot be cut:
 * more ranks than layers. */
hc_status hc_share_make(struct hc_share *share, const struct hc_decoder *decoder, hc_split split, int rank, int ranks,
                        const double *portions, struct hc_error *error);

/* The decoder as one rank sees it: so many layers, heads, inner width and vocabulary as it has. */
struct hc_decoder hc_share_decoder(const struct hc_share *share, const struct hc_decoder *whole);

/* Which part of a matrix of a layer a rank has. */
struct hc_cut {
    uint32_t first_row, rows, first_column, columns;
};
struct hc_cut hc_share_cut(const struct hc_share *share, const struct hc_decoder *whole, enum hc_layer_matrix which);
/* Numbers of a position that ranks gather at most, where matrices are cut by rows; else 0. */
uint32_t hc_share_gathered(const struct hc_share *share, const struct hc_decoder *whole);
/* Of the embedding, and of the head. */
struct hc_cut hc_share_vocabulary_cut(const struct hc_share *share, const struct hc_decoder *whole);

#endif
