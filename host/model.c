#include "model.h"

#include "context.h"
#include "files.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Opening -------------------------------------------------------------------------------- */

static hc_status place(const struct hc_source *source, const struct hc_tensor *tensor, const char *what,
                       const struct hc_error *inner, hc_status status, struct hc_error *error)
{
    return hc_fail(error, status, "%s: tensor %s: %s", source->files[tensor->file].path, what, inner->text);
}

/* Finds the part of a coded tensor that takes `bytes` in its file. */
static hc_status find_part(const struct hc_source *source, struct hc_model_tensor *tensor, size_t i, uint64_t bytes,
                           struct hc_error *error)
{
    const struct hc_part *part = &tensor->description.method->parts[i];
    char *name = hc_path_append(tensor->name, part->suffix);
    if (!name)
        return hc_no_memory(error);
    int64_t found = hc_source_find(source, name);
    free(name);
    if (found < 0 || source->tensors[found].file != tensor->parts[0]->file)
        return hc_fail(error, HC_ERR_CORRUPT, "its part %s is missing", part->suffix);
    const struct hc_tensor *stored = &source->tensors[found];
    if (stored->type != part->type || stored->rank != 1)
        return hc_fail(error, HC_ERR_CORRUPT, "its part %s is not of one dimension of %s", part->suffix,
                       hc_type_name(part->type));
    if (stored->bytes != bytes)
        return hc_fail(error, HC_ERR_CORRUPT, "its part %s has %llu bytes, and takes %llu", part->suffix,
                       (unsigned long long)stored->bytes, (unsigned long long)bytes);
    tensor->parts[i] = stored;
    return HC_OK;
}

/* Checks the parameters of all pieces, and that the parts are what they take. */
static hc_status find_parts(const struct hc_source *source, struct hc_model_tensor *tensor, struct hc_error *error)
{
    const struct hc_description *description = &tensor->description;
    uint64_t bytes[HC_MAX_PARTS];
    hc_status status = HC_OK;
    tensor->offsets = malloc(json_array_size(description->pieces) * sizeof *tensor->offsets);
    if (!tensor->offsets)
        return hc_no_memory(error);
    HC_TRY(hc_description_layout(description, bytes, tensor->offsets, error));
    for (size_t i = 0; i < description->method->part_count; i++)
        if (bytes[i] > 0)
            HC_TRY(find_part(source, tensor, i, bytes[i], error));
done:
    return status;
}

/* A coded tensor, found by its codes: the first of its parts. */
static hc_status add_coded(struct hc_model *model, const struct hc_tensor *codes, const char *text,
                           struct hc_error *error)
{
    struct hc_model_tensor *tensor = &model->tensors[model->tensor_count++];
    struct hc_error inner = {""};
    *tensor = (struct hc_model_tensor){.parts = {codes}, .name = strdup(codes->name)};
    if (!tensor->name)
        return hc_no_memory(error);
    tensor->name[strlen(tensor->name) - strlen(HC_CODES_SUFFIX)] = 0;
    hc_status status = hc_description_parse(text, &tensor->description, &inner);
    if (status == HC_OK && !tensor->description.method)
        status = hc_fail(&inner, HC_ERR_CORRUPT, "codes, but described as stored as it is");
    if (status == HC_OK)
        status = find_parts(model->source, tensor, &inner);
    if (status != HC_OK)
        return place(model->source, codes, tensor->name, &inner, status, error);
    tensor->description.method->describe(json_array_get(tensor->description.pieces, 0), tensor->parameters,
                                         sizeof tensor->parameters);
    return HC_OK;
}

static hc_status add_kept(struct hc_model *model, const struct hc_tensor *stored, const char *text,
                          struct hc_error *error)
{
    struct hc_model_tensor *tensor = &model->tensors[model->tensor_count++];
    struct hc_error inner = {""};
    *tensor = (struct hc_model_tensor){.parts = {stored}, .name = stored->name};
    if (!text)
        return HC_OK;
    hc_status status = hc_description_parse(text, &tensor->description, &inner);
    if (status == HC_OK && tensor->description.method)
        status = hc_fail(&inner, HC_ERR_CORRUPT, "described as coded, but there are no codes");
    return status == HC_OK ? HC_OK : place(model->source, stored, stored->name, &inner, status, error);
}

