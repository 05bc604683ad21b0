/* Which bits every tensor gets from `window`: by its name, and as its share of a fractional rate. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "rate.h"

enum { CHOICES = 7, MOST_TENSORS = 1500, MOST_SMALL = 4 };

static const unsigned choices[CHOICES] = {1, 2, 3, 4, 5, 6, 8};

/* ---- By name -------------------------------------------------------------------------------- */

Test(rate, roles)
{
    static const struct {
        enum hc_role role;
        const char *name;
    } cases[] = {
        {HC_ROLE_EMBEDDING, "model.embed_tokens.weight"},
        {HC_ROLE_EMBEDDING, "embeddings.word_embeddings.weight"},
        {HC_ROLE_EMBEDDING, "bert.embeddings.position_embeddings.weight"},
        {HC_ROLE_EMBEDDING, "bert.embeddings.token_type_embeddings.weight"},
        {HC_ROLE_EMBEDDING, "layoutlm.embeddings.x_position_embeddings.weight"},
        {HC_ROLE_EMBEDDING, "transformer.wte.weight"},
        {HC_ROLE_EMBEDDING, "wpe.weight"},
        {HC_ROLE_EMBEDDING, "tok_embeddings.weight"},
        {HC_ROLE_EMBEDDING, "model.decoder.embed_positions.weight"},
        {HC_ROLE_EMBEDDING, "gpt_neox.embed_in.weight"},
        {HC_ROLE_EMBEDDING, "shared.weight"},
        {HC_ROLE_EMBEDDING, "model.shared.weight"},
        {HC_ROLE_EMBEDDING, "vit.embeddings.position_embeddings"},
        {HC_ROLE_EMBEDDING, "text_model.embeddings.token_embedding.weight"},
        {HC_ROLE_HEAD, "lm_head.weight"},
        {HC_ROLE_HEAD, "model.lm_head.weight"},
        {HC_ROLE_HEAD, "output.weight"},
        {HC_ROLE_HEAD, "embed_out.weight"},
        {HC_ROLE_HEAD, "cls.predictions.decoder.weight"},
        {HC_ROLE_OTHER, "model.layers.0.self_attn.q_proj.weight"},
        {HC_ROLE_OTHER, "encoder.layer.0.attention.output.dense.weight"},
        {HC_ROLE_OTHER, "blocks.3.attention.output.weight"},
        {HC_ROLE_OTHER, "layers.0.mlp.shared.weight"},
        {HC_ROLE_OTHER, "vision_model.embeddings.patch_embedding.weight"},
        {HC_ROLE_OTHER, "embeddings.LayerNorm.weight"},
        {HC_ROLE_OTHER, "rewte.weight"},
        {HC_ROLE_OTHER, "lm_head.bias"},
        {HC_ROLE_OTHER, ".weight"},
        {HC_ROLE_OTHER, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect(hc_tensor_role(cases[i].name) == cases[i].role, "%s", cases[i].name);
}

Test(rate, fixed)
{
    static const hc_bits_for bits_for[] = {{"*.v_proj.*", 6}, {"*proj*", 2}, {"lm_*", 1}};
    hc_compress_options options = {.method = "window", .window = {.bits = 3, .embedding_bits = 5, .head_bits = 0}};
    struct hc_tensor q = {.name = "l.0.q_proj.weight"}, v = {.name = "l.0.v_proj.weight"}, fc = {.name = "fc.weight"};
    struct hc_tensor embedding = {.name = "embed_tokens.weight"}, head = {.name = "lm_head.weight"};
    cr_expect(hc_rate_fixed(&q, &options) == 3);
    cr_expect(hc_rate_fixed(&embedding, &options) == 5);
    cr_expect(hc_rate_fixed(&head, &options) == 0);
    options.window.bits = 3.25;
    cr_expect(hc_rate_fixed(&q, &options) == -1);
    cr_expect(hc_rate_fixed(&embedding, &options) == 5);
    options.window.bits_for = bits_for;
    options.window.bits_for_count = 3;
    cr_expect(hc_rate_fixed(&v, &options) == 6, "the first match counts");
    cr_expect(hc_rate_fixed(&q, &options) == 2);
    cr_expect(hc_rate_fixed(&head, &options) == 1, "a pattern goes before the role");
    cr_expect(hc_rate_fixed(&fc, &options) == -1);
}

/* ---- Sharing -------------------------------------------------------------------------------- */

static double next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) * 0x1p-53;
}

/* A matrix as the method stores it, with the error of a Gaussian source, more or less. */
static struct hc_rate_tensor matrix(uint64_t rows, uint64_t columns, double size, uint64_t *state)
{
    struct hc_rate_tensor tensor = {.weights = rows * columns, .most = HC_WINDOW_MAX_K};
    uint64_t tiles = (rows + 15) / 16 * ((columns + 15) / 16);
    double error = size * (double)tensor.weights;
    for (unsigned k = 1; k <= HC_WINDOW_MAX_K; k++) {
        error *= 0.24 + 0.06 * next_random(state);
        tensor.error[k] = error;
        tensor.bytes[k] = (tiles * 32 * k + 2 * rows + columns + 63) / 64 * 64;
    }
    return tensor;
}

