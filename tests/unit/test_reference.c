/* The reference decoder against golden results: logits that `transformers` computed, for every kind of decoder. */
#include "../golden/golden.h"
#include "../reference/decoder.h"

/* Both round to float32, in different orders: measured are 1e-6 to 8e-6. */
static const double tolerance = 2e-5;

static void check(const struct golden *golden)
{
    hc_context *context;
    struct reference reference;
    cr_assert_eq(hc_context_create(&context, NULL), HC_OK);
    cr_assert(reference_open(&reference, context, golden->model, golden->config), "%s", reference.fault);
    float *logits = malloc(golden->count * reference.vocabulary * sizeof *logits);
    cr_assert_not_null(logits);
    cr_assert(reference_evaluate(&reference, golden->tokens, golden->count, logits), "%s", reference.fault);
    double error = golden_error(golden, logits, reference.vocabulary);
    cr_log_info("relative error %.2e", error);
    cr_assert(error <= tolerance, "relative error %.2e", error);
    free(logits);
    reference_close(&reference);
    hc_context_destroy(context);
}

#define SMALL_TEST(test, name)                                                                                         \
    Test(reference, test)                                                                                              \
    {                                                                                                                  \
        struct scratch scratch;                                                                                        \
        struct golden golden;                                                                                          \
        scratch_make(&scratch);                                                                                        \
        golden_open_small(&golden, &scratch, name);                                                                    \
        check(&golden);                                                                                                \
        golden_close(&golden);                                                                                         \
        scratch_remove(&scratch);                                                                                      \
    }
GOLDEN_SMALL(SMALL_TEST)

Test(reference, story)
{
    struct golden golden;
    golden_open_story(&golden, "story260K");
    check(&golden);
    golden_close(&golden);
}

Test(reference, smollm2)
{
    struct golden golden;
    golden_open_smollm2(&golden, "smollm2");
    check(&golden);
    golden_close(&golden);
}

/* The comparison notices what it is there for: a logit that is off, and one that is not a number. */
Test(reference, comparison)
{
    struct golden golden = {.tokens = NULL, .count = 1};
    golden.figures = json_pack("{s:[f,f,f], s:i, s:[i], s:[[f,f]]}", "last", 3.0, -4.0, 0.0, "stride", 1, "probes", 1,
                               "positions", -4.0, log(exp(3) + exp(-4) + 1));
    float logits[3] = {3, -4, 0};
    cr_assert_leq(golden_error(&golden, logits, 3), 1e-7);
    logits[1] = -3.9f;
    cr_assert_float_eq(golden_error(&golden, logits, 3), 0.1 / sqrt(25.0 / 3), 1e-6);
    logits[1] = NAN;
    cr_assert_eq(golden_error(&golden, logits, 3), INFINITY);
    json_decref(golden.figures);
}
