#include "device_reports.h"

#include "context.h"
#include "meter.h"

#include <stdlib.h>

hc_status hc_device_reports_create(struct hc_device_reports *reports, size_t devices, int rank, struct hc_error *error)
{
    *reports = (struct hc_device_reports){.own = calloc(devices, sizeof *reports->own), .own_count = devices};
    if (!reports->own)
        return hc_no_memory(error);
    for (size_t i = 0; i < devices; i++)
        reports->own[i].rank = rank;
    hc_device_reports_begin(reports, false);
    return HC_OK;
}

static void forget_others(struct hc_device_reports *reports)
{
    free(reports->all);
    free(reports->bytes);
    reports->all = NULL;
    reports->bytes = NULL;
}

void hc_device_reports_destroy(struct hc_device_reports *reports)
{
    forget_others(reports);
    free(reports->own);
    *reports = (struct hc_device_reports){0};
}

void hc_device_reports_begin(struct hc_device_reports *reports, bool shared)
{
    forget_others(reports);
    for (size_t i = 0; i < reports->own_count; i++) {
        reports->own[i].weights = 0;
        reports->own[i].busy = 0;
    }
    reports->shared = shared;
    reports->began = hc_now();
}

/* How many bytes each rank will tell: of all its devices. */
static hc_status gather_sizes(struct hc_device_reports *reports, struct hc_comm *comm, struct hc_error *error)
{
    size_t *bytes = reports->bytes, mine = reports->own_count * sizeof *reports->own;
    for (int r = 0; r < comm->ranks; r++)
        bytes[r] = sizeof mine;
    size_t *sizes = malloc((size_t)comm->ranks * sizeof *sizes);
    hc_status status =
        sizes ? hc_comm_all_gather(comm, &mine, sizes, bytes, "the number of devices", error) : hc_no_memory(error);
    reports->count = 0;
    for (int r = 0; status == HC_OK && r < comm->ranks; r++) {
        bytes[r] = sizes[r];
        reports->count += sizes[r] / sizeof *reports->own;
    }
    free(sizes);
    return status;
}

hc_status hc_device_reports_join(struct hc_device_reports *reports, struct hc_comm *comm, struct hc_error *error)
{
    hc_status status;
    HC_TRY(hc_comm_broadcast(comm, 0, &reports->shared, sizeof reports->shared, "whether devices are told of", error));
    if (!reports->shared)
        return HC_OK;
    reports->bytes = malloc((size_t)comm->ranks * sizeof *reports->bytes);
    if (!reports->bytes)
        return hc_no_memory(error);
    HC_TRY(gather_sizes(reports, comm, error));
    reports->all = calloc(reports->count, sizeof *reports->all);
    if (!reports->all)
        return hc_no_memory(error);
    HC_TRY(hc_device_reports_exchange(reports, comm, error));
done:
    return status;
}

hc_status hc_device_reports_exchange(struct hc_device_reports *reports, struct hc_comm *comm, struct hc_error *error)
{
    if (!reports->all)
        return HC_OK;
    return hc_comm_all_gather(comm, reports->own, reports->all, reports->bytes, "what the devices do", error);
}

/* ---- The public side ------------------------------------------------------------------------ */

size_t hc_context_devices(const hc_context *context)
{
    return context->reports.all ? context->reports.count : context->reports.own_count;
}

hc_status hc_context_device_report(const hc_context *context, size_t index, hc_device_report *report)
{
    const struct hc_device_reports *reports = &context->reports;
    if (index >= hc_context_devices(context))
        return HC_ERR_ARGUMENT;
    *report = reports->all ? reports->all[index] : reports->own[index];
    report->seconds = hc_now() - reports->began;
    return HC_OK;
}
