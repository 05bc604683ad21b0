#include "header.h"

#include "json.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

hc_status hc_header_begin(struct hc_header *header, struct hc_error *error)
{
    *header = (struct hc_header){.root = json_object(), .metadata = json_object()};
    if (json_object_set(header->root, "__metadata__", header->metadata) == 0)
        return HC_OK;
    hc_header_end(header);
    return hc_no_memory(error);
}

void hc_header_end(struct hc_header *header)
{
    json_decref(header->metadata);
    json_decref(header->root);
    *header = (struct hc_header){0};
}

hc_status hc_header_metadata(struct hc_header *header, const char *key, const char *value, struct hc_error *error)
{
    return json_object_set_new(header->metadata, key, json_string(value)) == 0 ? HC_OK : hc_no_memory(error);
}

hc_status hc_header_tensor(struct hc_header *header, const char *name, hc_type type, int rank, const uint64_t *shape,
                           uint64_t bytes, struct hc_error *error)
{
    json_t *entry = json_pack("{s:s, s:o, s:[I,I]}", "dtype", hc_type_name(type), "shape", hc_json_shape(rank, shape),
                              "data_offsets", (json_int_t)header->offset, (json_int_t)(header->offset + bytes));
    if (!entry || json_object_set_new(header->root, name, entry) != 0)
        return hc_no_memory(error);
    header->offset += bytes;
    return HC_OK;
}

hc_status hc_header_bytes(const struct hc_header *header, uint64_t reserve, uint8_t **bytes, size_t *length,
                          struct hc_error *error)
{
    char *text = hc_json_text(header->root, JSON_COMPACT);
    if (!text)
        return hc_no_memory(error);
    size_t used = strlen(text), whole = (8 + used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    hc_status status = HC_OK;
    if (reserve && whole > reserve) {
        status = hc_fail(error, HC_ERR_UNSUPPORTED, "a header of %zu bytes is larger than the %llu set aside for it",
                         whole, (unsigned long long)reserve);
        goto done;
    }
    if (reserve)
        whole = reserve;
    uint8_t *out = malloc(whole);
    if (!out) {
        status = hc_no_memory(error);
        goto done;
    }
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)((uint64_t)(whole - 8) >> (8 * i));
    memcpy(out + 8, text, used);
    memset(out + 8 + used, ' ', whole - 8 - used);
    *bytes = out;
    *length = whole;
done:
    free(text);
    return status;
}
