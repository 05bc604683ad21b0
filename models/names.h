/* Names that several families share; see host/family.h. */
#ifndef HC_MODELS_NAMES_H
#define HC_MODELS_NAMES_H

#include "family.h"

extern const struct hc_family_name hc_names_decoder[];      /* of a whole decoder network */
extern const struct hc_family_name hc_names_layer[];        /* norms, v, o and the MLP of its layers */
extern const struct hc_family_name hc_names_qk[];           /* q and k, rows as they are */
extern const struct hc_family_name hc_names_qwen_experts[]; /* the sparse MLP of Qwen's layers */
extern const struct hc_family_field hc_fields_decoder[];
extern const struct hc_family_field hc_fields_qwen_experts[];

extern const struct hc_family hc_family_llama, hc_family_qwen2, hc_family_qwen2moe, hc_family_qwen3, hc_family_qwen3moe;

#endif
