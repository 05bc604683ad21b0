/* Networks and sequences through the public interface: what is the same however it is run, and what is refused. */
#include "context.h"
#include "network.h"
#include "scratch.h"

#include <hyperc/run.h>
#include <math.h>
#include <pthread.h>
#include <unistd.h>

/* INNER: enough rows for several chunks of a product. */
enum { WIDTH = 32, LAYERS = 2, HEADS = 4, KEYS = 2, HEAD_WIDTH = 8, INNER = 1184, VOCABULARY = 40, CONTEXT = 64 };
enum { MAX_TENSORS = 64 };

static const char *const config =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": 32, \"hidden_act\": "
    "\"silu\", \"intermediate_size\": 1184, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
    "\"num_key_value_heads\": 2, \"vocab_size\": 40, \"max_position_embeddings\": %d, \"rms_norm_eps\": 1e-5, "
    "\"rope_theta\": 10000.0, \"tie_word_embeddings\": true%s}";

/* ---- A small model of random weights -------------------------------------------------------- */

struct model_file {
    char header[16384];
    size_t length, tensors;
    float *data;
    size_t count;
};

static float random_weight(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)((double)(*state >> 40) / (1 << 23) - 1) * 0.3f;
}

static void put_weights(struct model_file *file, const char *name, size_t rows, size_t columns)
{
    static uint64_t state = 1;
    size_t n = rows * (columns ? columns : 1);
    char shape[48];
    if (columns)
        snprintf(shape, sizeof shape, "%zu,%zu", rows, columns);
    else
        snprintf(shape, sizeof shape, "%zu", rows);
    file->length += (size_t)snprintf(file->header + file->length, sizeof file->header - file->length,
                                     "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                                     file->tensors++ ? "," : "{", name, shape, 4 * file->count, 4 * (file->count + n));
    file->data = realloc(file->data, (file->count + n) * sizeof *file->data);
    cr_assert_not_null(file->data);
    for (size_t i = 0; i < n; i++)
        file->data[file->count++] = columns ? random_weight(&state) : 1 + random_weight(&state);
}

static void put_layer(struct model_file *file, unsigned layer)
{
    static const struct {
        const char *name;
        size_t rows, columns;
    } parts[] = {
        {"input_layernorm", WIDTH, 0},
        {"post_attention_layernorm", WIDTH, 0},
        {"self_attn.q_proj", HEADS * HEAD_WIDTH, WIDTH},
        {"self_attn.k_proj", KEYS * HEAD_WIDTH, WIDTH},
        {"self_attn.v_proj", KEYS * HEAD_WIDTH, WIDTH},
        {"self_attn.o_proj", WIDTH, HEADS * HEAD_WIDTH},
        {"mlp.gate_proj", INNER, WIDTH},
        {"mlp.up_proj", INNER, WIDTH},
        {"mlp.down_proj", WIDTH, INNER},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[96];
        snprintf(name, sizeof name, "model.layers.%u.%s.weight", layer, parts[i].name);
        put_weights(file, name, parts[i].rows, parts[i].columns);
    }
}

/* more: one more tensor, of columns unless it is a vector; NULL: none. */
static void write_weights_and(struct scratch *scratch, size_t vocabulary, const char *more, size_t rows, size_t columns)
{
    struct model_file file = {.length = 0};
    put_weights(&file, "model.embed_tokens.weight", vocabulary, WIDTH);
    for (unsigned i = 0; i < LAYERS; i++)
        put_layer(&file, i);
    put_weights(&file, "model.norm.weight", WIDTH, 0);
    if (more)
        put_weights(&file, more, rows, columns);
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

static void write_weights(struct scratch *scratch, size_t vocabulary)
{
    write_weights_and(scratch, vocabulary, NULL, 0, 0);
}

static void write_config_of(struct scratch *scratch, int context, const char *more)
{
    char text[1024];
    snprintf(text, sizeof text, config, context, more);
    scratch_text(scratch, "config.json", text);
}

static void write_config(struct scratch *scratch, const char *more)
{
    write_config_of(scratch, CONTEXT, more);
}

static void make_model(struct scratch *scratch)
{
    scratch_make(scratch);
    write_weights(scratch, VOCABULARY);
    write_config(scratch, "");
}

/* ---- Evaluation ----------------------------------------------------------------------------- */

static hc_context *open_context(hc_tier tier, int threads)
{
    hc_context_options options;
    hc_context *context;
    hc_context_options_init(&options);
    options.tier = tier;
    options.threads = threads;
    hc_status status = hc_context_create(&context, &options);
    if (status == HC_ERR_UNSUPPORTED) {
        hc_context_destroy(context);
        return NULL;
    }
    cr_assert_eq(status, HC_OK);
    return context;
}

struct run {
    hc_tier tier;
    int threads;
    uint32_t batch, piece;
    hc_type cache;
};

static int32_t token_at(uint32_t i)
{
    return (int32_t)(i * 7 + i * i / 3) % VOCABULARY;
}

/* All logits of CONTEXT tokens, handed in `piece` at a time. False if the machine lacks the tier. */
static bool logits_of(const char *path, const struct run *run, float *logits)
{
    hc_sequence_options options;
    hc_network *network;
    hc_sequence *sequence;
    int32_t tokens[CONTEXT];
    hc_context *context = open_context(run->tier, run->threads);
    if (!context)
        return false;
    for (uint32_t i = 0; i < CONTEXT; i++)
        tokens[i] = token_at(i);
    hc_sequence_options_init(&options);
    options.batch = run->batch;
    options.cache_type = run->cache;
    cr_assert_eq(hc_network_open(context, path, &network), HC_OK, "%s", hc_message(context));
    cr_assert_eq(hc_sequence_create(context, network, &options, &sequence), HC_OK, "%s", hc_message(context));
    for (uint32_t at = 0; at < CONTEXT; at += run->piece)
        cr_assert_eq(hc_evaluate(sequence, tokens + at, run->piece, HC_LOGITS_ALL, logits + (size_t)at * VOCABULARY),
                     HC_OK, "%s", hc_message(context));
    cr_assert_eq(hc_sequence_length(sequence), CONTEXT);
    hc_sequence_destroy(sequence);
    hc_network_close(network);
    hc_context_destroy(context);
    return true;
}

static const struct run plain = {HC_TIER_C, 1, CONTEXT, CONTEXT, HC_TYPE_F16};

static void compare_runs_with(const char *path, const float expected[CONTEXT * VOCABULARY])
{
    static const struct run runs[] = {
        {HC_TIER_C, 1, 1, 1, HC_TYPE_F16},       {HC_TIER_C, 2, 7, 16, HC_TYPE_F16},
        {HC_TIER_AVX2, 1, 64, 64, HC_TYPE_F16},  {HC_TIER_AVX2, 2, 5, 32, HC_TYPE_F16},
        {HC_TIER_AVX512, 1, 64, 8, HC_TYPE_F16}, {HC_TIER_AVX512, 3, 3, 64, HC_TYPE_F16},
    };
    static float got[CONTEXT * VOCABULARY];
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        if (logits_of(path, &runs[i], got))
            cr_assert_arr_eq(got, expected, sizeof got, "run %zu", i);
}

static void compare_runs(const char *path)
{
    static float expected[CONTEXT * VOCABULARY];
    cr_assert(logits_of(path, &plain, expected));
    compare_runs_with(path, expected);
}

/* Bit for bit: instruction sets, threads, batches, calls. */
Test(network, same_however_it_is_run)
{
    struct scratch scratch;
    make_model(&scratch);
    compare_runs(scratch.root);
    scratch_remove(&scratch);
}

static void compress(const char *input, const char *output, const char *method, double bits)
{
    hc_compress_options options;
    hc_context *context = open_context(HC_TIER_BEST, 2);
    hc_compress_options_init(&options);
    options.method = method;
    options.window.bits = bits;
    cr_assert_eq(hc_compress(context, input, output, &options), HC_OK, "%s", hc_message(context));
    hc_context_destroy(context);
}

Test(network, same_however_it_is_run_when_coded)
{
    static const struct {
        const char *method;
        double bits;
    } some[] = {{"window", 4}, {"window", 2}, {"window", 5}, {"window", 8}, {"pair", 4}};
    struct scratch scratch;
    make_model(&scratch);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        char name[32], path[400];
        snprintf(name, sizeof name, "out%zu", i);
        snprintf(path, sizeof path, "%s.%s", scratch.root, name);
        compress(scratch.root, path, some[i].method, some[i].bits);
        compare_runs(path);
        struct hc_error error;
        cr_assert_eq(hc_remove_tree(path, &error), HC_OK);
    }
    scratch_remove(&scratch);
}

static void compress_pairs(const char *input, const char *output, uint32_t points)
{
    hc_compress_options options;
    hc_context *context = open_context(HC_TIER_BEST, 2);
    hc_compress_options_init(&options);
    options.method = "pair";
    options.pair = (hc_pair_options){.points = &points, .point_counts = 1, .classes = 1, .keep_above = 1};
    cr_assert_eq(hc_compress(context, input, output, &options), HC_OK, "%s", hc_message(context));
    hc_context_destroy(context);
}

/* Products of pairs are those of their decoded weights, bit for bit: where they are looked up in a table as they are
 * multiplied (few points), and where a table does not pay. */
Test(network, pairs_as_decompressed)
{
    static const uint32_t points[] = {20, 8000, 100000};
    static float expected[CONTEXT * VOCABULARY];
    struct scratch scratch;
    char coded[400], whole[400];
    hc_decompress_options options;
    struct hc_error error;
    hc_decompress_options_init(&options);
    make_model(&scratch);
    snprintf(coded, sizeof coded, "%s.coded", scratch.root);
    snprintf(whole, sizeof whole, "%s.whole", scratch.root);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        hc_context *context = open_context(HC_TIER_BEST, 1);
        compress_pairs(scratch.root, coded, points[i]);
        cr_assert_eq(hc_decompress(context, coded, whole, &options), HC_OK, "%s", hc_message(context));
        hc_context_destroy(context);
        cr_assert(logits_of(whole, &plain, expected));
        compare_runs_with(coded, expected);
        cr_assert_eq(hc_remove_tree(coded, &error), HC_OK);
        cr_assert_eq(hc_remove_tree(whole, &error), HC_OK);
    }
    scratch_remove(&scratch);
}

/* Makes all bits of the codes of the first query matrix ones. */
static void damage_codes(struct scratch *scratch)
{
    static const char key[] = "self_attn.q_proj.weight.hc_codes\":{";
    struct hc_error error = {""};
    char *file = NULL;
    size_t size, begin, end;
    uint64_t length;
    cr_assert_eq(hc_read_file(scratch_at(scratch, "model.safetensors"), 1 << 20, &file, &size, &error), HC_OK);
    memcpy(&length, file, sizeof length);
    const char *at = strstr(file + 8, key);
    cr_assert_not_null(at);
    at = strstr(at, "data_offsets");
    cr_assert_eq(sscanf(at, "data_offsets\":[%zu,%zu]", &begin, &end), 2);
    memset(file + 8 + length + begin, 0xff, end - begin);
    scratch_write(scratch, "model.safetensors", file, size);
    free(file);
}

/* Codes that are not in the codebook are told, of one position and of many. */
Test(network, codes_outside)
{
    struct scratch scratch, coded;
    hc_network *network;
    hc_sequence *sequence;
    static float logits[CONTEXT * VOCABULARY];
    const int32_t tokens[] = {1, 2, 3};
    make_model(&scratch);
    scratch_make(&coded);
    cr_assert_eq(rmdir(coded.root), 0);
    compress_pairs(scratch.root, coded.root, 20); /* 42 codes of 6 bits */
    damage_codes(&coded);
    for (uint32_t n = 1; n <= 3; n += 2) {
        hc_context *context = open_context(HC_TIER_BEST, 2);
        cr_assert_eq(hc_network_open(context, coded.root, &network), HC_OK, "%s", hc_message(context));
        cr_assert_eq(hc_sequence_create(context, network, NULL, &sequence), HC_OK, "%s", hc_message(context));
        cr_assert_eq(hc_evaluate(sequence, tokens, n, HC_LOGITS_LAST, logits), HC_ERR_CORRUPT);
        cr_assert_not_null(strstr(hc_message(context), "codes are not in the codebook"), "%s", hc_message(context));
        hc_sequence_destroy(sequence);
        hc_network_close(network);
        hc_context_destroy(context);
    }
    scratch_remove(&coded);
    scratch_remove(&scratch);
}

/* Coded at 8 bits, a network says nearly what it said before; keys and values of 8 bits change little. */
Test(network, coded_and_cached_closely)
{
    static float expected[CONTEXT * VOCABULARY], got[CONTEXT * VOCABULARY];
    struct scratch scratch;
    char path[400];
    make_model(&scratch);
    snprintf(path, sizeof path, "%s.out", scratch.root);
    compress(scratch.root, path, "window", 8);
    cr_assert(logits_of(scratch.root, &plain, expected));
    const struct {
        const char *path;
        hc_type cache;
        double share;
    } some[] = {{scratch.root, HC_TYPE_F32, 2e-3}, {scratch.root, HC_TYPE_I8, 0.05}, {path, HC_TYPE_F16, 0.05}};
    for (size_t s = 0; s < sizeof some / sizeof *some; s++) {
        struct run run = plain;
        double error2 = 0, sum2 = 0;
        run.cache = some[s].cache;
        cr_assert(logits_of(some[s].path, &run, got));
        for (size_t i = 0; i < CONTEXT * VOCABULARY; i++) {
            error2 += pow((double)got[i] - (double)expected[i], 2);
            sum2 += pow((double)expected[i], 2);
        }
        cr_assert(sqrt(error2 / sum2) <= some[s].share, "%zu: %g", s, sqrt(error2 / sum2));
        cr_assert(error2 > 0, "%zu: nothing has changed", s);
    }
    struct hc_error error;
    cr_assert_eq(hc_remove_tree(path, &error), HC_OK);
    scratch_remove(&scratch);
}

/* ---- How often tiles are decoded -------------------------------------------------------------- */

static struct hc_window_product_ops products;
static _Atomic uint64_t decoded_tiles;

static void count_tiles(const struct hc_window_product *product)
{
    decoded_tiles += (product->rows + HC_TILE - 1) / HC_TILE * product->tile_columns;
    products.multiply(product);
}

/* Tiles that a call with so many tokens decodes, in batches of `batch`. */
static uint64_t tiles_of_call(hc_context *context, const hc_network *network, uint32_t batch, uint32_t count,
                              hc_logits which)
{
    static float logits[CONTEXT * VOCABULARY];
    int32_t tokens[CONTEXT];
    hc_sequence_options options;
    hc_sequence *sequence;
    for (uint32_t i = 0; i < CONTEXT; i++)
        tokens[i] = token_at(i);
    hc_sequence_options_init(&options);
    options.batch = batch;
    cr_assert_eq(hc_sequence_create(context, network, &options, &sequence), HC_OK, "%s", hc_message(context));
    cr_assert_eq(hc_sequence_batch(sequence), batch && batch < CONTEXT ? batch : CONTEXT);
    decoded_tiles = 0;
    cr_assert_eq(hc_evaluate(sequence, tokens, count, which, logits), HC_OK, "%s", hc_message(context));
    hc_sequence_destroy(sequence);
    return decoded_tiles;
}

/* Once for every batch of a call, however many positions that has. */
Test(network, tiles_are_decoded_once)
{
    static const hc_tier tiers[] = {HC_TIER_C, HC_TIER_AVX2, HC_TIER_AVX512};
    struct scratch scratch;
    char path[400];
    make_model(&scratch);
    snprintf(path, sizeof path, "%s.out", scratch.root);
    compress(scratch.root, path, "window", 4);
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) {
        hc_network *network;
        hc_context *context = open_context(tiers[i], 2);
        if (!context)
            continue;
        products = context->kernels.window_product;
        context->kernels.window_product.multiply = count_tiles;
        cr_assert_eq(hc_network_open(context, path, &network), HC_OK, "%s", hc_message(context));
        const uint64_t all = tiles_of_call(context, network, 1, 1, HC_LOGITS_NONE);
        /* Tiles of 16 x 16: q, k, v, o; gate, up, down. */
        cr_assert_eq(all, LAYERS * (4 + 2 + 2 + 4 + 3 * (INNER / 16) * (WIDTH / 16)));
        cr_assert_eq(tiles_of_call(context, network, CONTEXT, CONTEXT, HC_LOGITS_NONE), all);
        cr_assert_eq(tiles_of_call(context, network, 0, CONTEXT, HC_LOGITS_NONE), all);
        cr_assert_eq(tiles_of_call(context, network, 40, CONTEXT, HC_LOGITS_NONE), 2 * all);
        cr_assert_eq(tiles_of_call(context, network, 16, CONTEXT, HC_LOGITS_NONE), 4 * all);
        const uint64_t head = tiles_of_call(context, network, 1, 1, HC_LOGITS_LAST) - all;
        cr_assert_eq(tiles_of_call(context, network, CONTEXT, CONTEXT, HC_LOGITS_ALL), all + head);
        hc_network_close(network);
        hc_context_destroy(context);
    }
    struct hc_error error;
    cr_assert_eq(hc_remove_tree(path, &error), HC_OK);
    scratch_remove(&scratch);
}