/* The place of every metadata key of a file: there may be as many as tensors. NULL if memory is out. */
static json_t *metadata_places(const struct hc_file *file)
{
    json_t *places = json_object();
    for (size_t i = 0; i < file->metadata_count; i++)
        if (json_object_set_new(places, file->metadata_keys[i], json_integer((json_int_t)i)) != 0) {
            json_decref(places);
            return NULL;
        }
    return places;
}

/* *text is the description of a stored tensor, which codes have under the name of what they code; NULL if there is
 * none. */
static hc_status find_description(const struct hc_file *file, const json_t *places, const char *name, size_t length,
                                  const char **text, struct hc_error *error)
{
    char *key = hc_path_append(HC_TENSOR_KEY, name);
    if (!key)
        return hc_no_memory(error);
    key[strlen(HC_TENSOR_KEY) + length] = 0;
    const json_t *place = json_object_get(places, key);
    free(key);
    *text = place ? file->metadata_values[json_integer_value(place)] : NULL;
    return HC_OK;
}

/* Makes a tensor of the model out of one of the file; parts other than codes are left to find_parts. */
static hc_status add_tensor(struct hc_model *model, const struct hc_tensor *stored, const json_t *places,
                            struct hc_error *error)
{
    const struct hc_file *file = &model->source->files[stored->file];
    if (!json_object_get(places, HC_VERSION_KEY))
        return add_kept(model, stored, NULL, error);
    model->compressed = true;
    size_t length = strlen(stored->name), suffix = strlen(HC_CODES_SUFFIX);
    bool codes = length > suffix && strcmp(stored->name + length - suffix, HC_CODES_SUFFIX) == 0;
    if (!codes && hc_is_part(stored->name))
        return HC_OK;
    const char *text = NULL;
    hc_status status = find_description(file, places, stored->name, codes ? length - suffix : length, &text, error);
    if (status == HC_OK && !text)
        status =
            hc_fail(error, HC_ERR_CORRUPT, "%s: tensor %s: there is no description of it", file->path, stored->name);
    if (status != HC_OK)
        return status;
    return codes ? add_coded(model, stored, text, error) : add_kept(model, stored, text, error);
}

static void fill_info(struct hc_model_tensor *tensor)
{
    hc_tensor_info *info = &tensor->info;
    const struct hc_tensor *stored = tensor->parts[0];
    *info = (hc_tensor_info){.name = tensor->name,
                             .type = stored->type,
                             .rank = stored->rank,
                             .weights = stored->weights,
                             .parameters = tensor->parameters};
    memcpy(info->shape, stored->shape, sizeof info->shape);
    for (size_t i = 0; i < HC_MAX_PARTS; i++)
        info->stored_bytes += tensor->parts[i] ? tensor->parts[i]->bytes : 0;
    hc_description_info(&tensor->description, info);
}

/* The format has a version for itself: one that we do not know cannot be read. */
static hc_status check_version(const struct hc_file *file, const json_t *places, struct hc_error *error)
{
    const json_t *place = json_object_get(places, HC_VERSION_KEY);
    const char *version = place ? file->metadata_values[json_integer_value(place)] : NULL;
    char known[16];
    snprintf(known, sizeof known, "%d", HC_FORMAT_VERSION);
    if (version && strcmp(version, known) != 0)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: version %.10s of the format; this hyperc reads version %s",
                       file->path, version, known);
    return HC_OK;
}

/* Adds the tensors of a file, which are those of the source from *next on. */
static hc_status add_file(struct hc_model *model, size_t number, size_t *next, struct hc_error *error)
{
    const struct hc_source *source = model->source;
    json_t *places = metadata_places(&source->files[number]);
    hc_status status = places ? HC_OK : hc_no_memory(error);
    if (status == HC_OK)
        status = check_version(&source->files[number], places, error);
    for (; status == HC_OK && *next < source->tensor_count && source->tensors[*next].file == number; ++*next) {
        size_t count = model->tensor_count;
        status = add_tensor(model, &source->tensors[*next], places, error);
        if (status == HC_OK && model->tensor_count > count)
            fill_info(&model->tensors[count]);
    }
    json_decref(places);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct hc_model_tensor *const *)a)->name, (*(struct hc_model_tensor *const *)b)->name);
}

