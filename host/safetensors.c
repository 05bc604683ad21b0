#include "safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "map.h"

/* header, tensor, shape: three levels; one to spare */
enum { HEADER_DEPTH = 4 };

void hc_tensors_free(struct hc_tensor *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(tensors[i].name);
    free(tensors);
}

/* ---- One tensor --------------------------------------------------------------------------- */

/* A tensor under construction, and how to complain about it. */
struct entry {
    const struct hc_file *file;
    const char *name;
    const json_t *json;
    struct hc_error *error;
};

static hc_status corrupt(const struct entry *entry, const char *fault)
{
    return hc_fail(entry->error, HC_ERR_CORRUPT, "%s: tensor '%.200s': %s", hc_file_shown(entry->file), entry->name,
                   fault);
}

static hc_status read_type(const struct entry *entry, hc_type *type)
{
    const char *name = json_string_value(json_object_get(entry->json, "dtype"));
    if (!name)
        return corrupt(entry, "its dtype is missing or not a string");
    if (hc_type_from_name(name, type) && !hc_type_is_block(*type))
        return HC_OK;
    return hc_fail(entry->error, HC_ERR_UNSUPPORTED, "%s: tensor '%.200s': type %.40s is not supported",
                   hc_file_shown(entry->file), entry->name, name);
}

static hc_status read_shape(const struct entry *entry, struct hc_tensor *tensor)
{
    const json_t *shape = json_object_get(entry->json, "shape");
    if (!json_is_array(shape))
        return corrupt(entry, "its shape is missing or not a list");
    if (json_array_size(shape) > HC_MAX_RANK)
        return hc_fail(entry->error, HC_ERR_UNSUPPORTED, "%s: tensor '%.200s': it has %zu dimensions; %d are supported",
                       hc_file_shown(entry->file), entry->name, json_array_size(shape), HC_MAX_RANK);

    tensor->rank = (int)json_array_size(shape);
    tensor->weights = 1;
    for (int i = 0; i < tensor->rank; i++) {
        const json_t *item = json_array_get(shape, (size_t)i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return corrupt(entry, "a dimension is not a whole number");
        tensor->shape[i] = (uint64_t)json_integer_value(item);
        if (tensor->shape[i] != 0 && tensor->weights > UINT64_MAX / tensor->shape[i])
            return corrupt(entry, "the product of its dimensions overflows");
        tensor->weights *= tensor->shape[i];
    }
    if (!hc_type_bytes(tensor->type, tensor->weights, &tensor->bytes))
        return corrupt(entry, "its size in bytes overflows");
    return HC_OK;
}

static hc_status read_offsets(const struct entry *entry, struct hc_tensor *tensor)
{
    const json_t *offsets = json_object_get(entry->json, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0);
    const json_t *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return corrupt(entry, "its data_offsets are not two whole numbers");
    if (json_integer_value(begin) < 0 || json_integer_value(begin) > json_integer_value(end))
        return corrupt(entry, "its data_offsets are negative or in the wrong order");

    uint64_t first = (uint64_t)json_integer_value(begin);
    uint64_t last = (uint64_t)json_integer_value(end);
    if (last > entry->file->size - entry->file->data_offset)
        return corrupt(entry, "its data lies beyond the end of the file");
    if (last - first != tensor->bytes)
        return corrupt(entry, "its data_offsets do not agree with its shape and dtype");
    tensor->data = entry->file->data + entry->file->data_offset + first;
    return HC_OK;
}

static hc_status read_tensor(const struct entry *entry, size_t file, struct hc_tensor *tensor)
{
    hc_status status = HC_OK;
    if (!json_is_object(entry->json))
        return corrupt(entry, "its description is not an object");
    HC_TRY(read_type(entry, &tensor->type));
    HC_TRY(read_shape(entry, tensor));
    HC_TRY(read_offsets(entry, tensor));
    if (json_object_size(entry->json) != 3)
        return corrupt(entry, "its description has keys other than dtype, shape and data_offsets");
    tensor->file = file;
    tensor->name = strdup(entry->name);
    if (!tensor->name)
        status = hc_fail(entry->error, HC_ERR_MEMORY, "out of memory while reading %s", hc_file_shown(entry->file));
done:
    return status;
}

/* ---- The header --------------------------------------------------------------------------- */

static uint64_t header_length(const struct hc_file *file)
{
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | file->data[i];
    return length;
}

static hc_status read_header(struct hc_file *file, json_t **header, struct hc_error *error)
{
    const char *shown = hc_file_shown(file);
    if (file->size < 8)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: the file has %llu bytes, too few for a safetensors file", shown,
                       (unsigned long long)file->size);
    uint64_t length = header_length(file);
    if (length > file->size - 8 || length > HC_JSON_MAX_BYTES) {
        if (memcmp(file->data, "PK\3\4", 4) == 0)
            return hc_fail(error, HC_ERR_UNSUPPORTED,
                           "%s: this is a PyTorch or zip file; safetensors or GGUF is wanted", shown);
        return hc_fail(error, HC_ERR_CORRUPT, "%s: the header claims %llu bytes; the file has %llu, and %d are allowed",
                       shown, (unsigned long long)length, (unsigned long long)file->size, HC_JSON_MAX_BYTES);
    }
    if (length == 0 || file->data[8] != '{')
        return hc_fail(error, HC_ERR_CORRUPT, "%s: the header does not begin with '{': not a safetensors file", shown);

    char what[500];
    snprintf(what, sizeof what, "%s: the header", shown);
    file->data_offset = 8 + length;
    return hc_json_parse((const char *)file->data + 8, (size_t)length, HEADER_DEPTH, what, header, error);
}

