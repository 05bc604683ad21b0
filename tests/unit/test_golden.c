/* The runtime against golden results and against the reference decoder: every kind of decoder, compressed or not, and
 * the same bits from every instruction set, number of threads and division into calls. */
#include "../golden/golden.h"
#include "../reference/decoder.h"
#include "sanitized.h"
#include "tiers.h"

#include <hyperc/run.h>
#include <pthread.h>

enum { ALL = 1 << 20, CONTEXT = 512 };

struct way {
    hc_tier tier;
    int threads;
    size_t call; /* tokens of a call */
    uint32_t batch;
    hc_type cache;
};

static const struct way plain = {HC_TIER_C, 1, ALL, 0, HC_TYPE_F32};

/* ---- Running -------------------------------------------------------------------------------- */

struct run {
    hc_context *context;
    hc_network *network;
    hc_sequence *sequence;
    size_t vocabulary;
};

static void run_open(struct run *run, const char *model, const struct way *way)
{
    hc_context_options options;
    hc_sequence_options sequence;
    hc_network_info info;
    hc_context_options_init(&options);
    options.tier = way->tier;
    options.threads = way->threads;
    cr_assert_eq(hc_context_create(&run->context, &options), HC_OK);
    cr_assert_eq(hc_network_open(run->context, model, &run->network), HC_OK, "%s", hc_message(run->context));
    hc_sequence_options_init(&sequence);
    sequence.context = CONTEXT;
    sequence.batch = way->batch;
    sequence.cache_type = way->cache;
    cr_assert_eq(hc_sequence_create(run->context, run->network, &sequence, &run->sequence), HC_OK, "%s",
                 hc_message(run->context));
    hc_network_info_get(run->network, &info);
    run->vocabulary = info.vocabulary;
}

static void run_close(struct run *run)
{
    hc_sequence_destroy(run->sequence);
    hc_network_close(run->network);
    hc_context_destroy(run->context);
}

/* Evaluates tokens from the end of the sequence on, `call` at a time; logits: count x vocabulary. */
static void run_tokens(struct run *run, const int32_t *tokens, size_t count, size_t call, float *logits)
{
    for (size_t at = 0; at < count; at += call) {
        size_t n = count - at < call ? count - at : call;
        hc_status status = hc_evaluate(run->sequence, tokens + at, n, HC_LOGITS_ALL, logits + at * run->vocabulary);
        cr_assert_eq(status, HC_OK, "%s", hc_message(run->context));
    }
}

/* The logits of the golden text, the caller's. */
static float *evaluate(const struct golden *golden, const char *model, const struct way *way, size_t *vocabulary)
{
    struct run run;
    run_open(&run, model, way);
    float *logits = malloc(golden->count * run.vocabulary * sizeof *logits);
    cr_assert_not_null(logits);
    run_tokens(&run, golden->tokens, golden->count, way->call, logits);
    cr_assert_eq(hc_sequence_length(run.sequence), golden->count);
    *vocabulary = run.vocabulary;
    run_close(&run);
    return logits;
}

/* ---- Golden results ------------------------------------------------------------------------- */

/* Keys and values in float32, as in the reference: only the order of sums differs. In half precision they are rounded
 * to 11 bits, in 8 bits to 1 in 127 of the largest. */
static const struct {
    hc_type cache;
    double tolerance;
} caches[] = {{HC_TYPE_F32, 2e-5}, {HC_TYPE_F16, 5e-3}, {HC_TYPE_I8, 1e-1}};

static void check_logits(const struct golden *golden, hc_type cache, double tolerance)
{
    const struct way way = {HC_TIER_BEST, 2, ALL, 0, cache};
    size_t vocabulary;
    float *logits = evaluate(golden, golden->model, &way, &vocabulary);
    double error = golden_error(golden, logits, vocabulary);
    cr_log_info("keys and values in %s: relative error %.2e", hc_type_name(cache), error);
    cr_assert(error <= tolerance, "keys and values in %s: relative error %.2e", hc_type_name(cache), error);
    free(logits);
}

static void check_figures(const struct golden *golden)
{
    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++)
        check_logits(golden, caches[i].cache, caches[i].tolerance);
}

