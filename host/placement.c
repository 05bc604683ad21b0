#include "placement.h"

#include "backend.h"

#include <hyperc/run.h>
#include <stdio.h>
#include <stdlib.h>

/* Room that is kept free beside layers: for this many positions in all, HC_DEFAULT_BATCH at once; and for this many
 * bytes of everything else. */
enum { USUAL_CONTEXT = 4096, BESIDE = 256 << 20 };
static const uint64_t UNKNOWN = UINT64_MAX; /* bytes */

/* ---- Memory of devices ---------------------------------------------------------------------- */

/* What is free on a device; UNKNOWN where that is not known, as on the CPU, whose memory is the machine's own. */
static hc_status free_memory(const hc_context *context, const char *device, uint64_t *bytes, struct hc_error *error)
{
    struct hc_runtime runtime;
    *bytes = UNKNOWN;
    if (hc_backend_is_cpu(device))
        return HC_OK;
    hc_status status = hc_backend_runtime(device, &runtime, &context->kernels, 1, error);
    if (status != HC_OK)
        return status;
    if (runtime.table->free_memory)
        status = runtime.table->free_memory(&runtime, bytes, error);
    runtime.table->destroy(&runtime);
    return status;
}

/* memory[r]: of the device of rank r, also of those of other processes, where each has one. */
static hc_status gather_memory(const struct hc_placement *placement, hc_context *context, uint64_t *memory,
                               struct hc_error *error)
{
    hc_status status = HC_OK;
    for (int i = 0; status == HC_OK && i < placement->here; i++)
        status = free_memory(context, placement->devices[i], &memory[placement->first + i], error);
    if (status != HC_OK || placement->ranks == placement->here)
        return status;
    size_t *bytes = malloc((size_t)placement->ranks * sizeof *bytes);
    if (!bytes)
        return hc_no_memory(error);
    for (int r = 0; r < placement->ranks; r++)
        bytes[r] = sizeof *memory;
    status = hc_comm_all_gather(&context->comm, &memory[placement->first], memory, bytes, "the memory of all devices",
                                error);
    free(bytes);
    return status;
}

/* Layers by what is free, before anything is opened; alike, where that is not known of all devices. */
static hc_status portions_by_memory(struct hc_placement *placement, hc_context *context, struct hc_error *error)
{
    bool known = true;
    uint64_t *memory = calloc((size_t)placement->ranks, sizeof *memory);
    placement->portions = calloc((size_t)placement->ranks, sizeof *placement->portions);
    hc_status status =
        memory && placement->portions ? gather_memory(placement, context, memory, error) : hc_no_memory(error);
    for (int r = 0; status == HC_OK && r < placement->ranks; r++) {
        known = known && memory[r] != UNKNOWN;
        placement->portions[r] = memory[r] > 0 ? (double)memory[r] : 1;
    }
    if (!known) {
        free(placement->portions);
        placement->portions = NULL;
    }
    free(memory);
    return status;
}

/* ---- What fits ------------------------------------------------------------------------------ */

static uint64_t stored_bytes(const struct hc_model *model, const char *name)
{
    const struct hc_model_tensor *tensor = hc_model_find(model, name);
    return tensor ? tensor->info.stored_bytes : 0;
}

/* Of the largest layer, with its keys and values. */
static uint64_t layer_bytes(const struct hc_model *model, const struct hc_decoder *decoder,
                            const struct hc_decoder_names *names)
{
    const uint32_t context = decoder->context < USUAL_CONTEXT ? decoder->context : USUAL_CONTEXT;
    uint64_t most = 0;
    for (uint32_t i = 0; i < decoder->layers; i++) {
        uint64_t bytes = 0;
        for (unsigned m = 0; m < HC_LAYER_MATRICES; m++)
            bytes += stored_bytes(model, hc_layer_name(names, i, names->matrices[m], ".weight").text);
        most = bytes > most ? bytes : most;
    }
    return most + 2 * hc_cache_bytes(decoder, HC_TYPE_F16, context);
}

/* Of what any device may have beside layers. */
static uint64_t beside_bytes(const struct hc_model *model, const struct hc_decoder *decoder,
                             const struct hc_decoder_names *names)
{
    const char *const top[] = {names->embedding, names->head};
    const uint64_t numbers = hc_decoder_activations(decoder) + decoder->vocabulary;
    uint64_t bytes = BESIDE + numbers * HC_DEFAULT_BATCH * sizeof(float);
    for (size_t i = 0; i < sizeof top / sizeof *top; i++) {
        struct hc_tensor_name name;
        snprintf(name.text, sizeof name.text, "%s.weight", top[i]);
        bytes += stored_bytes(model, name.text);
    }
    return bytes;
}

