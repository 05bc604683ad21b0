/* Losses, KL divergence and their standard errors, against figures made by hand. */
#include <criterion/criterion.h>
#include <math.h>

#include "../../tools/scoring.h"

static void expect_near(double value, double expected)
{
    cr_expect(fabs(value - expected) <= 1e-12 * fmax(1, fabs(expected)), "%.17g, expected %.17g", value, expected);
}

/* Logits whose softmax is 1/2, 1/4, 1/8, 1/8 and 1/8, 1/8, 1/4, 1/2, some constant added. */
static const float falling[] = {703, 702.30685f, 701.6137f, 701.6137f};

/* softmax of logits, the slow way */
static double probability(const float *logits, int token)
{
    double sum = 0;
    for (int t = 0; t < 4; t++)
        sum += exp((double)logits[t] - (double)logits[token]);
    return 1 / sum;
}

Test(scoring, one_model)
{
    struct scores scores = {0};
    double sum = 0;
    for (int32_t next = 0; next < 4; next++) {
        cr_assert(scores_add(&scores, falling, NULL, 4, next));
        expect_near(scores.loss.values[next], -log(probability(falling, next)));
        sum -= log(probability(falling, next));
    }
    cr_expect(fabs(scores.loss.values[0] - log(2)) < 1e-4 && fabs(scores.loss.values[3] - log(8)) < 1e-4);
    expect_near(perplexity_of(&scores.loss).value, exp(sum / 4));
    scores_free(&scores);
}

Test(scoring, two_models)
{
    static const float rising[] = {-9.6137f, -9.6137f, -9.30685f, -8};
    struct scores scores = {0};
    double divergence = 0;
    cr_assert(scores_add(&scores, rising, falling, 4, 1));
    cr_assert(scores_add(&scores, falling, falling, 4, 2));
    for (int t = 0; t < 4; t++) /* the reference is `falling` */
        divergence += probability(falling, t) * log(probability(falling, t) / probability(rising, t));
    expect_near(scores.loss.values[0], -log(probability(rising, 1)));
    expect_near(scores.reference_loss.values[0], -log(probability(falling, 1)));
    expect_near(scores.drift.values[0], divergence);
    cr_expect(scores.drift.values[1] == 0);
    cr_expect_eq(scores.agreed, 1);
    expect_near(agreement_of(&scores).value, 0.5);
    expect_near(agreement_of(&scores).error, 0.5);
    scores_free(&scores);
}

/* A token that the reference never takes does not count, however the model sees it. */
Test(scoring, probability_zero)
{
    static const float reference[] = {1, 1, -INFINITY}, model[] = {2, 2, 2}, other[] = {1, 1, -INFINITY};
    struct scores scores = {0};
    cr_assert(scores_add(&scores, model, reference, 3, 0));
    cr_assert(scores_add(&scores, other, reference, 3, 0));
    cr_assert(scores_add(&scores, reference, model, 3, 0));
    expect_near(scores.drift.values[0], log(3) - log(2));
    cr_expect(scores.drift.values[1] == 0);
    cr_expect(scores.drift.values[2] == INFINITY);
    scores_free(&scores);
}

/* Of equal tokens the first is the most likely. */
Test(scoring, equal_tokens)
{
    static const float a[] = {1, 3, 3, 0}, b[] = {0, 5, 4, 5}, c[] = {0, 1, 2, 2};
    struct scores scores = {0};
    cr_assert(scores_add(&scores, a, b, 4, 0));
    cr_expect_eq(scores.agreed, 1);
    cr_assert(scores_add(&scores, a, c, 4, 0));
    cr_expect_eq(scores.agreed, 1);
    scores_free(&scores);
}

/* ---- Estimates ------------------------------------------------------------------------------ */

Test(scoring, mean_and_perplexity)
{
    double values[] = {1, 2, 4, 5};
    struct column column = {values, 4, 4};
    expect_near(mean_of(&column).value, 3);
    expect_near(mean_of(&column).error, sqrt(10.0 / 3 / 4));
    expect_near(perplexity_of(&column).value, exp(3));
    expect_near(perplexity_of(&column).error, exp(3) * sqrt(10.0 / 3 / 4));
}

/* 1 .. 10000 in another order: the 99.9 percentile is 9990; sqrt(10000 0.999 0.001) = 3.16 places to both sides are
 * 9987 and 9994. */
Test(scoring, percentile)
{
    static double values[10000];
    for (int i = 0; i < 10000; i++)
        values[i] = 1 + i * 7919 % 10000;
    struct column column = {values, 10000, 10000};
    struct estimate estimate = percentile_of(&column, 0.999);
    expect_near(estimate.value, 9990);
    expect_near(estimate.error, 3.5);
    column.count = 1;
    expect_near(percentile_of(&column, 0.999).value, values[0]);
}

/* sqrt(n 0.999 0.001) places above the 99.9 percentile there is one from n = 999 on; of fewer the greatest would stand
 * on both sides. */
Test(scoring, percentile_of_few)
{
    static double values[1000];
    static const size_t few[] = {1, 2, 381, 998};
    for (int i = 0; i < 1000; i++)
        values[i] = i;
    struct column column = {values, 1000, 1000};
    expect_near(percentile_of(&column, 0.999).value, 998);
    expect_near(percentile_of(&column, 0.999).error, 0.5);
    for (size_t i = 0; i < sizeof few / sizeof *few; i++) {
        column.count = few[i];
        cr_expect(percentile_of(&column, 0.999).error == INFINITY, "of %zu", few[i]);
        cr_expect(percentile_of(&column, 0.001).error == INFINITY, "the least of %zu", few[i]);
    }
}

/* What is no number comes last. */
Test(scoring, percentile_beside_nan)
{
    double values[] = {3, NAN, 1, NAN, 2, 4, 5, 6, 7, 8};
    struct column column = {values, 10, 10};
    expect_near(percentile_of(&column, 0.8).value, 8);
    cr_expect(isnan(percentile_of(&column, 0.9).value));
}

/* Nothing is known of the error of one position. */
Test(scoring, one_position)
{
    static const float logits[] = {1, 2};
    struct scores scores = {0};
    cr_assert(scores_add(&scores, logits, logits, 2, 0));
    cr_expect(perplexity_of(&scores.loss).error == INFINITY && mean_of(&scores.drift).error == INFINITY);
    cr_expect(agreement_of(&scores).error == INFINITY && agreement_of(&scores).value == 1);
    scores_free(&scores);
}
