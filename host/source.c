#include "source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "checksum.h"
#include "directory.h"
#include "files.h"
#include "gguf.h"
#include "json.h"
#include "map.h"
#include "safetensors.h"

/* Of a file, for a checksum. */
enum { SAMPLES = 64, SAMPLE_BYTES = 4096 };
/* Levels of an index: itself, weight_map or metadata, and what people put into the latter. */
enum { INDEX_DEPTH = 8 };

static hc_status no_memory(const struct hc_source *source, struct hc_error *error)
{
    return hc_fail(error, HC_ERR_MEMORY, "out of memory while opening %.400s", source->path);
}

/* ---- Files -------------------------------------------------------------------------------- */

/* Moves `tensors` to the end of the source's; frees the array, and all of it on failure. */
static hc_status take_tensors(struct hc_source *source, struct hc_tensor *tensors, size_t count, struct hc_error *error)
{
    size_t total = source->tensor_count + count;
    struct hc_tensor *all = realloc(source->tensors, (total + 1) * sizeof *all);
    if (!all) {
        hc_tensors_free(tensors, count);
        return no_memory(source, error);
    }
    if (count > 0) /* `tensors` may be NULL if not */
        memcpy(all + source->tensor_count, tensors, count * sizeof *all);
    source->tensors = all;
    source->tensor_count = total;
    free(tensors);
    return HC_OK;
}

static bool is_gguf(const struct hc_file *file)
{
    return file->size >= 4 && memcmp(file->data, "GGUF", 4) == 0;
}

void hc_file_sample(const struct hc_file *file, struct hc_checksum_stream *stream)
{
    const uint64_t data_bytes = file->size - file->data_offset;
    hc_checksum_add(stream, file->data, file->data_offset);
    for (uint64_t i = 0; i < SAMPLES; i++) {
        const uint64_t at = data_bytes / SAMPLES * i, rest = data_bytes - at;
        hc_checksum_add(stream, file->data + file->data_offset + at, rest < SAMPLE_BYTES ? rest : SAMPLE_BYTES);
    }
}

/* Opens the file at `path` as number file_count of the source, whose array has room for it. */
static hc_status open_file(struct hc_source *source, const char *path, bool gguf_allowed, struct hc_error *error)
{
    struct hc_file *file = &source->files[source->file_count];
    hc_status status = hc_file_open(file, path, error);
    if (status != HC_OK)
        return status;
    size_t index = source->file_count++;

    struct hc_tensor *tensors = NULL;
    size_t count = 0;
    if (gguf_allowed && is_gguf(file)) {
        struct hc_gguf *gguf = NULL;
        status = hc_gguf_read(file, index, &gguf, &tensors, &count, error);
        source->kind = HC_SOURCE_GGUF;
        source->gguf = gguf;
    } else {
        status = hc_safetensors_read(file, index, &tensors, &count, error);
    }
    return status == HC_OK ? take_tensors(source, tensors, count, error) : status;
}

/* Opens files of the source's directory. */
static hc_status open_files(struct hc_source *source, char *const *names, size_t count, bool gguf_allowed,
                            struct hc_error *error)
{
    source->files = calloc(count, sizeof *source->files);
    if (!source->files)
        return no_memory(source, error);
    for (size_t i = 0; i < count; i++) {
        char *path = hc_path_join(source->path, names[i]);
        if (!path)
            return no_memory(source, error);
        hc_status status = open_file(source, path, gguf_allowed, error);
        free(path);
        if (status != HC_OK)
            return status;
    }
    return HC_OK;
}

/* ---- Names -------------------------------------------------------------------------------- */

struct named {
    const char *name;
    size_t index;
};

static int compare_named(const void *left, const void *right)
{
    return strcmp(((const struct named *)left)->name, ((const struct named *)right)->name);
}

/* Makes by_name, and sees to it that no name is there twice. */
static hc_status order_names(struct hc_source *source, struct hc_error *error)
{
    size_t count = source->tensor_count;
    hc_status status = HC_OK;
    struct named *named = calloc(count + 1, sizeof *named);
    source->by_name = calloc(count + 1, sizeof *source->by_name);
    if (!named || !source->by_name) {
        status = no_memory(source, error);
        goto done;
    }
    for (size_t i = 0; i < count; i++)
        named[i] = (struct named){source->tensors[i].name, i};
    qsort(named, count, sizeof *named, compare_named);
    for (size_t i = 0; i < count; i++) {
        source->by_name[i] = named[i].index;
        if (i > 0 && compare_named(&named[i - 1], &named[i]) == 0) {
            const struct hc_file *file = &source->files[source->tensors[named[i].index].file];
            const struct hc_file *other = &source->files[source->tensors[named[i - 1].index].file];
            status = hc_fail(error, HC_ERR_CORRUPT, "%s: tensor '%.200s': it is there twice (also in %.200s)",
                             hc_file_shown(file), named[i].name, other->name);
            goto done;
        }
    }
done:
    free(named);
    return status;
}