/* How many layers fit on every device before the last one, in portions; and on all of these. */
static hc_status count_fitting(struct hc_placement *placement, const hc_context *context, const struct hc_model *model,
                               const struct hc_decoder *decoder, const struct hc_decoder_names *names, uint32_t *layers,
                               struct hc_error *error)
{
    const uint64_t each = layer_bytes(model, decoder, names), beside = beside_bytes(model, decoder, names);
    *layers = 0;
    for (size_t i = 0; i + 1 < context->device_count && *layers < decoder->layers; i++) {
        uint64_t bytes;
        hc_status status = free_memory(context, context->devices[i], &bytes, error);
        if (status == HC_OK && bytes == UNKNOWN && !hc_backend_is_cpu(context->devices[i]))
            status =
                hc_fail(error, HC_ERR_UNSUPPORTED, "%s: how much memory is free is not known", context->devices[i]);
        if (status != HC_OK)
            return status;
        const uint64_t fit = bytes > beside ? (bytes - beside) / each : 0, left = decoder->layers - *layers;
        placement->portions[i] = (double)(fit < left ? fit : left);
        *layers += (uint32_t)(fit < left ? fit : left);
    }
    return HC_OK;
}

/* ---- Who runs it ---------------------------------------------------------------------------- */

static void add_device(struct hc_placement *placement, const char *device, double portion)
{
    placement->devices[placement->here] = device;
    placement->portions[placement->here++] = portion;
}

/* Some layers on the devices before the last one, the rest there. */
static hc_status place_layers(struct hc_placement *placement, const hc_context *context, const struct hc_model *model,
                              const struct hc_decoder *decoder, const struct hc_decoder_names *names,
                              struct hc_error *error)
{
    const size_t others = context->device_count - 1;
    uint32_t layers = (uint32_t)context->device_layers;
    hc_status status = HC_OK;
    if (others == 0)
        return hc_fail(error, HC_ERR_ARGUMENT, "layers on a device and the rest on another: there is one device");
    if (context->device_layers == HC_LAYERS_THAT_FIT)
        status = count_fitting(placement, context, model, decoder, names, &layers, error);
    else
        for (size_t i = 0; i < others; i++)
            placement->portions[i] = layers < others ? i < layers : (double)layers / (double)others;
    if (status != HC_OK)
        return status;
    placement->split = HC_SPLIT_LAYERS;
    placement->here = 0;
    for (size_t i = 0; i < others; i++)
        if (placement->portions[i] > 0)
            add_device(placement, context->devices[i], placement->portions[i]);
    if (layers < decoder->layers)
        add_device(placement, context->devices[others], decoder->layers - layers);
    placement->ranks = placement->here;
    return HC_OK;
}

hc_status hc_placement_make(struct hc_placement *placement, hc_context *context, bool alone,
                            const struct hc_model *model, const struct hc_decoder *decoder,
                            const struct hc_decoder_names *names, struct hc_error *error)
{
    const bool processes = !alone && context->comm.ranks > 1;
    const int devices = alone ? 1 : (int)context->device_count;
    *placement = (struct hc_placement){.ranks = devices, .here = devices, .split = context->split};
    if (processes && devices > 1)
        return hc_fail(error, HC_ERR_UNSUPPORTED,
                       "a network runs on one device of each of several processes, not on %d: give every process one",
                       devices);
    if (processes) {
        placement->ranks = context->comm.ranks;
        placement->first = context->comm.rank;
    }
    placement->devices = malloc((size_t)devices * sizeof *placement->devices);
    if (!placement->devices)
        return hc_no_memory(error);
    for (int i = 0; i < devices; i++)
        placement->devices[i] = context->devices[i];
    if (!alone && context->device_layers == 0 && context->split == HC_SPLIT_LAYERS && placement->ranks > 1)
        return portions_by_memory(placement, context, error);
    if (alone || context->device_layers == 0)
        return HC_OK;
    placement->portions = calloc((size_t)devices, sizeof *placement->portions);
    return placement->portions ? place_layers(placement, context, model, decoder, names, error) : hc_no_memory(error);
}

void hc_placement_clear(struct hc_placement *placement)
{
    free(placement->devices);
    free(placement->portions);
}
