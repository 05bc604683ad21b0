/* hc_decompress: a compressed model back to plain safetensors. */
#include "config.h"
#include "context.h"
#include "directory.h"
#include "files.h"
#include "header.h"
#include "json.h"
#include "manifest.h"
#include "meter.h"
#include "model.h"

#include <stdlib.h>
#include <string.h>

enum { ALL_FILES = -1, MAX_CONFIG = 64 << 20, COPY_BYTES = 4 << 20 };

struct restore {
    struct hc_meter meter;
    struct hc_model *model;
    const hc_decompress_options *options;
    void *weights;   /* a stretch, decoded */
    double *doubles; /* and in the one type in which nothing is decoded */
};

/* One file that is being written. */
struct target {
    struct restore *restore;
    struct hc_out out;
    uint64_t position;
    /* of the tensor at hand: */
    hc_type type;
    bool own; /* the type is its original one, and holds all its weights */
};

void hc_decompress_options_init(hc_decompress_options *options)
{
    *options = (hc_decompress_options){.type = -1};
}

/* The type a tensor gets: its own, if safetensors and we can write it; block types and 8-bit floats become F16. */
static hc_type type_of(const struct restore *restore, const struct hc_model_tensor *tensor)
{
    if (!tensor->description.method)
        return tensor->parts[0]->type;
    hc_type own = tensor->info.type;
    if (restore->options->type >= 0)
        own = (hc_type)restore->options->type;
    return own == HC_TYPE_F64 || own == HC_TYPE_F32 || own == HC_TYPE_BF16 ? own : HC_TYPE_F16;
}

static uint64_t bytes_of(const struct restore *restore, const struct hc_model_tensor *tensor)
{
    return tensor->info.weights * hc_type_block_bytes(type_of(restore, tensor));
}

/* ---- One tensor ----------------------------------------------------------------------------- */

/* True if one of the halves is infinite: decoded weights are finite, so the type was too narrow for it. With `hold` it
 * becomes the largest finite value instead. */
static bool overflows(uint16_t *halves, size_t n, uint16_t infinity, bool hold)
{
    bool any = false;
    for (size_t i = 0; i < n; i++)
        if ((halves[i] & 0x7fff) == infinity) {
            any = !hold;
            halves[i] = (uint16_t)(halves[i] - hold); /* the number below infinity is the largest finite one */
        }
    return any;
}

/* False if the type of the target cannot hold a weight. What only the error of coding took beyond the tensor's own type
 * is held at its end. */
static bool fits(const struct target *target, void *weights, size_t n)
{
    switch (target->type) {
    case HC_TYPE_F16:
        return !overflows(weights, n, 0x7c00, target->own);
    case HC_TYPE_BF16:
        return !overflows(weights, n, 0x7f80, target->own);
    default:
        return true;
    }
}

static const double *to_doubles(const struct restore *restore, const float *weights, size_t n)
{
    for (size_t i = 0; i < n; i++)
        restore->doubles[i] = (double)weights[i];
    return restore->doubles;
}

static hc_status write_stretch(void *user, uint64_t first, uint64_t count, void *weights, struct hc_error *error)
{
    struct target *target = user;
    size_t bytes = count * hc_type_block_bytes(target->type);
    if (!fits(target, weights, count))
        return hc_fail(error, HC_ERR_UNSUPPORTED, "tensor %.200s: has weights that %s cannot hold",
                       target->restore->meter.progress.tensor, hc_type_name(target->type));
    const void *written =
        target->type == HC_TYPE_F64 ? (const void *)to_doubles(target->restore, weights, count) : weights;
    hc_status status = hc_out_write_at(&target->out, target->position, written, bytes, error);
    target->position += bytes;
    return status == HC_OK ? hc_meter_report(&target->restore->meter, first + count, error) : status;
}

static hc_status write_decoded(struct target *target, const struct hc_model_tensor *tensor, struct hc_error *error)
{
    struct restore *restore = target->restore;
    hc_type type = target->type == HC_TYPE_F64 ? HC_TYPE_F32 : target->type;
    return hc_model_decode(&restore->meter.context->engine, tensor, type, restore->weights, write_stretch, target,
                           error);
}

