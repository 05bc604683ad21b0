/* Reading config.json: the settings that all decoders share, by the names and defaults of Hugging Face's transformers.
 */
#ifndef HC_MODELS_CONFIG_DECODER_H
#define HC_MODELS_CONFIG_DECODER_H

#include "architecture.h"

/* A config.json that is being read. Every reader returns a harmless value and keeps the first failure. */
struct hc_config {
    const json_t *json;
    const char *path; /* for messages */
    hc_status status; /* of the first failure; after it nothing is read */
    struct hc_error *error;
};

/* What a class takes for what is not there. */
struct hc_config_defaults {
    uint32_t key_value_heads; /* 0: as many as heads */
    uint32_t head_width;      /* 0: width / heads */
    uint32_t context;
};

/* Fills in all but the biases, the norms of heads and the window, and checks all of it. */
void hc_config_decoder(struct hc_config *config, const struct hc_config_defaults *defaults, struct hc_decoder *decoder);

/* A whole number of 1 to `most`, or `fallback` if it is absent or null; CORRUPT if that is 0. */
uint32_t hc_config_count(struct hc_config *config, const char *key, uint32_t most, uint32_t fallback);
bool hc_config_flag(struct hc_config *config, const char *key, bool fallback);
/* Refuses a setting, unless something else has failed before. */
void hc_config_refuse(struct hc_config *config, const char *what);

enum { HC_CONFIG_MAX_CONTEXT = 1 << 24 }; /* most positions */

hc_status hc_configure_llama(const json_t *json, const char *path, struct hc_decoder *decoder, struct hc_error *error);
hc_status hc_configure_mistral(const json_t *json, const char *path, struct hc_decoder *decoder,
                               struct hc_error *error);
hc_status hc_configure_qwen2(const json_t *json, const char *path, struct hc_decoder *decoder, struct hc_error *error);
hc_status hc_configure_qwen3(const json_t *json, const char *path, struct hc_decoder *decoder, struct hc_error *error);

#endif
