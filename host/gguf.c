#include "gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "family.h"
#include "map.h"
#include "safetensors.h"

enum {
    MAX_ENTRIES = 1 << 16,
    MAX_TENSORS = 1 << 20,
    MAX_KEY = 65535, /* the format's own limit */
    MAX_NAME = 1024,
    MAX_DIMENSIONS = 4, /* the format's own limit */
    MAX_ARRAY_DEPTH = 4,
    MAX_ALIGNMENT = 1 << 30,
    MAX_EXPERTS = 4096,
    DEFAULT_ALIGNMENT = 32
};

static const uint8_t value_bytes[HC_GGUF_TYPE_COUNT] = {
    [HC_GGUF_U8] = 1,  [HC_GGUF_I8] = 1,   [HC_GGUF_U16] = 2, [HC_GGUF_I16] = 2, [HC_GGUF_U32] = 4, [HC_GGUF_I32] = 4,
    [HC_GGUF_F32] = 4, [HC_GGUF_BOOL] = 1, [HC_GGUF_U64] = 8, [HC_GGUF_I64] = 8, [HC_GGUF_F64] = 8,
};

/* ---- Reading from the file ---------------------------------------------------------------- */

/* A place in the file. Whoever takes bytes from it has asked for them first. */
struct cursor {
    const struct hc_file *file;
    uint64_t at;
    struct hc_error *error;
};

static hc_status corrupt(const struct cursor *cursor, const char *fault)
{
    return hc_fail(cursor->error, HC_ERR_CORRUPT, "%s: %s", hc_file_shown(cursor->file), fault);
}

static hc_status no_memory(const struct cursor *cursor)
{
    return hc_fail(cursor->error, HC_ERR_MEMORY, "out of memory while reading %s", hc_file_shown(cursor->file));
}

static uint64_t left(const struct cursor *cursor)
{
    return cursor->file->size - cursor->at;
}

static uint64_t load_uint(const uint8_t *data, unsigned bytes)
{
    uint64_t value = 0;
    while (bytes-- > 0)
        value = value << 8 | data[bytes];
    return value;
}

static hc_status take_uint(struct cursor *cursor, unsigned bytes, uint64_t *value)
{
    *value = 0;
    if (left(cursor) < bytes)
        return corrupt(cursor, "the file ends within the header");
    *value = load_uint(cursor->file->data + cursor->at, bytes);
    cursor->at += bytes;
    return HC_OK;
}

/* `length` bytes of text, in place. */
static hc_status take_text(struct cursor *cursor, const uint8_t **text, uint64_t *length)
{
    hc_status status = take_uint(cursor, 8, length);
    if (status != HC_OK)
        return status;
    if (*length > left(cursor))
        return corrupt(cursor, "a string of the header is longer than the file");
    *text = cursor->file->data + cursor->at;
    cursor->at += *length;
    return HC_OK;
}

/* The number of bytes of the UTF-8 character at `text` (`left_over` bytes), 0 if there is none: also for overlong
 * forms, surrogates, and the zero byte, which would end a C string early. */
static unsigned utf8_length(const uint8_t *text, uint64_t left_over)
{
    static const uint32_t least[5] = {0, 1, 0x80, 0x800, 0x10000};
    uint8_t lead = text[0];
    unsigned length = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (length == 0 || length > left_over)
        return 0;
    uint32_t character = length == 1 ? lead : lead & (0x7fu >> length);
    for (unsigned i = 1; i < length; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        character = character << 6 | (text[i] & 0x3f);
    }
    bool valid = character >= least[length] && character <= 0x10ffff && (character < 0xd800 || character > 0xdfff);
    return valid ? length : 0;
}

/* A key or name as a C string of its own. */
static hc_status take_name(struct cursor *cursor, uint64_t longest, char **name)
{
    const uint8_t *text = NULL;
    uint64_t length = 0;
    hc_status status = take_text(cursor, &text, &length);
    if (status != HC_OK)
        return status;
    if (length == 0 || length > longest)
        return corrupt(cursor, "a key or tensor name is empty or too long");
    for (uint64_t i = 0; i < length;) {
        unsigned bytes = utf8_length(text + i, length - i);
        if (bytes == 0)
            return corrupt(cursor, "a key or tensor name is not valid UTF-8");
        i += bytes;
    }
    *name = malloc((size_t)length + 1);
    if (!*name)
        return no_memory(cursor);
    memcpy(*name, text, (size_t)length);
    (*name)[length] = '\0';
    return HC_OK;
}

