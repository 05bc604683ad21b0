/* hc_verify: a compressed model against its own checksums, and against the original. */
#include "context.h"
#include "files.h"
#include "manifest.h"
#include "map.h"
#include "meter.h"
#include "model.h"

#include <stdlib.h>
#include <string.h>

enum { COMPARE_WEIGHTS = 1 << 22 };

struct check {
    struct hc_meter meter;
    struct hc_model *model, *original; /* original: NULL without --against */
    const char *directory;
    hc_verify_fn fn;
    void *user;
    hc_verify_report *report;
    bool corrupt;
};

static void fault(struct check *check, bool corrupt, const char *where, const char *what, const hc_tensor_info *info)
{
    check->report->faults++;
    check->corrupt = check->corrupt || corrupt;
    if (check->fn)
        check->fn(where, what, info, check->user);
}

/* ---- Checksums ------------------------------------------------------------------------------ */

static const char *header_fault(const struct hc_file *file, const json_t *entry)
{
    json_int_t bytes = json_integer_value(json_object_get(entry, "bytes"));
    json_int_t header_bytes = json_integer_value(json_object_get(entry, "header_bytes"));
    if (file->size != (uint64_t)bytes)
        return "is not of the recorded size";
    if (header_bytes < 0 || header_bytes > bytes)
        return "the recorded size of its header cannot be";
    if (!hc_checksum_is(file->data, (size_t)header_bytes, json_string_value(json_object_get(entry, "header_xxh3"))))
        return "its header fails its checksum";
    return NULL;
}

/* The bytes are judged before anything reads a meaning out of them. */
static hc_status check_header(struct check *check, const json_t *entry, struct hc_error *error)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    char *path = hc_path_join(check->directory, name);
    struct hc_file file;
    if (!path)
        return hc_no_memory(error);
    check->report->files++;
    hc_status status = hc_path_exists(path) ? hc_file_open(&file, path, error) : HC_OK;
    if (!hc_path_exists(path)) {
        fault(check, true, name, "is missing", NULL);
    } else if (status == HC_OK) {
        const char *what = header_fault(&file, entry);
        if (what)
            fault(check, true, name, what, NULL);
        hc_file_close(&file);
    } else if (status != HC_ERR_MEMORY) {
        fault(check, true, name, "cannot be read", NULL);
    }
    free(path);
    return status == HC_ERR_MEMORY ? status : HC_OK;
}

static hc_status check_file(struct check *check, const json_t *entry, struct hc_error *error)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    char checksum[HC_CHECKSUM_DIGITS + 1], *path = hc_path_join(check->directory, name);
    uint64_t bytes = 0;
    if (!path)
        return hc_no_memory(error);
    check->report->files++;
    hc_status status = hc_path_exists(path) ? hc_checksum_file(path, checksum, &bytes, error) : HC_OK;
    if (!hc_path_exists(path))
        fault(check, true, name, "is missing", NULL);
    else if (status != HC_OK && status != HC_ERR_MEMORY)
        fault(check, true, name, "cannot be read", NULL);
    else if (status == HC_OK && bytes != (uint64_t)json_integer_value(json_object_get(entry, "bytes")))
        fault(check, true, name, "is not of the recorded size", NULL);
    else if (status == HC_OK && strcmp(checksum, json_string_value(json_object_get(entry, "xxh3"))) != 0)
        fault(check, true, name, "fails its checksum", NULL);
    free(path);
    return status == HC_ERR_MEMORY ? status : HC_OK;
}

static hc_status check_files(struct check *check, const json_t *manifest, struct hc_error *error)
{
    json_t *entry;
    size_t i;
    hc_status status = HC_OK;
    json_array_foreach(json_object_get(manifest, "shards"), i, entry) HC_TRY(check_header(check, entry, error));
    json_array_foreach(json_object_get(manifest, "files"), i, entry) HC_TRY(check_file(check, entry, error));
done:
    return status;
}

/* Where there is no manifest, there may be no model at all, or none of ours: then that is the failure to report. */
static hc_status read_manifest(struct check *check, json_t **manifest, struct hc_error *error)
{
    struct hc_error other;
    hc_status status = hc_manifest_read(check->directory, manifest, error);
    if (status != HC_ERR_CORRUPT)
        return status;
    hc_status reason = hc_model_load(check->directory, &check->model, &other);
    if (reason != HC_OK)
        return hc_fail(error, reason, "%s", other.text);
    return check->model->compressed
               ? status
               : hc_fail(error, HC_ERR_UNSUPPORTED, "%s: is not compressed by hyperc", check->directory);
}

