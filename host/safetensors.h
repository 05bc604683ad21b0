/* The reader of safetensors files, and the guarded way to parse JSON that comes from outside.
 *
 * A file is: a 64-bit little-endian header length, that many bytes of JSON beginning with '{' (spaces may follow it),
 * and the data. The JSON maps every tensor's name to {"dtype", "shape", "data_offsets": [begin, end]}, offsets counted
 * from the beginning of the data, and "__metadata__" to an object of strings.
 */
#ifndef HC_HOST_SAFETENSORS_H
#define HC_HOST_SAFETENSORS_H

#include <jansson.h>

#include "source.h"

/* Reads the header of the mapped file `file`, number `index` of its source: fills in file->data_offset and the
 * metadata, and returns its tensors in the order of their offsets. *tensors (and every name in it) is the caller's to
 * free, by hc_tensors_free. Accepts nothing but a file whose tensors lie side by side and cover the data exactly.
 * HC_ERR_CORRUPT names file, tensor and fault; HC_ERR_UNSUPPORTED: an unknown dtype, more than HC_MAX_RANK dimensions.
 */
hc_status hc_safetensors_read(struct hc_file *file, size_t index, struct hc_tensor **tensors, size_t *count,
                              struct hc_error *error);

/* Frees an array of tensors with their names. */
void hc_tensors_free(struct hc_tensor *tensors, size_t count);

#endif
