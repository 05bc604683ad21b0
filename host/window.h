/* The method `window` (docs/FORMAT.md): one trajectory per tile, read through overlapping windows. */
#ifndef HC_HOST_WINDOW_H
#define HC_HOST_WINDOW_H

#include "method.h"

extern const struct hc_method hc_method_window;

#endif