int64_t hc_source_find(const struct hc_source *source, const char *name)
{
    size_t low = 0, high = source->tensor_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, source->tensors[source->by_name[middle]].name);
        if (order == 0)
            return (int64_t)source->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

/* ---- The index of shards ------------------------------------------------------------------ */

static hc_status read_index(const char *path, json_t **index, struct hc_error *error)
{
    struct hc_file file;
    hc_status status = hc_file_open(&file, path, error);
    if (status != HC_OK)
        return status;
    status = hc_json_parse((const char *)file.data, (size_t)file.size, INDEX_DEPTH, hc_file_shown(&file), index, error);
    hc_file_close(&file);
    return status;
}

/* A name of a file in the same directory, and of no other place. */
static bool is_plain_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strlen(name) <= 255 && !strpbrk(name, "/\\");
}

/* The shards that a weight_map names, sorted, each once. */
static hc_status list_shards(const char *path, json_t *weight_map, struct hc_names *shards, struct hc_error *error)
{
    struct hc_names all = {0};
    hc_status status = HC_OK;
    const char *tensor;
    json_t *value;
    json_object_foreach(weight_map, tensor, value)
    {
        const char *shard = json_string_value(value);
        if (!shard || !is_plain_name(shard)) {
            status =
                hc_fail(error, HC_ERR_CORRUPT, "%.400s: tensor '%.200s': its shard '%.100s' is not a plain file name",
                        path, tensor, shard ? shard : "");
            goto done;
        }
        HC_TRY(hc_names_add(&all, shard, error));
    }
    hc_names_sort(&all);
    for (size_t i = 0; i < all.count; i++)
        if (i == 0 || strcmp(all.items[i - 1], all.items[i]) != 0)
            HC_TRY(hc_names_add(shards, all.items[i], error));
done:
    hc_names_free(&all);
    return status;
}

static hc_status check_index(const struct hc_source *source, const char *path, json_t *weight_map,
                             struct hc_error *error)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(weight_map, tensor, value)
    {
        int64_t found = hc_source_find(source, tensor);
        if (found < 0 || strcmp(source->files[source->tensors[found].file].name, json_string_value(value)) != 0)
            return hc_fail(error, HC_ERR_CORRUPT, "%.400s: tensor '%.200s': it is not in its shard %.100s", path,
                           tensor, json_string_value(value));
    }
    return HC_OK;
}

static hc_status open_index(struct hc_source *source, struct hc_error *error)
{
    json_t *index = NULL;
    struct hc_names shards = {0};
    hc_status status = HC_OK;
    char *path = hc_path_join(source->path, HC_INDEX_NAME);
    if (!path)
        return no_memory(source, error);

    HC_TRY(read_index(path, &index, error));
    json_t *weight_map = json_object_get(index, "weight_map");
    if (json_object_size(weight_map) == 0) {
        status = hc_fail(error, HC_ERR_CORRUPT, "%.400s: its weight_map is missing or lists no tensors", path);
        goto done;
    }
    HC_TRY(list_shards(path, weight_map, &shards, error));
    HC_TRY(open_files(source, shards.items, shards.count, false, error));
    HC_TRY(order_names(source, error));
    HC_TRY(check_index(source, path, weight_map, error));
done:
    hc_names_free(&shards);
    json_decref(index);
    free(path);
    return status;
}

/* ---- Opening ------------------------------------------------------------------------------ */

static hc_status no_model(const struct hc_source *source, const struct hc_directory *directory, struct hc_error *error)
{
    if (directory->gguf.count > 1)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%.400s holds %zu GGUF files: name the one that is wanted",
                       source->path, directory->gguf.count);
    if (directory->foreign.count > 0)
        return hc_fail(error, HC_ERR_UNSUPPORTED,
                       "%.400s holds weights as %.100s only; safetensors or GGUF is wanted: convert them first",
                       source->path, directory->foreign.items[0]);
    return hc_fail(error, HC_ERR_UNSUPPORTED, "%.400s holds no model: no .safetensors and no .gguf file", source->path);
}

