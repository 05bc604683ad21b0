/* What a choice of a token needs beside the logits. */
#ifndef HC_HOST_SAMPLER_H
#define HC_HOST_SAMPLER_H

#include <hyperc/run.h>

#include "comm.h"
#include "runtime.h"

uint32_t hc_sampler_vocabulary(const hc_sampler *sampler);
/* The next choice, as hc_sampler_choose makes it; nothing has happened yet. False if it depends on the tokens before.
 */
bool hc_sampler_plan(const hc_sampler *sampler, struct hc_choice *choice);
/* It was made. */
void hc_sampler_chosen(hc_sampler *sampler);
/* Whether all ranks have the same options but for the seed, asked once: what they tell each other for a choice depends
 * on these. */
hc_status hc_sampler_agree(hc_sampler *sampler, struct hc_comm *comm, struct hc_error *error);

#endif
