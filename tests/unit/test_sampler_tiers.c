/* Choosing tokens: every tier chooses what the definition says, which is written down here with everything sorted; and
 * finds the same best ones for other ranks. */
#include <criterion/criterion.h>
#include <float.h>
#include <hyperc/run.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "candidates.h"
#include "common/exponential.h"
#include "philox.h"
#include "tiers.h"

enum { LARGE = 151936 };
enum { NORMAL, TIES, STRANGE, EQUAL, KINDS };

static hc_sample_options options;
static const int32_t said[] = {0, 3, 3, 12, 16}; /* what the penalty is for */

struct rank {
    float logit;
    int32_t token;
};

struct task {
    hc_context *context;
    uint32_t vocabulary;
    float *given, *copy, *logits; /* logits: after the penalty, and finite */
    struct rank *ranks;
    uint64_t *heap;
    struct hc_candidate *best;
};

static void fill_given(struct task *task, int kind)
{
    static const float strange[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -0.0f};
    uint32_t state = 7 + (uint32_t)kind;
    for (uint32_t t = 0; t < task->vocabulary; t++) {
        float sum = -6;
        for (int i = 0; i < 4; i++) {
            state = state * 1664525 + 1013904223;
            sum += (float)(state >> 8) * 0x3p-24f;
        }
        task->given[t] = kind == TIES ? rintf(sum) : kind == EQUAL ? 1 : sum;
        if (kind == STRANGE && state >> 26 < 20)
            task->given[t] = strange[(state >> 26) / 4];
    }
}

static int compare_rank(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    return x->logit != y->logit ? (x->logit > y->logit ? -1 : 1) : x->token < y->token ? -1 : 1;
}

static float made_finite(float logit)
{
    return isnan(logit) || logit < -FLT_MAX ? -FLT_MAX : logit > FLT_MAX ? FLT_MAX : logit;
}

static void rank_all(struct task *task, float penalty)
{
    float *logits = task->logits;
    memcpy(logits, task->given, task->vocabulary * sizeof *logits);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        const int32_t t = said[i];
        if ((uint32_t)t < task->vocabulary && (i == 0 || said[i - 1] != t))
            logits[t] = logits[t] > 0 ? logits[t] / penalty : logits[t] * penalty;
    }
    for (uint32_t t = 0; t < task->vocabulary; t++) {
        logits[t] = made_finite(logits[t]);
        task->ranks[t] = (struct rank){logits[t], (int32_t)t};
    }
    qsort(task->ranks, task->vocabulary, sizeof *task->ranks, compare_rank);
}

static double weight(const struct task *task, float logit)
{
    return hc_exp((float)(((double)logit - (double)task->ranks[0].logit) / (double)options.temperature));
}

/* After top-k, top-p and min-p; the sum of what is left. */
static uint32_t left_of(const struct task *task, double *total)
{
    const uint32_t n = task->vocabulary, k = options.top_k == 0 || options.top_k > n ? n : options.top_k;
    double sum = 0, whole = 0;
    uint32_t rank = 0;
    for (uint32_t i = 0; i < k; i++)
        whole += weight(task, k == n ? task->logits[i] : task->ranks[i].logit);
    *total = whole;
    if (options.top_p >= 1 && options.min_p <= 0)
        return k;
    for (; rank < k; rank++) {
        double next = weight(task, task->ranks[rank].logit);
        if (rank > 0 && ((options.top_p < 1 && sum >= options.top_p * whole) || next < options.min_p))
            break;
        sum += next;
    }
    *total = sum;
    return rank;
}

static int32_t defined_choice(const struct task *task, uint64_t choice)
{
    uint32_t key[2] = {(uint32_t)options.seed, (uint32_t)(options.seed >> 32)};
    uint32_t counter[4] = {(uint32_t)choice}, words[4], rank = 0;
    double total, sum = 0;
    if (options.temperature == 0)
        return task->ranks[0].token;
    hc_philox(key, counter, words);
    const double uniform = ldexp((double)((uint64_t)words[0] << 21 | words[1] >> 11), -53);
    const uint32_t left = left_of(task, &total);
    for (uint32_t i = 0; i < left && sum <= uniform * total && weight(task, task->ranks[i].logit) > 0; i++) {
        sum += weight(task, task->ranks[i].logit);
        rank = i;
    }
    return task->ranks[rank].token;
}