/* ---- Metadata ----------------------------------------------------------------------------- */

static hc_status take_type(struct cursor *cursor, enum hc_gguf_type *type)
{
    uint64_t number;
    hc_status status = take_uint(cursor, 4, &number);
    if (status != HC_OK)
        return status;
    if (number >= HC_GGUF_TYPE_COUNT)
        return corrupt(cursor, "a value of the metadata has an unknown type");
    *type = (enum hc_gguf_type)number;
    return HC_OK;
}

static hc_status skip_array(struct cursor *cursor, struct hc_gguf_entry *array, unsigned depth);

/* Passes over `count` values of one type. Each takes at least one byte, so the file's size bounds the loops. */
static hc_status skip_values(struct cursor *cursor, enum hc_gguf_type type, uint64_t count, unsigned depth)
{
    unsigned size = value_bytes[type];
    if (size > 0) {
        if (count > left(cursor) / size)
            return corrupt(cursor, "a value of the metadata is longer than the file");
        for (uint64_t i = 0; type == HC_GGUF_BOOL && i < count; i++)
            if (cursor->file->data[cursor->at + i] > 1)
                return corrupt(cursor, "a truth value of the metadata is neither 0 nor 1");
        cursor->at += count * size;
        return HC_OK;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct hc_gguf_entry inner = {0};
        const uint8_t *text = NULL;
        uint64_t length;
        hc_status status =
            type == HC_GGUF_STRING ? take_text(cursor, &text, &length) : skip_array(cursor, &inner, depth + 1);
        if (status != HC_OK)
            return status;
    }
    return HC_OK;
}

static hc_status skip_array(struct cursor *cursor, struct hc_gguf_entry *array, unsigned depth)
{
    hc_status status;
    if (depth > MAX_ARRAY_DEPTH)
        return corrupt(cursor, "an array of the metadata is nested too deep");
    HC_TRY(take_type(cursor, &array->item_type));
    HC_TRY(take_uint(cursor, 8, &array->count));
    array->data = cursor->file->data + cursor->at;
    HC_TRY(skip_values(cursor, array->item_type, array->count, depth));
done:
    return status;
}

static hc_status take_entry(struct cursor *cursor, struct hc_gguf_entry *entry)
{
    hc_status status;
    HC_TRY(take_name(cursor, MAX_KEY, &entry->key));
    HC_TRY(take_type(cursor, &entry->type));
    entry->count = 1;
    entry->data = cursor->file->data + cursor->at;
    if (entry->type == HC_GGUF_STRING)
        HC_TRY(take_text(cursor, &entry->data, &entry->count));
    else if (entry->type == HC_GGUF_ARRAY)
        HC_TRY(skip_array(cursor, entry, 1));
    else
        HC_TRY(skip_values(cursor, entry->type, 1, 1));
done:
    return status;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct hc_gguf_entry *)a)->key, ((const struct hc_gguf_entry *)b)->key);
}

static hc_status take_metadata(struct cursor *cursor, struct hc_gguf *gguf, uint64_t count)
{
    /* key of one character, type, a value of one byte */
    if (count > MAX_ENTRIES || count > left(cursor) / 14)
        return corrupt(cursor, "the header claims more metadata than the file can hold");
    gguf->entries = calloc((size_t)count + 1, sizeof *gguf->entries);
    if (!gguf->entries)
        return no_memory(cursor);
    for (uint64_t i = 0; i < count; i++) {
        hc_status status = take_entry(cursor, &gguf->entries[gguf->entry_count]);
        gguf->entry_count++;
        if (status != HC_OK)
            return status;
    }
    qsort(gguf->entries, gguf->entry_count, sizeof *gguf->entries, compare_keys);
    for (size_t i = 1; i < gguf->entry_count; i++)
        if (compare_keys(&gguf->entries[i - 1], &gguf->entries[i]) == 0)
            return hc_fail(cursor->error, HC_ERR_CORRUPT, "%s: the key '%.200s' is there twice",
                           hc_file_shown(cursor->file), gguf->entries[i].key);
    return HC_OK;
}

const struct hc_gguf_entry *hc_gguf_find(const struct hc_gguf *gguf, const char *key)
{
    struct hc_gguf_entry wanted = {.key = (char *)(uintptr_t)key};
    return bsearch(&wanted, gguf->entries, gguf->entry_count, sizeof wanted, compare_keys);
}

