/* Writing text with a model: what generate and chat share. */
#ifndef HYPERC_TOOLS_GENERATION_H
#define HYPERC_TOOLS_GENERATION_H

#include "running.h"
#include "stream.h"

enum { MAX_STOPS = 64, USUAL_CONTEXT = 4096 };

struct generation_options {
    hc_sample_options sampling;
    bool seed_given;              /* else one is drawn */
    hc_sequence_options sequence; /* context 0: not given */
    uint32_t most;                /* tokens of a text; 0 with `endless` */
    bool endless;
    const char *stops[MAX_STOPS];
    size_t stop_count;
    struct sharing sharing;
};

extern const struct option_spec generation_specs[];
void generation_options_init(struct generation_options *options);
bool generation_set(struct generation_options *options, const char *name, const char *value);

/* Why a text ended. */
enum ending { ENDING_TOKEN, ENDING_STOP, ENDING_MOST, ENDING_CONTEXT, ENDING_INTERRUPT };
const char *ending_name(enum ending ending);

struct pace {
    uint64_t tokens; /* evaluated */
    double seconds;
};

struct generation {
    struct running *model;
    const struct generation_options *options;
    uint64_t seed;
    uint32_t context;
    hc_sampler *sampler;
    int32_t *tokens; /* of the sequence, and at its end perhaps one that is not evaluated yet */
    uint32_t count;
    uint64_t written; /* tokens that were chosen, all in all */
    struct pace reading, writing;
    enum ending ending;
};

/* Makes a sequence of the model for `context` tokens (0: its own limit). running_failure tells why not; end it in any
 * case. */
hc_status generation_begin(struct generation *generation, struct running *model,
                           const struct generation_options *options, uint32_t context);
void generation_end(struct generation *generation);
/* Makes these the tokens of the sequence, at least one; what it has of them is not evaluated again, and signals are
 * looked at before every batch: HC_ERR_CANCELLED. */
hc_status generation_read(struct generation *generation, const int32_t *tokens, size_t count);
/* Chooses tokens and lets their text out, until the text ends. `first`: no text stands before it. *streamed is false if
 * letting it out failed: stream_failure. */
hc_status generation_write(struct generation *generation, bool first, struct stream *stream, bool *streamed);

/* Tells why a model without hc_network_info's chat_template holds no conversation, and what it does `instead`; returns
 * the exit code. */
int generation_no_chat(const struct running *model, const struct common_options *common, const char *instead);

/* The figures, on stderr; members of a JSON object. */
void generation_print(const struct generation *generation);
void generation_json(const struct generation *generation, json_t **json);

#endif