static hc_status write_kept(struct target *target, const struct hc_tensor *stored, struct hc_error *error)
{
    hc_status status = HC_OK;
    for (uint64_t at = 0; status == HC_OK && at < stored->bytes; at += COPY_BYTES) {
        uint64_t rest = stored->bytes - at, bytes = rest < COPY_BYTES ? rest : COPY_BYTES;
        status = hc_out_write_at(&target->out, target->position, stored->data + at, bytes, error);
        target->position += bytes;
        if (status == HC_OK)
            status = hc_meter_report(&target->restore->meter, 0, error);
    }
    return status;
}

static hc_status write_tensor(struct target *target, const struct hc_model_tensor *tensor, struct hc_error *error)
{
    struct restore *restore = target->restore;
    restore->meter.progress.tensor = tensor->name;
    target->type = type_of(restore, tensor);
    target->own = target->type == tensor->info.type;
    bool sound = true;
    hc_status status = hc_meter_report(&restore->meter, 0, error);
    if (status == HC_OK)
        status = hc_model_is_sound(tensor, &sound, error);
    if (status == HC_OK && !sound)
        status = hc_fail(error, HC_ERR_CORRUPT, "%s: tensor %.200s: fails its checksum",
                         restore->model->source->files[tensor->parts[0]->file].path, tensor->name);
    if (status == HC_OK)
        status = tensor->description.method ? write_decoded(target, tensor, error)
                                            : write_kept(target, tensor->parts[0], error);
    hc_model_drop(tensor);
    hc_meter_advance(&restore->meter, tensor->info.weights);
    return status;
}

/* ---- One file ------------------------------------------------------------------------------- */

typedef hc_status (*tensor_fn)(void *user, const struct hc_model_tensor *tensor, struct hc_error *error);

/* The tensors of a file (or of ALL_FILES) in the order in which they are written: wide elements first. */
static hc_status each_tensor(const struct restore *restore, int file, tensor_fn fn, void *user, struct hc_error *error)
{
    static const unsigned widths[] = {8, 4, 2, 1};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (size_t i = 0; i < restore->model->tensor_count; i++) {
            const struct hc_model_tensor *tensor = &restore->model->tensors[i];
            if ((file != ALL_FILES && tensor->parts[0]->file != (size_t)file) ||
                hc_type_block_bytes(type_of(restore, tensor)) != widths[w])
                continue;
            hc_status status = fn(user, tensor, error);
            if (status != HC_OK)
                return status;
        }
    return HC_OK;
}

struct header_maker {
    const struct restore *restore;
    struct hc_header header;
    json_t *weight_map; /* may be NULL */
    const char *name;
};

static hc_status add_to_header(void *user, const struct hc_model_tensor *tensor, struct hc_error *error)
{
    struct header_maker *maker = user;
    if (maker->weight_map && json_object_set_new(maker->weight_map, tensor->name, json_string(maker->name)) != 0)
        return hc_no_memory(error);
    return hc_header_tensor(&maker->header, tensor->name, type_of(maker->restore, tensor), tensor->info.rank,
                            tensor->info.shape, bytes_of(maker->restore, tensor), error);
}

static hc_status add_to_file(void *user, const struct hc_model_tensor *tensor, struct hc_error *error)
{
    return write_tensor(user, tensor, error);
}

/* The metadata that the input had, without ours. */
static hc_status add_metadata(struct header_maker *maker, const struct hc_file *file, struct hc_error *error)
{
    hc_status status = HC_OK;
    for (size_t i = 0; status == HC_OK && i < file->metadata_count; i++)
        if (strncmp(file->metadata_keys[i], "hyperc.", 7) != 0)
            status = hc_header_metadata(&maker->header, file->metadata_keys[i], file->metadata_values[i], error);
    return status;
}

