/* The method `window` (docs/FORMAT.md): one trajectory per tile, read through overlapping windows. */
#ifndef HC_HOST_WINDOW_H
#define HC_HOST_WINDOW_H

#include "method.h"
#include "window_frame.h"

extern const struct hc_method hc_method_window;

/* A stored matrix as products need it: without the table of values, and of its frame without what codes. */
struct hc_window_matrix {
    struct hc_window_frame frame;
    struct hc_window_code code;
    const uint8_t *codes; /* where the decoder found them, as these: */
    const uint16_t *scales;
    uint16_t *copied; /* the scales, if they lie at an odd address there */
};

/* Moves them out of a decoder of this method, which can only be closed after that. */
void hc_window_matrix_take(void *decoder, struct hc_window_matrix *matrix);
void hc_window_matrix_free(struct hc_window_matrix *matrix);

#endif