static uint64_t resident_bytes(void)
{
    unsigned long long size, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%llu %llu", &size, &resident), 2);
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Next to a small network a batch is small; other memory than a CPU's holds a whole one. */
static void check_network_batch(const hc_network *opened)
{
    const uint64_t position = hc_decoder_activations(&opened->whole) * sizeof(float);
    struct hc_network network = *opened;
    cr_assert_eq(hc_network_batch(&network), 64);
    network.info.stored_bytes = 50 * 200 * position;
    cr_assert_eq(hc_network_batch(&network), 192);
    network.info.stored_bytes = UINT64_MAX;
    cr_assert_eq(hc_network_batch(&network), HC_DEFAULT_BATCH);
    network.info.stored_bytes = 0;
    network.device = (char[]){"cuda:0"};
    cr_assert_eq(hc_network_batch(&network), HC_DEFAULT_BATCH);
    network.device = opened->device;
    network.share.ranks = 2;
    cr_assert_eq(hc_network_batch(&network), HC_DEFAULT_BATCH);
}

/* A call of more tokens than a batch takes two; and a short one no more memory than it needs. */
Test(network, default_batch)
{
    static const int32_t tokens[HC_DEFAULT_BATCH + 1] = {0};
    struct scratch scratch;
    char path[400];
    hc_network *network;
    hc_sequence *sequence;
    hc_sequence_options options;
    make_model(&scratch);
    write_config_of(&scratch, 2 * HC_DEFAULT_BATCH, "");
    snprintf(path, sizeof path, "%s.out", scratch.root);
    compress(scratch.root, path, "window", 4);
    hc_context *context = open_context(HC_TIER_BEST, 2);
    products = context->kernels.window_product;
    context->kernels.window_product.multiply = count_tiles;
    cr_assert_eq(hc_network_open(context, path, &network), HC_OK, "%s", hc_message(context));
    check_network_batch(network);
    cr_assert_eq(hc_sequence_create(context, network, NULL, &sequence), HC_OK, "%s", hc_message(context));
    cr_assert_eq(hc_sequence_batch(sequence), hc_network_batch(network));
    hc_sequence_destroy(sequence);
    hc_sequence_options_init(&options);
    options.batch = HC_DEFAULT_BATCH;
    const uint64_t before = resident_bytes();
    cr_assert_eq(hc_sequence_create(context, network, &options, &sequence), HC_OK, "%s", hc_message(context));
    cr_assert_eq(hc_sequence_batch(sequence), HC_DEFAULT_BATCH);
    cr_assert_eq(hc_evaluate(sequence, tokens, 1, HC_LOGITS_NONE, NULL), HC_OK);
    const uint64_t little = resident_bytes() - before, all = hc_sequence_bytes(sequence);
    cr_assert(little < all / 4, "%llu bytes of %llu", (unsigned long long)little, (unsigned long long)all);
    cr_assert_eq(hc_sequence_cut(sequence, 0), HC_OK);
    decoded_tiles = 0;
    cr_assert_eq(hc_evaluate(sequence, tokens, HC_DEFAULT_BATCH, HC_LOGITS_NONE, NULL), HC_OK);
    const uint64_t once = decoded_tiles, much = resident_bytes() - before;
    cr_assert(much > all / 2, "%llu bytes of %llu", (unsigned long long)much, (unsigned long long)all);
    cr_assert_eq(hc_sequence_cut(sequence, 0), HC_OK);
    cr_assert_eq(hc_evaluate(sequence, tokens, HC_DEFAULT_BATCH + 1, HC_LOGITS_NONE, NULL), HC_OK);
    cr_assert(once > 0 && decoded_tiles == 3 * once, "%llu and %llu tiles", (unsigned long long)once,
              (unsigned long long)(decoded_tiles - once));
    hc_sequence_destroy(sequence);
    hc_network_close(network);
    hc_context_destroy(context);
    struct hc_error error;
    cr_assert_eq(hc_remove_tree(path, &error), HC_OK);
    scratch_remove(&scratch);
}

/* ---- Choosing where the logits are ---------------------------------------------------------- */

static hc_sampler *open_sampler(hc_context *context, uint32_t vocabulary, float temperature)
{
    hc_sample_options options;
    hc_sampler *sampler;
    hc_sample_options_init(&options);
    options.temperature = temperature;
    options.seed = 5;
    cr_assert_eq(hc_sampler_create(context, vocabulary, &options, &sampler), HC_OK);
    return sampler;
}

/* Token after token, by the logits that are handed out and by those that are not. */
static void compare_choices(hc_context *context, hc_sequence *shown, hc_sequence *kept, float temperature)
{
    hc_sampler *here = open_sampler(context, VOCABULARY, temperature);
    hc_sampler *there = open_sampler(context, VOCABULARY, temperature);
    float logits[VOCABULARY];
    int32_t token = 1, other;
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(hc_evaluate(shown, &token, 1, HC_LOGITS_LAST, logits), HC_OK);
        cr_assert_eq(hc_evaluate(kept, &token, 1, HC_LOGITS_LAST, NULL), HC_OK);
        cr_assert_eq(hc_sequence_choose(kept, there, &other), HC_OK, "%s", hc_message(context));
        token = hc_sampler_choose(here, logits);
        cr_assert_eq(token, other, "token %d", i);
    }
    hc_sampler_destroy(here);
    hc_sampler_destroy(there);
}

