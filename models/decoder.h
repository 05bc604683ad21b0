/* The decoder that all architectures known here share: its tensors' names, and its operations. */
#ifndef HC_MODELS_DECODER_H
#define HC_MODELS_DECODER_H

#include "network.h"

extern const struct hc_decoder_names hc_decoder_names;

/* struct hc_architecture.evaluate */
void hc_decoder_evaluate(struct hc_sequence *sequence, uint32_t first, const int32_t *tokens, uint32_t count,
                         uint32_t wanted);

#endif