/* Opens the model, whose files were checked. What is wrong with one that has faults is a fault more. */
static hc_status open_model(struct check *check, const json_t *manifest, struct hc_error *error)
{
    hc_status status = hc_model_load(check->directory, &check->model, error);
    if (status != HC_OK && status != HC_ERR_MEMORY && check->report->faults) {
        fault(check, true, check->directory, error->text, NULL);
        return HC_OK;
    }
    if (status != HC_OK)
        return status;
    if (!check->model->compressed)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: is not compressed by hyperc", check->directory);
    if (json_array_size(json_object_get(manifest, "shards")) < check->model->source->file_count)
        fault(check, true, check->directory, "there are weight files that the manifest does not list", NULL);
    return HC_OK;
}

static hc_status check_tensor(struct check *check, const struct hc_model_tensor *tensor, struct hc_error *error)
{
    bool sound = true;
    check->report->tensors++;
    hc_status status = hc_model_is_sound(tensor, &sound, error);
    hc_model_drop(tensor);
    if (!sound)
        fault(check, true, tensor->name, "fails its checksum", &tensor->info);
    return status;
}

/* ---- Against the original ------------------------------------------------------------------- */

/* Errors of the coded tensor, measured again. */
struct measurement {
    struct check *check;
    const struct hc_method *method;
    const struct hc_tensor *original;
    struct hc_compare_sum sum;
};

static hc_status measure_stretch(void *user, const struct hc_stretch *stretch, struct hc_error *error)
{
    struct measurement *measurement = user;
    struct hc_meter *meter = &measurement->check->meter;
    struct hc_piece piece = {measurement->original, stretch->at, stretch->weights, stretch->shape.rows,
                             stretch->shape.columns};
    hc_status status = measurement->method->compare(&meter->context->engine, stretch->decoder, &piece, stretch->first,
                                                    stretch->count, &measurement->sum, error);
    return status == HC_OK ? hc_meter_report(meter, stretch->at + stretch->first + stretch->count, error) : status;
}

/* Errors are defined for finite weights only. */
static hc_status is_finite(struct check *check, const struct hc_tensor *original, bool *finite, struct hc_error *error)
{
    struct hc_engine *engine = &check->meter.context->engine;
    struct hc_piece piece = {original, 0, original->weights, 1, original->weights};
    struct hc_moments_sum sum = {0};
    hc_status status = HC_OK;
    for (uint64_t at = 0; status == HC_OK && at < original->weights; at += COMPARE_WEIGHTS) {
        uint64_t rest = original->weights - at;
        status = engine->table->pair_moments(engine, &piece, at, rest < COMPARE_WEIGHTS ? rest : COMPARE_WEIGHTS, &sum,
                                             error);
    }
    *finite = sum.non_finite == 0;
    return status;
}

static hc_status compare_coded(struct check *check, const struct hc_model_tensor *tensor,
                               const struct hc_tensor *original, struct hc_error *error)
{
    const struct hc_description *description = &tensor->description;
    struct measurement measurement = {.check = check, .method = description->method, .original = original};
    const struct hc_compare_sum *sum = &measurement.sum;
    check->report->compared++;
    if (!hc_type_is_float(original->type)) {
        fault(check, false, tensor->name, "is of floats, the original is not", &tensor->info);
        return HC_OK;
    }
    bool finite = true;
    hc_status status = is_finite(check, original, &finite, error);
    if (status == HC_OK && !finite) {
        fault(check, false, tensor->name, "is coded, and the original has NaN or infinity", &tensor->info);
        return HC_OK;
    }
    if (status == HC_OK)
        status = hc_model_each_stretch(tensor, 0, description->weights, COMPARE_WEIGHTS, measure_stretch, &measurement,
                                       error);
    if (status == HC_ERR_CORRUPT) {
        fault(check, true, tensor->name, error->text, &tensor->info);
        return HC_OK;
    }
    if (status != HC_OK)
        return status;
    hc_tensor_info info = tensor->info;
    info.mean_abs_error = hc_exact_value(&sum->abs_error) / (double)description->weights;
    info.max_abs_error = sum->max_abs_error;
    info.squared_error = hc_exact_value(&sum->squared_error);
    info.squared_weights = hc_exact_value(&sum->squared_weights);
    info.signal_to_noise = hc_signal_to_noise(info.squared_weights, info.squared_error);
    bool same = info.mean_abs_error == description->mean_abs_error &&
                info.max_abs_error == description->max_abs_error && info.squared_error == description->squared_error &&
                info.squared_weights == description->squared_weights;
    if (!same)
        fault(check, false, tensor->name, "its error is not the recorded one", &info);
    else if (check->fn)
        check->fn(tensor->name, NULL, &info, check->user);
    return HC_OK;
}

