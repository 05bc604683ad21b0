/* Networks that several ranks run, as devices of one process: what they say against one rank alone. */
#include "scratch.h"

#include <hyperc/run.h>
#include <math.h>

enum { LAYERS = 4, CONTEXT = 24, MOST_VOCABULARY = 96, MOST_RANKS = 5 };

/* ---- Small models of random weights --------------------------------------------------------- */

struct shape {
    const char *name, *architecture;
    uint32_t width, heads, keys, head_width, inner, vocabulary;
    bool biases, inner_biases, head_norms, tied;
};

static const struct shape shapes[] = {
    /* Heads that cut the Hadamard block of o: it is split by rows. */
    {"rows", "LlamaForCausalLM", 64, 4, 4, 16, 96, 80, false, false, false, true},
    /* o by columns; tiles and blocks that do not come out even; biases everywhere; a head of its own. */
    {"columns", "LlamaForCausalLM", 48, 6, 3, 32, 80, 72, true, true, false, false},
    /* More ranks than heads of keys. */
    {"shared", "Qwen3ForCausalLM", 48, 4, 2, 128, 112, 96, true, false, true, true},
    /* Two heads to a tile, so that there are ranks without any; the last block is cut short. */
    {"small", "LlamaForCausalLM", 64, 8, 4, 8, 44, 48, false, false, false, true},
    /* One Hadamard block of down, and two: with more ranks it is split by rows, and o is not. */
    {"one block", "LlamaForCausalLM", 80, 5, 5, 128, 128, 64, true, true, false, true},
    {"two blocks", "Qwen3ForCausalLM", 48, 4, 2, 128, 256, 64, false, false, true, true},
};

struct model_file {
    char header[32768];
    size_t length, tensors;
    float *data;
    size_t count;
    uint64_t state;
};

static float random_weight(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)((double)(*state >> 40) / (1 << 23) - 1) * 0.3f;
}

