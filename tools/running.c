#include "running.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The devices that were asked for and the CPU behind them, or the CPU alone; to be freed. */
static char *devices_apart(const struct common_options *common, const struct sharing *sharing)
{
    const char *device = common->device ? common->device : "cuda";
    char *list = malloc(strlen(device) + sizeof ",cpu");
    if (list && sharing->layers == 0)
        strcpy(list, "cpu");
    else if (list)
        sprintf(list, "%s,cpu", device);
    return list;
}

static hc_status open_shared_context(const struct common_options *common, const struct sharing *sharing,
                                     hc_context **context)
{
    struct common_options with = *common;
    char *devices = NULL;
    *context = NULL;
    with.split = sharing->split;
    with.device_layers = sharing->apart ? sharing->layers : 0;
    if (sharing->apart && !(with.device = devices = devices_apart(common, sharing)))
        return HC_ERR_MEMORY;
    hc_status status = open_plain_context(&with, context);
    free(devices);
    return status;
}

static hc_status open_network(struct running *running, const char *path)
{
    hc_status status = hc_network_open(running->context, path, &running->network);
    if (status == HC_OK)
        hc_network_info_get(running->network, &running->info);
    return status;
}

hc_status running_open(struct running *running, const struct common_options *common, const struct sharing *sharing,
                       const char *path)
{
    hc_status status = open_shared_context(common, sharing, &running->context);
    return status == HC_OK ? open_network(running, path) : status;
}

hc_status running_open_beside(struct running *running, const struct running *other, const char *path)
{
    running->context = other->context;
    running->guest = true;
    return open_network(running, path);
}

hc_status running_begin(struct running *running, const hc_sequence_options *options)
{
    return hc_sequence_create(running->context, running->network, options, &running->sequence);
}

void running_close(struct running *running)
{
    hc_sequence_destroy(running->sequence);
    hc_network_close(running->network);
    if (!running->guest)
        hc_context_destroy(running->context);
    *running = (struct running){0};
}

void running_leave(const struct running *running, const char *why)
{
    if (running->context)
        hc_context_leave(running->context, why);
}

int running_failure(const struct running *running, const struct common_options *common, hc_status status)
{
    const char *told = hc_message(running->context);
    const char *message = status == HC_ERR_CANCELLED                              ? "interrupted"
                          : status == HC_ERR_MEMORY && !strstr(told, "of memory") ? "out of memory"
                                                                                  : told;
    running_leave(running, message);
    return report_failure(common, status, message);
}

/* ---- Texts ---------------------------------------------------------------------------------- */

/* Makes room for more; false if there is no memory. */
static bool grow(struct text *text, size_t *room)
{
    if (text->count + 1 < *room)
        return true;
    size_t larger = *room ? 2 * *room : 1 << 16;
    char *bytes = larger > *room ? realloc(text->bytes, larger) : NULL;
    if (!bytes)
        return false;
    text->bytes = bytes;
    *room = larger;
    return true;
}

static bool read_all(struct text *text, FILE *file)
{
    size_t room = 0;
    errno = ENOMEM;
    while (grow(text, &room)) {
        size_t count = fread(text->bytes + text->count, 1, room - 1 - text->count, file);
        text->count += count;
        text->bytes[text->count] = 0;
        if (count == 0)
            return !ferror(file);
        errno = ENOMEM;
    }
    return false;
}

bool text_read(struct text *text, const char *path, char *message, size_t size)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    *text = (struct text){0};
    bool whole = file && read_all(text, file);
    if (!whole) {
        snprintf(message, size, "%s: %s", path, strerror(errno));
        free(text->bytes);
        *text = (struct text){0};
    }
    if (file && !standard)
        fclose(file);
    return whole;
}

/* ---- Options -------------------------------------------------------------------------------- */

bool take_count(const char *name, const char *value, uint32_t least, uint32_t *count)
{
    uint64_t number;
    char what[64] = "a number";
    if (least > 0)
        snprintf(what, sizeof what, least == 1 ? "a positive number" : "a number of at least %u", least);
    if (!parse_count(value, UINT32_MAX / 2, &number) || number < least)
        return bad_value(name, what, value);
    *count = (uint32_t)number;
    return true;
}

bool take_real(const char *name, const char *value, double least, double most, float *real)
{
    double number;
    char what[64];
    snprintf(what, sizeof what, most < 1e30 ? "a number from %g to %g" : "a number of at least %g", least, most);
    if (!parse_real(value, least, &number) || number > most)
        return bad_value(name, what, value);
    *real = (float)number;
    return true;
}

bool take_seed(const char *name, const char *value, uint64_t *seed)
{
    return parse_count(value, INT64_MAX, seed) || bad_value(name, "a number", value);
}

bool take_cache(const char *name, const char *value, hc_type *type)
{
    static const struct {
        const char *name;
        hc_type type;
    } types[] = {{"f16", HC_TYPE_F16}, {"f32", HC_TYPE_F32}, {"i8", HC_TYPE_I8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(value, types[i].name) == 0) {
            *type = types[i].type;
            return true;
        }
    return bad_value(name, "f16, f32 or i8", value);
}

bool take_split(const char *name, const char *value, struct sharing *sharing)
{
    sharing->split = strcmp(value, "layers") == 0 ? HC_SPLIT_LAYERS : HC_SPLIT_TENSORS;
    return sharing->split == HC_SPLIT_LAYERS || strcmp(value, "tensors") == 0 ||
           bad_value(name, "tensors or layers", value);
}

bool take_layers(const char *name, const char *value, struct sharing *sharing)
{
    uint64_t count = 0;
    bool fit = strcmp(value, "auto") == 0, good = fit || parse_count(value, INT32_MAX, &count);
    sharing->apart = true;
    sharing->layers = fit ? HC_LAYERS_THAT_FIT : (int)count;
    return good || bad_value(name, "a number or auto", value);
}
