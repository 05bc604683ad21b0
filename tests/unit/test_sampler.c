/* Choosing tokens: every step alone, their order, the distribution, and logits that make no sense. */
#include <criterion/criterion.h>
#include <float.h>
#include <hyperc/run.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 64, DRAWS = 20000 };

static hc_context *context;
static hc_sample_options options;

/* Nothing but temperature 1. */
static void set_up(void)
{
    cr_assert_eq(hc_context_create(&context, NULL), HC_OK);
    options = (hc_sample_options){.temperature = 1, .top_p = 1, .repeat_penalty = 1, .repeat_last = 64, .seed = 1};
}

static void tear_down(void)
{
    hc_context_destroy(context);
}

TestSuite(sampler, .init = set_up, .fini = tear_down);

static hc_sampler *make(uint32_t vocabulary)
{
    hc_sampler *sampler;
    cr_assert_eq(hc_sampler_create(context, vocabulary, &options, &sampler), HC_OK, "%s", hc_message(context));
    return sampler;
}

/* Choices overwrite logits: they get a copy. */
static int32_t choose(hc_sampler *sampler, const float *logits, uint32_t vocabulary)
{
    float copy[MOST_TOKENS];
    memcpy(copy, logits, vocabulary * sizeof *logits);
    return hc_sampler_choose(sampler, copy);
}

static void count_draws(hc_sampler *sampler, const float *logits, uint32_t vocabulary, int *counts)
{
    memset(counts, 0, vocabulary * sizeof *counts);
    for (int i = 0; i < DRAWS; i++) {
        int32_t token = choose(sampler, logits, vocabulary);
        cr_assert(token >= 0 && (uint32_t)token < vocabulary);
        counts[token]++;
    }
}

/* The options make these the probabilities (0: never). Five standard deviations. */
static void expect_probabilities(const float *logits, const double *expected, uint32_t vocabulary)
{
    int counts[MOST_TOKENS];
    hc_sampler *sampler = make(vocabulary);
    count_draws(sampler, logits, vocabulary, counts);
    hc_sampler_destroy(sampler);
    for (uint32_t t = 0; t < vocabulary; t++) {
        double p = expected[t], deviation = sqrt(DRAWS * p * (1 - p));
        cr_expect(fabs(counts[t] - DRAWS * p) <= 5 * deviation, "token %u: %d of %d draws, expected %g", t, counts[t],
                  DRAWS, DRAWS * p);
    }
}

/* ---- Options -------------------------------------------------------------------------------- */

Test(sampler, defaults)
{
    hc_sample_options o;
    hc_sample_options_init(&o);
    cr_expect(o.temperature == 0.8f && o.top_k == 40 && o.top_p == 0.95f && o.min_p == 0.05f);
    cr_expect(o.repeat_penalty == 1 && o.repeat_last == 64 && o.seed == 0);
}