/* columns 0: a vector, around `about`. */
static void put_weights(struct model_file *file, const char *name, size_t rows, size_t columns, float about)
{
    size_t n = rows * (columns ? columns : 1);
    char shape[48];
    snprintf(shape, sizeof shape, columns ? "%zu,%zu" : "%zu", rows, columns);
    file->length += (size_t)snprintf(file->header + file->length, sizeof file->header - file->length,
                                     "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                                     file->tensors++ ? "," : "{", name, shape, 4 * file->count, 4 * (file->count + n));
    file->data = realloc(file->data, (file->count + n) * sizeof *file->data);
    cr_assert_not_null(file->data);
    for (size_t i = 0; i < n; i++)
        file->data[file->count++] = about + random_weight(&file->state);
}

static void put_linear(struct model_file *file, unsigned layer, const char *what, size_t rows, size_t columns,
                       bool bias)
{
    char name[96];
    snprintf(name, sizeof name, "model.layers.%u.%s.weight", layer, what);
    put_weights(file, name, rows, columns, columns ? 0 : 1);
    snprintf(name, sizeof name, "model.layers.%u.%s.bias", layer, what);
    if (bias)
        put_weights(file, name, rows, 0, 0);
}

static void put_layer(struct model_file *file, const struct shape *s, unsigned layer)
{
    const size_t queries = s->heads * s->head_width, keys = s->keys * s->head_width;
    put_linear(file, layer, "input_layernorm", s->width, 0, false);
    put_linear(file, layer, "post_attention_layernorm", s->width, 0, false);
    put_linear(file, layer, "self_attn.q_proj", queries, s->width, s->biases);
    put_linear(file, layer, "self_attn.k_proj", keys, s->width, s->biases);
    put_linear(file, layer, "self_attn.v_proj", keys, s->width, s->biases);
    put_linear(file, layer, "self_attn.o_proj", s->width, queries, s->biases);
    put_linear(file, layer, "mlp.gate_proj", s->inner, s->width, s->inner_biases);
    put_linear(file, layer, "mlp.up_proj", s->inner, s->width, s->inner_biases);
    put_linear(file, layer, "mlp.down_proj", s->width, s->inner, s->inner_biases);
    if (s->head_norms) {
        put_linear(file, layer, "self_attn.q_norm", s->head_width, 0, false);
        put_linear(file, layer, "self_attn.k_norm", s->head_width, 0, false);
    }
}

static void write_weights(struct scratch *scratch, const struct shape *s)
{
    struct model_file file = {.state = 1};
    put_weights(&file, "model.embed_tokens.weight", s->vocabulary, s->width, 0);
    for (unsigned i = 0; i < LAYERS; i++)
        put_layer(&file, s, i);
    put_weights(&file, "model.norm.weight", s->width, 0, 1);
    if (!s->tied)
        put_weights(&file, "lm_head.weight", s->vocabulary, s->width, 0);
    file.header[file.length++] = '}';
    while (file.length % 8 != 0)
        file.header[file.length++] = ' ';
    uint64_t length = file.length;
    size_t size = sizeof length + file.length + file.count * sizeof *file.data;
    uint8_t *bytes = malloc(size);
    cr_assert_not_null(bytes);
    memcpy(bytes, &length, sizeof length);
    memcpy(bytes + sizeof length, file.header, file.length);
    memcpy(bytes + sizeof length + file.length, file.data, file.count * sizeof *file.data);
    scratch_write(scratch, "model.safetensors", bytes, size);
    free(bytes);
    free(file.data);
}

static void make_model(struct scratch *scratch, const struct shape *s)
{
    char text[1024];
    scratch_make(scratch);
    write_weights(scratch, s);
    snprintf(text, sizeof text,
             "{\"architectures\": [\"%s\"], \"hidden_size\": %u, \"intermediate_size\": %u, \"num_hidden_layers\": %d, "
             "\"num_attention_heads\": %u, \"num_key_value_heads\": %u, \"head_dim\": %u, \"vocab_size\": %u, "
             "\"max_position_embeddings\": %d, \"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": %s, "
             "\"attention_bias\": %s, \"mlp_bias\": %s}",
             s->architecture, s->width, s->inner, LAYERS, s->heads, s->keys, s->head_width, s->vocabulary, CONTEXT,
             s->tied ? "true" : "false", s->biases ? "true" : "false", s->inner_biases ? "true" : "false");
    scratch_text(scratch, "config.json", text);
}

/* ---- Running them --------------------------------------------------------------------------- */

static hc_context *open_context(int ranks, hc_split split)
{
    char devices[4 * MOST_RANKS + 1] = "";
    hc_context_options options;
    hc_context *context;
    for (int r = 0; r < ranks; r++)
        strcat(devices, r ? ",cpu" : "cpu");
    hc_context_options_init(&options);
    options.threads = 1;
    options.device = devices;
    options.split = split;
    cr_assert_eq(hc_context_create(&context, &options), HC_OK, "%s", hc_message(context));
    return context;
}

struct model {
    hc_context *context;
    hc_network *network;
    hc_sequence *sequence;
};

static struct model open_model(const char *path, int ranks, hc_split split)
{
    struct model model = {.context = open_context(ranks, split)};
    hc_sequence_options options;
    hc_sequence_options_init(&options);
    options.cache_type = HC_TYPE_F32;
    options.batch = 16;
    cr_assert_eq(hc_network_open(model.context, path, &model.network), HC_OK, "%s", hc_message(model.context));
    cr_assert_eq(hc_network_ranks(model.network), ranks);
    cr_assert_eq(hc_sequence_create(model.context, model.network, &options, &model.sequence), HC_OK, "%s",
                 hc_message(model.context));
    return model;
}

static void close_model(struct model *model)
{
    hc_sequence_destroy(model->sequence);
    hc_network_close(model->network);
    hc_context_destroy(model->context);
}

/* All logits: a long piece in batches, then token by token. */
static void logits_of(const char *path, int ranks, hc_split split, uint32_t vocabulary, float *logits)
{
    struct model model = open_model(path, ranks, split);
    int32_t tokens[CONTEXT];
    for (uint32_t i = 0; i < CONTEXT; i++)
        tokens[i] = (int32_t)((i * 7 + i * i / 3) % vocabulary);
    for (uint32_t at = 0, n; at < CONTEXT; at += n) {
        n = at ? 1 : CONTEXT - 5;
        cr_assert_eq(hc_evaluate(model.sequence, tokens + at, n, HC_LOGITS_ALL, logits + (size_t)at * vocabulary),
                     HC_OK, "%s", hc_message(model.context));
    }
    cr_assert_eq(hc_sequence_length(model.sequence), CONTEXT);
    close_model(&model);
}

static double distance(const float *got, const float *expected, size_t n)
{
    double error2 = 0, sum2 = 0;
    for (size_t i = 0; i < n; i++) {
        error2 += pow((double)got[i] - (double)expected[i], 2);
        sum2 += pow((double)expected[i], 2);
    }
    return sqrt(error2 / sum2);
}

/* Split tensors differ by the order of sums, and, coded as windows, by the groups in which inputs are rounded; split
 * layers by nothing. */
static void compare_splits(const char *path, const struct shape *s, double bound)
{
    static float expected[CONTEXT * MOST_VOCABULARY], got[CONTEXT * MOST_VOCABULARY];
    const size_t n = CONTEXT * s->vocabulary;
    logits_of(path, 1, HC_SPLIT_TENSORS, s->vocabulary, expected);
    for (int ranks = 2; ranks <= MOST_RANKS; ranks++) {
        logits_of(path, ranks, HC_SPLIT_TENSORS, s->vocabulary, got);
        double far = distance(got, expected, n);
        cr_assert(far <= bound, "%s, %s, %d ranks: %g", path, s->name, ranks, far);
        if (ranks > LAYERS)
            continue;
        logits_of(path, ranks, HC_SPLIT_LAYERS, s->vocabulary, got);
        cr_assert_arr_eq(got, expected, n * sizeof *got, "%s, %d ranks, layers", s->name, ranks);
    }
}

static void compress(const char *input, const char *output, const char *method, double bits)
{
    hc_compress_options options;
    hc_context *context = open_context(1, HC_SPLIT_TENSORS);
    hc_compress_options_init(&options);
    options.method = method;
    options.window.moments = "none";
    options.window.bits = bits;
    cr_assert_eq(hc_compress(context, input, output, &options), HC_OK, "%s", hc_message(context));
    hc_context_destroy(context);
}

static void compare_coded(const struct scratch *scratch, const struct shape *s, const char *method, double bits,
                          double bound)
{
    char path[400];
    struct hc_error error;
    snprintf(path, sizeof path, "%s.%s", scratch->root, method);
    compress(scratch->root, path, method, bits);
    compare_splits(path, s, bound);
    cr_assert_eq(hc_remove_tree(path, &error), HC_OK);
}

Test(split, plain)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct scratch scratch;
        make_model(&scratch, &shapes[i]);
        compare_splits(scratch.root, &shapes[i], 1e-6);
        scratch_remove(&scratch);
    }
}