struct total {
    uint64_t bytes, weights;
    double error;
};

static struct total total_of(const struct hc_rate_tensor *tensors, size_t count, const uint8_t *k)
{
    struct total total = {0};
    for (size_t i = 0; i < count; i++) {
        cr_assert((k[i] >= 1 && k[i] <= 6) || k[i] == 8, "k %u", k[i]);
        total.bytes += tensors[i].bytes[k[i]];
        total.weights += tensors[i].weights;
        total.error += tensors[i].error[k[i]];
    }
    return total;
}

static double rate_of(struct total total)
{
    return 8 * (double)total.bytes / (double)total.weights;
}

static struct total share(const struct hc_rate_tensor *tensors, size_t count, double asked, uint8_t *k)
{
    double reached = -1;
    cr_assert(hc_rate_share(tensors, count, asked, k, &reached, NULL) == HC_OK);
    struct total total = total_of(tensors, count, k);
    cr_assert(reached == rate_of(total), "%.17g, not %.17g", reached, rate_of(total));
    return total;
}

/* Every choice for a few tensors: of the least error within low .. high bits per weight (INFINITY: none comes there),
 * the largest rate below low, the least above high. */
struct best {
    double error, below, above;
};

static struct best brute_force(const struct hc_rate_tensor *tensors, size_t count, double low, double high)
{
    struct best best = {INFINITY, -INFINITY, INFINITY};
    unsigned all = 1;
    for (size_t i = 0; i < count; i++)
        all *= CHOICES;
    for (unsigned n = 0; n < all; n++) {
        uint8_t k[MOST_SMALL];
        unsigned rest = n;
        for (size_t i = 0; i < count; i++, rest /= CHOICES)
            k[i] = (uint8_t)choices[rest % CHOICES];
        struct total total = total_of(tensors, count, k);
        double rate = rate_of(total);
        if (rate < low)
            best.below = fmax(best.below, rate);
        else if (rate > high)
            best.above = fmin(best.above, rate);
        else
            best.error = fmin(best.error, total.error);
    }
    return best;
}

/* What rate.h promises, held against all choices. */
static void expect_best(const struct hc_rate_tensor *tensors, size_t count, double asked)
{
    uint8_t k[MOST_SMALL];
    struct total got = share(tensors, count, asked, k);
    double rate = rate_of(got);
    struct best best = brute_force(tensors, count, asked - HC_RATE_TOLERANCE, asked);
    if (best.error < INFINITY)
        cr_expect(rate <= asked && rate >= asked - HC_RATE_TOLERANCE && got.error <= best.error * (1 + 1e-12),
                  "%zu tensors, asked %g: %g with error %g, where %g can be had", count, asked, rate, got.error,
                  best.error);
    else if (best.above <= asked + HC_RATE_TOLERANCE)
        cr_expect(rate == best.above, "asked %g: %g, not %g", asked, rate, best.above);
    else
        cr_expect(rate == (best.below > 0 ? best.below : best.above), "asked %g: %g, not %g or %g", asked, rate,
                  best.below, best.above);
}

Test(rate, few_tensors_against_every_choice)
{
    uint64_t state = 1;
    for (int round = 0; round < 60; round++) {
        struct hc_rate_tensor tensors[MOST_SMALL];
        size_t count = 1 + (size_t)(MOST_SMALL * next_random(&state));
        for (size_t i = 0; i < count; i++)
            tensors[i] = matrix(1 + (uint64_t)(600 * next_random(&state)), 1 + (uint64_t)(600 * next_random(&state)),
                                pow(10, 3 * next_random(&state)), &state);
        expect_best(tensors, count, 1 + 7 * next_random(&state));
    }
}

/* The least of error + lambda bytes, each tensor by itself, less lambda bytes that may be stored: for any lambda, no
 * choice within these bytes has less error. The first tensor has the k that is given: it may be so large that what it
 * cannot have, something between two k, would count for much. */
static double bound_for(const struct hc_rate_tensor *tensors, size_t count, unsigned k, double bytes)
{
    double best = 0;
    for (double lambda = 1e-6; lambda < 1e6; lambda *= 1.1) {
        double sum = tensors[0].error[k] + lambda * ((double)tensors[0].bytes[k] - bytes);
        for (size_t i = 1; i < count; i++) {
            double least = INFINITY;
            for (size_t c = 0; c < CHOICES; c++) {
                double cost = tensors[i].error[choices[c]] + lambda * (double)tensors[i].bytes[choices[c]];
                least = cost < least ? cost : least;
            }
            sum += least;
        }
        best = fmax(best, sum);
    }
    return best;
}

