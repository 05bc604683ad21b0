#include "context.h"

#include "backend.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

const char *hc_version(void)
{
    return HC_VERSION_STRING;
}

const char *hc_status_name(hc_status status)
{
    static const char *const names[] = {"ok",        "argument",    "memory", "io",        "corrupt",
                                        "different", "unsupported", "exists", "cancelled", "device"};
    return (size_t)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

void hc_context_options_init(hc_context_options *options)
{
    *options = (hc_context_options){.tier = HC_TIER_BEST};
}

hc_status hc_context_create(hc_context **out, const hc_context_options *options)
{
    hc_context_options defaults;
    hc_context_options_init(&defaults);
    if (!options)
        options = &defaults;
    hc_context *context = calloc(1, sizeof *context);
    *out = context;
    if (!context)
        return HC_ERR_MEMORY;
    if (options->threads < 0 || options->threads > 4096)
        return hc_fail(&context->error, HC_ERR_ARGUMENT, "threads: %d is not in 0 .. 4096", options->threads);
    context->tier = hc_kernels_init(&context->kernels, options->tier);
    if (options->tier != HC_TIER_BEST && context->tier != options->tier)
        return hc_fail(&context->error, HC_ERR_UNSUPPORTED, "this machine does not have the instruction set asked for");
    context->threads = options->threads ? options->threads : omp_get_num_procs();
    context->progress = options->progress;
    context->user = options->user;
    if (options->device && !(context->device = strdup(options->device)))
        return hc_no_memory(&context->error);
    return hc_backend_is_cpu(context->device) ? hc_context_need_engine(context)
                                              : hc_backend_check(context->device, &context->error);
}

hc_status hc_context_need_engine(hc_context *context)
{
    return context->engine.table ? HC_OK
                                 : hc_backend_engine(context->device, &context->engine, &context->kernels,
                                                     context->threads, &context->error);
}

void hc_context_destroy(hc_context *context)
{
    if (!context)
        return;
    if (context->engine.table)
        context->engine.table->destroy(&context->engine);
    free(context->device);
    free(context);
}

const char *hc_message(const hc_context *context)
{
    return context ? context->error.text : "out of memory";
}
