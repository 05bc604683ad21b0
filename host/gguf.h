/* The reader of GGUF files, versions 2 and 3.
 *
 * A file is: "GGUF", a 32-bit version, 64-bit counts of tensors and of metadata entries, the entries (key, type,
 * value), the descriptions of the tensors (name, dimensions with the fastest first, type, offset), and from the next
 * multiple of the alignment on the data, all little-endian. Strings have 64-bit lengths and no zero at the end.
 */
#ifndef HC_HOST_GGUF_H
#define HC_HOST_GGUF_H

#include <jansson.h>

#include "source.h"

/* Types of metadata, by their numbers in the file. */
enum hc_gguf_type {
    HC_GGUF_U8,
    HC_GGUF_I8,
    HC_GGUF_U16,
    HC_GGUF_I16,
    HC_GGUF_U32,
    HC_GGUF_I32,
    HC_GGUF_F32,
    HC_GGUF_BOOL,
    HC_GGUF_STRING,
    HC_GGUF_ARRAY,
    HC_GGUF_U64,
    HC_GGUF_I64,
    HC_GGUF_F64,
    HC_GGUF_TYPE_COUNT
};

struct hc_gguf_entry {
    char *key;
    enum hc_gguf_type type;
    enum hc_gguf_type item_type; /* of an array */
    uint64_t count;              /* of an array: items; of a string: bytes; else 1 */
    const uint8_t *data;         /* in the mapping, any alignment: the value, the first item, or the text */
};

struct hc_gguf {
    uint32_t version;
    uint64_t alignment;
    size_t entry_count;
    struct hc_gguf_entry *entries;  /* in the order of their keys */
    char *architecture;             /* general.architecture; "" if the file does not say */
    const struct hc_family *family; /* NULL if models/ does not know the architecture */
};

/* Reads the header of `file`, number `index` of its source: metadata and tensors, these in the order of their offsets,
 * by Hugging Face's names if the architecture is known (family.h). Every length, count, offset, type and alignment is
 * checked against the file before use; tensors may not overlap, keys and names not repeat. *gguf is the caller's, to be
 * freed by hc_gguf_free, *tensors by hc_tensors_free. HC_ERR_CORRUPT names file, tensor and fault; HC_ERR_UNSUPPORTED:
 * other versions, big-endian files, parts of split models, types of tensors that are not read. */
hc_status hc_gguf_read(struct hc_file *file, size_t index, struct hc_gguf **gguf, struct hc_tensor **tensors,
                       size_t *count, struct hc_error *error);
void hc_gguf_free(struct hc_gguf *gguf);

/* NULL if there is no such key. */
const struct hc_gguf_entry *hc_gguf_find(const struct hc_gguf *gguf, const char *key);

/* False if the key is missing or its value is not a whole number of at least 0; then *value is untouched. */
bool hc_gguf_uint(const struct hc_gguf *gguf, const char *key, uint64_t *value);
/* The same for any number. */
bool hc_gguf_float(const struct hc_gguf *gguf, const char *key, double *value);

/* A config.json for transformers, made from the metadata and the tensors of an opened GGUF source (gguf_config.c).
 * The caller owns *config. HC_ERR_UNSUPPORTED, and NULL, if that cannot be done faithfully: the architecture is not
 * known, needed numbers are missing, positions are scaled in a way that is neither linear nor that of Llama 3.1, or a
 * setting would change what is computed and we do not have it; the error names it and its key. Else HC_ERR_MEMORY. */
hc_status hc_gguf_config(const struct hc_source *source, json_t **config, struct hc_error *error);

#endif