bool hc_gguf_uint(const struct hc_gguf *gguf, const char *key, uint64_t *value)
{
    const struct hc_gguf_entry *entry = hc_gguf_find(gguf, key);
    if (!entry)
        return false;
    unsigned bytes = value_bytes[entry->type];
    uint64_t number;
    switch (entry->type) {
    case HC_GGUF_U8:
    case HC_GGUF_U16:
    case HC_GGUF_U32:
    case HC_GGUF_U64:
        number = load_uint(entry->data, bytes);
        break;
    case HC_GGUF_I8:
    case HC_GGUF_I16:
    case HC_GGUF_I32:
    case HC_GGUF_I64:
        number = load_uint(entry->data, bytes);
        if (number >> (8 * bytes - 1))
            return false;
        break;
    default:
        return false;
    }
    *value = number;
    return true;
}

bool hc_gguf_float(const struct hc_gguf *gguf, const char *key, double *value)
{
    const struct hc_gguf_entry *entry = hc_gguf_find(gguf, key);
    uint64_t whole;
    if (entry && entry->type == HC_GGUF_F32) {
        float number;
        memcpy(&number, entry->data, sizeof number);
        *value = (double)number;
    } else if (entry && entry->type == HC_GGUF_F64) {
        memcpy(value, entry->data, sizeof *value);
    } else if (hc_gguf_uint(gguf, key, &whole)) {
        *value = (double)whole;
    } else {
        return false;
    }
    return true;
}

/* What the metadata says about the file itself. */
static hc_status read_general(struct cursor *cursor, struct hc_gguf *gguf)
{
    uint64_t parts = 0;
    if (hc_gguf_uint(gguf, "split.count", &parts) && parts > 1)
        return hc_fail(cursor->error, HC_ERR_UNSUPPORTED,
                       "%s: this is one part of a model in %llu; join them with llama-gguf-split --merge",
                       hc_file_shown(cursor->file), (unsigned long long)parts);

    gguf->alignment = DEFAULT_ALIGNMENT;
    if (hc_gguf_find(gguf, "general.alignment") && !hc_gguf_uint(gguf, "general.alignment", &gguf->alignment))
        return corrupt(cursor, "general.alignment is not a whole number");
    if (gguf->alignment == 0 || gguf->alignment > MAX_ALIGNMENT || (gguf->alignment & (gguf->alignment - 1)) != 0)
        return corrupt(cursor, "general.alignment is not a power of two");

    const struct hc_gguf_entry *architecture = hc_gguf_find(gguf, "general.architecture");
    if (architecture && architecture->type != HC_GGUF_STRING)
        return corrupt(cursor, "general.architecture is not a string");
    gguf->architecture =
        architecture ? strndup((const char *)architecture->data, (size_t)architecture->count) : strdup("");
    if (!gguf->architecture)
        return no_memory(cursor);
    gguf->family = hc_family_find(gguf->architecture);
    return HC_OK;
}

/* ---- Tensors ------------------------------------------------------------------------------ */

/* By the numbers of the format. The ones that are only named are not read. */
struct stored_type {
    const char *name;
    int type; /* hc_type, or -1 */
};

static const struct stored_type stored_types[] = {
    [0] = {"F32", HC_TYPE_F32},    [1] = {"F16", HC_TYPE_F16},
    [2] = {"Q4_0", HC_TYPE_Q4_0},  [3] = {"Q4_1", HC_TYPE_Q4_1},
    [6] = {"Q5_0", HC_TYPE_Q5_0},  [7] = {"Q5_1", HC_TYPE_Q5_1},
    [8] = {"Q8_0", HC_TYPE_Q8_0},  [9] = {"Q8_1", -1},
    [10] = {"Q2_K", HC_TYPE_Q2_K}, [11] = {"Q3_K", HC_TYPE_Q3_K},
    [12] = {"Q4_K", HC_TYPE_Q4_K}, [13] = {"Q5_K", HC_TYPE_Q5_K},
    [14] = {"Q6_K", HC_TYPE_Q6_K}, [15] = {"Q8_K", HC_TYPE_Q8_K},
    [16] = {"IQ2_XXS", -1},        [17] = {"IQ2_XS", -1},
    [18] = {"IQ3_XXS", -1},        [19] = {"IQ1_S", -1},
    [20] = {"IQ4_NL", -1},         [21] = {"IQ3_S", -1},
    [22] = {"IQ2_S", -1},          [23] = {"IQ4_XS", -1},
    [24] = {"I8", HC_TYPE_I8},     [25] = {"I16", HC_TYPE_I16},
    [26] = {"I32", HC_TYPE_I32},   [27] = {"I64", HC_TYPE_I64},
    [28] = {"F64", HC_TYPE_F64},   [29] = {"IQ1_M", -1},
    [30] = {"BF16", HC_TYPE_BF16}, [34] = {"TQ1_0", -1},
    [35] = {"TQ2_0", -1},          [39] = {"MXFP4", -1},
};

