/* How far a long operation has come, for the caller's progress callback. */
#ifndef HC_HOST_METER_H
#define HC_HOST_METER_H

#include "context.h"

struct hc_meter {
    hc_context *context;
    hc_progress progress;
    double began, attended; /* attended: when the other ranks were last listened to */
};

/* Seconds of the monotonic clock. */
double hc_now(void);

void hc_meter_begin(struct hc_meter *meter, hc_context *context, uint64_t tensors, uint64_t weights);
/* Reports; `weights` of the tensor at hand are done; and attends to other ranks, for the thread that calls the comm.
 * HC_ERR_CANCELLED if the caller wants to stop; but a failure of the comm comes first, and hc_message has its text even
 * if a ticker cannot hand it on. */
hc_status hc_meter_report(struct hc_meter *meter, uint64_t weights, struct hc_error *error);
/* The same with what was reported last, for who only waits. */
hc_status hc_meter_attend(struct hc_meter *meter, struct hc_error *error);
/* A tensor of so many weights is done. */
void hc_meter_advance(struct hc_meter *meter, uint64_t weights);
/* The operation is over: nobody is shown its tensors any more. Also right for one that never began. */
void hc_meter_end(struct hc_meter *meter);

#endif
