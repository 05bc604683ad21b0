#include "scoring.h"

#include <math.h>
#include <stdlib.h>

static bool column_add(struct column *column, double value)
{
    if (column->count == column->room) {
        size_t room = column->room ? 2 * column->room : 4096;
        double *values = realloc(column->values, room * sizeof *values);
        if (!values)
            return false;
        column->values = values;
        column->room = room;
    }
    column->values[column->count++] = value;
    return true;
}

/* Of equal ones the first. */
static uint32_t largest(const float *logits, uint32_t vocabulary)
{
    uint32_t best = 0;
    for (uint32_t t = 1; t < vocabulary; t++)
        if (logits[t] > logits[best])
            best = t;
    return best;
}

static bool score_alone(struct scores *scores, const float *logits, uint32_t vocabulary, int32_t next)
{
    double most = logits[largest(logits, vocabulary)], sum = 0;
    for (uint32_t t = 0; t < vocabulary; t++)
        sum += exp(logits[t] - most);
    return column_add(&scores->loss, log(sum) - (logits[next] - most));
}

/* With a = logit - largest logit and s = sum exp(a): log p = a - log(s). So sum p0 (log p0 - log p) is
 * sum exp(a0) (a0 - a) / s0 - log(s0) + log(s): one pass. */
static bool score_both(struct scores *scores, const float *logits, const float *reference, uint32_t vocabulary,
                       int32_t next)
{
    uint32_t top = largest(logits, vocabulary), reference_top = largest(reference, vocabulary);
    double most = logits[top], reference_most = reference[reference_top], sum = 0, reference_sum = 0, apart = 0;
    for (uint32_t t = 0; t < vocabulary; t++) {
        double a = logits[t] - most, a0 = reference[t] - reference_most, e0 = exp(a0);
        sum += exp(a);
        reference_sum += e0;
        apart += e0 > 0 ? e0 * (a0 - a) : 0;
    }
    double log_sum = log(sum), reference_log_sum = log(reference_sum);
    scores->agreed += top == reference_top;
    return column_add(&scores->loss, log_sum - (logits[next] - most)) &&
           column_add(&scores->reference_loss, reference_log_sum - (reference[next] - reference_most)) &&
           column_add(&scores->drift, apart / reference_sum - reference_log_sum + log_sum);
}

bool scores_add(struct scores *scores, const float *logits, const float *reference, uint32_t vocabulary, int32_t next)
{
    return reference ? score_both(scores, logits, reference, vocabulary, next)
                     : score_alone(scores, logits, vocabulary, next);
}

void scores_free(struct scores *scores)
{
    free(scores->loss.values);
    free(scores->reference_loss.values);
    free(scores->drift.values);
    *scores = (struct scores){0};
}

/* ---- Figures -------------------------------------------------------------------------------- */

struct estimate mean_of(const struct column *column)
{
    double count = (double)column->count, mean = 0, squares = 0;
    for (size_t i = 0; i < column->count; i++)
        mean += column->values[i];
    mean /= count;
    for (size_t i = 0; i < column->count; i++)
        squares += (column->values[i] - mean) * (column->values[i] - mean);
    return (struct estimate){mean, count > 1 ? sqrt(squares / (count - 1) / count) : INFINITY};
}

struct estimate perplexity_of(const struct column *losses)
{
    struct estimate mean = mean_of(losses);
    return (struct estimate){exp(mean.value), exp(mean.value) * mean.error};
}

/* What is no number comes last. */
static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return isnan(x) || isnan(y) ? !!isnan(x) - !!isnan(y) : (x > y) - (x < y);
}

/* What stands at a rank (from 1, rounded up) of a sorted column. */
static double ranked(const struct column *column, double rank)
{
    double last = (double)(column->count - 1), at = ceil(rank) - 1;
    return column->values[(size_t)(at < 0 ? 0 : at > last ? last : at)];
}

struct estimate percentile_of(struct column *column, double share)
{
    double count = (double)column->count, rank = share * count, deviation = sqrt(count * share * (1 - share));
    double from = rank - deviation, to = rank + deviation;
    bool known = from > 0 && to <= count; /* else one side has no place, and would seem to be exact */
    qsort(column->values, column->count, sizeof *column->values, compare);
    return (struct estimate){ranked(column, rank), known ? (ranked(column, to) - ranked(column, from)) / 2 : INFINITY};
}

struct estimate agreement_of(const struct scores *scores)
{
    double count = (double)scores->drift.count, share = (double)scores->agreed / count;
    return (struct estimate){share, count > 1 ? sqrt(share * (1 - share) / (count - 1)) : INFINITY};
}
