/* The "quantization_config" of a model's config.json, put in and taken out of the text so that every other byte of the
 * file stays as it was. */
#ifndef HC_HOST_CONFIG_H
#define HC_HOST_CONFIG_H

#include <jansson.h>

#include "error.h"

/* `text`: a whole config.json, or NULL if the model has none; NaN, Infinity and -Infinity are taken for numbers, as
 * Python writes them. `path` is for messages. HC_ERR_UNSUPPORTED if the model is quantized already. The caller frees
 * *out. */
hc_status hc_config_add(const char *text, const json_t *quantization, const char *path, char **out,
                        struct hc_error *error);

/* Takes it out again, whoever has edited the rest; *out is NULL if there was no text before hc_config_add. The caller
 * frees it. */
hc_status hc_config_remove(const char *text, const char *path, char **out, struct hc_error *error);

#endif