static hc_status read_metadata(struct hc_file *file, json_t *metadata, struct hc_error *error)
{
    if (!metadata)
        return HC_OK;
    if (!json_is_object(metadata))
        return hc_fail(error, HC_ERR_CORRUPT, "%s: __metadata__ is not an object", hc_file_shown(file));

    size_t room = json_object_size(metadata) + 1;
    file->metadata_keys = calloc(room, sizeof *file->metadata_keys);
    file->metadata_values = calloc(room, sizeof *file->metadata_values);
    if (!file->metadata_keys || !file->metadata_values)
        return hc_fail(error, HC_ERR_MEMORY, "out of memory while reading %s", hc_file_shown(file));

    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return hc_fail(error, HC_ERR_CORRUPT, "%s: __metadata__ '%.200s' is not a string", hc_file_shown(file),
                           key);
        size_t i = file->metadata_count++;
        file->metadata_keys[i] = strdup(key);
        file->metadata_values[i] = strdup(json_string_value(value));
        if (!file->metadata_keys[i] || !file->metadata_values[i])
            return hc_fail(error, HC_ERR_MEMORY, "out of memory while reading %s", hc_file_shown(file));
    }
    return HC_OK;
}

/* By offset; tensors of no bytes before the one that begins where they lie; then by name, to be definite. */
static int compare_offsets(const void *left, const void *right)
{
    const struct hc_tensor *a = left, *b = right;
    if (a->data != b->data)
        return a->data < b->data ? -1 : 1;
    if ((a->bytes == 0) != (b->bytes == 0))
        return a->bytes == 0 ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Sorts, and sees to it that no byte of the data is left out or claimed twice. */
static hc_status check_cover(const struct hc_file *file, struct hc_tensor *tensors, size_t count,
                             struct hc_error *error)
{
    qsort(tensors, count, sizeof *tensors, compare_offsets);
    const uint8_t *expected = file->data + file->data_offset;
    for (size_t i = 0; i < count; i++) {
        if (tensors[i].data != expected)
            return hc_fail(error, HC_ERR_CORRUPT, "%s: tensor '%.200s': %s", hc_file_shown(file), tensors[i].name,
                           tensors[i].data < expected ? "its data overlaps that of another tensor"
                                                      : "there is a hole before its data");
        expected += tensors[i].bytes;
    }
    if (expected != file->data + file->size)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: %llu bytes at the end of the file belong to no tensor",
                       hc_file_shown(file), (unsigned long long)(file->data + file->size - expected));
    return HC_OK;
}

static hc_status read_tensors(const struct hc_file *file, size_t index, json_t *header, struct hc_tensor *tensors,
                              size_t *count, struct hc_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach(header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        struct entry entry = {file, name, value, error};
        hc_status status = read_tensor(&entry, index, &tensors[*count]);
        if (status != HC_OK)
            return status;
        (*count)++;
    }
    return HC_OK;
}

hc_status hc_safetensors_read(struct hc_file *file, size_t index, struct hc_tensor **tensors, size_t *count,
                              struct hc_error *error)
{
    hc_status status = HC_OK;
    json_t *header = NULL;
    *tensors = NULL;
    *count = 0;

    HC_TRY(read_header(file, &header, error));
    HC_TRY(read_metadata(file, json_object_get(header, "__metadata__"), error));
    *tensors = calloc(json_object_size(header) + 1, sizeof **tensors);
    if (!*tensors) {
        status = hc_fail(error, HC_ERR_MEMORY, "out of memory while reading %s", hc_file_shown(file));
        goto done;
    }
    HC_TRY(read_tensors(file, index, header, *tensors, count, error));
    HC_TRY(check_cover(file, *tensors, *count, error));
done:
    json_decref(header);
    if (status != HC_OK) {
        hc_tensors_free(*tensors, *count);
        *tensors = NULL;
        *count = 0;
    }
    return status;
}