static void expect_defined(struct task *task, int seeds)
{
    for (int s = 0; s < seeds; s++) {
        hc_sampler *sampler;
        options.seed = (uint64_t)s << 30;
        cr_assert_eq(hc_sampler_create(task->context, task->vocabulary, &options, &sampler), HC_OK);
        for (size_t i = 0; i < sizeof said / sizeof *said; i++)
            hc_sampler_accept(sampler, said[i]);
        for (uint64_t choice = 0; choice < 3; choice++) {
            memcpy(task->copy, task->given, task->vocabulary * sizeof(float));
            int32_t token = hc_sampler_choose(sampler, task->copy), expected = defined_choice(task, choice);
            cr_assert_eq(token, expected, "of %u, temperature %g, top_k %u, top_p %g, min_p %g: %d, not %d",
                         task->vocabulary, (double)options.temperature, options.top_k, (double)options.top_p,
                         (double)options.min_p, token, expected);
        }
        hc_sampler_destroy(sampler);
    }
}

static void every_option(struct task *task, int seeds)
{
    static const hc_sample_options cases[] = {
        {0, 0, 1, 0, 1, 64, 0},       {0.8f, 40, 0.95f, 0.05f, 1, 64, 0}, {1, 0, 1, 0, 1, 64, 0},
        {0.7f, 0, 0.9f, 0, 1, 64, 0}, {1, 0, 1, 0.2f, 1, 64, 0},          {1.5f, 2000, 0.99f, 0, 1, 64, 0},
        {1000, 0, 1, 0, 1, 64, 0},    {1e-30f, 0, 1, 0, 1, 64, 0},        {1000, 7, 1, 0, 1, 64, 0},
        {0, 0, 1, 0, 1.5f, 64, 0},    {1, 0, 0.95f, 0.01f, 1.5f, 64, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        options = cases[i];
        rank_all(task, options.repeat_penalty);
        expect_defined(task, seeds);
    }
}

/* What a rank tells that has a vocabulary's tokens from FIRST on. */
static void expect_best(struct task *task, const struct hc_sampling_ops *ops)
{
    enum { FIRST = 100 };
    const uint32_t n = task->vocabulary, most[] = {1, 2, 40, 1024, n, n + 1};
    rank_all(task, 1);
    for (size_t m = 0; m < sizeof most / sizeof *most; m++) {
        hc_candidates_best(ops, task->logits, n, FIRST, most[m], task->heap, task->best);
        for (uint32_t i = 0; i < most[m] && i < n; i++) {
            const struct rank *expected = &task->ranks[i];
            cr_assert_eq(task->best[i].token, FIRST + expected->token, "%u of %u: number %u is %d, not %d", most[m], n,
                         i, task->best[i].token, FIRST + expected->token);
            cr_assert_eq(task->best[i].logit, expected->logit);
        }
    }
    hc_candidates_best(ops, task->logits, 0, FIRST, 1, task->heap, task->best); /* a rank that has none */
}

static void check_tier(hc_tier tier, const struct hc_kernels *kernels)
{
    static const uint32_t vocabularies[] = {1, 17, 300, 5000, LARGE};
    hc_context_options settings;
    struct task task = {.given = malloc(LARGE * sizeof(float)),
                        .copy = malloc(LARGE * sizeof(float)),
                        .logits = malloc(LARGE * sizeof(float)),
                        .ranks = malloc(LARGE * sizeof(struct rank)),
                        .heap = malloc(LARGE * sizeof(uint64_t)),
                        .best = malloc(LARGE * sizeof(struct hc_candidate))};
    cr_assert(task.given && task.copy && task.logits && task.ranks && task.heap && task.best);
    hc_context_options_init(&settings);
    settings.tier = tier;
    cr_assert_eq(hc_context_create(&task.context, &settings), HC_OK);
    for (size_t v = 0; v < sizeof vocabularies / sizeof *vocabularies; v++)
        for (int kind = 0; kind < KINDS; kind++) {
            task.vocabulary = vocabularies[v];
            fill_given(&task, kind);
            every_option(&task, task.vocabulary < 1000 ? 50 : task.vocabulary < LARGE ? 4 : 1);
            expect_best(&task, &kernels->sampling);
        }
    hc_context_destroy(task.context);
    free(task.given);
    free(task.copy);
    free(task.logits);
    free(task.ranks);
    free(task.heap);
    free(task.best);
}

#define DEFINED_TEST(tier, name)                                                                                       \
    static void defined_on_##name(const struct hc_kernels *kernels)                                                    \
    {                                                                                                                  \
        check_tier(tier, kernels);                                                                                     \
    }                                                                                                                  \
    Test(sampler_tiers, defined_on_##name)                                                                             \
    {                                                                                                                  \
        tier_run(tier, #name, defined_on_##name);                                                                      \
    }

DEFINED_TEST(HC_TIER_C, c)
DEFINED_TEST(HC_TIER_AVX2, avx2)
DEFINED_TEST(HC_TIER_AVX512, avx512)
