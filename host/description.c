#include "description.h"

#include "json.h"
#include "selection.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PIECES = 1 << 12, DEPTH = 8 };

static const uint64_t max_part = UINT64_C(1) << 60; /* bytes: sums of three do not overflow */

void hc_description_clear(struct hc_description *description)
{
    free(description->kept_because);
    json_decref(description->pieces);
    *description = (struct hc_description){0};
}

static bool add_optional(json_t *json, const struct hc_description *description)
{
    double published = description->published_mean_abs_error;
    return (published < 0 || json_object_set_new(json, "published_mean_abs_error", json_real(published)) == 0) &&
           (!description->moments[0] || json_object_set_new(json, "moments", json_string(description->moments)) == 0);
}

char *hc_description_text(const struct hc_description *description)
{
    json_t *json;
    if (!description->method && description->kept_because) {
        json = json_pack("{s:s, s:s}", "kept", description->kept_because, "xxh3", description->checksum);
    } else if (!description->method) {
        json = json_pack("{s:s}", "xxh3", description->checksum);
    } else {
        json = json_pack("{s:s, s:s, s:o, s:O, s:f, s:f, s:f, s:f, s:s}", "method", description->method->name, "type",
                         hc_type_name(description->type), "shape", hc_json_shape(description->rank, description->shape),
                         "pieces", description->pieces, "mean_abs_error", description->mean_abs_error, "max_abs_error",
                         description->max_abs_error, "squared_error", description->squared_error, "squared_weights",
                         description->squared_weights, "xxh3", description->checksum);
        if (json && !add_optional(json, description)) {
            json_decref(json);
            json = NULL;
        }
    }
    char *text = hc_json_text(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

size_t hc_description_max(const struct hc_tensor *tensor, size_t pieces, size_t parameters_max)
{
    const size_t number = 24; /* "-2.2250738585072014e-308" */
    size_t fixed = sizeof "{\"method\":\"\",\"type\":\"\",\"shape\":[],\"pieces\":[],\"mean_abs_error\":,"
                          "\"max_abs_error\":,\"squared_error\":,\"squared_weights\":,\"xxh3\":\"\","
                          "\"published_mean_abs_error\":,\"moments\":\"\"}";
    char shape[HC_MAX_RANK * 24];
    size_t dimensions = 0;
    for (int i = 0; i < tensor->rank; i++)
        dimensions += (size_t)snprintf(shape, sizeof shape, "%llu,", (unsigned long long)tensor->shape[i]);
    size_t moments = sizeof((struct hc_description *)NULL)->moments + 4; /* quotes count twice */
    return fixed + dimensions + 16 + 8 + 5 * number + HC_CHECKSUM_DIGITS + moments + pieces * (parameters_max + 1);
}

static hc_status malformed(struct hc_error *error, const char *what)
{
    return hc_fail(error, HC_ERR_CORRUPT, "its description is malformed: %s", what);
}

static hc_status parse_shape(const json_t *shape, struct hc_description *description, struct hc_error *error)
{
    if (!json_is_array(shape) || json_array_size(shape) > HC_MAX_RANK)
        return malformed(error, "shape");
    description->rank = (int)json_array_size(shape);
    description->weights = 1;
    for (int i = 0; i < description->rank; i++) {
        json_t *dimension = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dimension) || json_integer_value(dimension) <= 0)
            return malformed(error, "shape");
        description->shape[i] = (uint64_t)json_integer_value(dimension);
        if (description->weights > (UINT64_C(1) << 56) / description->shape[i])
            return malformed(error, "the product of its shape is too large");
        description->weights *= description->shape[i];
    }
    return HC_OK;
}

static bool parse_figure(const json_t *json, const char *key, double *value)
{
    const json_t *figure = json_object_get(json, key);
    *value = json_number_value(figure);
    return json_is_number(figure) && *value >= 0;
}

static hc_status parse_coded(const json_t *json, struct hc_description *description, struct hc_error *error)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    if (!type || !hc_type_from_name(type, &description->type) || !hc_type_is_float(description->type))
        return malformed(error, "type");
    hc_status status = parse_shape(json_object_get(json, "shape"), description, error);
    if (status != HC_OK)
        return status;
    json_t *pieces = json_object_get(json, "pieces");
    size_t count = json_array_size(pieces);
    if (count < 1 || count > MAX_PIECES || description->weights % count != 0)
        return malformed(error, "pieces");
    description->pieces = json_incref(pieces);
    if (!parse_figure(json, "mean_abs_error", &description->mean_abs_error) ||
        !parse_figure(json, "max_abs_error", &description->max_abs_error) ||
        !parse_figure(json, "squared_error", &description->squared_error) ||
        !parse_figure(json, "squared_weights", &description->squared_weights))
        return malformed(error, "errors");
    if (!parse_figure(json, "published_mean_abs_error", &description->published_mean_abs_error))
        description->published_mean_abs_error = -1;
    const char *moments = json_string_value(json_object_get(json, "moments"));
    snprintf(description->moments, sizeof description->moments, "%s", moments ? moments : "");
    return HC_OK;
}