#define SMALL_TEST(test, name)                                                                                         \
    Test(golden, test)                                                                                                 \
    {                                                                                                                  \
        struct scratch scratch;                                                                                        \
        struct golden golden;                                                                                          \
        scratch_make(&scratch);                                                                                        \
        golden_open_small(&golden, &scratch, name);                                                                    \
        check_figures(&golden);                                                                                        \
        golden_close(&golden);                                                                                         \
        scratch_remove(&scratch);                                                                                      \
    }
GOLDEN_SMALL(SMALL_TEST)

Test(golden, story)
{
    struct golden golden;
    golden_open_story(&golden, "story260K");
    check_figures(&golden);
    golden_close(&golden);
}

Test(golden, smollm2)
{
    struct golden golden;
    golden_open_smollm2(&golden, "smollm2");
    check_figures(&golden);
    golden_close(&golden);
}

/* llama.cpp, made to keep weights, activations, keys and values in float32. */
Test(golden, story_llamacpp)
{
    struct golden golden;
    golden_open_story(&golden, "story260K_llamacpp");
    check_logits(&golden, HC_TYPE_F32, 2e-5);
    golden_close(&golden);
}

/* Also in float32, behind each of 512 tokens of text. A few of them magnify what the order of sums leaves: llama.cpp,
 * the runtime and the reference decoder are up to 1e-4 apart there, and mostly less than 1e-5. */
Test(golden, smollm2_llamacpp)
{
    struct golden golden;
    if (SANITIZED)
        cr_skip_test("not run: it takes long with sanitizers, and other tests do the same steps");
    golden_open_smollm2(&golden, "smollm2_llamacpp");
    check_logits(&golden, HC_TYPE_F32, 1e-3);
    golden_close(&golden);
}

/* ---- Compressed models ---------------------------------------------------------------------- */

struct coding {
    const char *method;
    double bits;
    int length;
    double tolerance;
};

/* `pair` is decoded and multiplied in float32. `window` rounds activations and values of a product, to 8 bits up to
 * k = 4, to 12 from 5 on: 1 part in 130, or in 2500, of every product, which these models answer to with up to ten
 * times as much in their logits. */
static const struct coding codings[] = {
    {"pair", 0, 12, 2e-5},  {"window", 2, 12, 0.1},  {"window", 3, 12, 0.1},  {"window", 4, 12, 0.1},
    {"window", 4, 16, 0.1}, {"window", 5, 12, 5e-3}, {"window", 6, 14, 5e-3}, {"window", 8, 16, 5e-3},
};

static void compress(const struct golden *golden, const struct coding *coding, const char *output)
{
    hc_context *context;
    hc_compress_options options;
    hc_compress_options_init(&options);
    options.method = coding->method;
    options.force = true;
    options.window.length = coding->length;
    if (coding->bits > 0)
        options.window.bits = coding->bits;
    cr_assert_eq(hc_context_create(&context, NULL), HC_OK);
    cr_assert_eq(hc_compress(context, golden->model, output, &options), HC_OK, "%s", hc_message(context));
    hc_context_destroy(context);
}

/* Logits by the reference of a compressed model, from its weights as hc_model_read tells them. */
static float *refer(const struct golden *golden, const char *model)
{
    hc_context *context;
    struct reference reference;
    char config[700];
    snprintf(config, sizeof config, "%s/config.json", model);
    cr_assert_eq(hc_context_create(&context, NULL), HC_OK);
    cr_assert(reference_open(&reference, context, model, config), "%s", reference.fault);
    float *logits = malloc(golden->count * reference.vocabulary * sizeof *logits);
    cr_assert_not_null(logits);
    cr_assert(reference_evaluate(&reference, golden->tokens, golden->count, logits), "%s", reference.fault);
    reference_close(&reference);
    hc_context_destroy(context);
    return logits;
}

/* Root mean square of the difference, in parts of that of `wanted`. */
static double difference(const float *is, const float *wanted, size_t n)
{
    double squared_error = 0, squared = 0;
    for (size_t i = 0; i < n; i++) {
        squared_error += pow((double)is[i] - (double)wanted[i], 2);
        squared += pow((double)wanted[i], 2);
    }
    return sqrt(squared_error / squared);
}

