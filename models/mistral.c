/* Mistral: a decoder whose positions may see a window only. In GGUF it counts as LLaMA (llama.c). */
#include "config_decoder.h"
#include "config_settings.h"

hc_status hc_configure_mistral(const json_t *json, const char *path, struct hc_decoder *decoder, struct hc_error *error)
{
    struct hc_config config = {json, path, HC_OK, error};
    const struct hc_config_defaults defaults = {.key_value_heads = 8, .context = 32 * 4096};
    hc_config_decoder(&config, &defaults, decoder);
    /* null is none; configurations without the key are from when all had one */
    if (!json_is_null(json_object_get(json, "sliding_window")))
        decoder->window = hc_config_count(&config, "sliding_window", HC_CONFIG_MAX_CONTEXT, 4096);
    if (decoder->window >= decoder->context)
        decoder->window = 0;
    hc_config_settings(&config, decoder);
    return config.status;
}
