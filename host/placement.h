/* Which devices run a network, and how they share it. */
#ifndef HC_HOST_PLACEMENT_H
#define HC_HOST_PLACEMENT_H

#include "context.h"
#include "model.h"
#include "share.h"

struct hc_placement {
    int ranks;            /* all in all */
    int first, here;      /* the first one of this process, and how many it has */
    const char **devices; /* of those; owned, the names are the context's */
    hc_split split;
    double *portions; /* of the layers, by rank; owned; NULL: alike */
};

/* alone: on the first device of the context, in every process for itself. Else on all of them, or, where the context
 * says how many layers the devices before the last one get, on those that have any. Runs of layers follow what memory
 * is free, if all devices know it. All ranks call it at once. */
hc_status hc_placement_make(struct hc_placement *placement, hc_context *context, bool alone,
                            const struct hc_model *model, const struct hc_decoder *decoder,
                            const struct hc_decoder_names *names, struct hc_error *error);
void hc_placement_clear(struct hc_placement *placement);

#endif