static hc_status parse_object(const json_t *json, struct hc_description *description, struct hc_error *error)
{
    const char *checksum = json_string_value(json_object_get(json, "xxh3"));
    if (!checksum || strlen(checksum) != HC_CHECKSUM_DIGITS)
        return malformed(error, "xxh3");
    memcpy(description->checksum, checksum, sizeof description->checksum);
    const char *method = json_string_value(json_object_get(json, "method"));
    if (method) {
        description->method = hc_method_find(method);
        if (!description->method)
            return hc_fail(error, HC_ERR_UNSUPPORTED,
                           "it is coded by the method '%.40s', which this version does not know", method);
        return parse_coded(json, description, error);
    }
    const char *because = json_string_value(json_object_get(json, "kept"));
    description->kept_because = because ? strdup(because) : NULL;
    return because && !description->kept_because ? hc_no_memory(error) : HC_OK;
}

hc_status hc_description_parse(const char *text, struct hc_description *description, struct hc_error *error)
{
    *description = (struct hc_description){.published_mean_abs_error = -1};
    json_t *json;
    hc_status status = hc_json_parse(text, strlen(text), DEPTH, "its description", &json, error);
    if (status != HC_OK)
        return status;
    status = parse_object(json, description, error);
    json_decref(json);
    if (status != HC_OK)
        hc_description_clear(description);
    return status;
}

bool hc_is_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && strncmp(dot + 1, HC_PART_PREFIX, strlen(HC_PART_PREFIX)) == 0;
}

struct hc_shape hc_description_piece_shape(const struct hc_description *description)
{
    return hc_piece_shape(description->rank, description->shape, json_array_size(description->pieces));
}

/* The last part that is there takes what is missing to a multiple of the alignment. */
static void pad_parts(const struct hc_method *method, uint64_t bytes[HC_MAX_PARTS])
{
    uint64_t total = 0;
    size_t last = 0;
    for (size_t i = 0; i < method->part_count; i++) {
        total += bytes[i];
        last = bytes[i] ? i : last;
    }
    bytes[last] += (HC_PART_ALIGNMENT - total % HC_PART_ALIGNMENT) % HC_PART_ALIGNMENT;
}

hc_status hc_description_layout(const struct hc_description *description, uint64_t bytes[HC_MAX_PARTS],
                                uint64_t (*offsets)[HC_MAX_PARTS], struct hc_error *error)
{
    const struct hc_method *method = description->method;
    const struct hc_shape shape = hc_description_piece_shape(description);
    memset(bytes, 0, HC_MAX_PARTS * sizeof *bytes);
    for (size_t p = 0; p < json_array_size(description->pieces); p++) {
        uint64_t piece[HC_MAX_PARTS] = {0};
        hc_status status = method->size(json_array_get(description->pieces, p), &shape, piece, error);
        if (status != HC_OK)
            return status;
        if (offsets)
            memcpy(offsets[p], bytes, sizeof offsets[p]);
        assert(piece[0] > 0 && piece[0] % HC_PART_ALIGNMENT == 0);
        for (size_t i = 0; i < method->part_count; i++) {
            assert(piece[i] % hc_type_block_bytes(method->parts[i].type) == 0);
            if (piece[i] > max_part - bytes[i])
                return hc_fail(error, HC_ERR_CORRUPT, "its parts are too large");
            bytes[i] += piece[i];
        }
    }
    pad_parts(method, bytes);
    return HC_OK;
}

double hc_signal_to_noise(double squared_weights, double squared_error)
{
    return squared_error > 0 ? 10 * log10(squared_weights / squared_error) : INFINITY;
}

void hc_description_info(const struct hc_description *description, hc_tensor_info *info)
{
    info->kept_because = description->kept_because ? description->kept_because : "";
    info->signal_to_noise = INFINITY;
    info->published_mean_abs_error = -1;
    if (!description->method)
        return;
    info->method = description->method->name;
    info->type = description->type;
    info->rank = description->rank;
    memcpy(info->shape, description->shape, sizeof info->shape);
    info->weights = description->weights;
    info->mean_abs_error = description->mean_abs_error;
    info->max_abs_error = description->max_abs_error;
    info->squared_error = description->squared_error;
    info->squared_weights = description->squared_weights;
    info->published_mean_abs_error = description->published_mean_abs_error;
    info->signal_to_noise = hc_signal_to_noise(description->squared_weights, description->squared_error);
}
