/* hyperc.json: what a compressed model consists of. `verify` holds the folder against it. docs/FORMAT.md defines it. */
#ifndef HC_HOST_MANIFEST_H
#define HC_HOST_MANIFEST_H

#include <jansson.h>

#include "checksum.h"
#include "error.h"

#define HC_MANIFEST "hyperc.json"

/* Adds a weight file: its size and the checksum of its header (tensors carry their own). */
hc_status hc_manifest_add_shard(json_t *manifest, const char *name, uint64_t bytes, uint64_t header_bytes,
                                const char *header_checksum, struct hc_error *error);
/* Adds any other file: its size and checksum. */
hc_status hc_manifest_add_file(json_t *manifest, const char *name, uint64_t bytes, const char *checksum,
                               struct hc_error *error);

/* Reads and checks the manifest of `directory`: the caller owns *manifest. */
hc_status hc_manifest_read(const char *directory, json_t **manifest, struct hc_error *error);

#endif
