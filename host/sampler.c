/* Choosing tokens by their logits. What looks at all of them is a kernel (sampling/sampling.h), the same in every tier;
 * the rest is plain C: neither the machine nor its C library changes a choice. Probabilities are float32, their
 * arguments and their sums double.
 *
 * Candidates are ordered by logit, then by number, the lowest first. Nothing is sorted that is not looked at: a heap
 * of the best, and of more when these are used up, gives up the next best one when it is asked for.
 *
 * NaN counts as -infinity, and infinities as the largest finite numbers. So a token of -infinity is never chosen where
 * there are others; if there are none, all are alike.
 */
#include "sampler.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "candidates.h"
#include "context.h"
#include "philox.h"

/* Where top-k sets no limit, the heap begins with FIRST_REACH of the best and some more, and grows by this factor. */
enum { FIRST_REACH = 256, GROWTH = 16 };

struct hc_sampler {
    struct hc_sampling_ops kernels;
    size_t (*largest)(const float *logits, size_t n); /* another of them */
    hc_sample_options options;
    uint32_t vocabulary;
    bool agreed;                 /* upon the options, with the other ranks */
    uint64_t choices;            /* so far: the counter of the random numbers */
    int32_t *recent;             /* a ring of the last repeat_last tokens */
    uint32_t recent_count, next; /* how many there are, where the next one goes */
    uint64_t *penalised;         /* of every token, at which choice it last was; they count from 1 here */
    /* Keys. The first `left` are a heap, the best on top; behind them are those that it gave up, the best last. */
    uint64_t *candidates;
    uint32_t count, left;
    const float *logits; /* that the heap is filled from */
    float best;          /* the greatest of them */
};

void hc_sample_options_init(hc_sample_options *options)
{
    *options = (hc_sample_options){
        .temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1, .repeat_last = 64};
}

static hc_status check_options(const hc_sample_options *options, uint32_t vocabulary, struct hc_error *error)
{
    if (vocabulary == 0 || vocabulary > INT32_MAX)
        return hc_fail(error, HC_ERR_ARGUMENT, "a vocabulary of %u tokens", vocabulary);
    if (!(options->temperature >= 0 && options->temperature <= FLT_MAX))
        return hc_fail(error, HC_ERR_ARGUMENT, "temperature: %g is negative or not finite", options->temperature);
    if (!(options->top_p >= 0 && options->top_p <= 1))
        return hc_fail(error, HC_ERR_ARGUMENT, "top_p: %g is not in 0 .. 1", options->top_p);
    if (!(options->min_p >= 0 && options->min_p <= 1))
        return hc_fail(error, HC_ERR_ARGUMENT, "min_p: %g is not in 0 .. 1", options->min_p);
    if (!(options->repeat_penalty > 0 && options->repeat_penalty <= FLT_MAX))
        return hc_fail(error, HC_ERR_ARGUMENT, "repeat_penalty: %g is not positive and finite",
                       options->repeat_penalty);
    return HC_OK;
}

hc_status hc_sampler_create(hc_context *context, uint32_t vocabulary, const hc_sample_options *options,
                            hc_sampler **out)
{
    hc_sample_options defaults;
    hc_sample_options_init(&defaults);
    *out = NULL;
    if (!options)
        options = &defaults;
    hc_status status = check_options(options, vocabulary, &context->error);
    if (status != HC_OK)
        return status;
    hc_sampler *sampler = calloc(1, sizeof *sampler);
    if (!sampler)
        return hc_no_memory(&context->error);
    sampler->kernels = context->kernels.sampling;
    sampler->largest = context->kernels.softmax.largest;
    sampler->options = *options;
    sampler->vocabulary = vocabulary;
    sampler->recent = calloc((size_t)options->repeat_last + 1, sizeof *sampler->recent);
    sampler->penalised = calloc(vocabulary, sizeof *sampler->penalised);
    sampler->candidates = calloc(vocabulary, sizeof *sampler->candidates);
    if (!sampler->recent || !sampler->penalised || !sampler->candidates) {
        hc_sampler_destroy(sampler);
        return hc_no_memory(&context->error);
    }
    *out = sampler;
    return HC_OK;
}

void hc_sampler_destroy(hc_sampler *sampler)
{
    if (!sampler)
        return;
    free(sampler->recent);
    free(sampler->penalised);
    free(sampler->candidates);
    free(sampler);
}

void hc_sampler_accept(hc_sampler *sampler, int32_t token)
{
    uint32_t last = sampler->options.repeat_last;
    if (last == 0 || token < 0 || (uint32_t)token >= sampler->vocabulary)
        return;
    sampler->recent[sampler->next] = token;
    sampler->next = (sampler->next + 1) % last;
    if (sampler->recent_count < last)
        sampler->recent_count++;
}

/* ---- The logits ----------------------------------------------------------------------------- */

/* Once for a token, however often it came. */
static void penalise(hc_sampler *sampler, float *logits)
{
    float penalty = sampler->options.repeat_penalty;
    for (uint32_t i = 0; i < sampler->recent_count; i++) {
        int32_t token = sampler->recent[i];
        if (sampler->penalised[token] == sampler->choices)
            continue;
        sampler->penalised[token] = sampler->choices;
        logits[token] = logits[token] > 0 ? logits[token] / penalty : logits[token] * penalty;
    }
}

