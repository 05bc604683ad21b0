/* How far a long operation has come, for the caller's progress callback. */
#ifndef HC_HOST_METER_H
#define HC_HOST_METER_H

#include "context.h"

struct hc_meter {
    hc_context *context;
    hc_progress progress;
    double began;
};

/* Seconds of the monotonic clock. */
double hc_now(void);

void hc_meter_begin(struct hc_meter *meter, hc_context *context, uint64_t tensors, uint64_t weights);
/* Reports; `weights` of the tensor at hand are done. HC_ERR_CANCELLED if the caller wants to stop. */
hc_status hc_meter_report(struct hc_meter *meter, uint64_t weights, struct hc_error *error);
/* A tensor of so many weights is done. */
void hc_meter_advance(struct hc_meter *meter, uint64_t weights);

#endif