static hc_status open_weights(struct hc_source *source, const struct hc_directory *directory, struct hc_error *error)
{
    char single[] = HC_WEIGHTS_NAME;
    char *const names[] = {single};
    hc_status status;
    if (hc_names_have(&directory->safetensors, single))
        status = open_files(source, names, 1, false, error);
    else if (directory->indexed)
        return open_index(source, error);
    else if (directory->safetensors.count > 0)
        status = open_files(source, directory->safetensors.items, directory->safetensors.count, false, error);
    else if (directory->gguf.count == 1)
        status = open_files(source, directory->gguf.items, 1, true, error);
    else
        return no_model(source, directory, error);
    return status == HC_OK ? order_names(source, error) : status;
}

static bool is_opened(const struct hc_source *source, const char *name)
{
    for (size_t i = 0; i < source->file_count; i++)
        if (strcmp(source->files[i].name, name) == 0)
            return true;
    return false;
}

bool hc_source_needs_index(const struct hc_source *source)
{
    return source->file_count > 1 || (source->kind == HC_SOURCE_DIRECTORY && !is_opened(source, HC_WEIGHTS_NAME));
}

/* Weights beside the model are neither read nor copied. */
static hc_status leave_unused(const struct hc_source *source, struct hc_directory *directory, struct hc_error *error)
{
    const struct hc_names *lists[] = {&directory->safetensors, &directory->gguf, &directory->foreign};
    hc_status status = HC_OK;
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        for (size_t i = 0; i < lists[l]->count; i++)
            if (!is_opened(source, lists[l]->items[i]))
                HC_TRY(hc_directory_leave_out(directory, lists[l]->items[i],
                                              lists[l] == &directory->foreign ? HC_FOREIGN : HC_UNUSED, error));
    if (directory->indexed && !hc_source_needs_index(source))
        HC_TRY(hc_directory_leave_out(directory, HC_INDEX_NAME, HC_UNUSED, error));
    hc_names_sort(&directory->left_out);
done:
    return status;
}

static hc_status open_directory(struct hc_source *source, struct hc_error *error)
{
    struct hc_directory directory;
    hc_status status = hc_directory_list(source->path, &directory, error);
    if (status != HC_OK)
        return status;
    source->kind = HC_SOURCE_DIRECTORY;
    status = open_weights(source, &directory, error);
    if (status == HC_OK)
        status = leave_unused(source, &directory, error);

    source->copies = directory.copies.items;
    source->copy_count = directory.copies.count;
    source->left_out = directory.left_out.items;
    source->left_out_count = directory.left_out.count;
    directory.copies = directory.left_out = (struct hc_names){0};
    hc_directory_free(&directory);
    return status;
}

static hc_status open_single(struct hc_source *source, struct hc_error *error)
{
    source->kind = HC_SOURCE_FILE;
    source->files = calloc(1, sizeof *source->files);
    if (!source->files)
        return no_memory(source, error);
    hc_status status = open_file(source, source->path, true, error);
    return status == HC_OK ? order_names(source, error) : status;
}

hc_status hc_source_open(const char *path, struct hc_source **result, struct hc_error *error)
{
    *result = NULL;
    struct hc_source *source = calloc(1, sizeof *source);
    char *copy = hc_path_trim(path);
    if (!source || !copy) {
        free(source);
        free(copy);
        return hc_fail(error, HC_ERR_MEMORY, "out of memory while opening %.400s", path);
    }
    source->path = copy;

    struct stat status;
    hc_status outcome;
    if (stat(copy, &status) != 0)
        outcome = hc_fail_errno(error, "cannot open %.400s", copy);
    else
        outcome = S_ISDIR(status.st_mode) ? open_directory(source, error) : open_single(source, error);
    if (outcome != HC_OK)
        hc_source_close(source);
    else
        *result = source;
    return outcome;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

void hc_source_close(struct hc_source *source)
{
    if (!source)
        return;
    hc_tensors_free(source->tensors, source->tensor_count);
    free(source->by_name);
    hc_gguf_free(source->gguf);
    for (size_t i = 0; i < source->file_count; i++)
        hc_file_close(&source->files[i]);
    free(source->files);
    free_names(source->copies, source->copy_count);
    free_names(source->left_out, source->left_out_count);
    free(source->path);
    free(source);
}

hc_status hc_source_check_apart(const struct hc_source *source, const char *output, struct hc_error *error)
{
    hc_status status = hc_check_apart(source->path, output, error);
    for (size_t i = 0; status == HC_OK && i < source->file_count; i++)
        status = hc_check_apart(source->files[i].path, output, error);
    for (size_t i = 0; status == HC_OK && i < source->copy_count; i++) {
        char *path = hc_path_join(source->path, source->copies[i]);
        status = path ? hc_check_apart(path, output, error) : hc_no_memory(error);
        free(path);
    }
    return status;
}
