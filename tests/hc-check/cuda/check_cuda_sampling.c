#include <float.h>
#include <math.h>

#include <hyperc/run.h>

#include "device.h"
#include "philox.h"
#include "sampling/sampling_cuda.h"

/* Normal; few different numbers; NaN and infinities among them; nothing else; zeros of both signs. */
enum { NORMAL, TIES, STRANGE, STRANGE_ALONE, ZEROS, KINDS };

static void fill(struct check *c, int kind, float *logits, size_t n)
{
    static const float strange[] = {NAN, -INFINITY, INFINITY, FLT_MAX, -FLT_MAX};
    size_t most = check_below(&c->random, 2) ? 2 : 5; /* often none of the largest */
    check_fill_normal(&c->random, logits, n, 0, 3);
    for (size_t i = 0; i < n; i++) {
        if (kind == TIES)
            logits[i] = roundf(logits[i]);
        else if (kind == ZEROS)
            logits[i] = check_below(&c->random, 2) ? 0.0f : -0.0f;
        else if (kind == STRANGE_ALONE || (kind == STRANGE && check_below(&c->random, 50) == 0))
            logits[i] = strange[check_below(&c->random, most)];
    }
}

/* The sampler's first random number, as host/sampler.c makes it. */
static double uniform_of(uint64_t seed)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, counter[4] = {0}, words[4];
    hc_philox(key, counter, words);
    return ldexp((double)((uint64_t)words[0] << 21 | words[1] >> 11), -53);
}

static int32_t sampler_choice(struct check *c, const hc_sample_options *options, const float *logits, size_t n)
{
    hc_context *context = NULL;
    hc_sampler *sampler = NULL;
    int32_t token = -1;
    if (hc_context_create(&context, NULL) == HC_OK &&
        hc_sampler_create(context, (uint32_t)n, options, &sampler) == HC_OK)
        token = hc_sampler_choose(sampler, check_copy(c, logits, n * sizeof *logits, 0));
    hc_sampler_destroy(sampler);
    hc_context_destroy(context);
    return token;
}

static void largest_case(struct check *c, size_t n, int kind)
{
    check_case(c, "n=%zu kind=%d", n, kind);
    float *logits = check_buffer(c, n * sizeof *logits, 0);
    int32_t got, *token = device_buffer(c, sizeof *token);
    fill(c, kind, logits, n);
    device_launched(c, "largest",
                    hc_largest_cuda(device_copy(c, logits, n * sizeof *logits), n,
                                    device_buffer(c, hc_largest_cuda_workspace(n)), token, device_stream(c)));
    device_fetch(c, token, &got, sizeof got);
    const hc_sample_options greedy = {.temperature = 0, .top_p = 1, .repeat_penalty = 1};
    check_u64(c, "token", (uint64_t)sampler_choice(c, &greedy, logits, n), (uint64_t)got);
    device_end(c);
}

static void run_largest(struct check *c)
{
    static const size_t sizes[] = {1, 2, 33, 255, 257, 2048, 2049, 5000, 151936};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int kind = 0; kind < KINDS; kind++)
            largest_case(c, sizes[i], kind);
}

enum { DRAWS = 4 };

/* Some random numbers on the same logits. */
static void top_k_case(struct check *c, size_t n, int kind, hc_sample_options options)
{
    check_case(c, "n=%zu kind=%d k=%u temperature=%g top_p=%g min_p=%g seed=%llu", n, kind, options.top_k,
               (double)options.temperature, (double)options.top_p, (double)options.min_p,
               (unsigned long long)options.seed);
    float *logits = check_buffer(c, n * sizeof *logits, 0);
    fill(c, kind, logits, n);
    struct hc_top_k_cuda top_k = {n, options.top_k, options.temperature, options.top_p, options.min_p};
    int32_t got, *token = device_buffer(c, sizeof *token);
    const float *device = device_copy(c, logits, n * sizeof *logits);
    void *workspace = device_buffer(c, hc_top_k_cuda_workspace(&top_k));
    for (int draw = 0; draw < DRAWS; draw++, options.seed++) {
        double uniform = uniform_of(options.seed);
        device_launched(c, "top_k",
                        hc_top_k_cuda(device, &top_k, device_copy(c, &uniform, sizeof uniform), workspace, token,
                                      device_stream(c)));
        device_fetch(c, token, &got, sizeof got);
        check_u32(c, "token", &(uint32_t){(uint32_t)sampler_choice(c, &options, logits, n)}, &(uint32_t){(uint32_t)got},
                  1);
    }
    device_end(c);
}

static void run_top_k(struct check *c)
{
    static const size_t sizes[] = {1, 40, 1000, 1024, 1025, 2048, 2049, 6000, 9000, 151936};
    static const uint32_t ks[] = {1, 2, 40, 1023, 1024};
    static const float temperatures[] = {0, 0.3f, 0.8f, 1, 5, 1e-30f, 1e30f};
    static const float shares[] = {1, 0.95f, 0.5f, 0}, parts[] = {0, 0.05f, 0.5f, 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t j = 0; j < sizeof ks / sizeof ks[0]; j++) {
            hc_sample_options options;
            if (sizes[i] > 10000 && ks[j] != 40) /* a large vocabulary takes long */
                continue;
            hc_sample_options_init(&options);
            options.top_k = ks[j];
            options.temperature = temperatures[check_below(&c->random, 7)];
            options.top_p = shares[check_below(&c->random, 4)];
            options.min_p = parts[check_below(&c->random, 4)];
            options.seed = check_bits(&c->random);
            top_k_case(c, sizes[i], (int)check_below(&c->random, KINDS), options);
            options.temperature = 0.8f + (float)check_uniform(&c->random);
            options.top_p = j % 2 ? 1 : 0.9f;
            options.min_p = 0;
            top_k_case(c, sizes[i], NORMAL, options);
        }
}

const struct check_op check_cuda_sampling[] = {
    {"sampling.largest", "logit", CHECK_DEVICE, NULL, run_largest, NULL},
    {"sampling.top_k", "logit", CHECK_DEVICE, NULL, run_top_k, NULL},
    {0},
};
