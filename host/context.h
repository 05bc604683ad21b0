/* What a context holds. */
#ifndef HC_HOST_CONTEXT_H
#define HC_HOST_CONTEXT_H

#include "engine.h"

struct hc_context {
    struct hc_kernels kernels;
    hc_tier tier; /* in force */
    int threads;  /* in force */
    char *device; /* as the options named it; NULL: the CPU */
    struct hc_engine engine;
    hc_progress_fn progress;
    void *user;
    struct hc_error error;
};

#endif