static void check_compressed(const struct golden *golden, const struct coding *coding, const char *model)
{
    size_t vocabulary;
    const struct way way = {HC_TIER_BEST, 2, ALL, 0, HC_TYPE_F32};
    compress(golden, coding, model);
    float *wanted = refer(golden, model), *logits = evaluate(golden, model, &way, &vocabulary);
    double error = difference(logits, wanted, golden->count * vocabulary);
    cr_log_info("%s k=%g L=%d: relative error %.2e", coding->method, coding->bits, coding->length, error);
    cr_assert(error <= coding->tolerance, "%s k=%g L=%d: relative error %.2e", coding->method, coding->bits,
              coding->length, error);
    free(logits);
    free(wanted);
}

static void check_all_codings(const char *name)
{
    struct scratch scratch;
    struct golden golden;
    char model[600];
    scratch_make(&scratch);
    golden_open_small(&golden, &scratch, name);
    snprintf(model, sizeof model, "%s/compressed", scratch.root);
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++)
        check_compressed(&golden, &codings[i], model);
    golden_close(&golden);
    scratch_remove(&scratch);
}

Test(golden, compressed_odd)
{
    check_all_codings("llama-odd");
}

Test(golden, compressed_biases)
{
    check_all_codings("llama-biases");
}

Test(golden, compressed_norms)
{
    check_all_codings("qwen3");
}

Test(golden, compressed_tied)
{
    check_all_codings("llama3");
}

/* ---- Sameness ------------------------------------------------------------------------------- */

static void check_same(const struct golden *golden, const char *model, const float *wanted, const struct way *way)
{
    size_t vocabulary;
    float *logits = evaluate(golden, model, way, &vocabulary);
    cr_assert_eq(memcmp(logits, wanted, golden->count * vocabulary * sizeof *logits), 0,
                 "%s, %s, %s: other logits with %d threads, %zu tokens a call, batches of %u", golden->model, model,
                 hc_type_name(way->cache), way->threads, way->call, way->batch);
    free(logits);
}

/* Plain C, one thread, one call, against other ways on a tier. */
static void check_ways(const struct golden *golden, const char *model, hc_tier tier, hc_type cache)
{
    const struct way ways[] = {{tier, 1, ALL, 0, cache}, {tier, 2, ALL, 0, cache}, {tier, 1, 1, 0, cache},
                               {tier, 2, 7, 0, cache},   {tier, 2, 33, 8, cache},  {tier, 1, ALL, 19, cache}};
    struct way first = plain;
    size_t vocabulary;
    first.cache = cache;
    float *wanted = evaluate(golden, model, &first, &vocabulary);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        check_same(golden, model, wanted, &ways[i]);
    free(wanted);
}

static void check_tier(hc_tier tier)
{
    static const char *const names[] = {"llama", "llama-odd", "mistral", "qwen2", "qwen3"};
    struct scratch scratch;
    struct golden golden;
    char model[600];
    scratch_make(&scratch);
    snprintf(model, sizeof model, "%s/compressed", scratch.root);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        golden_open_small(&golden, &scratch, names[i]);
        check_ways(&golden, golden.model, tier, caches[i % 3].cache);
        compress(&golden, &codings[i], model);
        check_ways(&golden, model, tier, caches[(i + 1) % 3].cache);
        compress(&golden, &codings[(i + 5) % (sizeof codings / sizeof *codings)], model);
        check_ways(&golden, model, tier, HC_TYPE_F16);
        golden_close(&golden);
    }
    scratch_remove(&scratch);
}

