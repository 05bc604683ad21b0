#ifndef HC_HOST_CALIBRATE_H
#define HC_HOST_CALIBRATE_H

#include <hyperc/run.h>

#include "method.h"
#include "moments.h"

/* Measures as hc_calibrate does, and adds to a set. `ticker` is called with the positions so far, of *total, which is
 * set before; both may be NULL. */
hc_status hc_calibrate_model(hc_context *context, const char *path, const hc_calibrate_options *options,
                             struct hc_ticker *ticker, uint64_t *total, struct hc_moments *moments,
                             struct hc_error *error);

#endif