enum { STORED_TYPES = sizeof stored_types / sizeof *stored_types };

/* A tensor as the file describes it; `offset` counts from the beginning of the data. */
struct stored_tensor {
    struct hc_tensor tensor;
    uint64_t offset;
};

static hc_status tensor_fault(const struct cursor *cursor, const struct hc_tensor *tensor, const char *fault)
{
    return hc_fail(cursor->error, HC_ERR_CORRUPT, "%s: tensor '%.200s': %s", hc_file_shown(cursor->file), tensor->name,
                   fault);
}

static hc_status take_shape(struct cursor *cursor, struct hc_tensor *tensor)
{
    uint64_t rank;
    hc_status status = take_uint(cursor, 4, &rank);
    if (status != HC_OK)
        return status;
    if (rank > MAX_DIMENSIONS)
        return tensor_fault(cursor, tensor, "it has more than 4 dimensions");
    tensor->rank = (int)rank;
    tensor->weights = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        uint64_t *size = &tensor->shape[i];
        status = take_uint(cursor, 8, size);
        if (status != HC_OK)
            return status;
        if (*size > INT64_MAX || (*size != 0 && tensor->weights > INT64_MAX / *size))
            return tensor_fault(cursor, tensor, "the product of its dimensions overflows");
        tensor->weights *= *size;
    }
    return HC_OK;
}

static hc_status take_tensor_type(struct cursor *cursor, struct hc_tensor *tensor)
{
    uint64_t number;
    hc_status status = take_uint(cursor, 4, &number);
    if (status != HC_OK)
        return status;
    if (number >= STORED_TYPES || !stored_types[number].name)
        return hc_fail(cursor->error, HC_ERR_UNSUPPORTED, "%s: tensor '%.200s': its type, number %llu, is not known",
                       hc_file_shown(cursor->file), tensor->name, (unsigned long long)number);
    if (stored_types[number].type < 0)
        return hc_fail(cursor->error, HC_ERR_UNSUPPORTED, "%s: tensor '%.200s': type %s is not supported",
                       hc_file_shown(cursor->file), tensor->name, stored_types[number].name);

    tensor->type = (hc_type)stored_types[number].type;
    uint64_t row = tensor->rank > 0 ? tensor->shape[tensor->rank - 1] : 1;
    if (row % hc_type_block_weights(tensor->type) != 0)
        return tensor_fault(cursor, tensor, "its rows are not whole blocks of its type");
    if (!hc_type_bytes(tensor->type, tensor->weights, &tensor->bytes))
        return tensor_fault(cursor, tensor, "its size in bytes overflows");
    return HC_OK;
}

static hc_status take_tensor(struct cursor *cursor, struct stored_tensor *stored)
{
    hc_status status;
    HC_TRY(take_name(cursor, MAX_NAME, &stored->tensor.name));
    HC_TRY(take_shape(cursor, &stored->tensor));
    HC_TRY(take_tensor_type(cursor, &stored->tensor));
    HC_TRY(take_uint(cursor, 8, &stored->offset));
done:
    return status;
}

/* By offset, those of no bytes first; then by name, to be definite. */
static int compare_offsets(const void *left_side, const void *right_side)
{
    const struct stored_tensor *a = left_side, *b = right_side;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    if ((a->tensor.bytes == 0) != (b->tensor.bytes == 0))
        return a->tensor.bytes == 0 ? -1 : 1;
    return strcmp(a->tensor.name, b->tensor.name);
}

/* Sorts the tensors and finds their data, which begins at the cursor. */
static hc_status place_tensors(struct cursor *cursor, const struct hc_gguf *gguf, struct stored_tensor *stored,
                               size_t count)
{
    uint64_t padding = (gguf->alignment - cursor->at % gguf->alignment) % gguf->alignment;
    uint64_t room = padding <= left(cursor) ? left(cursor) - padding : 0;
    uint64_t end = 0;
    qsort(stored, count, sizeof *stored, compare_offsets);
    for (size_t i = 0; i < count; i++) {
        struct hc_tensor *tensor = &stored[i].tensor;
        if (stored[i].offset % gguf->alignment != 0)
            return tensor_fault(cursor, tensor, "its data is not aligned");
        if (stored[i].offset > room || tensor->bytes > room - stored[i].offset)
            return tensor_fault(cursor, tensor, "its data lies beyond the end of the file");
        if (stored[i].offset < end)
            return tensor_fault(cursor, tensor, "its data overlaps that of another tensor");
        end = stored[i].offset + tensor->bytes;
        /* With no room at all, tensors of no bytes point at the end of the file. */
        tensor->data = room == 0 ? cursor->file->data + cursor->file->size
                                 : cursor->file->data + cursor->at + padding + stored[i].offset;
    }
    return HC_OK;
}

