#ifndef HC_MODELS_CONFIG_ROTARY_H
#define HC_MODELS_CONFIG_ROTARY_H

#include "config_decoder.h"

/* Reads how positions turn: "rope_theta" and "rope_scaling", or "rope_parameters", which newer versions of transformers
 * write for both. Kinds and members that are not known are refused by name. */
void hc_config_rotary(struct hc_config *config, struct hc_rotary *rotary);

#endif