Test(split, coded)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct scratch scratch;
        make_model(&scratch, &shapes[i]);
        compare_coded(&scratch, &shapes[i], "window", 4, 0.03); /* inputs of 8 bits */
        compare_coded(&scratch, &shapes[i], "window", 6, 0.002);
        compare_coded(&scratch, &shapes[i], "pair", 4, 1e-6);
        scratch_remove(&scratch);
    }
}

/* Half precision: columns are converted as they are read. */
Test(split, stored_as_halves)
{
    struct scratch scratch;
    char coded[400], path[400];
    struct hc_error error;
    hc_decompress_options options;
    make_model(&scratch, &shapes[1]);
    snprintf(coded, sizeof coded, "%s.coded", scratch.root);
    snprintf(path, sizeof path, "%s.halves", scratch.root);
    compress(scratch.root, coded, "window", 4);
    hc_context *context = open_context(1, HC_SPLIT_TENSORS);
    hc_decompress_options_init(&options);
    options.type = HC_TYPE_F16;
    cr_assert_eq(hc_decompress(context, coded, path, &options), HC_OK, "%s", hc_message(context));
    hc_context_destroy(context);
    compare_splits(path, &shapes[1], 1e-6);
    cr_assert_eq(hc_remove_tree(coded, &error), HC_OK);
    cr_assert_eq(hc_remove_tree(path, &error), HC_OK);
    scratch_remove(&scratch);
}

