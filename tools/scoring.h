/* How well logits predict a text, and how far two models are apart. All in double precision and natural logarithms. */
#ifndef HYPERC_TOOLS_SCORING_H
#define HYPERC_TOOLS_SCORING_H

#include "command.h"

/* One number for every position. */
struct column {
    double *values;
    size_t count, room;
};

struct scores {
    struct column loss;                  /* -log p(next token) */
    struct column reference_loss, drift; /* the same of the reference; KL divergence, sum p0 log(p0 / p) */
    uint64_t agreed;                     /* positions at which both find the same token the most likely */
};

/* A figure and its standard error, positions taken as independent; infinite where there are too few to know it. */
struct estimate {
    double value, error;
};

/* Adds the position behind which `next` stands. `reference` NULL: one model alone. False if memory is out. */
bool scores_add(struct scores *scores, const float *logits, const float *reference, uint32_t vocabulary, int32_t next);
void scores_free(struct scores *scores);

struct estimate mean_of(const struct column *column);
/* exp(mean of losses) */
struct estimate perplexity_of(const struct column *losses);
/* The least value that `share` of all do not exceed; sorts the column. Its error is half of what lies between the
 * places one deviation of their binomial distribution to both sides; both must be there: for a share of 0.999 that
 * takes 1000 positions. */
struct estimate percentile_of(struct column *column, double share);
struct estimate agreement_of(const struct scores *scores);

#endif
