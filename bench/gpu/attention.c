/* Attention of one token, with the heads of LLaMA2-7B, at several positions. */
#include "bench_cuda.h"

#include "attention/attention_cuda.h"

enum { HEADS = 32, WIDTH = 128, CONTEXT = 4096, SMALL_HEADS = 2, SMALL_CONTEXT = 256 };

struct token {
    struct hc_attention_cuda attention; /* keys and values: of set 0 */
    size_t set_bytes;                   /* of keys, and of values */
    const float *queries;
    void *workspace;
    float *out;
};

static cudaError_t run_token(const void *state, size_t set, cudaStream_t stream)
{
    const struct token *token = state;
    struct hc_attention_cuda attention = token->attention;
    attention.keys = (uint8_t *)attention.keys + set * token->set_bytes;
    attention.values = (uint8_t *)attention.values + set * token->set_bytes;
    return hc_attention_cuda(&attention, token->queries, token->workspace, token->out, stream);
}

static void attend(struct gpu *gpu, uint32_t heads, uint32_t context, uint32_t seen)
{
    const uint32_t first = seen - 1;
    struct token token = {.set_bytes = (size_t)heads * context * WIDTH * sizeof(uint16_t)};
    struct gpu_row row = {.operation = "attention", .shape = "half", .n = seen};
    size_t sets = gpu_sets(gpu, 2 * token.set_bytes * seen / context),
           count = sets * token.set_bytes / sizeof(uint16_t);
    token.attention = (struct hc_attention_cuda){.type = HC_TYPE_F16,
                                                 .keys = gpu_random_halves(gpu, count),
                                                 .values = gpu_random_halves(gpu, count),
                                                 .context = context,
                                                 .heads = heads,
                                                 .key_value_heads = heads,
                                                 .width = WIDTH,
                                                 .scale = 1.0f,
                                                 .first = gpu_put(gpu, &first, sizeof first),
                                                 .count = 1,
                                                 .most = seen};
    token.queries = gpu_fill_floats(gpu, (size_t)heads * WIDTH, 0.5f);
    token.workspace = gpu_buffer(gpu, hc_attention_cuda_workspace(&token.attention));
    token.out = gpu_zeros(gpu, (size_t)heads * WIDTH * sizeof *token.out);
    row.seconds = gpu_time(gpu, run_token, &token, sets);
    row.bytes = 2.0 * heads * seen * WIDTH * sizeof(uint16_t);
    gpu_expect_floats(gpu, token.out, (size_t)heads * WIDTH, "attention");
    gpu_print(gpu, &row);
    gpu_release(gpu);
}

void bench_attention(struct gpu *gpu)
{
    if (gpu->emulated) {
        attend(gpu, SMALL_HEADS, SMALL_CONTEXT, 100);
        return;
    }
    for (uint32_t seen = 256; seen <= CONTEXT; seen *= 4)
        attend(gpu, HEADS, CONTEXT, seen);
}