static hc_status restore_file(struct restore *restore, int file, const char *path, const char *name, json_t *weight_map,
                              struct hc_error *error)
{
    struct header_maker maker = {.restore = restore, .weight_map = weight_map, .name = name};
    struct target target = {.restore = restore, .out = {.fd = -1}};
    uint8_t *bytes = NULL;
    size_t length = 0;
    hc_status status = hc_header_begin(&maker.header, error);
    if (status != HC_OK)
        return status;
    HC_TRY(add_metadata(&maker, &restore->model->source->files[file == ALL_FILES ? 0 : file], error));
    HC_TRY(each_tensor(restore, file, add_to_header, &maker, error));
    HC_TRY(hc_header_bytes(&maker.header, 0, &bytes, &length, error));
    HC_TRY(hc_out_open(&target.out, path, true, error));
    HC_TRY(hc_out_write_at(&target.out, 0, bytes, length, error));
    target.position = length;
    HC_TRY(each_tensor(restore, file, add_to_file, &target, error));
    HC_TRY(hc_out_finish(&target.out, error));
done:
    free(bytes);
    hc_header_end(&maker.header);
    hc_out_close(&target.out);
    return status;
}

/* ---- A folder ------------------------------------------------------------------------------- */

static hc_status restore_config(const struct restore *restore, const char *stage, struct hc_error *error)
{
    char *from = hc_path_join(restore->model->source->path, HC_CONFIG_NAME), *to = hc_path_join(stage, HC_CONFIG_NAME);
    char *text = NULL, *out = NULL;
    size_t bytes;
    hc_status status = from && to ? HC_OK : hc_no_memory(error);
    if (status != HC_OK || !hc_path_exists(from))
        goto done;
    HC_TRY(hc_read_file(from, MAX_CONFIG, &text, &bytes, error));
    HC_TRY(hc_config_remove(text, from, &out, error));
    if (out)
        HC_TRY(hc_write_file(to, out, strlen(out), error));
done:
    free(from);
    free(to);
    free(text);
    free(out);
    return status;
}

static hc_status restore_copies(const struct restore *restore, const char *stage, struct hc_error *error)
{
    const struct hc_source *source = restore->model->source;
    hc_status status = HC_OK;
    for (size_t i = 0; status == HC_OK && i < source->copy_count; i++) {
        const char *name = source->copies[i];
        if (strcmp(name, HC_CONFIG_NAME) == 0 || strcmp(name, HC_MANIFEST) == 0)
            continue;
        char *from = hc_path_join(source->path, name), *to = hc_path_join(stage, name);
        status = from && to ? hc_make_parents(to, error) : hc_no_memory(error);
        if (status == HC_OK)
            status = hc_copy_file(from, to, NULL, NULL, error);
        free(from);
        free(to);
    }
    return status;
}

static hc_status write_index(const struct restore *restore, const char *stage, const json_t *weight_map,
                             struct hc_error *error)
{
    uint64_t total = 0;
    for (size_t i = 0; i < restore->model->tensor_count; i++)
        total += bytes_of(restore, &restore->model->tensors[i]);
    json_t *index = json_pack("{s:{s:I}, s:O}", "metadata", "total_size", (json_int_t)total, "weight_map", weight_map);
    char *text = hc_json_text(index, JSON_INDENT(2)), *path = hc_path_join(stage, HC_INDEX_NAME);
    hc_status status = text && path ? hc_write_file(path, text, strlen(text), error) : hc_no_memory(error);
    json_decref(index);
    free(text);
    free(path);
    return status;
}

static hc_status restore_folder(struct restore *restore, const char *stage, struct hc_error *error)
{
    const struct hc_source *source = restore->model->source;
    json_t *weight_map = json_object();
    hc_status status;
    HC_TRY(hc_make_parents(stage, error));
    HC_TRY(hc_make_directory(stage, error));
    for (size_t f = 0; status == HC_OK && f < source->file_count; f++) {
        char *path = hc_path_join(stage, source->files[f].name);
        status =
            path ? restore_file(restore, (int)f, path, source->files[f].name, weight_map, error) : hc_no_memory(error);
        free(path);
    }
    if (status == HC_OK && hc_source_needs_index(source))
        status = write_index(restore, stage, weight_map, error);
    if (status == HC_OK)
        status = restore_config(restore, stage, error);
    if (status == HC_OK)
        status = restore_copies(restore, stage, error);
    if (status == HC_OK)
        status = hc_sync_directory(stage, error);
done:
    json_decref(weight_map);
    return status;
}

/* ---- The operation -------------------------------------------------------------------------- */