static double bound(const struct hc_rate_tensor *tensors, size_t count, double bytes)
{
    double least = INFINITY;
    for (size_t c = 0; c < CHOICES; c++)
        least = fmin(least, bound_for(tensors, count, choices[c], bytes));
    return least;
}

Test(rate, many_tensors)
{
    static struct hc_rate_tensor tensors[MOST_TENSORS];
    static uint8_t k[MOST_TENSORS];
    static const size_t counts[] = {36, 210, 600, MOST_TENSORS};
    uint64_t state = 2;
    for (int round = 0; round < 4; round++) {
        size_t count = counts[round];
        for (size_t i = 0; i < count; i++)
            tensors[i] = matrix(64 + (uint64_t)(1000 * next_random(&state)),
                                64 + (uint64_t)(1000 * next_random(&state)), pow(10, 2 * next_random(&state)), &state);
        /* One that is three tenths of all. */
        tensors[0] = matrix(count * 430, 282, 1, &state);
        double asked = 1.5 + 4.5 * next_random(&state);
        struct total got = share(tensors, count, asked, k);
        double rate = rate_of(got), room = asked - 0.003;
        cr_expect(rate <= asked && rate >= asked - HC_RATE_TOLERANCE, "asked %g: %g", asked, rate);
        double least = bound(tensors, count, room * (double)got.weights / 8);
        cr_expect(got.error <= least, "%zu tensors, asked %g: error %g at %g, %g is the least at %g", count, asked,
                  got.error, rate, least, room);
    }
}

/* The layers of a model are all alike: every choice has many equals, and the same one is taken every time. */
Test(rate, equal_tensors)
{
    struct hc_rate_tensor tensors[300];
    uint8_t k[300], again[300];
    uint64_t state = 3;
    struct hc_rate_tensor one = matrix(512, 512, 1, &state);
    for (size_t i = 0; i < 300; i++)
        tensors[i] = one;
    struct total got = share(tensors, 300, 3.25, k);
    cr_expect(rate_of(got) <= 3.25 && rate_of(got) >= 3.24, "%g", rate_of(got));
    for (size_t i = 0; i < 300; i++)
        cr_expect(k[i] == 3 || k[i] == 4, "tensor %zu has %u bits", i, k[i]);
    share(tensors, 300, 3.25, again);
    cr_expect(memcmp(k, again, sizeof k) == 0);
}

Test(rate, no_errors_at_all)
{
    struct hc_rate_tensor tensors[64] = {{0}};
    uint8_t k[64];
    uint64_t state = 4;
    for (size_t i = 0; i < 64; i++) {
        tensors[i] = matrix(128, 64 + 16 * i, 0, &state);
        cr_assert(tensors[i].error[1] == 0);
    }
    double rate = rate_of(share(tensors, 64, 2.5, k));
    cr_expect(rate <= 2.5 && rate >= 2.49, "%g", rate);
}

Test(rate, one_tensor)
{
    uint64_t state = 5;
    struct hc_rate_tensor tensor = matrix(256, 256, 1, &state);
    uint8_t k;
    share(&tensor, 1, 3.5, &k);
    cr_expect(k == 3);
    share(&tensor, 1, 7.9, &k);
    cr_expect(k == 6);
    share(&tensor, 1, 8.2, &k);
    cr_expect(k == 8);
    share(&tensor, 1, 4.09, &k); /* scales cost 0.09375 */
    cr_expect(k == 4);
    share(&tensor, 1, 4.05, &k);
    cr_expect(k == 3);
}

/* Codes that would not be smaller than the weights are no choice. */
Test(rate, limits)
{
    uint64_t state = 7;
    struct hc_rate_tensor tensors[3];
    uint8_t k[3];
    for (size_t i = 0; i < 3; i++)
        tensors[i] = matrix(256, 256, 1, &state);
    tensors[0].most = 4;
    tensors[1].most = 1;
    share(tensors, 3, 1000, k);
    cr_expect(k[0] == 4 && k[1] == 1 && k[2] == 8, "%u %u %u", k[0], k[1], k[2]);
    share(tensors, 3, 3.0, k);
    cr_expect(k[0] <= 4 && k[1] == 1, "%u %u %u", k[0], k[1], k[2]);
}

Test(rate, out_of_reach)
{
    uint64_t state = 6;
    struct hc_rate_tensor tensors[8];
    uint8_t k[8];
    for (size_t i = 0; i < 8; i++)
        tensors[i] = matrix(3, 5, 1, &state);
    share(tensors, 8, 1.5, k); /* a tile for 15 weights: 34 bits each even at k = 1 */
    for (size_t i = 0; i < 8; i++)
        cr_expect(k[i] == 1);
    share(tensors, 8, 1000, k);
    for (size_t i = 0; i < 8; i++)
        cr_expect(k[i] == 8);
}

Test(rate, no_tensors)
{
    double reached = -1;
    cr_expect(hc_rate_share(NULL, 0, 3.5, NULL, &reached, NULL) == HC_OK);
    cr_expect(reached == 0);
}