#define SAME_TEST(tier, name)                                                                                          \
    static void same_on_##name(const struct hc_kernels *kernels)                                                       \
    {                                                                                                                  \
        (void)kernels;                                                                                                 \
        check_tier(tier);                                                                                              \
    }                                                                                                                  \
    Test(golden, same_##name)                                                                                          \
    {                                                                                                                  \
        tier_run(tier, #name, same_on_##name);                                                                         \
    }
SAME_TEST(HC_TIER_C, c)
SAME_TEST(HC_TIER_AVX2, avx2)
SAME_TEST(HC_TIER_AVX512, avx512)

/* ---- Sequences ------------------------------------------------------------------------------ */

/* What was cut off leaves no trace, and the last logits are those of the last token. */
Test(golden, cut_and_go_on)
{
    enum { KEPT = 23 };
    struct scratch scratch;
    struct golden golden;
    struct run run;
    scratch_make(&scratch);
    golden_open_small(&golden, &scratch, "mistral");
    run_open(&run, golden.model, &plain);
    size_t vocabulary = run.vocabulary, all = golden.count * vocabulary;
    float *wanted = malloc(2 * all * sizeof *wanted), *logits = wanted + all;
    cr_assert_not_null(wanted);
    run_tokens(&run, golden.tokens, golden.count, ALL, wanted);
    cr_assert_eq(hc_sequence_cut(run.sequence, KEPT), HC_OK);
    cr_assert_eq(hc_evaluate(run.sequence, golden.tokens, 9, HC_LOGITS_NONE, NULL), HC_OK);
    cr_assert_eq(hc_sequence_cut(run.sequence, KEPT), HC_OK);
    cr_assert_eq(hc_evaluate(run.sequence, golden.tokens + KEPT, golden.count - KEPT, HC_LOGITS_LAST, logits), HC_OK);
    cr_assert_eq(memcmp(logits, wanted + all - vocabulary, vocabulary * sizeof *logits), 0);
    cr_assert_eq(hc_sequence_length(run.sequence), golden.count);
    free(wanted);
    run_close(&run);
    golden_close(&golden);
    scratch_remove(&scratch);
}

/* ---- Contexts side by side ------------------------------------------------------------------ */

/* One of two threads over a network, with a context of its own. No assertions: Criterion's are the main thread's. */
struct side {
    const struct golden *golden;
    const hc_network *network;
    float *logits;
    hc_status status;
};

static void *run_side(void *argument)
{
    struct side *side = argument;
    hc_context *context = NULL;
    hc_sequence *sequence = NULL;
    hc_sequence_options options;
    const hc_context_options one_thread = {.threads = 1, .tier = HC_TIER_BEST};
    hc_sequence_options_init(&options);
    options.context = CONTEXT;
    options.cache_type = HC_TYPE_F32;
    side->status = hc_context_create(&context, &one_thread);
    if (side->status == HC_OK)
        side->status = hc_sequence_create(context, side->network, &options, &sequence);
    if (side->status == HC_OK)
        side->status = hc_evaluate(sequence, side->golden->tokens, side->golden->count, HC_LOGITS_ALL, side->logits);
    hc_sequence_destroy(sequence);
    hc_context_destroy(context);
    return NULL;
}

static void check_sides(const struct golden *golden, const char *model, const float *wanted, float *room)
{
    struct run run;
    pthread_t threads[2];
    struct side sides[2];
    run_open(&run, model, &plain);
    size_t all = golden->count * run.vocabulary;
    for (int i = 0; i < 2; i++) {
        sides[i] = (struct side){golden, run.network, room + (size_t)i * all, HC_OK};
        cr_assert_eq(pthread_create(&threads[i], NULL, run_side, &sides[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_assert_eq(sides[i].status, HC_OK, "%s", hc_status_name(sides[i].status));
        cr_assert_eq(memcmp(sides[i].logits, wanted, all * sizeof *wanted), 0, "%s: context %d got other logits", model,
                     i);
    }
    run_close(&run);
}

/* Anew many times: what goes wrong between threads does so now and then. */
static void check_side_by_side(const struct coding *coding)
{
    enum { REPEATS = 25 };
    struct scratch scratch;
    struct golden golden;
    char model[600];
    size_t vocabulary;
    scratch_make(&scratch);
    golden_open_small(&golden, &scratch, "llama");
    snprintf(model, sizeof model, "%s/compressed", scratch.root);
    compress(&golden, coding, model);
    float *wanted = evaluate(&golden, model, &plain, &vocabulary);
    float *room = malloc(2 * golden.count * vocabulary * sizeof *room);
    cr_assert_not_null(room);
    for (int i = 0; i < REPEATS; i++)
        check_sides(&golden, model, wanted, room);
    free(room);
    free(wanted);
    golden_close(&golden);
    scratch_remove(&scratch);
}

Test(golden, side_by_side_pair)
{
    check_side_by_side(&codings[0]);
}

Test(golden, side_by_side_window)
{
    check_side_by_side(&codings[3]);
}

/* ---- A real model on texts ------------------------------------------------------------------ */

static void check_tokens(struct run *run, const json_t *text, bool special)
{
    const hc_text_options options = {false, special};
    const char *string = json_string_value(json_array_get(text, 0));
    const json_t *ids = json_array_get(text, 1);
    hc_tokens tokens;
    cr_assert_eq(hc_tokenize(run->context, run->network, string, strlen(string), &options, &tokens), HC_OK, "%s",
                 hc_message(run->context));
    cr_assert_eq(tokens.count, json_array_size(ids), "\"%s\": %zu tokens", string, tokens.count);
    for (size_t i = 0; i < tokens.count; i++)
        cr_assert_eq(tokens.ids[i], json_integer_value(json_array_get(ids, i)), "\"%s\": token %zu is %d", string, i,
                     (int)tokens.ids[i]);
    hc_tokens_free(&tokens);
}

/* The tokens that llama.cpp makes. */
Test(golden, smollm2_tokens)
{
    struct golden golden;
    struct run run;
    size_t i;
    const json_t *text;
    golden_open_smollm2(&golden, "smollm2_text");
    run_open(&run, golden.model, &plain);
    json_array_foreach(golden_member(&golden, "texts"), i, text) check_tokens(&run, text, false);
    json_array_foreach(golden_member(&golden, "special_texts"), i, text) check_tokens(&run, text, true);
    run_close(&run);
    golden_close(&golden);
}

/* Mean negative log-likelihood of the tokens that the second half of a window predicts. */
static double window_loss(struct run *run, const int32_t *tokens, size_t context)
{
    double loss = 0;
    float *logits = malloc(context * run->vocabulary * sizeof *logits);
    cr_assert_not_null(logits);
    run_tokens(run, tokens, context, context, logits);
    for (size_t i = context / 2; i + 1 < context; i++) {
        const float *here = logits + i * run->vocabulary;
        loss += golden_log_sum(here, run->vocabulary) - (double)here[tokens[i + 1]];
    }
    free(logits);
    return loss / (double)(context - 1 - context / 2);
}

/* Four windows of Wikipedia's English: the loss of each, and the perplexity of all. llama.cpp rounds activations to 8
 * bits. */
Test(golden, smollm2_perplexity)
{
    const struct way way = {HC_TIER_BEST, 2, ALL, 0, HC_TYPE_F32};
    struct golden golden;
    struct run run;
    double sum = 0;
    if (SANITIZED)
        cr_skip_test("not run: it takes long with sanitizers, and other tests do the same steps");
    golden_open_smollm2(&golden, "smollm2_text");
    size_t context = (size_t)json_integer_value(golden_member(&golden, "context"));
    size_t windows = (size_t)json_integer_value(golden_member(&golden, "windows"));
    cr_assert(windows == 4 && golden.count == windows * context);
    run_open(&run, golden.model, &way);
    for (size_t i = 0; i < windows; i++) {
        cr_assert_eq(hc_sequence_cut(run.sequence, 0), HC_OK);
        double loss = window_loss(&run, golden.tokens + i * context, context);
        double wanted = json_number_value(json_array_get(golden_member(&golden, "losses_transformers"), i));
        double rounded = json_number_value(json_array_get(golden_member(&golden, "losses_llamacpp"), i));
        cr_log_info("loss %.7f; transformers %.7f, llama.cpp %.7f", loss, wanted, rounded);
        cr_assert_float_eq(loss, wanted, 1e-5);
        cr_assert_float_eq(loss, rounded, 1e-2);
        sum += loss;
    }
    double perplexity = exp(sum / (double)windows);
    double wanted = json_number_value(golden_member(&golden, "perplexity_transformers"));
    double rounded = json_number_value(golden_member(&golden, "perplexity_llamacpp"));
    cr_log_info("perplexity %.6f; transformers %.6f, llama.cpp %.6f", perplexity, wanted, rounded);
    cr_assert_float_eq(perplexity / wanted, 1, 1e-5);
    cr_assert_float_eq(perplexity / rounded, 1, 1e-2);
    run_close(&run);
    golden_close(&golden);
}