static bool names_a_file(const char *output)
{
    const char *suffix = ".safetensors";
    size_t length = strlen(output);
    return length > strlen(suffix) && strcmp(output + length - strlen(suffix), suffix) == 0;
}

static hc_status check_options(const hc_decompress_options *options, struct hc_error *error)
{
    int type = options->type;
    if (type < 0 || type == HC_TYPE_F32 || type == HC_TYPE_F16 || type == HC_TYPE_BF16 || type == HC_TYPE_F64)
        return HC_OK;
    return hc_fail(error, HC_ERR_ARGUMENT, "decompress writes F32, F16, BF16 or F64");
}

/* What lies there may be replaced: by a file only a file, by a folder only a model. */
static hc_status check_replaceable(const char *path, bool file, struct hc_error *error)
{
    if (!file)
        return hc_check_replaceable(path, error);
    return hc_path_is_directory(path)
               ? hc_fail(error, HC_ERR_EXISTS, "%s: is a folder, and a file is to be written", path)
               : HC_OK;
}

static hc_status check_output(const struct hc_source *input, const char *output, const char *stage, bool file,
                              bool force, struct hc_error *error)
{
    hc_status status;
    HC_TRY(hc_source_check_apart(input, output, error));
    HC_TRY(hc_source_check_apart(input, stage, error));
    if (!force && hc_path_exists(output) && !hc_path_is_empty_directory(output))
        return hc_fail(error, HC_ERR_EXISTS, "%s: is there already; --force replaces it", output);
    if (!force && hc_path_exists(stage))
        return hc_fail(error, HC_ERR_EXISTS, "%s: an interrupted run lies there; --force starts over", stage);
    HC_TRY(check_replaceable(output, file, error));
    HC_TRY(check_replaceable(stage, file, error));
    HC_TRY(hc_remove_tree(stage, error));
done:
    return status;
}

static hc_status restore_to(struct restore *restore, const char *output, struct hc_error *error)
{
    char *place = hc_path_trim(output), *stage = place ? hc_path_append(place, ".partial") : NULL;
    bool file = names_a_file(output);
    hc_status status = stage ? HC_OK : hc_no_memory(error);
    if (status != HC_OK)
        goto done;
    HC_TRY(check_output(restore->model->source, place, stage, file, restore->options->force, error));
    if (file) {
        HC_TRY(hc_make_parents(place, error));
        status = restore_file(restore, ALL_FILES, stage, place, NULL, error);
    } else {
        status = restore_folder(restore, stage, error);
    }
    if (status == HC_OK)
        status = hc_move_into_place(stage, place, restore->options->force, error);
    struct hc_error second; /* the first failure is the one to report */
    hc_status removed = hc_remove_tree(stage, status == HC_OK ? error : &second);
    if (status == HC_OK)
        status = removed;
done:
    free(place);
    free(stage);
    return status;
}

hc_status hc_decompress(hc_context *context, const char *input, const char *output,
                        const hc_decompress_options *options)
{
    struct hc_error *error = &context->error;
    struct restore restore = {.options = options};
    hc_status status;
    HC_TRY(hc_context_need_engine(context));
    HC_TRY(check_options(options, error));
    HC_TRY(hc_model_load(input, &restore.model, error));
    if (!restore.model->compressed) {
        status = hc_fail(error, HC_ERR_UNSUPPORTED, "%s: is not compressed by hyperc", input);
        goto done;
    }
    restore.weights = malloc(HC_MODEL_STRETCH * sizeof(float));
    restore.doubles = malloc(HC_MODEL_STRETCH * sizeof *restore.doubles);
    if (!restore.weights || !restore.doubles) {
        status = hc_no_memory(error);
        goto done;
    }
    hc_model_totals totals;
    hc_model_totals_get(restore.model, &totals);
    hc_meter_begin(&restore.meter, context, totals.tensors, totals.weights);
    HC_TRY(restore_to(&restore, output, error));
    hc_meter_report(&restore.meter, 0, NULL); /* cannot stop what is done */
done:
    hc_meter_end(&restore.meter);
    free(restore.weights);
    free(restore.doubles);
    hc_model_close(restore.model);
    return status;
}
