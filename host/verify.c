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
    char checksum[HC_CHECKSUM_DIGITS + 1];
    if (file->size != (uint64_t)bytes)
        return "is not of the recorded size";
    if (header_bytes < 0 || header_bytes > bytes)
        return "the recorded size of its header cannot be";
    hc_checksum(file->data, (size_t)header_bytes, checksum);
    if (strcmp(checksum, json_string_value(json_object_get(entry, "header_xxh3"))) != 0)
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
        return hc_fail(error, HC_ERR_MEMORY, "out of memory");
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
        return hc_fail(error, HC_ERR_MEMORY, "out of memory");
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

static void check_tensor(struct check *check, const struct hc_model_tensor *tensor)
{
    char checksum[HC_CHECKSUM_DIGITS + 1];
    check->report->tensors++;
    hc_checksum(tensor->stored->data, tensor->stored->bytes, checksum);
    hc_tensor_drop(tensor->stored);
    if (strcmp(checksum, tensor->description.checksum) != 0)
        fault(check, true, tensor->name, "fails its checksum", &tensor->info);
}

/* ---- Against the original ------------------------------------------------------------------- */

/* Errors of the coded tensor, measured again. */
static hc_status measure(struct check *check, const struct hc_model_tensor *tensor, const struct hc_tensor *original,
                         struct hc_compare_sum *sum, struct hc_error *error)
{
    const struct hc_description *description = &tensor->description;
    size_t pieces = json_array_size(description->pieces);
    uint64_t weights = description->weights / pieces;
    void *decoder = NULL;
    hc_status status = HC_OK;
    for (size_t p = 0; p < pieces; p++) {
        struct hc_piece piece = {original, p * weights, weights};
        HC_TRY(hc_model_decoder(tensor, p, &decoder, error));
        for (uint64_t at = 0; at < weights; at += COMPARE_WEIGHTS) {
            uint64_t count = weights - at < COMPARE_WEIGHTS ? weights - at : COMPARE_WEIGHTS;
            HC_TRY(description->method->compare(&check->meter.context->engine, decoder, &piece, at, count, sum, error));
            HC_TRY(hc_meter_report(&check->meter, p * weights + at + count, error));
        }
        description->method->close(decoder);
        decoder = NULL;
    }
done:
    if (decoder)
        description->method->close(decoder);
    return status;
}

static hc_status compare_coded(struct check *check, const struct hc_model_tensor *tensor,
                               const struct hc_tensor *original, struct hc_error *error)
{
    const struct hc_description *description = &tensor->description;
    struct hc_compare_sum sum = {0};
    check->report->compared++;
    if (!hc_type_is_float(original->type)) {
        fault(check, false, tensor->name, "is of floats, the original is not", &tensor->info);
        return HC_OK;
    }
    hc_status status = measure(check, tensor, original, &sum, error);
    if (status == HC_ERR_CORRUPT) {
        fault(check, true, tensor->name, error->text, &tensor->info);
        return HC_OK;
    }
    if (status != HC_OK)
        return status;
    hc_tensor_info info = tensor->info;
    info.mean_abs_error = hc_exact_value(&sum.abs_error) / (double)description->weights;
    info.max_abs_error = sum.max_abs_error;
    info.squared_error = hc_exact_value(&sum.squared_error);
    info.squared_weights = hc_exact_value(&sum.squared_weights);
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
    float a[HC_PAIR_BLOCK], b[HC_PAIR_BLOCK];
    uint16_t half[HC_PAIR_BLOCK];
    for (uint64_t at = 0; at < stored->weights; at += HC_PAIR_BLOCK) {
        size_t n = stored->weights - at < HC_PAIR_BLOCK ? stored->weights - at : HC_PAIR_BLOCK;
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
    else if (!kept_equal(check, tensor->stored, original))
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
        check_tensor(check, tensor);
        if (check->original)
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
    hc_model_close(check.original);
    hc_model_close(check.model);
    json_decref(manifest);
    return status;
}