Test(sampler, bad_options)
{
    static const struct {
        float temperature, top_p, min_p, repeat_penalty;
        const char *word;
    } cases[] = {
        {-1, 1, 0, 1, "temperature"},
        {NAN, 1, 0, 1, "temperature"},
        {INFINITY, 1, 0, 1, "temperature"},
        {1, -0.1f, 0, 1, "top_p"},
        {1, 1.1f, 0, 1, "top_p"},
        {1, NAN, 0, 1, "top_p"},
        {1, 1, -0.1f, 1, "min_p"},
        {1, 1, 1.5f, 1, "min_p"},
        {1, 1, NAN, 1, "min_p"},
        {1, 1, 0, 0, "repeat_penalty"},
        {1, 1, 0, -2, "repeat_penalty"},
        {1, 1, 0, NAN, "repeat_penalty"},
        {1, 1, 0, INFINITY, "repeat_penalty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hc_sampler *sampler;
        options.temperature = cases[i].temperature;
        options.top_p = cases[i].top_p;
        options.min_p = cases[i].min_p;
        options.repeat_penalty = cases[i].repeat_penalty;
        cr_expect_eq(hc_sampler_create(context, 8, &options, &sampler), HC_ERR_ARGUMENT, "case %zu", i);
        cr_expect_null(sampler);
        cr_expect_not_null(strstr(hc_message(context), cases[i].word), "case %zu: %s", i, hc_message(context));
    }
}

Test(sampler, no_vocabulary)
{
    hc_sampler *sampler;
    cr_expect_eq(hc_sampler_create(context, 0, &options, &sampler), HC_ERR_ARGUMENT);
}

/* ---- The most likely token ------------------------------------------------------------------ */

Test(sampler, greedy_takes_the_lowest_of_equals)
{
    static const float logits[] = {-1, 3, 0.5f, 3, 3};
    options.temperature = 0;
    hc_sampler *sampler = make(5);
    for (int i = 0; i < 10; i++)
        cr_expect_eq(choose(sampler, logits, 5), 1);
    hc_sampler_destroy(sampler);
}

Test(sampler, one_of_one)
{
    static const float logits[] = {-7};
    hc_sampler *sampler = make(1);
    cr_expect_eq(choose(sampler, logits, 1), 0);
    hc_sampler_destroy(sampler);
}

/* Whatever leaves one candidate leaves the greedy one. */
Test(sampler, one_candidate_is_the_greedy_one)
{
    static const float logits[] = {0, 2, 1.9f, 2, -3, 2};
    for (int how = 0; how < 4; how++) {
        options.top_k = how == 0;
        options.top_p = how == 1 ? 0 : 1;
        options.min_p = how == 2;
        options.temperature = how == 3 ? 1e-30f : 1;
        int counts[6];
        hc_sampler *sampler = make(6);
        count_draws(sampler, logits, 6, counts);
        if (how < 2)
            cr_expect_eq(counts[1], DRAWS, "%d", how);
        else /* tokens as likely as the most likely one stay */
            cr_expect(counts[1] + counts[3] + counts[5] == DRAWS && counts[1] < DRAWS, "%d", how);
        hc_sampler_destroy(sampler);
    }
}

/* ---- The distribution ----------------------------------------------------------------------- */

Test(sampler, softmax)
{
    static const float logits[] = {0.5f, -1, 2, 0, 1.25f, -4};
    double expected[6], sum = 0;
    for (int t = 0; t < 6; t++)
        sum += expected[t] = exp(logits[t]);
    for (int t = 0; t < 6; t++)
        expected[t] /= sum;
    expect_probabilities(logits, expected, 6);
}

Test(sampler, temperature)
{
    static const float logits[] = {0.5f, -1, 2, 0, 1.25f, -4};
    static const float temperatures[] = {0.25f, 0.8f, 3};
    for (int i = 0; i < 3; i++) {
        double expected[6], sum = 0;
        options.temperature = temperatures[i];
        for (int t = 0; t < 6; t++)
            sum += expected[t] = exp((double)logits[t] / temperatures[i]);
        for (int t = 0; t < 6; t++)
            expected[t] /= sum;
        expect_probabilities(logits, expected, 6);
    }
}

/* Probabilities 0.1, 0.4, 0.3, 0.2. */
static const float tenths[] = {0, 1.3862944f, 1.0986123f, 0.6931472f};

Test(sampler, top_k)
{
    static const double two[] = {0, 4 / 7.0, 3 / 7.0, 0}, all[] = {0.1, 0.4, 0.3, 0.2};
    options.top_k = 2;
    expect_probabilities(tenths, two, 4);
    for (uint32_t k = 4; k < 6; k++) {
        options.top_k = k;
        expect_probabilities(tenths, all, 4);
    }
    options.top_k = 0;
    expect_probabilities(tenths, all, 4);
}

Test(sampler, top_k_keeps_the_lowest_of_equals)
{
    static const float logits[] = {1, 2, 1, 1, 2};
    static const double expected[] = {0.1553624, 0.4223188, 0, 0, 0.4223188};
    options.top_k = 3;
    expect_probabilities(logits, expected, 5);
}

Test(sampler, top_p)
{
    static const struct {
        float p;
        double expected[4];
    } cases[] = {
        {0.35f, {0, 1, 0, 0}},
        {0.45f, {0, 4 / 7.0, 3 / 7.0, 0}},
        {0.75f, {0, 4 / 9.0, 3 / 9.0, 2 / 9.0}},
        {0.95f, {0.1, 0.4, 0.3, 0.2}},
    };
    for (int i = 0; i < 4; i++) {
        options.top_p = cases[i].p;
        expect_probabilities(tenths, cases[i].expected, 4);
    }
}

Test(sampler, min_p)
{
    static const struct {
        float p;
        double expected[4];
    } cases[] = {
        {0.2f, {0.1, 0.4, 0.3, 0.2}},
        {0.3f, {0, 4 / 9.0, 3 / 9.0, 2 / 9.0}},
        {0.6f, {0, 4 / 7.0, 3 / 7.0, 0}},
        {0.8f, {0, 1, 0, 0}},
    };
    for (int i = 0; i < 4; i++) {
        options.min_p = cases[i].p;
        expect_probabilities(tenths, cases[i].expected, 4);
    }
}

/* Of 0.4 and 0.3 alone the first has more than 0.55; of all four it has not. */
Test(sampler, top_k_comes_before_top_p)
{
    static const double one[] = {0, 1, 0, 0}, two[] = {0, 4 / 7.0, 3 / 7.0, 0};
    options.top_p = 0.55f;
    expect_probabilities(tenths, two, 4);
    options.top_k = 2;
    expect_probabilities(tenths, one, 4);
}

/* At half the temperature probabilities are squared: 16, 9, 4, 1 of 30. */
Test(sampler, temperature_comes_before_top_p_and_min_p)
{
    static const double one[] = {0, 1, 0, 0}, two[] = {0, 16 / 25.0, 9 / 25.0, 0};
    options.temperature = 0.5f;
    options.top_p = 0.5f;
    expect_probabilities(tenths, one, 4);
    options.top_p = 1;
    options.min_p = 0.5f;
    expect_probabilities(tenths, two, 4);
}

/* ---- The penalty ---------------------------------------------------------------------------- */

Test(sampler, penalty)
{
    static const float logits[] = {2, 1.5f, -1, -1.5f, 0};
    float copy[5];
    options.repeat_penalty = 2;
    options.temperature = 0;
    hc_sampler *sampler = make(5);
    hc_sampler_accept(sampler, 0);
    hc_sampler_accept(sampler, 2);
    hc_sampler_accept(sampler, 2); /* once for all */
    hc_sampler_accept(sampler, 4);
    memcpy(copy, logits, sizeof copy);
    cr_expect_eq(hc_sampler_choose(sampler, copy), 1);
    static const float expected[] = {1, 1.5f, -2, -1.5f, 0};
    cr_expect_arr_eq(copy, expected, sizeof copy);
    hc_sampler_destroy(sampler);
}

Test(sampler, penalty_forgets)
{
    static const float logits[] = {3, 2, 1, 0.5f};
    options.repeat_penalty = 100;
    options.temperature = 0;
    options.repeat_last = 2;
    hc_sampler *sampler = make(4);
    static const int32_t expected[] = {0, 1, 2, 0, 1, 2, 0};
    for (int i = 0; i < 7; i++) {
        int32_t token = choose(sampler, logits, 4);
        cr_expect_eq(token, expected[i], "%d: %d", i, token);
        hc_sampler_accept(sampler, token);
    }
    hc_sampler_accept(sampler, -1); /* no tokens: not taken */
    hc_sampler_accept(sampler, 4);
    cr_expect_eq(choose(sampler, logits, 4), 1);
    hc_sampler_destroy(sampler);
}

Test(sampler, penalty_of_none)
{
    static const float logits[] = {3, 2};
    options.repeat_penalty = 100;
    options.temperature = 0;
    options.repeat_last = 0;
    hc_sampler *sampler = make(2);
    hc_sampler_accept(sampler, 0);
    cr_expect_eq(choose(sampler, logits, 2), 0);
    hc_sampler_destroy(sampler);
}

/* ---- Logits that make no sense -------------------------------------------------------------- */

Test(sampler, nan_and_minus_infinity_are_never_chosen)
{
    static const float logits[] = {NAN, -INFINITY, -1e30f, NAN, -1e30f};
    static const double expected[] = {0, 0, 0.5, 0, 0.5};
    expect_probabilities(logits, expected, 5);
    options.temperature = 0;
    hc_sampler *sampler = make(5);
    cr_expect_eq(choose(sampler, logits, 5), 2);
    hc_sampler_destroy(sampler);
}

Test(sampler, nothing_but_them)
{
    static const float logits[] = {NAN, -INFINITY, NAN};
    static const double alike[] = {1 / 3.0, 1 / 3.0, 1 / 3.0};
    expect_probabilities(logits, alike, 3);
    options.temperature = 0;
    hc_sampler *sampler = make(3);
    cr_expect_eq(choose(sampler, logits, 3), 0);
    hc_sampler_destroy(sampler);
}

Test(sampler, infinity)
{
    static const float logits[] = {100, INFINITY, 5, INFINITY};
    static const double expected[] = {0, 0.5, 0, 0.5};
    expect_probabilities(logits, expected, 4);
}

/* ---- Sameness ------------------------------------------------------------------------------- */

/* Found by a program of its own in Python: Philox4x32-10 by the paper, and the sums in the order of the candidates. */
Test(sampler, known_choices)
{
    static const int32_t expected[2][16] = {
        {23, 43, 19, 24, 50, 5, 27, 31, 19, 10, 34, 27, 50, 19, 12, 19},
        {55, 38, 31, 50, 19, 31, 55, 62, 31, 41, 5, 38, 31, 19, 24, 22},
    };
    float logits[MOST_TOKENS];
    for (int t = 0; t < MOST_TOKENS; t++)
        logits[t] = (float)(t * 37 % 64) / 16;
    for (int c = 0; c < 2; c++) {
        options.seed = c == 0 ? 7 : UINT64_C(0xfedcba9876543210);
        options.top_k = c == 0 ? 0 : 40;
        options.top_p = c == 0 ? 1 : 0.9f;
        options.temperature = c == 0 ? 1 : 0.8f;
        hc_sampler *sampler = make(MOST_TOKENS);
        for (int i = 0; i < 16; i++) {
            int32_t token = choose(sampler, logits, MOST_TOKENS);
            cr_expect_eq(token, expected[c][i], "case %d, choice %d: %d", c, i, token);
        }
        hc_sampler_destroy(sampler);
    }
}

static int compare_ranks(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return x[0] != y[0] ? (x[0] > y[0] ? -1 : 1) : x[1] < y[1] ? -1 : 1;
}

enum { VOCABULARY = 128256, CHOICES = 100 };

/* As many candidates as large vocabularies have: logits, and the same sorted, as (logit, token). */
struct crowd {
    float logits[VOCABULARY], copy[VOCABULARY];
    double sorted[VOCABULARY][2], total;
};

static struct crowd *gather_crowd(void)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    cr_assert_not_null(crowd);
    uint32_t state = 1;
    for (int t = 0; t < VOCABULARY; t++) {
        state = state * 1664525 + 1013904223;
        crowd->logits[t] = (float)(state >> 20) / 400; /* many are equal */
        crowd->sorted[t][0] = crowd->logits[t];
        crowd->sorted[t][1] = t;
        crowd->total += exp(crowd->logits[t]);
    }
    qsort(crowd->sorted, VOCABULARY, sizeof *crowd->sorted, compare_ranks);
    return crowd;
}