/* Also finds out if X and X.hc_codes are both there. */
static hc_status sort_names(struct hc_model *model, const char *path, struct hc_error *error)
{
    size_t count = model->tensor_count;
    model->by_name = malloc((count + 1) * sizeof *model->by_name);
    if (!model->by_name)
        return hc_no_memory(error);
    for (size_t i = 0; i < count; i++)
        model->by_name[i] = &model->tensors[i];
    qsort(model->by_name, count, sizeof *model->by_name, by_name);
    for (size_t i = 1; i < count; i++)
        if (strcmp(model->by_name[i - 1]->name, model->by_name[i]->name) == 0)
            return hc_fail(error, HC_ERR_CORRUPT, "%s: tensor %s: is there twice", path, model->by_name[i]->name);
    return HC_OK;
}

const struct hc_model_tensor *hc_model_find(const struct hc_model *model, const char *name)
{
    struct hc_model_tensor key = {.name = (char *)(uintptr_t)name}, *at = &key;
    struct hc_model_tensor **found = bsearch(&at, model->by_name, model->tensor_count, sizeof *model->by_name, by_name);
    return found ? *found : NULL;
}

/* Whether a stored tensor is a part of a tensor of the model, or one itself. */
static bool is_used(const struct hc_model *model, const struct hc_tensor *stored, const char *name)
{
    const struct hc_model_tensor *tensor = hc_model_find(model, name);
    for (size_t i = 0; tensor && i < HC_MAX_PARTS; i++)
        if (tensor->parts[i] == stored)
            return true;
    return false;
}

/* A part without the tensor that it belongs to is a fault. */
static hc_status check_strays(const struct hc_model *model, struct hc_error *error)
{
    const struct hc_source *source = model->source;
    for (size_t i = 0; i < source->tensor_count; i++) {
        const struct hc_tensor *stored = &source->tensors[i];
        if (!hc_is_part(stored->name) || is_used(model, stored, stored->name))
            continue;
        char *name = strdup(stored->name);
        if (!name)
            return hc_no_memory(error);
        *strrchr(name, '.') = 0;
        bool used = is_used(model, stored, name);
        free(name);
        if (!used)
            return hc_fail(error, HC_ERR_CORRUPT, "%s: tensor %s: is a part of no coded tensor",
                           source->files[stored->file].path, stored->name);
    }
    return HC_OK;
}

static void model_free(struct hc_model *model)
{
    if (!model)
        return;
    for (size_t i = 0; i < model->tensor_count; i++) {
        if (model->tensors[i].name != model->tensors[i].parts[0]->name)
            free(model->tensors[i].name);
        free(model->tensors[i].offsets);
        hc_description_clear(&model->tensors[i].description);
    }
    free(model->by_name);
    free(model->tensors);
    hc_source_close(model->source);
    free(model);
}

hc_status hc_model_load(const char *path, struct hc_model **out, struct hc_error *error)
{
    hc_status status;
    size_t next = 0;
    struct hc_model *model = calloc(1, sizeof *model);
    *out = NULL;
    if (!model)
        return hc_no_memory(error);
    HC_TRY(hc_source_open(path, &model->source, error));
    model->tensors = calloc(model->source->tensor_count + 1, sizeof *model->tensors);
    if (!model->tensors) {
        status = hc_no_memory(error);
        goto done;
    }
    for (size_t f = 0; f < model->source->file_count; f++)
        HC_TRY(add_file(model, f, &next, error));
    HC_TRY(sort_names(model, path, error));
    HC_TRY(check_strays(model, error));
    *out = model;
    model = NULL;
done:
    model_free(model);
    return status;
}

/* ---- The public interface ------------------------------------------------------------------- */

hc_status hc_model_open(hc_context *context, const char *path, hc_model **model)
{
    return hc_model_load(path, model, &context->error);
}

void hc_model_close(hc_model *model)
{
    model_free(model);
}

uint64_t hc_model_tensor_count(const hc_model *model)
{
    return model->tensor_count;
}

hc_status hc_model_tensor(const hc_model *model, uint64_t index, hc_tensor_info *info)
{
    if (index >= model->tensor_count)
        return HC_ERR_ARGUMENT;
    *info = model->tensors[index].info;
    return HC_OK;
}

