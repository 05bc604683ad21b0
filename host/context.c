#include "context.h"

#include "backend.h"
#include "device_names.h"
#include "engine_counted.h"
#include "engine_team.h"
#include "partition.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT = 300 }; /* seconds that a rank may let the others wait */

const char *hc_version(void)
{
    return HC_VERSION_STRING;
}

const char *hc_status_name(hc_status status)
{
    static const char *const names[] = {"ok",          "argument", "memory",    "io",     "corrupt", "different",
                                        "unsupported", "exists",   "cancelled", "device", "ranks"};
    return (size_t)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

void hc_context_options_init(hc_context_options *options)
{
    *options = (hc_context_options){.tier = HC_TIER_BEST};
}

/* ---- Devices -------------------------------------------------------------------------------- */

static hc_status name_reports(hc_context *context)
{
    struct hc_device_reports *reports = &context->reports;
    hc_status status = hc_device_reports_create(reports, context->device_count, context->comm.rank, &context->error);
    for (size_t i = 0; status == HC_OK && i < context->device_count; i++)
        snprintf(reports->own[i].name, sizeof reports->own[i].name, "%s", context->devices[i]);
    return status;
}

/* Layers that are not for the devices before it have to be somewhere. */
static hc_status check_last_device(hc_context *context)
{
    const char *last = context->devices[context->device_count - 1];
    if (context->device_layers == 0 || hc_backend_is_cpu(last))
        return HC_OK;
    return hc_fail(&context->error, HC_ERR_ARGUMENT, "layers on devices and the rest on the CPU: the last one is %s",
                   last);
}

static hc_status take_devices(hc_context *context, const char *list)
{
    hc_status status = hc_device_names(&context->comm, list ? list : "cpu", &context->devices, &context->device_count,
                                       &context->error);
    if (status == HC_OK)
        status = check_last_device(context);
    for (size_t i = 0; status == HC_OK && i < context->device_count; i++)
        status = hc_backend_check(context->devices[i], &context->error);
    return status == HC_OK ? name_reports(context) : status;
}

static hc_status take_speeds(hc_context *context, const hc_context_options *options)
{
    hc_status status = HC_OK;
    context->speeds = calloc(context->device_count, sizeof *context->speeds);
    if (!context->speeds)
        return hc_no_memory(&context->error);
    if (options->speed_count && options->speed_count != context->device_count)
        return hc_fail(&context->error, HC_ERR_ARGUMENT, "%zu speeds, but %zu devices", options->speed_count,
                       context->device_count);
    for (size_t i = 0; status == HC_OK && i < options->speed_count; i++) {
        context->speeds[i] = options->speeds[i];
        status = hc_device_speed_check(context->devices[i], context->speeds[i], &context->error);
    }
    return status;
}

/* Ranks on one machine share its cores, unless each is bound to its own already. */
static int threads_here(const hc_context *context)
{
    int threads = omp_get_num_procs();
    if (threads >= sysconf(_SC_NPROCESSORS_ONLN))
        threads /= context->comm.local_ranks;
    return threads > 0 ? threads : 1;
}

/* ---- Engines -------------------------------------------------------------------------------- */

/* Threads for each engine of the CPU: those that no GPU needs to be fed, shared out. */
static int cpu_threads(const hc_context *context)
{
    int cpus = 0;
    for (size_t i = 0; i < context->device_count; i++)
        cpus += hc_backend_is_cpu(context->devices[i]);
    int gpus = (int)context->device_count - cpus, threads = cpus ? (context->threads - gpus) / cpus : 0;
    return threads > 0 ? threads : 1;
}

static double speed_of(const hc_context *context, size_t device, int threads)
{
    double asked = context->speeds[device];
    return asked > 0 ? asked : hc_backend_speed(context->devices[device], threads);
}

/* The engine of one device, counted. One that does not open adds nothing to the speed of all. */
static hc_status open_device(hc_context *context, size_t device, int threads, struct hc_engine *engine)
{
    hc_status status = hc_backend_engine(context->devices[device], engine, &context->kernels, threads, &context->error);
    if (status == HC_OK)
        status = hc_engine_counted(engine, &context->reports.own[device], &context->error);
    if (status == HC_OK)
        context->speed += speed_of(context, device, threads);
    return status;
}

/* A device that has no memory, or fails, is one that the others do without. */
static hc_status open_member(hc_context *context, size_t device, struct hc_team_member *member)
{
    const char *name = context->devices[device];
    int threads = cpu_threads(context);
    *member = (struct hc_team_member){.name = name};
    hc_status status = open_device(context, device, threads, &member->engine);
    member->speed = speed_of(context, device, threads);
    if (status != HC_ERR_MEMORY && status != HC_ERR_DEVICE)
        return status;
    member->engine = (struct hc_engine){0};
    member->failure = context->error;
    return HC_OK;
}

static hc_status open_team(hc_context *context)
{
    struct hc_team_member *members = calloc(context->device_count, sizeof *members);
    hc_status status = members ? HC_OK : hc_no_memory(&context->error);
    size_t open = 0;
    for (; status == HC_OK && open < context->device_count; open++)
        status = open_member(context, open, &members[open]);
    if (status == HC_OK)
        status = hc_engine_team(&context->engine, members, open, &context->error);
    else
        for (size_t i = 0; i < open; i++)
            if (members[i].engine.table)
                members[i].engine.table->destroy(&members[i].engine);
    free(members);
    return status;
}

hc_status hc_context_need_engine(hc_context *context)
{
    if (context->engine.table)
        return HC_OK;
    context->speed = 0;
    return context->device_count > 1 ? open_team(context) : open_device(context, 0, context->threads, &context->engine);
}

/* ---- The context ---------------------------------------------------------------------------- */

static bool go_on(void *user)
{
    const hc_context *context = user;
    return !context->progress || context->progress(&context->last_progress, context->user);
}

static hc_status set_up(hc_context *context, const hc_context_options *options)
{
    if (options->threads < 0 || options->threads > 4096)
        return hc_fail(&context->error, HC_ERR_ARGUMENT, "threads: %d is not in 0 .. 4096", options->threads);
    if (options->device_layers < HC_LAYERS_THAT_FIT)
        return hc_fail(&context->error, HC_ERR_ARGUMENT, "%d layers on devices", options->device_layers);
    if (!(options->timeout >= 0 && options->timeout < 1e9))
        return hc_fail(&context->error, HC_ERR_ARGUMENT, "a timeout of %g seconds", options->timeout);
    context->tier = hc_kernels_init(&context->kernels, options->tier);
    if (options->tier != HC_TIER_BEST && context->tier != options->tier)
        return hc_fail(&context->error, HC_ERR_UNSUPPORTED, "this machine does not have the instruction set asked for");
    context->progress = options->progress;
    context->user = options->user;
    context->split = options->split;
    context->device_layers = options->device_layers;
    const double timeout = options->timeout > 0 ? options->timeout : TIMEOUT;
    hc_comm_alone(&context->comm);
    hc_status status = HC_OK;
    if (options->ranks)
        status = hc_comm_world(&context->comm, timeout, &context->error);
    context->comm.timeout = timeout;
    context->comm.go_on = go_on;
    context->comm.user = context;
    context->threads = options->threads ? options->threads : threads_here(context);
    /* Before anything else is exchanged, which another version may do differently. */
    if (status == HC_OK)
        status = hc_comm_agree(&context->comm, hc_version(), "the version of hyperc", &context->error);
    if (status == HC_OK)
        status = take_devices(context, options->device);
    if (status == HC_OK)
        status = take_speeds(context, options);
    bool here = status == HC_OK && context->device_count == 1 && hc_backend_is_cpu(context->devices[0]);
    return here ? hc_context_need_engine(context) : status;
}

hc_status hc_context_create(hc_context **out, const hc_context_options *options)
{
    hc_context_options defaults;
    hc_context_options_init(&defaults);
    hc_context *context = calloc(1, sizeof *context);
    *out = context;
    if (!context)
        return HC_ERR_MEMORY;
    hc_status status = set_up(context, options ? options : &defaults);
    if (status != HC_OK)
        hc_comm_abort(&context->comm, context->error.text);
    return status;
}

void hc_context_destroy(hc_context *context)
{
    if (!context)
        return;
    if (context->engine.table)
        context->engine.table->destroy(&context->engine);
    hc_device_names_free(context->devices, context->device_count);
    free(context->speeds);
    hc_device_reports_destroy(&context->reports);
    hc_comm_destroy(&context->comm);
    free(context);
}

void hc_context_leave(hc_context *context, const char *why)
{
    hc_comm_abort(&context->comm, why);
}

int hc_context_rank(const hc_context *context)
{
    return context->comm.rank;
}

int hc_context_ranks(const hc_context *context)
{
    return context->comm.ranks;
}

const char *hc_message(const hc_context *context)
{
    if (!context)
        return "out of memory";
    return context->comm.lost.text[0] ? context->comm.lost.text : context->error.text;
}
