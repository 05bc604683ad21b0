/* What a context holds. */
#ifndef HC_HOST_CONTEXT_H
#define HC_HOST_CONTEXT_H

#include "comm.h"
#include "device_reports.h"
#include "engine.h"

struct hc_context {
    struct hc_kernels kernels;
    hc_tier tier;                     /* in force */
    int threads;                      /* in force */
    char **devices;                   /* each with its number, if it is of a kind that has numbers */
    size_t device_count;              /* at least 1 */
    double *speeds;                   /* of the devices, as asked for; 0: as they say themselves */
    double speed;                     /* of those that opened, together, in cores of a CPU: <hyperc/plan.h> */
    hc_split split;                   /* of networks */
    int device_layers;                /* the same */
    struct hc_comm comm;              /* with the other ranks */
    struct hc_engine engine;          /* the CPU's; that of the devices from hc_context_need_engine on */
    struct hc_device_reports reports; /* of the devices: what their engines count */
    hc_progress_fn progress;
    void *user;
    hc_progress last_progress; /* shown again while other ranks are waited for */
    struct hc_error error;
};

/* Opens the engine on the context's devices, once, and finds their speed: on a GPU it takes memory that a network may
 * want. */
hc_status hc_context_need_engine(hc_context *context);

#endif
