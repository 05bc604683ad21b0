/* The functions of `window` of the CUDA engine: see engine.h.
 *
 * A matrix goes through the device in *bands*: as many rows of tiles as fill a chunk of the staging, or one. So no
 * shape needs more memory than was allocated: a row of tiles of HC_WINDOW_MAX_COLUMNS columns is a band, which is
 * uploaded, and downloaded, in several parts.
 */
#ifndef HC_CUDA_ENGINE_CUDA_WINDOW_H
#define HC_CUDA_ENGINE_CUDA_WINDOW_H

#include "engine.h"

hc_status hc_cuda_window_largest(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                 uint64_t rows, float *largest, uint64_t *non_finite, struct hc_error *error);
hc_status hc_cuda_window_squares(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                 uint64_t rows, const double *to_units, uint64_t *sums, struct hc_error *error);
hc_status hc_cuda_window_encode(struct hc_engine *engine, const struct hc_piece *piece,
                                const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                uint64_t first_tile_row, uint64_t tile_rows, const struct hc_window_result *result,
                                struct hc_error *error);
hc_status hc_cuda_window_factors(struct hc_engine *engine, const struct hc_piece *piece,
                                 const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                 uint64_t first_row, uint64_t rows, float *factors, struct hc_error *error);
hc_status hc_cuda_window_search(struct hc_engine *engine, const struct hc_piece *piece,
                                const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                const struct hc_window_factors *factors, uint64_t first_block, uint64_t blocks,
                                uint8_t *codes, struct hc_error *error);
hc_status hc_cuda_window_fit(struct hc_engine *engine, const struct hc_piece *piece,
                             const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                             const struct hc_window_coded *coded, uint64_t first_row, uint64_t rows,
                             const struct hc_window_result *result, struct hc_error *error);
hc_status hc_cuda_window_decode(struct hc_engine *engine, const struct hc_window_frame *frame,
                                const struct hc_window_coder *coder, const uint8_t *codes, const uint16_t *scales,
                                uint64_t first_row, uint64_t rows, hc_type type, void *out, struct hc_error *error);
hc_status hc_cuda_window_compare(struct hc_engine *engine, const struct hc_piece *piece,
                                 const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                 const struct hc_window_coded *coded, uint64_t first, uint64_t count,
                                 struct hc_compare_sum *sum, struct hc_error *error);

#endif