/* ---- Choosing ------------------------------------------------------------------------------- */

static void compare_choices(const char *path, uint32_t vocabulary, hc_split split, float temperature, uint32_t top_k)
{
    struct model model = open_model(path, 3, split);
    hc_sample_options options;
    hc_sampler *samplers[2];
    float logits[MOST_VOCABULARY];
    int32_t token = 1, other;
    hc_sample_options_init(&options);
    options.temperature = temperature;
    options.top_k = top_k;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(hc_sampler_create(model.context, vocabulary, &options, &samplers[i]), HC_OK);
    for (int i = 0; i < 12; i++) {
        cr_assert_eq(hc_evaluate(model.sequence, &token, 1, HC_LOGITS_LAST, logits), HC_OK);
        cr_assert_eq(hc_sequence_choose(model.sequence, samplers[0], &token), HC_OK, "%s", hc_message(model.context));
        other = hc_sampler_choose(samplers[1], logits);
        cr_assert_eq(token, other, "token %d", i);
    }
    hc_sampler_destroy(samplers[0]);
    hc_sampler_destroy(samplers[1]);
    close_model(&model);
}

Test(split, chooses_by_all_logits)
{
    struct scratch scratch;
    make_model(&scratch, &shapes[0]);
    for (int split = 0; split < 2; split++) {
        compare_choices(scratch.root, shapes[0].vocabulary, (hc_split)split, 0, 40);
        compare_choices(scratch.root, shapes[0].vocabulary, (hc_split)split, 2, 10);
        compare_choices(scratch.root, shapes[0].vocabulary, (hc_split)split, 2, 0);
    }
    scratch_remove(&scratch);
}

/* ---- What ranks hold, and what is refused --------------------------------------------------- */

Test(split, holds_its_part)
{
    struct scratch scratch;
    hc_rank_use uses[4], alone;
    make_model(&scratch, &shapes[2]);
    struct model one = open_model(scratch.root, 1, HC_SPLIT_TENSORS);
    struct model four = open_model(scratch.root, 4, HC_SPLIT_TENSORS);
    cr_assert_eq(hc_sequence_use(one.sequence, &alone), HC_OK);
    cr_assert_eq(hc_sequence_use(four.sequence, uses), HC_OK);
    uint64_t all = 0;
    for (int r = 0; r < 4; r++) {
        cr_assert_str_eq(uses[r].device, "cpu");
        cr_assert(uses[r].weight_bytes < 0.35 * (double)alone.weight_bytes, "rank %d: %g", r,
                  (double)uses[r].weight_bytes / (double)alone.weight_bytes);
        all += uses[r].weight_bytes;
    }
    /* Keys and values are there twice, norms four times. */
    cr_assert(all > alone.weight_bytes && all < 1.3 * (double)alone.weight_bytes);
    close_model(&one);
    close_model(&four);
    scratch_remove(&scratch);
}

Test(split, refused_by_name)
{
    struct scratch scratch;
    struct shape odd = shapes[3];
    hc_network *network;
    char path[400];
    struct hc_error error;
    odd.inner = 45;
    make_model(&scratch, &odd);
    snprintf(path, sizeof path, "%s.pair", scratch.root);
    compress(scratch.root, path, "pair", 4);
    hc_context *context = open_context(2, HC_SPLIT_TENSORS);
    cr_assert_eq(hc_network_open(context, path, &network), HC_ERR_UNSUPPORTED);
    cr_assert(strstr(hc_message(context), "mlp.down_proj") && strstr(hc_message(context), "pairs"), "%s",
              hc_message(context));
    hc_context_destroy(context);
    context = open_context(5, HC_SPLIT_LAYERS);
    cr_assert_eq(hc_network_open(context, scratch.root, &network), HC_ERR_UNSUPPORTED);
    cr_assert_str_eq(hc_message(context), "4 layers cannot be split over 5 devices");
    hc_context_destroy(context);
    cr_assert_eq(hc_remove_tree(path, &error), HC_OK);
    scratch_remove(&scratch);
}
