#ifndef HC_MODELS_CONFIG_SETTINGS_H
#define HC_MODELS_CONFIG_SETTINGS_H

#include "config_decoder.h"

/* Refuses by name settings that other families have, that change what is computed, and that a decoder of ours, filled
 * in but for these, would read over; unless they say what it does anyway. A list of what is known to matter, not of
 * what is known to be harmless: configurations are full of notes of those who trained, converted or tuned a model, and
 * transformers, too, reads over what its class does not know. */
void hc_config_settings(struct hc_config *config, const struct hc_decoder *decoder);

#endif