static double weight(const hc_sampler *sampler, float logit)
{
    return hc_sampling_weight(logit, sampler->best, sampler->options.temperature);
}

/* ---- The heap ------------------------------------------------------------------------------- */

/* Makes a heap of the best `reach` tokens, and of some more. */
static void fill(hc_sampler *sampler, uint32_t reach)
{
    sampler->count = sampler->left =
        hc_candidates_heap(&sampler->kernels, sampler->logits, sampler->vocabulary, reach, sampler->candidates);
    sampler->best = hc_sampling_logit(sampler->candidates[0]);
}

/* The candidate of a rank, the best being 0. A heap that has no more is filled again: what it gave up, it gives up once
 * more, which is little beside what the larger one costs. */
static uint64_t ranked(hc_sampler *sampler, uint32_t rank)
{
    if (rank >= sampler->count)
        fill(sampler, rank < sampler->vocabulary / GROWTH ? rank * GROWTH : sampler->vocabulary);
    uint32_t place = sampler->count - 1 - rank;
    while (sampler->left > place)
        hc_candidates_pop(sampler->candidates, sampler->left--);
    return sampler->candidates[place];
}

/* ---- The choice ----------------------------------------------------------------------------- */

/* In [0, 1), 53 bits. */
static double next_uniform(const hc_sampler *sampler)
{
    uint64_t seed = sampler->options.seed, choice = sampler->choices;
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t counter[4] = {(uint32_t)choice, (uint32_t)(choice >> 32)}, words[4];
    hc_philox(key, counter, words);
    return ldexp((double)((uint64_t)words[0] << 21 | words[1] >> 11), -53);
}

/* Fills the heap for what top-k leaves: returns how many, and the sum of their weights, of all in their own order, else
 * in that of ranks. */
static uint32_t top_k(hc_sampler *sampler, double *total)
{
    const uint32_t count = sampler->vocabulary, k = sampler->options.top_k;
    if (k == 0 || k >= count) {
        fill(sampler, count < FIRST_REACH ? count : FIRST_REACH);
        *total = sampler->kernels.total(sampler->logits, count, sampler->best, sampler->options.temperature);
        return count;
    }
    fill(sampler, k);
    *total = 0;
    for (uint32_t rank = 0; rank < k; rank++)
        *total += weight(sampler, hc_sampling_logit(ranked(sampler, rank)));
    return k;
}

/* What top-p and min-p leave of them: the fewest of the best that reach their share, and are likely enough. */
static uint32_t cut(hc_sampler *sampler, uint32_t count, double *total)
{
    const hc_sample_options *options = &sampler->options;
    double enough = options->top_p < 1 ? options->top_p * *total : INFINITY, sum = 0;
    uint32_t rank = 0;
    if (options->top_p >= 1 && options->min_p <= 0)
        return count;
    for (; rank < count; rank++) {
        double next = weight(sampler, hc_sampling_logit(ranked(sampler, rank)));
        if (rank > 0 && (sum >= enough || next < options->min_p))
            break;
        sum += next;
    }
    *total = sum;
    return rank;
}

uint32_t hc_sampler_vocabulary(const hc_sampler *sampler)
{
    return sampler->vocabulary;
}

bool hc_sampler_plan(const hc_sampler *sampler, struct hc_choice *choice)
{
    const hc_sample_options *options = &sampler->options;
    *choice =
        (struct hc_choice){options->temperature, options->top_p, options->min_p, options->top_k, next_uniform(sampler)};
    return options->repeat_penalty == 1 || sampler->recent_count == 0;
}

void hc_sampler_chosen(hc_sampler *sampler)
{
    sampler->choices++;
}

hc_status hc_sampler_agree(hc_sampler *sampler, struct hc_comm *comm, struct hc_error *error)
{
    const hc_sample_options *o = &sampler->options;
    char text[160];
    if (sampler->agreed)
        return HC_OK;
    snprintf(text, sizeof text, "%a %u %a %a %a %u", (double)o->temperature, o->top_k, (double)o->top_p,
             (double)o->min_p, (double)o->repeat_penalty, o->repeat_last);
    hc_status status = hc_comm_agree(comm, text, "how tokens are chosen", error);
    sampler->agreed = status == HC_OK;
    return status;
}

int32_t hc_sampler_choose(hc_sampler *sampler, float *logits)
{
    double uniform = next_uniform(sampler), total, sum = 0;
    hc_sampler_chosen(sampler);
    penalise(sampler, logits);
    sampler->kernels.make_finite(logits, sampler->vocabulary);
    if (sampler->options.temperature <= 0)
        return (int32_t)sampler->largest(logits, sampler->vocabulary);
    sampler->logits = logits;
    uint32_t count = top_k(sampler, &total);
    count = cut(sampler, count, &total);
    int32_t chosen = 0; /* the best one weighs 1 */
    for (uint32_t rank = 0; rank < count && sum <= uniform * total; rank++) {
        const uint64_t key = ranked(sampler, rank);
        double own = weight(sampler, hc_sampling_logit(key));
        if (own <= 0) /* rounding has left the sum a hair short of the total */
            break;
        sum += own;
        chosen = hc_sampling_token(key);
    }
    return chosen;
}
