/* Parts of stored matrices: the rows or columns that one rank has (share.h). Codes are cut where tiles and Hadamard
 * blocks end, and never made again: rows stay where they are mapped, columns are copied.
 */
#ifndef HC_HOST_MATRIX_CUT_H
#define HC_HOST_MATRIX_CUT_H

#include "model.h"
#include "share.h"
#include "window.h"

/* The whole of a matrix. */
struct hc_cut hc_cut_all(const struct hc_model_tensor *tensor);
/* Whether it has all columns. */
bool hc_cut_has_columns(const struct hc_model_tensor *tensor, const struct hc_cut *cut);
/* About so many of the stored bytes. */
uint64_t hc_cut_bytes(const struct hc_model_tensor *tensor, const struct hc_cut *cut);

/* Makes a matrix a part of itself. *copied: its codes, to be freed, if they had to be copied; else NULL. `name` is for
 * messages: HC_ERR_UNSUPPORTED names a cut through a tile or a Hadamard block. */
hc_status hc_window_matrix_cut(struct hc_window_matrix *matrix, const struct hc_cut *cut, const char *name,
                               uint8_t **copied, struct hc_error *error);

/* The decoder of a part of a matrix that `pair` coded, as if it were all; closed before *copied is freed, which is as
 * above. HC_ERR_UNSUPPORTED names a cut through a pair. */
hc_status hc_pair_open_cut(const struct hc_model_tensor *tensor, const struct hc_cut *cut, void **decoder,
                           uint8_t **copied, struct hc_error *error);

#endif
