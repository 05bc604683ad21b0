/* The parts of the CPU's engine: engine_cpu.c has `pair`, engine_cpu_window.c `window`. */
#ifndef HC_HOST_ENGINE_CPU_H
#define HC_HOST_ENGINE_CPU_H

#include "engine.h"

struct hc_cpu_state {
    const struct hc_kernels *kernels;
    int threads;
    void *room; /* hc_cpu_room */
    size_t room_bytes;
};

static inline const struct hc_cpu_state *hc_cpu_state_of(const struct hc_engine *engine)
{
    return engine->state;
}

/* What a call works in: at least so many bytes, 64-byte aligned, with no contents expected. The engine keeps it, for
 * the next call, as a model takes thousands of calls: megabytes that come and go by turns with what stays leave holes
 * in a heap. So calls that use it come from one thread at a time; decoding does not. */
hc_status hc_cpu_room(struct hc_engine *engine, uint64_t bytes, uint8_t **room, struct hc_error *error);

/* Contracts: engine.h. */
hc_status hc_cpu_window_largest(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                uint64_t rows, float *largest, uint64_t *non_finite, struct hc_error *error);
hc_status hc_cpu_window_squares(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first_row,
                                uint64_t rows, const double *to_units, uint64_t *sums, struct hc_error *error);
hc_status hc_cpu_window_encode(struct hc_engine *engine, const struct hc_piece *piece,
                               const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                               uint64_t first_tile_row, uint64_t tile_rows, const struct hc_window_result *result,
                               struct hc_error *error);
hc_status hc_cpu_window_factors(struct hc_engine *engine, const struct hc_piece *piece,
                                const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                                uint64_t first_row, uint64_t rows, float *factors, struct hc_error *error);
hc_status hc_cpu_window_search(struct hc_engine *engine, const struct hc_piece *piece,
                               const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                               const struct hc_window_factors *factors, uint64_t first_block, uint64_t blocks,
                               uint8_t *codes, struct hc_error *error);
hc_status hc_cpu_window_fit(struct hc_engine *engine, const struct hc_piece *piece, const struct hc_window_frame *frame,
                            const struct hc_window_coder *coder, const struct hc_window_coded *coded,
                            uint64_t first_row, uint64_t rows, const struct hc_window_result *result,
                            struct hc_error *error);
hc_status hc_cpu_window_decode(struct hc_engine *engine, const struct hc_window_frame *frame,
                               const struct hc_window_coder *coder, const uint8_t *codes, const uint16_t *scales,
                               uint64_t first_row, uint64_t rows, hc_type type, void *out, struct hc_error *error);

#endif