void hc_model_totals_get(const hc_model *model, hc_model_totals *totals)
{
    double abs_error = 0, squared_error = 0, squared_weights = 0;
    *totals = (hc_model_totals){.tensors = model->tensor_count};
    for (size_t i = 0; i < model->tensor_count; i++) {
        const hc_tensor_info *info = &model->tensors[i].info;
        totals->weights += info->weights;
        totals->stored_bytes += info->stored_bytes;
        if (!info->method)
            continue;
        totals->coded_tensors++;
        totals->coded_weights += info->weights;
        totals->coded_bytes += info->stored_bytes;
        abs_error += info->mean_abs_error * (double)info->weights;
        squared_error += info->squared_error;
        squared_weights += info->squared_weights;
    }
    for (size_t f = 0; f < model->source->file_count; f++)
        totals->file_bytes += model->source->files[f].size;
    if (totals->coded_weights) {
        totals->coded_bits_per_weight = 8 * (double)totals->coded_bytes / (double)totals->coded_weights;
        totals->mean_abs_error = abs_error / (double)totals->coded_weights;
    }
    if (totals->weights)
        totals->bits_per_weight = 8 * (double)totals->file_bytes / (double)totals->weights;
    totals->signal_to_noise = hc_signal_to_noise(squared_weights, squared_error);
}

/* ---- The stored bytes ----------------------------------------------------------------------- */

hc_status hc_model_is_sound(const struct hc_model_tensor *tensor, bool *sound, struct hc_error *error)
{
    char checksum[HC_CHECKSUM_DIGITS + 1];
    struct hc_checksum_stream *stream = hc_checksum_create();
    if (!stream)
        return hc_no_memory(error);
    for (size_t i = 0; i < HC_MAX_PARTS; i++)
        if (tensor->parts[i])
            hc_checksum_add(stream, tensor->parts[i]->data, tensor->parts[i]->bytes);
    hc_checksum_text(stream, checksum);
    hc_checksum_destroy(stream);
    *sound = strcmp(checksum, tensor->description.checksum) == 0;
    return HC_OK;
}

void hc_model_drop(const struct hc_model_tensor *tensor)
{
    for (size_t i = 0; i < HC_MAX_PARTS; i++)
        if (tensor->parts[i])
            hc_tensor_drop(tensor->parts[i]);
}

/* ---- Decoding ------------------------------------------------------------------------------- */

hc_status hc_model_open_piece(const struct hc_model_tensor *tensor, size_t piece, void **decoder,
                              struct hc_error *error)
{
    const struct hc_description *description = &tensor->description;
    const struct hc_shape shape = hc_description_piece_shape(description);
    const uint8_t *parts[HC_MAX_PARTS] = {NULL};
    for (size_t i = 0; i < HC_MAX_PARTS; i++)
        if (tensor->parts[i])
            parts[i] = tensor->parts[i]->data + tensor->offsets[piece][i];
    return description->method->open(json_array_get(description->pieces, piece), &shape, parts, decoder, error);
}

hc_status hc_model_each_stretch(const struct hc_model_tensor *tensor, uint64_t first, uint64_t count, uint64_t most,
                                hc_stretch_fn fn, void *user, struct hc_error *error)
{
    const struct hc_description *description = &tensor->description;
    uint64_t weights = description->weights / json_array_size(description->pieces), end = first + count;
    struct hc_stretch stretch = {.weights = weights, .shape = hc_description_piece_shape(description)};
    hc_status status = HC_OK;
    for (uint64_t p = first / weights; p * weights < end; p++) {
        stretch.at = p * weights;
        uint64_t from = first > stretch.at ? first - stretch.at : 0;
        uint64_t to = end - stretch.at < weights ? end - stretch.at : weights;
        HC_TRY(hc_model_open_piece(tensor, p, &stretch.decoder, error));
        for (stretch.first = from / HC_BLOCK * HC_BLOCK; stretch.first < to; stretch.first += most) {
            stretch.count = to - stretch.first < most ? to - stretch.first : most;
            HC_TRY(fn(user, &stretch, error));
        }
        description->method->close(stretch.decoder);
        stretch.decoder = NULL;
    }
done:
    if (stretch.decoder)
        description->method->close(stretch.decoder);
    return status;
}