Test(network, chooses_where_the_logits_are)
{
    struct scratch scratch;
    hc_network *network;
    hc_sequence *shown, *kept;
    int32_t token = 1;
    make_model(&scratch);
    hc_context *context = open_context(HC_TIER_BEST, 1);
    cr_assert_eq(hc_network_open(context, scratch.root, &network), HC_OK);
    cr_assert_eq(hc_sequence_create(context, network, NULL, &shown), HC_OK);
    cr_assert_eq(hc_sequence_create(context, network, NULL, &kept), HC_OK);
    hc_sampler *sampler = open_sampler(context, VOCABULARY, 1), *wrong = open_sampler(context, VOCABULARY + 1, 1);
    cr_assert_eq(hc_sequence_choose(kept, sampler, &token), HC_ERR_ARGUMENT, "before the first token");
    compare_choices(context, shown, kept, 0);
    compare_choices(context, shown, kept, 2);
    cr_assert_eq(hc_sequence_choose(kept, wrong, &token), HC_ERR_ARGUMENT, "a sampler of another vocabulary");
    cr_assert_eq(hc_evaluate(kept, &token, 1, HC_LOGITS_NONE, NULL), HC_OK);
    cr_assert_eq(hc_sequence_choose(kept, sampler, &token), HC_ERR_ARGUMENT, "after a token without logits");
    hc_sampler_destroy(sampler);
    hc_sampler_destroy(wrong);
    hc_sequence_destroy(shown);
    hc_sequence_destroy(kept);
    hc_network_close(network);
    hc_context_destroy(context);
    scratch_remove(&scratch);
}

