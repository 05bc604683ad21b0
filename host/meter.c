#include "meter.h"

#include <time.h>

double hc_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void hc_meter_begin(struct hc_meter *meter, hc_context *context, uint64_t tensors, uint64_t weights)
{
    *meter = (struct hc_meter){
        .context = context, .progress = {.tensors_total = tensors, .weights_total = weights}, .began = hc_now()};
}

hc_status hc_meter_report(struct hc_meter *meter, uint64_t weights, struct hc_error *error)
{
    hc_context *context = meter->context;
    if (!context->progress)
        return HC_OK;
    hc_progress progress = meter->progress;
    progress.weights_done += weights;
    progress.seconds = hc_now() - meter->began;
    context->last_progress = progress;
    return context->progress(&progress, context->user) ? HC_OK : hc_fail(error, HC_ERR_CANCELLED, "interrupted");
}

void hc_meter_advance(struct hc_meter *meter, uint64_t weights)
{
    meter->progress.tensors_done++;
    meter->progress.weights_done += weights;
}