/* All chosen ones are among the first `most`, and so many choices reach a large part of them. */
static void expect_among(struct crowd *crowd, int most)
{
    int deepest = 0;
    hc_sampler *sampler = make(VOCABULARY);
    for (int i = 0; i < CHOICES; i++) {
        memcpy(crowd->copy, crowd->logits, sizeof crowd->copy);
        int32_t token = hc_sampler_choose(sampler, crowd->copy);
        int rank = 0;
        while (rank < VOCABULARY && crowd->sorted[rank][1] != token)
            rank++;
        cr_expect(rank < most, "rank %d of %d", rank, most);
        deepest = rank > deepest ? rank : deepest;
    }
    cr_expect(deepest > most / 2, "the deepest of %d: %d", most, deepest);
    hc_sampler_destroy(sampler);
}

Test(sampler, large_vocabulary_top_p)
{
    struct crowd *crowd = gather_crowd();
    double sum = 0;
    int nucleus = 0;
    while (sum < 0.5 * crowd->total)
        sum += exp(crowd->sorted[nucleus++][0]);
    cr_assert(nucleus > 1000);
    options.top_p = 0.5f;
    expect_among(crowd, nucleus);
    free(crowd);
}

/* As few as one stretch holds, and as many as nearly all. */
Test(sampler, large_vocabulary_top_k)
{
    struct crowd *crowd = gather_crowd();
    options.temperature = 1000; /* so that all are nearly as likely */
    for (uint32_t k = 3; k < VOCABULARY; k *= 7) {
        options.top_k = k;
        expect_among(crowd, (int)k);
    }
    free(crowd);
}