/* ---- Two contexts over one network ---------------------------------------------------------- */

struct worker {
    const hc_network *network;
    float logits[CONTEXT * VOCABULARY];
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    hc_context *context = open_context(HC_TIER_BEST, 2);
    int32_t tokens[CONTEXT];
    for (uint32_t i = 0; i < CONTEXT; i++)
        tokens[i] = token_at(i);
    for (int repeat = 0; repeat < 20; repeat++) {
        hc_sequence *sequence;
        cr_assert_eq(hc_sequence_create(context, worker->network, NULL, &sequence), HC_OK);
        cr_assert_eq(hc_evaluate(sequence, tokens, CONTEXT, HC_LOGITS_ALL, worker->logits), HC_OK);
        hc_sequence_destroy(sequence);
    }
    hc_context_destroy(context);
    return NULL;
}

Test(network, two_threads)
{
    static struct worker workers[2];
    static float expected[CONTEXT * VOCABULARY];
    struct scratch scratch;
    pthread_t threads[2];
    hc_network *network;
    make_model(&scratch);
    cr_assert(logits_of(scratch.root, &plain, expected));
    hc_context *context = open_context(HC_TIER_BEST, 1);
    cr_assert_eq(hc_network_open(context, scratch.root, &network), HC_OK);
    hc_context_destroy(context); /* the network does not need it any more */
    for (int i = 0; i < 2; i++) {
        workers[i].network = network;
        cr_assert_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_assert_arr_eq(workers[i].logits, expected, sizeof expected);
    }
    hc_network_close(network);
    scratch_remove(&scratch);
}

