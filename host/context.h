/* What a context holds. */
#ifndef HC_HOST_CONTEXT_H
#define HC_HOST_CONTEXT_H

#include "engine.h"

struct hc_context {
    struct hc_kernels kernels;
    hc_tier tier;            /* in force */
    int threads;             /* in force */
    char *device;            /* as the options named it; NULL: the CPU */
    struct hc_engine engine; /* the CPU's; another device's from hc_context_need_engine on */
    hc_progress_fn progress;
    void *user;
    struct hc_error error;
};

/* Opens the engine on the context's device, once: on a GPU it takes memory that a network may want. */
hc_status hc_context_need_engine(hc_context *context);

#endif
