/* What the devices of a context do, and those of other ranks, for hc_context_device_report. Each engine counts for its
 * own device (engine_counted.h). */
#ifndef HC_HOST_DEVICE_REPORTS_H
#define HC_HOST_DEVICE_REPORTS_H

#include "comm.h"

#include <hyperc/hyperc.h>

struct hc_device_reports {
    hc_device_report *own; /* of this rank's devices */
    size_t own_count;
    bool shared;           /* told to the other ranks */
    hc_device_report *all; /* of all ranks, as of the last exchange, one rank behind the other; NULL: own */
    size_t *bytes;         /* of it: of each rank */
    size_t count;          /* in it */
    double began;          /* as hc_now tells it */
};

/* Room for so many devices, whose names are still to be filled in. */
hc_status hc_device_reports_create(struct hc_device_reports *reports, size_t devices, int rank, struct hc_error *error);
void hc_device_reports_destroy(struct hc_device_reports *reports);

/* From here on everything is counted anew. `shared` counts on rank 0. */
void hc_device_reports_begin(struct hc_device_reports *reports, bool shared);
/* What every rank must know of the others before they exchange. All ranks call it at once. */
hc_status hc_device_reports_join(struct hc_device_reports *reports, struct hc_comm *comm, struct hc_error *error);
/* Tells all ranks what every device has done so far, if they share it. All ranks call it at once. */
hc_status hc_device_reports_exchange(struct hc_device_reports *reports, struct hc_comm *comm, struct hc_error *error);

#endif