/* ---- What is refused ------------------------------------------------------------------------ */

Test(network, limits_of_a_sequence)
{
    struct scratch scratch;
    hc_sequence_options options;
    hc_network *network;
    hc_sequence *sequence;
    float logits[VOCABULARY], again[VOCABULARY];
    int32_t tokens[CONTEXT + 1] = {1, 2, 3};
    make_model(&scratch);
    hc_context *context = open_context(HC_TIER_BEST, 1);
    cr_assert_eq(hc_network_open(context, scratch.root, &network), HC_OK);
    hc_sequence_options_init(&options);
    options.context = CONTEXT + 1;
    cr_assert_eq(hc_sequence_create(context, network, &options, &sequence), HC_ERR_ARGUMENT);
    cr_assert_not_null(strstr(hc_message(context), "64"));
    options.context = 0;
    options.cache_type = HC_TYPE_Q4_0;
    cr_assert_eq(hc_sequence_create(context, network, &options, &sequence), HC_ERR_ARGUMENT);

    cr_assert_eq(hc_sequence_create(context, network, NULL, &sequence), HC_OK);
    cr_assert_eq(hc_evaluate(sequence, tokens, 0, HC_LOGITS_NONE, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_evaluate(sequence, tokens, CONTEXT + 1, HC_LOGITS_NONE, NULL), HC_ERR_ARGUMENT);
    tokens[2] = VOCABULARY;
    cr_assert_eq(hc_evaluate(sequence, tokens, 3, HC_LOGITS_NONE, NULL), HC_ERR_ARGUMENT);
    tokens[2] = -1;
    cr_assert_eq(hc_evaluate(sequence, tokens, 3, HC_LOGITS_NONE, NULL), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_sequence_length(sequence), 0);

    cr_assert_eq(hc_evaluate(sequence, tokens, 2, HC_LOGITS_LAST, logits), HC_OK);
    cr_assert_eq(hc_sequence_cut(sequence, 3), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_sequence_cut(sequence, 1), HC_OK);
    cr_assert_eq(hc_evaluate(sequence, tokens + 1, 1, HC_LOGITS_LAST, again), HC_OK);
    cr_assert_arr_eq(again, logits, sizeof logits);

    hc_tokens words;
    cr_assert_eq(hc_tokenize(context, network, "a", 1, &(hc_text_options){.begin = true}, &words), HC_ERR_UNSUPPORTED);
    hc_sequence_destroy(sequence);
    hc_network_close(network);
    hc_context_destroy(context);
    scratch_remove(&scratch);
}

/* word: in the message; NULL: none is looked for. */
static void expect_open(struct scratch *scratch, hc_status expected, const char *word)
{
    hc_network *network;
    hc_context *context = open_context(HC_TIER_BEST, 1);
    hc_status status = hc_network_open(context, scratch->root, &network);
    cr_assert_eq(status, expected, "%s: %s", hc_status_name(status), hc_message(context));
    cr_assert_eq(network == NULL, expected != HC_OK);
    cr_assert(!word || strstr(hc_message(context), word), "%s", hc_message(context));
    hc_network_close(network);
    hc_context_destroy(context);
}

/* Says of the first query matrix that it is coded in two pieces, the second one like the first. */
static void double_pieces(struct scratch *scratch)
{
    static const char key[] = "self_attn.q_proj.weight\":\"{", list[] = "\\\"pieces\\\":[";
    struct hc_error error = {""};
    char *file = NULL;
    size_t size;
    cr_assert_eq(hc_read_file(scratch_at(scratch, "model.safetensors"), 1 << 20, &file, &size, &error), HC_OK);
    uint64_t length, longer;
    memcpy(&length, file, sizeof length);
    const char *at = strstr(file + 8, key);
    cr_assert_not_null(at);
    const char *piece = strstr(at, list);
    cr_assert_not_null(piece);
    piece += strlen(list);
    const size_t begin = (size_t)(piece - file), piece_bytes = (size_t)(strchr(piece, '}') + 1 - piece);
    const size_t padding = 7 - piece_bytes % 8; /* with the comma, a multiple of 8 */
    char *changed = malloc(size + piece_bytes + 8);
    cr_assert_not_null(changed);
    longer = length + piece_bytes + 1 + padding;
    memcpy(changed, &longer, sizeof longer);
    memcpy(changed + 8, file + 8, begin + piece_bytes - 8);
    changed[begin + piece_bytes] = ',';
    memcpy(changed + begin + piece_bytes + 1, piece, 8 + length - begin);
    memset(changed + 8 + length + piece_bytes + 1, ' ', padding);
    memcpy(changed + 8 + longer, file + 8 + length, size - 8 - length);
    scratch_write(scratch, "model.safetensors", changed, size + piece_bytes + 1 + padding);
    free(changed);
    free(file);
}

/* What is there of a matrix in pieces does not pass for the whole. */
Test(network, matrices_in_pieces)
{
    struct scratch scratch, coded;
    make_model(&scratch);
    scratch_make(&coded);
    cr_assert_eq(rmdir(coded.root), 0);
    /* Codes of an even number of bits: two halves take as much as the whole. */
    compress_pairs(scratch.root, coded.root, 100);
    double_pieces(&coded);
    expect_open(&coded, HC_ERR_UNSUPPORTED, "several pieces");
    scratch_remove(&coded);
    scratch_remove(&scratch);
}

/* A text that is measured has windows of two tokens at least. */
Test(network, no_window_in_a_context_of_one)
{
    struct scratch scratch;
    char path[400];
    hc_context *context = open_context(HC_TIER_BEST, 1);
    make_model(&scratch);
    write_config_of(&scratch, 1, "");
    snprintf(path, sizeof path, "%s.moments", scratch.root);
    cr_assert_eq(hc_calibrate(context, scratch.root, path, NULL), HC_ERR_ARGUMENT);
    cr_assert_not_null(strstr(hc_message(context), "2 to 1"), "%s", hc_message(context));
    hc_context_destroy(context);
    scratch_remove(&scratch);
}

/* Tensors that a network would not read. */
Test(network, refused_tensors)
{
    static const struct {
        const char *name;
        size_t rows, columns;
    } more[] = {{"model.layers.2.input_layernorm.weight", WIDTH, 0},
                {"model.layers.0.self_attn.q_norm.weight", HEAD_WIDTH, 0},
                {"model.layers.1.self_attn.q_proj.bias", WIDTH, 0},
                {"model.layers.1.mlp.experts.0.up_proj.weight", INNER, WIDTH},
                {"lm_head.weight", VOCABULARY, WIDTH}};
    struct scratch scratch;
    make_model(&scratch);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        write_weights_and(&scratch, VOCABULARY, more[i].name, more[i].rows, more[i].columns);
        expect_open(&scratch, HC_ERR_CORRUPT, more[i].name);
    }
    write_weights_and(&scratch, VOCABULARY, "model.layers.0.self_attn.rotary_emb.inv_freq", HEAD_WIDTH / 2, 0);
    expect_open(&scratch, HC_OK, NULL);
    scratch_remove(&scratch);
}

