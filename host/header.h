/* Writing the header of a safetensors file: an 8-byte length, JSON text, spaces up to a multiple of 64. */
#ifndef HC_HOST_HEADER_H
#define HC_HOST_HEADER_H

#include <jansson.h>

#include "error.h"

struct hc_header {
    json_t *root;
    json_t *metadata;
    uint64_t offset; /* of the next tensor's bytes */
};

hc_status hc_header_begin(struct hc_header *header, struct hc_error *error);
void hc_header_end(struct hc_header *header);
hc_status hc_header_metadata(struct hc_header *header, const char *key, const char *value, struct hc_error *error);
/* Adds a tensor behind those there are. */
hc_status hc_header_tensor(struct hc_header *header, const char *name, hc_type type, int rank, const uint64_t *shape,
                           uint64_t bytes, struct hc_error *error);
/* The bytes that stand before the data: 8 + the padded text, a multiple of 64; `reserve` if that is not 0, which they
 * must fit. The caller frees *bytes. */
hc_status hc_header_bytes(const struct hc_header *header, uint64_t reserve, uint8_t **bytes, size_t *length,
                          struct hc_error *error);

#endif