/* ---- Names and rows of Hugging Face ------------------------------------------------------- */

/* "architecture.name" as a number of heads; *heads stays where there is none. */
static hc_status read_heads(struct cursor *cursor, const struct hc_gguf *gguf, const char *name, uint64_t *heads)
{
    char key[128];
    snprintf(key, sizeof key, "%.60s.%s", gguf->architecture, name);
    const struct hc_gguf_entry *entry = hc_gguf_find(gguf, key);
    if (entry && entry->type == HC_GGUF_ARRAY)
        return hc_fail(cursor->error, HC_ERR_UNSUPPORTED,
                       "%s: %s is a list: another number of heads in every layer is not supported",
                       hc_file_shown(cursor->file), key);
    if (entry && !hc_gguf_uint(gguf, key, heads))
        *heads = 0;
    return HC_OK;
}

/* How many heads the rows of a permuted tensor make up. */
static hc_status find_heads(struct cursor *cursor, const struct hc_gguf *gguf, enum hc_family_rows rows,
                            struct hc_tensor *tensor)
{
    uint64_t heads = 0;
    hc_status status = read_heads(cursor, gguf, "attention.head_count", &heads);
    if (status == HC_OK && rows == HC_ROWS_KEY)
        status = read_heads(cursor, gguf, "attention.head_count_kv", &heads);
    if (status != HC_OK)
        return status;
    if (tensor->weights == 0)
        return HC_OK;
    if (heads == 0 || tensor->rank == 0 || tensor->shape[0] % heads != 0 || tensor->shape[0] / heads % 2 != 0)
        return tensor_fault(cursor, tensor, "its rows cannot be shared out among the heads that the metadata counts");
    if (tensor->rank == 1 && hc_type_is_block(tensor->type))
        return hc_fail(cursor->error, HC_ERR_UNSUPPORTED, "%s: tensor '%.200s': a bias of type %s is not supported",
                       hc_file_shown(cursor->file), tensor->name, hc_type_name(tensor->type));
    tensor->permuted_heads = heads;
    return HC_OK;
}

/* A list that grows when experts are split up. */
struct tensor_list {
    struct hc_tensor *items;
    size_t count, room;
};

/* Adds `tensor` under another name; its own stays the caller's. */
static hc_status add_tensor(const struct cursor *cursor, struct tensor_list *list, const struct hc_tensor *tensor,
                            const char *name)
{
    if (list->count == MAX_TENSORS)
        return corrupt(cursor, "it has too many tensors");
    if (list->count == list->room) {
        size_t room = 2 * list->room + 16;
        struct hc_tensor *items = realloc(list->items, room * sizeof *items);
        if (!items)
            return no_memory(cursor);
        list->items = items;
        list->room = room;
    }
    char *copy = strdup(name);
    if (!copy)
        return no_memory(cursor);
    list->items[list->count] = *tensor;
    list->items[list->count++].name = copy;
    return HC_OK;
}

/* The experts of `tensor`, one by one; the number of each takes the place of `star` in `name`. */
static hc_status add_experts(const struct cursor *cursor, struct tensor_list *list, const struct hc_tensor *tensor,
                             const char *name, const char *star)
{
    uint64_t experts = tensor->rank > 1 ? tensor->shape[0] : 0;
    if (experts == 0 || experts > MAX_EXPERTS || tensor->weights == 0)
        return tensor_fault(cursor, tensor, "it does not hold experts, one after the other");
    struct hc_tensor expert = *tensor;
    expert.rank--;
    memmove(expert.shape, tensor->shape + 1, (size_t)expert.rank * sizeof *expert.shape);
    expert.shape[expert.rank] = 0;
    expert.weights /= experts;
    expert.bytes /= experts;
    for (uint64_t i = 0; i < experts; i++) {
        char numbered[MAX_NAME];
        snprintf(numbered, sizeof numbered, "%.*s%llu%s", (int)(star - name), name, (unsigned long long)i, star + 1);
        hc_status status = add_tensor(cursor, list, &expert, numbered);
        if (status != HC_OK)
            return status;
        expert.data += expert.bytes;
    }
    return HC_OK;
}