Test(network, refused_models)
{
    struct scratch scratch;
    make_model(&scratch);
    scratch_text(&scratch, "config.json", "{\"architectures\": [\"MysteryModel\"]}");
    expect_open(&scratch, HC_ERR_UNSUPPORTED, "MysteryModel");
    scratch_text(&scratch, "config.json", "{}");
    expect_open(&scratch, HC_ERR_UNSUPPORTED, "architecture");
    scratch_text(&scratch, "config.json", "{");
    expect_open(&scratch, HC_ERR_CORRUPT, "config.json");
    write_config(&scratch, ", \"attention_bias\": true");
    expect_open(&scratch, HC_ERR_CORRUPT, "bias");
    write_config(&scratch, ", \"head_dim\": 16");
    expect_open(&scratch, HC_ERR_CORRUPT, "q_proj");
    write_config(&scratch, "");
    write_weights(&scratch, VOCABULARY + 1);
    expect_open(&scratch, HC_ERR_CORRUPT, "embed_tokens");
    write_weights(&scratch, VOCABULARY);
    cr_assert_eq(truncate(scratch_at(&scratch, "model.safetensors"), 20000), 0);
    expect_open(&scratch, HC_ERR_CORRUPT, "model.safetensors");
    cr_assert_eq(unlink(scratch_at(&scratch, "config.json")), 0);
    expect_open(&scratch, HC_ERR_CORRUPT, "model.safetensors");
    scratch_remove(&scratch);
}