/* Decoding on the way: what the caller of hc_model_decode, or a window, gets. */
struct decoding {
    struct hc_engine *engine;
    const struct hc_method *method;
    hc_type type;
    void *out;
    hc_decoded_fn fn;
    void *user;
};

static hc_status decode_stretch(void *user, const struct hc_stretch *stretch, struct hc_error *error)
{
    const struct decoding *decoding = user;
    hc_status status = decoding->method->decode(decoding->engine, stretch->decoder, stretch->first, stretch->count,
                                                decoding->type, decoding->out, error);
    return status == HC_OK
               ? decoding->fn(decoding->user, stretch->at + stretch->first, stretch->count, decoding->out, error)
               : status;
}

hc_status hc_model_decode(struct hc_engine *engine, const struct hc_model_tensor *tensor, hc_type type, void *out,
                          hc_decoded_fn fn, void *user, struct hc_error *error)
{
    const struct hc_description *description = &tensor->description;
    struct decoding decoding = {engine, description->method, type, out, fn, user};
    return hc_model_each_stretch(tensor, 0, description->weights, HC_MODEL_STRETCH, decode_stretch, &decoding, error);
}

/* A window of a tensor, wherever it begins. */
struct window {
    uint64_t first, count;
    float *out;
};

static hc_status take_window(void *user, uint64_t first, uint64_t count, void *decoded, struct hc_error *error)
{
    (void)error;
    const struct window *window = user;
    const float *weights = decoded;
    uint64_t from = first > window->first ? first : window->first;
    uint64_t window_end = window->first + window->count, end = first + count < window_end ? first + count : window_end;
    if (from < end)
        memcpy(window->out + (from - window->first), weights + (from - first), (end - from) * sizeof *weights);
    return HC_OK;
}

/* Only the blocks that the window touches are decoded. */
static hc_status decode_window(struct hc_engine *engine, const struct hc_model_tensor *tensor, struct window *window,
                               float *buffer, struct hc_error *error)
{
    struct decoding decoding = {engine, tensor->description.method, HC_TYPE_F32, buffer, take_window, window};
    return hc_model_each_stretch(tensor, window->first, window->count, HC_MODEL_STRETCH, decode_stretch, &decoding,
                                 error);
}

/* A tensor that is stored as it is, block of weights by block. */
static void read_window(const struct hc_kernels *kernels, const struct hc_tensor *tensor, struct window *window)
{
    float buffer[HC_BLOCK];
    uint64_t end = window->first + window->count;
    for (uint64_t at = window->first / HC_BLOCK * HC_BLOCK; at < end; at += HC_BLOCK) {
        uint64_t rest = tensor->weights - at, count = rest < HC_BLOCK ? rest : HC_BLOCK;
        hc_tensor_read(tensor, kernels, at, count, buffer);
        take_window(window, at, count, buffer, NULL);
    }
}

hc_status hc_model_read(hc_context *context, const hc_model *model, uint64_t index, uint64_t first, uint64_t count,
                        float *out)
{
    struct hc_error *error = &context->error;
    if (index >= model->tensor_count)
        return hc_fail(error, HC_ERR_ARGUMENT, "there is no tensor %llu", (unsigned long long)index);
    const struct hc_model_tensor *tensor = &model->tensors[index];
    if (first > tensor->info.weights || count > tensor->info.weights - first)
        return hc_fail(error, HC_ERR_ARGUMENT, "tensor %s: there are no weights up to %llu", tensor->name,
                       (unsigned long long)(first + count));
    struct window window = {first, count, out};
    if (!tensor->description.method) {
        if (!hc_type_is_float(tensor->info.type))
            return hc_fail(error, HC_ERR_UNSUPPORTED, "tensor %s: not floating point", tensor->name);
        read_window(&context->kernels, tensor->parts[0], &window);
        return HC_OK;
    }
    float *buffer = malloc(HC_MODEL_STRETCH * sizeof *buffer);
    if (!buffer)
        return hc_no_memory(error);
    hc_status status = hc_context_need_engine(context);
    if (status == HC_OK)
        status = decode_window(&context->engine, tensor, &window, buffer, error);
    free(buffer);
    return status;
}