static hc_status adopt(struct cursor *cursor, const struct hc_gguf *gguf, struct hc_tensor *tensor,
                       struct tensor_list *list)
{
    char name[MAX_NAME - 32]; /* leaves room for an expert's number */
    enum hc_family_rows rows = HC_ROWS_SAME;
    if (!gguf->family || !hc_family_rename(gguf->family, tensor->name, name, sizeof name, &rows))
        return add_tensor(cursor, list, tensor, tensor->name);
    if (rows != HC_ROWS_SAME) {
        hc_status status = find_heads(cursor, gguf, rows, tensor);
        if (status != HC_OK)
            return status;
    }
    const char *star = strchr(name, '*');
    return star ? add_experts(cursor, list, tensor, name, star) : add_tensor(cursor, list, tensor, name);
}

/* ---- The file ----------------------------------------------------------------------------- */

static hc_status read_tensors(struct cursor *cursor, size_t index, const struct hc_gguf *gguf, uint64_t count,
                              struct tensor_list *list)
{
    hc_status status = HC_OK;
    size_t taken = 0;
    struct stored_tensor *stored = NULL;
    /* name of one character, dimensions, type, offset */
    if (count > MAX_TENSORS || count > left(cursor) / 25)
        return corrupt(cursor, "the header claims more tensors than the file can hold");
    stored = calloc((size_t)count + 1, sizeof *stored);
    if (!stored)
        return no_memory(cursor);
    while (taken < count) {
        stored[taken].tensor.file = index;
        HC_TRY(take_tensor(cursor, &stored[taken++]));
    }
    HC_TRY(place_tensors(cursor, gguf, stored, (size_t)count));
    for (size_t i = 0; i < count; i++)
        HC_TRY(adopt(cursor, gguf, &stored[i].tensor, list));
done:
    for (size_t i = 0; i < taken; i++)
        free(stored[i].tensor.name);
    free(stored);
    return status;
}

static hc_status read_counts(struct cursor *cursor, struct hc_gguf *gguf, uint64_t *tensors, uint64_t *entries)
{
    uint64_t version;
    hc_status status;
    cursor->at = 4; /* the magic was seen by the caller */
    HC_TRY(take_uint(cursor, 4, &version));
    if (version > 0 && version % 65536 == 0) {
        status = hc_fail(cursor->error, HC_ERR_UNSUPPORTED, "%s: this is a big-endian GGUF file",
                         hc_file_shown(cursor->file));
        goto done;
    }
    if (version != 2 && version != 3) {
        status = hc_fail(cursor->error, HC_ERR_UNSUPPORTED, "%s: GGUF version %llu; 2 and 3 are supported",
                         hc_file_shown(cursor->file), (unsigned long long)version);
        goto done;
    }
    gguf->version = (uint32_t)version;
    HC_TRY(take_uint(cursor, 8, tensors));
    HC_TRY(take_uint(cursor, 8, entries));
done:
    return status;
}

hc_status hc_gguf_read(struct hc_file *file, size_t index, struct hc_gguf **gguf, struct hc_tensor **tensors,
                       size_t *count, struct hc_error *error)
{
    struct cursor cursor = {file, 0, error};
    struct tensor_list list = {NULL, 0, 0};
    uint64_t tensor_count = 0, entry_count = 0;
    hc_status status;
    *tensors = NULL;
    *count = 0;
    *gguf = calloc(1, sizeof **gguf);
    if (!*gguf)
        return no_memory(&cursor);

    HC_TRY(read_counts(&cursor, *gguf, &tensor_count, &entry_count));
    HC_TRY(take_metadata(&cursor, *gguf, entry_count));
    HC_TRY(read_general(&cursor, *gguf));
    HC_TRY(read_tensors(&cursor, index, *gguf, tensor_count, &list));
    *tensors = list.items;
    *count = list.count;
done:
    if (status != HC_OK) {
        hc_tensors_free(list.items, list.count);
        hc_gguf_free(*gguf);
        *gguf = NULL;
    }
    return status;
}

void hc_gguf_free(struct hc_gguf *gguf)
{
    if (!gguf)
        return;
    for (size_t i = 0; i < gguf->entry_count; i++)
        free(gguf->entries[i].key);
    free(gguf->entries);
    free(gguf->architecture);
    free(gguf);
}
