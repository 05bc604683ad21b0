#include "moments_choice.h"

#include "calibrate.h"
#include "selection.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether the moments of a model can be propagated, or measured on the model itself; fills in the architecture. */
static hc_status recognise(struct hc_moments_choice *choice, const char *config, const char *no_config,
                           const struct hc_source *source, struct hc_error *error)
{
    if (config)
        return hc_architecture_recognise(config, source, &choice->architecture, &choice->decoder, error);
    if (no_config && *no_config)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s", no_config);
    return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: there is no config.json", source->path);
}

/* A vector for a tensor of the source must be as long as its rows. */
static hc_status check_lengths(const struct hc_moments *moments, const struct hc_source *source, struct hc_error *error)
{
    for (size_t i = 0; i < moments->count; i++) {
        const struct hc_moments_vector *vector = &moments->vectors[i];
        int64_t found = hc_source_find(source, vector->name);
        if (found < 0 || source->tensors[found].weights == 0)
            continue;
        if (hc_piece_at(&source->tensors[found], 0).columns != vector->count)
            return hc_fail(error, HC_ERR_CORRUPT, "moments of %s: %llu, but it has %llu columns", vector->name,
                           (unsigned long long)vector->count,
                           (unsigned long long)hc_piece_at(&source->tensors[found], 0).columns);
    }
    return HC_OK;
}

static hc_status choose_file(struct hc_moments_choice *choice, const char *path, const struct hc_source *source,
                             struct hc_error *error)
{
    char checksum[HC_CHECKSUM_DIGITS + 1];
    hc_status status;
    choice->kind = HC_MOMENTS_FILE;
    HC_TRY(hc_moments_read(path, &choice->moments, error));
    HC_TRY(check_lengths(choice->moments, source, error));
    HC_TRY(hc_moments_checksum(choice->moments, checksum, error));
    snprintf(choice->identity, sizeof choice->identity, "file:%s", checksum);
done:
    return status;
}

hc_status hc_moments_choose(struct hc_moments_choice *choice, const char *asked, const char *config,
                            const char *no_config, const struct hc_source *source, struct hc_error *why_not,
                            struct hc_error *error)
{
    *choice = (struct hc_moments_choice){.identity = "none"};
    bool self = asked && strcmp(asked, "self") == 0;
    if (asked && strcmp(asked, "none") == 0)
        return HC_OK;
    if (asked && !self && strcmp(asked, "weights") != 0)
        return choose_file(choice, asked, source, error);
    hc_status status = recognise(choice, config, no_config, source, self ? error : why_not);
    if (status == HC_OK) {
        choice->kind = self ? HC_MOMENTS_SELF : HC_MOMENTS_WEIGHTS;
        strcpy(choice->identity, self ? "self" : "weights");
    }
    if (status == HC_ERR_MEMORY)
        return hc_no_memory(error);
    return self ? status : HC_OK;
}

/* On the model itself, by one process on its CPU, whatever devices there are: logits differ in their last bits from
 * device to device and with the split of a network, and the result must not depend on either. */
static hc_status measure(struct hc_moments *moments, const hc_context *context, const struct hc_source *source,
                         struct hc_ticker *ticker, struct hc_error *error)
{
    static char cpu[] = "cpu";
    char *device = cpu;
    hc_calibrate_options options;
    hc_calibrate_options_init(&options);
    struct hc_context alone = *context;
    hc_comm_alone(&alone.comm);
    alone.devices = &device;
    alone.device_count = 1;
    hc_status status = hc_calibrate_model(&alone, source->path, &options, ticker, NULL, moments, &alone.error);
    if (status != HC_OK)
        *error = alone.error;
    return status;
}

/* ---- What the first rank measured, for all -------------------------------------------------- */

/* On the first rank `from` is what it sends; the others receive it, and add it to `moments`. */
static hc_status share_vector(const struct hc_moments_vector *from, struct hc_comm *comm, struct hc_moments *moments,
                              struct hc_error *error)
{
    static const char what[] = "a vector of moments";
    uint64_t head[3] = {0};
    char *name = NULL;
    double *values = NULL;
    hc_status status;
    if (from)
        memcpy(head, (uint64_t[]){strlen(from->name), from->count, from->trust}, sizeof head);
    HC_TRY(hc_comm_broadcast(comm, 0, head, sizeof head, what, error));
    name = calloc(head[0] + 1, 1);
    values = calloc(head[1], sizeof *values);
    HC_TRY(name && values ? HC_OK : hc_no_memory(error));
    for (uint64_t j = 0; from && j < from->count; j++)
        values[j] = from->values[j];
    if (from)
        memcpy(name, from->name, head[0]);
    HC_TRY(hc_comm_broadcast(comm, 0, name, head[0], what, error));
    HC_TRY(hc_comm_broadcast(comm, 0, values, head[1] * sizeof *values, what, error));
    if (!from)
        HC_TRY(hc_moments_add(moments, name, values, head[1], (unsigned)head[2], error));
done:
    free(name);
    free(values);
    return status;
}

/* The first rank measures for long; it attends, but only between the batches of what may be a large model. */
static hc_status wait_for_count(struct hc_comm *comm, uint64_t *count, struct hc_error *error)
{
    const double times = 10, timeout = comm->timeout;
    comm->timeout = times * timeout;
    hc_status status = hc_comm_broadcast(comm, 0, count, sizeof *count, "the measured moments", error);
    comm->timeout = timeout;
    return status;
}

static hc_status measure_for_all(struct hc_moments *moments, hc_context *context, const struct hc_source *source,
                                 struct hc_ticker *ticker, struct hc_error *error)
{
    struct hc_comm *comm = &context->comm;
    bool leads = comm->rank == 0;
    uint64_t count;
    hc_status status = leads ? measure(moments, context, source, ticker, error) : HC_OK;
    if (status != HC_OK)
        return status;
    count = moments->count;
    status = wait_for_count(comm, &count, error);
    for (uint64_t i = 0; status == HC_OK && comm->ranks > 1 && i < count; i++)
        status = share_vector(leads ? &moments->vectors[i] : NULL, comm, moments, error);
    return status;
}

hc_status hc_moments_make(struct hc_moments_choice *choice, hc_context *context, const struct hc_source *source,
                          struct hc_ticker *ticker, struct hc_error *error)
{
    if (choice->kind != HC_MOMENTS_WEIGHTS && choice->kind != HC_MOMENTS_SELF)
        return HC_OK;
    hc_status status = hc_moments_create(choice->identity, &choice->moments, error);
    if (status != HC_OK)
        return status;
    if (choice->kind == HC_MOMENTS_SELF)
        return measure_for_all(choice->moments, context, source, ticker, error);
    const struct hc_propagation propagation = {source, &context->kernels, context->threads,
                                               ticker, choice->moments,   &context->comm};
    return choice->architecture->propagate(&choice->decoder, &propagation, error);
}

void hc_moments_attach(const struct hc_moments_choice *choice, struct hc_source *source)
{
    for (size_t i = 0; i < source->tensor_count; i++)
        source->tensors[i].moments = hc_moments_find(choice->moments, source->tensors[i].name);
}

void hc_moments_choice_clear(struct hc_moments_choice *choice)
{
    hc_moments_destroy(choice->moments);
    choice->moments = NULL;
}
