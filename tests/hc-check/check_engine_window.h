/* Checks of what engines do for `window`: rows of check_engine. */
#ifndef HC_CHECK_ENGINE_WINDOW_H
#define HC_CHECK_ENGINE_WINDOW_H

#include "check.h"

void check_window_largest(struct check *c);
void check_window_squares(struct check *c);
void check_window_encode_stretch(struct check *c);
void check_window_encode_steps(struct check *c);
void check_window_decode_rows(struct check *c);
void check_window_compare(struct check *c);

#endif
