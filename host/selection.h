/* Which tensors are coded, and in how many pieces. */
#ifndef HC_HOST_SELECTION_H
#define HC_HOST_SELECTION_H

#include "source.h"

/* NULL if the tensor is to be coded, else why not: a static string. By default: tensors of floats with two
 * dimensions or more. options.only and options.keep narrow that down. */
const char *hc_kept_because(const struct hc_tensor *tensor, const hc_compress_options *options);

/* Whether an fnmatch pattern matches the name of a tensor of the source. */
bool hc_matches_any(const struct hc_source *source, const char *pattern);

/* Pieces of a tensor to be coded: one, or one per expert for the stacked matrices of a mixture of experts. */
size_t hc_piece_count(const struct hc_tensor *tensor);

#endif