/* Kept tensors have the original's bytes, but for GGUF's row order and block types: there the values are compared. */
static bool kept_equal(struct check *check, const struct hc_tensor *stored, const struct hc_tensor *original)
{
    if (original->type == stored->type && !original->permuted_heads)
        return stored->bytes == original->bytes && memcmp(stored->data, original->data, stored->bytes) == 0;
    if (!hc_type_is_float(original->type) || !hc_type_is_float(stored->type))
        return false;
    const struct hc_kernels *kernels = &check->meter.context->kernels;
    float a[HC_BLOCK], b[HC_BLOCK];
    uint16_t half[HC_BLOCK];
    for (uint64_t at = 0; at < stored->weights; at += HC_BLOCK) {
        size_t n = stored->weights - at < HC_BLOCK ? stored->weights - at : HC_BLOCK;
        hc_tensor_read(stored, kernels, at, n, a);
        hc_tensor_read(original, kernels, at, n, b);
        if (hc_type_is_block(original->type)) { /* as compress stored it */
            kernels->convert.f32_to_f16(b, n, half);
            kernels->convert.f16_to_f32(half, n, b);
        }
        if (memcmp(a, b, n * sizeof *a) != 0)
            return false;
    }
    return true;
}

static hc_status compare_tensor(struct check *check, const struct hc_model_tensor *tensor, struct hc_error *error)
{
    int64_t found = hc_source_find(check->original->source, tensor->name);
    if (found < 0) {
        fault(check, false, tensor->name, "the original has no such tensor", &tensor->info);
        return HC_OK;
    }
    const struct hc_tensor *original = &check->original->source->tensors[found];
    hc_status status = HC_OK;
    if (original->rank != tensor->info.rank ||
        memcmp(original->shape, tensor->info.shape, (size_t)original->rank * sizeof *original->shape) != 0)
        fault(check, false, tensor->name, "is not of the original's shape", &tensor->info);
    else if (tensor->description.method)
        status = compare_coded(check, tensor, original, error);
    else if (!kept_equal(check, tensor->parts[0], original))
        fault(check, false, tensor->name, "is not the original's, bit for bit", &tensor->info);
    hc_tensor_drop(original);
    return status;
}

/* What the original has and the model has not. */
static void check_missing(struct check *check)
{
    for (size_t i = 0; i < check->original->tensor_count; i++) {
        const char *name = check->original->tensors[i].name;
        if (!hc_model_find(check->model, name))
            fault(check, false, name, "is missing", NULL);
    }
}

/* ---- The operation -------------------------------------------------------------------------- */

static hc_status check_all(struct check *check, struct hc_error *error)
{
    hc_status status = HC_OK;
    for (size_t i = 0; status == HC_OK && i < check->model->tensor_count; i++) {
        const struct hc_model_tensor *tensor = &check->model->tensors[i];
        check->meter.progress.tensor = tensor->name;
        status = check_tensor(check, tensor, error);
        if (status == HC_OK && check->original)
            status = compare_tensor(check, tensor, error);
        hc_meter_advance(&check->meter, tensor->info.weights);
        if (status == HC_OK)
            status = hc_meter_report(&check->meter, 0, error);
    }
    if (status == HC_OK && check->original)
        check_missing(check);
    return status;
}

hc_status hc_verify(hc_context *context, const char *directory, const char *against, hc_verify_fn fn, void *user,
                    hc_verify_report *report)
{
    struct hc_error *error = &context->error;
    struct check check = {.directory = directory, .fn = fn, .user = user, .report = report};
    hc_model_totals totals;
    json_t *manifest = NULL;
    hc_status status;
    *report = (hc_verify_report){0};
    HC_TRY(hc_context_need_engine(context));
    HC_TRY(read_manifest(&check, &manifest, error));
    HC_TRY(check_files(&check, manifest, error));
    HC_TRY(open_model(&check, manifest, error));
    if (against)
        HC_TRY(hc_model_load(against, &check.original, error));
    if (check.model) {
        hc_model_totals_get(check.model, &totals);
        hc_meter_begin(&check.meter, context, totals.tensors, totals.weights);
        HC_TRY(check_all(&check, error));
    }
    if (report->faults)
        status = hc_fail(error, check.corrupt ? HC_ERR_CORRUPT : HC_ERR_DIFFERENT, "%s: %llu fault%s found", directory,
                         (unsigned long long)report->faults, report->faults == 1 ? "" : "s");
done:
    hc_meter_end(&check.meter);
    hc_model_close(check.original);
    hc_model_close(check.model);
    json_decref(manifest);
    return status;
}
