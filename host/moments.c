#include "moments.h"

#include "files.h"
#include "header.h"
#include "window_frame.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUFFIX ".moments"

/* ---- The set -------------------------------------------------------------------------------- */

hc_status hc_moments_create(const char *origin, struct hc_moments **moments, struct hc_error *error)
{
    *moments = calloc(1, sizeof **moments);
    if (!*moments)
        return hc_no_memory(error);
    (*moments)->origin = origin;
    return HC_OK;
}

void hc_moments_destroy(struct hc_moments *moments)
{
    if (!moments)
        return;
    for (size_t i = 0; i < moments->count; i++) {
        free(moments->vectors[i].name);
        free(moments->vectors[i].values);
    }
    free(moments->vectors);
    free(moments);
}

/* How many vectors come before `name`. */
static size_t place_of(const struct hc_moments *moments, const char *name)
{
    size_t from = 0, to = moments->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (strcmp(moments->vectors[middle].name, name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

const struct hc_moments_vector *hc_moments_find(const struct hc_moments *moments, const char *name)
{
    size_t i = moments ? place_of(moments, name) : 0;
    return moments && i < moments->count && strcmp(moments->vectors[i].name, name) == 0 ? &moments->vectors[i] : NULL;
}

static bool says_something(const double *values, uint64_t count)
{
    bool positive = false;
    for (uint64_t j = 0; j < count; j++) {
        float value = (float)values[j];
        if (!(value >= 0 && value < INFINITY))
            return false;
        positive = positive || value > 0;
    }
    return positive;
}

static hc_status grow(struct hc_moments *moments, struct hc_error *error)
{
    size_t room = 2 * moments->room + 16;
    struct hc_moments_vector *vectors = realloc(moments->vectors, room * sizeof *vectors);
    if (!vectors)
        return hc_no_memory(error);
    moments->vectors = vectors;
    moments->room = room;
    return HC_OK;
}

hc_status hc_moments_add(struct hc_moments *moments, const char *name, const double *values, uint64_t count,
                         unsigned trust, struct hc_error *error)
{
    char checksum[HC_CHECKSUM_DIGITS + 1];
    size_t at = place_of(moments, name);
    if (!says_something(values, count))
        return HC_OK;
    if (hc_moments_find(moments, name))
        return hc_fail(error, HC_ERR_CORRUPT, "moments of %s are there twice", name);
    if (moments->count == moments->room && grow(moments, error) != HC_OK)
        return HC_ERR_MEMORY;
    struct hc_moments_vector vector = {strdup(name), count, malloc(count * sizeof *vector.values), trust, ""};
    if (!vector.name || !vector.values) {
        free(vector.name);
        free(vector.values);
        return hc_no_memory(error);
    }
    for (uint64_t j = 0; j < count; j++)
        vector.values[j] = (float)values[j];
    hc_checksum(vector.values, count * sizeof *vector.values, checksum);
    snprintf(vector.label, sizeof vector.label, "%s:%s", moments->origin, checksum);
    memmove(moments->vectors + at + 1, moments->vectors + at, (moments->count - at) * sizeof vector);
    moments->vectors[at] = vector;
    moments->count++;
    return HC_OK;
}

hc_status hc_moments_checksum(const struct hc_moments *moments, char text[HC_CHECKSUM_DIGITS + 1],
                              struct hc_error *error)
{
    struct hc_checksum_stream *stream = hc_checksum_create();
    if (!stream)
        return hc_no_memory(error);
    for (size_t i = 0; i < moments->count; i++) {
        const struct hc_moments_vector *vector = &moments->vectors[i];
        hc_checksum_add(stream, vector->name, strlen(vector->name) + 1);
        hc_checksum_add(stream, vector->values, vector->count * sizeof *vector->values);
    }
    hc_checksum_text(stream, text);
    hc_checksum_destroy(stream);
    return HC_OK;
}

/* ---- Reading -------------------------------------------------------------------------------- */

static hc_status malformed(const struct hc_source *source, const char *name, const char *what, struct hc_error *error)
{
    return hc_fail(error, HC_ERR_CORRUPT, "%s: %s %s", source->path, name, what);
}

/* To doubles, which the caller frees. */
static hc_status read_values(const struct hc_source *source, const struct hc_tensor *tensor, double **values,
                             struct hc_error *error)
{
    *values = malloc(tensor->weights * sizeof **values);
    if (!*values)
        return hc_no_memory(error);
    for (uint64_t j = 0; j < tensor->weights; j++) {
        float value;
        memcpy(&value, tensor->data + j * sizeof value, sizeof value);
        (*values)[j] = (double)value;
        if (!(value >= 0 && value < INFINITY))
            return malformed(source, tensor->name, "is negative or not finite somewhere", error);
    }
    return HC_OK;
}

static hc_status read_vector(const struct hc_source *source, const struct hc_tensor *tensor, struct hc_moments *moments,
                             struct hc_error *error)
{
    size_t length = strlen(tensor->name), end = strlen(SUFFIX);
    double *values = NULL;
    char *name = NULL;
    hc_status status;
    if (length <= end || strcmp(tensor->name + length - end, SUFFIX) != 0)
        return malformed(source, tensor->name, "does not end in " SUFFIX ": this is no file of moments", error);
    if (tensor->type != HC_TYPE_F32 || tensor->rank != 1)
        return malformed(source, tensor->name, "is not a vector of F32", error);
    if (tensor->weights == 0 || tensor->weights > HC_WINDOW_MAX_COLUMNS)
        return malformed(source, tensor->name, "does not have 1 to 1048576 elements", error);
    HC_TRY(read_values(source, tensor, &values, error));
    name = strdup(tensor->name);
    if (!name) {
        status = hc_no_memory(error);
        goto done;
    }
    name[length - end] = '\0';
    HC_TRY(hc_moments_add(moments, name, values, tensor->weights, HC_MOMENTS_MEASURED, error));
done:
    free(values);
    free(name);
    return status;
}

hc_status hc_moments_read(const char *path, struct hc_moments **moments, struct hc_error *error)
{
    struct hc_source *source = NULL;
    hc_status status;
    *moments = NULL;
    HC_TRY(hc_source_open(path, &source, error));
    if (source->kind != HC_SOURCE_FILE) {
        status = hc_fail(error, HC_ERR_CORRUPT, "%s: is not a safetensors file of moments", path);
        goto done;
    }
    HC_TRY(hc_moments_create("file", moments, error));
    for (size_t i = 0; i < source->tensor_count; i++)
        HC_TRY(read_vector(source, &source->tensors[i], *moments, error));
    if ((*moments)->count == 0)
        status = hc_fail(error, HC_ERR_CORRUPT, "%s: there are no moments in it", path);
done:
    hc_source_close(source);
    if (status != HC_OK) {
        hc_moments_destroy(*moments);
        *moments = NULL;
    }
    return status;
}

/* ---- Writing -------------------------------------------------------------------------------- */

static hc_status make_header(const struct hc_moments *moments, uint8_t **bytes, size_t *length, struct hc_error *error)
{
    struct hc_header header = {0};
    hc_status status;
    HC_TRY(hc_header_begin(&header, error));
    HC_TRY(hc_header_metadata(&header, "hyperc.moments", moments->origin, error));
    for (size_t i = 0; i < moments->count; i++) {
        const struct hc_moments_vector *vector = &moments->vectors[i];
        char *name = hc_path_append(vector->name, SUFFIX);
        status = name ? hc_header_tensor(&header, name, HC_TYPE_F32, 1, &vector->count,
                                         vector->count * sizeof *vector->values, error)
                      : hc_no_memory(error);
        free(name);
        if (status != HC_OK)
            goto done;
    }
    status = hc_header_bytes(&header, 0, bytes, length, error);
done:
    hc_header_end(&header);
    return status;
}

static hc_status write_file(const struct hc_moments *moments, const char *path, struct hc_error *error)
{
    struct hc_out out = {.fd = -1};
    uint8_t *header = NULL;
    size_t length;
    uint64_t at;
    hc_status status;
    HC_TRY(make_header(moments, &header, &length, error));
    HC_TRY(hc_out_open(&out, path, true, error));
    HC_TRY(hc_out_write_at(&out, 0, header, length, error));
    at = length;
    for (size_t i = 0; i < moments->count; i++) {
        size_t bytes = moments->vectors[i].count * sizeof *moments->vectors[i].values;
        HC_TRY(hc_out_write_at(&out, at, moments->vectors[i].values, bytes, error));
        at += bytes;
    }
    HC_TRY(hc_out_finish(&out, error));
done:
    hc_out_close(&out);
    free(header);
    return status;
}

hc_status hc_moments_write(const struct hc_moments *moments, const char *path, struct hc_error *error)
{
    char *stage = hc_path_append(path, ".partial");
    hc_status status = stage ? HC_OK : hc_no_memory(error);
    if (status == HC_OK && hc_path_exists(path))
        status = hc_fail(error, HC_ERR_EXISTS, "%s: is there already", path);
    if (status == HC_OK)
        status = write_file(moments, stage, error);
    if (status == HC_OK)
        status = hc_move_into_place(stage, path, false, error);
    if (status != HC_OK && status != HC_ERR_EXISTS && stage)
        hc_remove_tree(stage, NULL);
    free(stage);
    return status;
}
