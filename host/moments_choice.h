/* Where a run has the second moments from that it works with: decided by what was asked for and by the model, before
 * anything is computed; computed when they are needed.
 */
#ifndef HC_HOST_MOMENTS_CHOICE_H
#define HC_HOST_MOMENTS_CHOICE_H

#include "architecture.h"
#include "context.h"
#include "moments.h"

enum hc_moments_kind { HC_MOMENTS_NONE, HC_MOMENTS_WEIGHTS, HC_MOMENTS_FILE, HC_MOMENTS_SELF };

struct hc_moments_choice {
    enum hc_moments_kind kind;
    const struct hc_architecture *architecture; /* WEIGHTS */
    struct hc_decoder decoder;
    struct hc_moments *moments; /* FILE: from the beginning; else once they are made; NONE: NULL */
    char identity[48];          /* "none", "weights", "self", "file:CHECKSUM": the result depends on it */
};

/* `asked`: hc_window_options.moments. `config`: the text of the model's config.json, or NULL, and then
 * `no_config`: why, or NULL or "" if it is just not there. Without a wish, or with "weights", a model that cannot have
 * its moments propagated has none: *why_not (may be NULL) then says why; with "self" that is a failure. HC_ERR_CORRUPT
 * if a file does not fit the source. */
hc_status hc_moments_choose(struct hc_moments_choice *choice, const char *asked, const char *config,
                            const char *no_config, const struct hc_source *source, struct hc_error *why_not,
                            struct hc_error *error);

/* Computes what there is to compute. HC_ERR_CANCELLED if the ticker says so. */
hc_status hc_moments_make(struct hc_moments_choice *choice, hc_context *context, const struct hc_source *source,
                          struct hc_ticker *ticker, struct hc_error *error);

/* Tells every tensor of the source its own. */
void hc_moments_attach(const struct hc_moments_choice *choice, struct hc_source *source);

void hc_moments_choice_clear(struct hc_moments_choice *choice);

#endif
