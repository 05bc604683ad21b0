/* Which tensors are coded, and in how many pieces. */
#ifndef HC_HOST_SELECTION_H
#define HC_HOST_SELECTION_H

#include "method.h"

/* NULL if the tensor is to be coded, else why not: a static string. By default: tensors of floats with two
 * dimensions or more. options.only, options.keep and what options.window says of embeddings and head (method "window"
 * only) narrow that down. `pair` also codes vectors that options.only names. */
const char *hc_kept_because(const struct hc_tensor *tensor, const hc_compress_options *options);

/* Whether an fnmatch pattern matches the name of a tensor of the source. */
bool hc_matches_any(const struct hc_source *source, const char *pattern);

/* Pieces of a tensor to be coded: one, or one per expert for the stacked matrices of a mixture of experts. */
size_t hc_piece_count(const struct hc_tensor *tensor);

/* A tensor of `pieces` pieces as matrices, outputs x inputs: the slowest dimension of a piece against all others,
 * where leading dimensions of 1 are left out as long as two remain; a vector is one row. If the shape cannot be cut so,
 * rows is 0 and columns are the weights of a piece. */
struct hc_shape hc_piece_shape(int rank, const uint64_t *shape, size_t pieces);

/* Piece number p. */
struct hc_piece hc_piece_at(const struct hc_tensor *tensor, size_t p);

#endif
