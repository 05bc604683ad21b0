#include "config_rotary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Where the settings stand: in an object of their own, or beside all others. */
struct place {
    struct hc_config *config;
    const json_t *object; /* NULL: nowhere */
    const char *name;     /* of the object */
};

static const json_t *member(const struct place *place, const char *key)
{
    const json_t *value = json_object_get(place->object, key);
    return json_is_null(value) ? NULL : value;
}

/* A finite number from `least` on. A fallback below that: it must be there. */
static double read_number(const struct place *place, const char *key, double least, double fallback)
{
    const json_t *value = member(place, key);
    double number = value ? json_number_value(value) : fallback;
    bool sound = (!value || json_is_number(value)) && number >= least && number < INFINITY;
    if (!sound && place->config->status == HC_OK)
        place->config->status = hc_fail(place->config->error, HC_ERR_CORRUPT, "%s: %s of %s is not a number from %g on",
                                        place->config->path, key, place->name, least);
    return sound ? number : 1;
}

/* "rope_type", or "type" as it was called before. */
static const char *kind_of(const struct place *place)
{
    const json_t *kind = member(place, "rope_type");
    kind = kind ? kind : member(place, "type");
    return kind ? json_string_value(kind) : "default";
}

/* A member of another kind of positions would change the result. */
static void check_members(const struct place *place)
{
    static const char *const known[] = {"rope_type",
                                        "type",
                                        "rope_theta",
                                        "factor",
                                        "low_freq_factor",
                                        "high_freq_factor",
                                        "original_max_position_embeddings",
                                        "partial_rotary_factor"};
    const char *key;
    json_t *value;
    char text[80];
    json_object_foreach((json_t *)place->object, key, value)
    {
        bool found = json_is_null(value);
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || strcmp(key, known[i]) == 0;
        snprintf(text, sizeof text, "%.30s of %s", key, place->name);
        if (!found)
            hc_config_refuse(place->config, text);
    }
}

static void read_llama3(const struct place *place, struct hc_rotary *rotary)
{
    rotary->kind = HC_ROTARY_LLAMA3;
    rotary->factor = read_number(place, "factor", 1, 0);
    rotary->low_factor = read_number(place, "low_freq_factor", 0x1p-20, 0);
    rotary->high_factor = read_number(place, "high_freq_factor", 0x1p-20, 0);
    double context = read_number(place, "original_max_position_embeddings", 1, 0);
    bool sound = context == floor(context) && context <= HC_CONFIG_MAX_CONTEXT;
    if (place->config->status == HC_OK && (!sound || rotary->high_factor <= rotary->low_factor))
        place->config->status =
            hc_fail(place->config->error, HC_ERR_CORRUPT,
                    "%s: high_freq_factor of %s is not above low_freq_factor, or original_max_position_embeddings is "
                    "not a whole number of 1 to %d",
                    place->config->path, place->name, HC_CONFIG_MAX_CONTEXT);
    rotary->original_context = sound ? (uint32_t)context : 1;
}

static void read_scaling(const struct place *place, struct hc_rotary *rotary)
{
    const char *kind = kind_of(place);
    char text[80];
    if (!kind || (strcmp(kind, "default") != 0 && strcmp(kind, "linear") != 0 && strcmp(kind, "llama3") != 0)) {
        snprintf(text, sizeof text, "%s of type \"%.40s\"", place->name, kind ? kind : "?");
        hc_config_refuse(place->config, text);
        return;
    }
    check_members(place);
    if (strcmp(kind, "llama3") == 0)
        read_llama3(place, rotary);
    if (strcmp(kind, "linear") == 0) {
        rotary->kind = HC_ROTARY_LINEAR;
        rotary->factor = read_number(place, "factor", 1, 0);
    }
}

/* The object of that name; CORRUPT if it is something else. */
static struct place find_place(struct hc_config *config, const char *name)
{
    struct place place = {config, json_object_get(config->json, name), name};
    if (json_is_null(place.object))
        place.object = NULL;
    if (place.object && !json_is_object(place.object)) {
        if (config->status == HC_OK)
            config->status = hc_fail(config->error, HC_ERR_CORRUPT, "%s: %s is not an object", config->path, name);
        place.object = NULL;
    }
    return place;
}

void hc_config_rotary(struct hc_config *config, struct hc_rotary *rotary)
{
    const struct place parameters = find_place(config, "rope_parameters");
    const struct place scaling = find_place(config, "rope_scaling");
    const struct place beside = {config, config->json, "config"};
    /* transformers, too, lets the older name win. */
    const struct place *chosen = scaling.object ? &scaling : &parameters;
    *rotary = (struct hc_rotary){.kind = HC_ROTARY_PLAIN, .factor = 1};
    read_scaling(chosen, rotary);
    double fallback = read_number(&beside, "rope_theta", 1, 10000);
    rotary->theta = read_number(chosen, "rope_theta", 1, fallback);
    if (read_number(&beside, "partial_rotary_factor", 0, 1) != 1 ||
        read_number(chosen, "partial_rotary_factor", 0, 1) != 1)
        hc_config_refuse(config, "partial_rotary_factor");
}
