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
    context->last_progress = meter->progress;
}

static const double attend = 0.1; /* seconds between listening to other ranks */

static hc_status attend_to_ranks(struct hc_meter *meter, bool stopping, struct hc_error *error)
{
    double now = hc_now();
    if (!stopping && now - meter->attended < attend)
        return HC_OK;
    meter->attended = now;
    const char *tensor = meter->progress.tensor;
    return hc_comm_attend(&meter->context->comm, stopping, tensor ? tensor : "its own work", error);
}

hc_status hc_meter_attend(struct hc_meter *meter, struct hc_error *error)
{
    hc_context *context = meter->context;
    hc_status status = attend_to_ranks(meter, false, error);
    if (status != HC_OK || !context->progress)
        return status;
    context->last_progress.tensor = meter->progress.tensor;
    context->last_progress.seconds = hc_now() - meter->began;
    if (context->progress(&context->last_progress, context->user))
        return HC_OK;
    status = attend_to_ranks(meter, true, error);
    return status == HC_OK ? hc_fail(error, HC_ERR_CANCELLED, "interrupted") : status;
}

hc_status hc_meter_report(struct hc_meter *meter, uint64_t weights, struct hc_error *error)
{
    hc_progress *progress = &meter->context->last_progress;
    *progress = meter->progress;
    progress->weights_done += weights;
    return hc_meter_attend(meter, error);
}

void hc_meter_end(struct hc_meter *meter)
{
    if (meter->context)
        meter->context->last_progress = (hc_progress){0};
}

void hc_meter_advance(struct hc_meter *meter, uint64_t weights)
{
    meter->progress.tensors_done++;
    meter->progress.weights_done += weights;
}
