/* The GGUF reader on sound files: names, rows, experts, metadata. test_hostile.c has the others. */
#include "scratch.h"

#include <math.h>

#include "family.h"
#include "gguf.h"

enum { TYPE_U32 = 4, TYPE_I32 = 5, TYPE_F32 = 6, TYPE_BOOL = 7, TYPE_STRING = 8, TYPE_ARRAY = 9, TYPE_U64 = 10 };
enum { TENSOR_F32 = 0, TENSOR_F16 = 1, TENSOR_Q8_0 = 8 };

static struct bytes bytes;

static void put_text(const char *key, const char *value)
{
    put_key(&bytes, key, TYPE_STRING);
    put_string(&bytes, value);
}

static void put_number(const char *key, uint32_t value)
{
    put_key(&bytes, key, TYPE_U32);
    put_uint(&bytes, value, 4);
}

static void put_real(const char *key, float value)
{
    put_key(&bytes, key, TYPE_F32);
    put_float(&bytes, value);
}

static struct hc_source *open_bytes(struct scratch *scratch)
{
    struct hc_source *source;
    struct hc_error error = {""};
    scratch_write(scratch, "model", bytes.data, bytes.size);
    cr_assert_eq(hc_source_open(scratch_at(scratch, "model"), &source, &error), HC_OK, "%s", error.text);
    cr_assert_eq(source->kind, HC_SOURCE_GGUF);
    return source;
}

static const struct hc_tensor *find(const struct hc_source *source, const char *name)
{
    int64_t index = hc_source_find(source, name);
    cr_assert(index >= 0, "there is no %s", name);
    return &source->tensors[index];
}

/* Both versions; arrays, nested ones too; an alignment of its own; tensors of no bytes; an unknown architecture. */
Test(gguf, layout_and_metadata)
{
    struct scratch scratch;
    scratch_make(&scratch);
    for (uint32_t version = 2; version <= 3; version++) {
        put_gguf(&bytes, version, 3, 6);
        put_text("general.architecture", "mystery");
        put_number("general.alignment", 64);
        put_key(&bytes, "list", TYPE_ARRAY);
        put_uint(&bytes, TYPE_STRING, 4);
        put_uint(&bytes, 2, 8);
        put_string(&bytes, "one");
        put_string(&bytes, "");
        put_key(&bytes, "nested", TYPE_ARRAY);
        put_uint(&bytes, TYPE_ARRAY, 4);
        put_uint(&bytes, 1, 8);
        put_uint(&bytes, TYPE_BOOL, 4);
        put_uint(&bytes, 2, 8);
        put_uint(&bytes, 0x0100, 2);
        put_key(&bytes, "negative", TYPE_I32);
        put_uint(&bytes, 0xffffffff, 4);
        put_key(&bytes, "big", TYPE_U64);
        put_uint(&bytes, UINT64_MAX, 8);
        put_tensor(&bytes, "later", 3, 2, TENSOR_F32, 64);
        put_tensor(&bytes, "first", 32, 0, TENSOR_Q8_0, 0);
        put_tensor(&bytes, "none", 0, 7, TENSOR_F16, 0);
        put_padding(&bytes, 64);
        for (int i = 0; i < 64; i++)
            put_uint(&bytes, 1, 1);
        for (int i = 0; i < 6; i++)
            put_float(&bytes, (float)i);

        struct hc_source *source = open_bytes(&scratch);
        const struct hc_gguf *gguf = source->gguf;
        cr_assert_eq(gguf->version, version);
        cr_assert_eq(gguf->alignment, 64);
        cr_assert_str_eq(gguf->architecture, "mystery");
        cr_assert_null(gguf->family);
        cr_assert_eq(gguf->entry_count, 6);
        uint64_t value = 5;
        double real = 0;
        cr_assert_not(hc_gguf_uint(gguf, "negative", &value));
        cr_assert_not(hc_gguf_uint(gguf, "list", &value));
        cr_assert_not(hc_gguf_uint(gguf, "absent", &value));
        cr_assert_eq(value, 5);
        cr_assert(hc_gguf_uint(gguf, "big", &value) && value == UINT64_MAX);
        cr_assert(hc_gguf_float(gguf, "general.alignment", &real) && real == 64.0);
        cr_assert_eq(hc_gguf_find(gguf, "list")->count, 2);
        cr_assert_eq(hc_gguf_find(gguf, "list")->item_type, HC_GGUF_STRING);

        static const char *const names[] = {"none", "first", "later"};
        cr_assert_eq(source->tensor_count, 3);
        for (size_t i = 0; i < 3; i++)
            cr_assert_str_eq(source->tensors[i].name, names[i]);
        const struct hc_tensor *later = &source->tensors[2];
        cr_assert(later->rank == 2 && later->shape[0] == 2 && later->shape[1] == 3);
        cr_assert(later->weights == 6 && later->bytes == 24);
        cr_assert_eq(source->tensors[1].bytes, 34);
        cr_assert_eq(source->tensors[0].weights, 0);
        float out[6];
        struct hc_kernels kernels;
        hc_kernels_init(&kernels, HC_TIER_C);
        hc_tensor_read(later, &kernels, 0, 6, out);
        cr_assert(out[0] == 0.0f && out[5] == 5.0f);
        hc_source_close(source);
    }
    scratch_remove(&scratch);
}

/* The row of llama.cpp's order that holds row r of Hugging Face's, by the definition: a head of rows (2, d/2) is
 * stored as (d/2, 2). */
static uint64_t stored_row(uint64_t r, uint64_t rows)
{
    uint64_t head = r / rows, a = r % rows / (rows / 2), b = r % rows % (rows / 2);
    return head * rows + 2 * b + a;
}

static void put_llama(uint64_t tensors, uint64_t more_entries)
{
    put_gguf(&bytes, 3, tensors, 3 + more_entries);
    put_text("general.architecture", "llama");
    put_number("llama.attention.head_count", 4);
    put_number("llama.attention.head_count_kv", 2);
}

/* q and k of LLaMA come back in Hugging Face's order, wherever a stretch is cut; biases too; v stays. */
Test(gguf, rows_of_llama)
{
    enum { COLUMNS = 96, Q_ROWS = 32, K_ROWS = 16 };
    struct scratch scratch;
    scratch_make(&scratch);
    put_llama(4, 0);
    put_tensor(&bytes, "blk.0.attn_q.weight", COLUMNS, Q_ROWS, TENSOR_F32, 0);
    put_tensor(&bytes, "blk.0.attn_k.weight", COLUMNS, K_ROWS, TENSOR_Q8_0, COLUMNS * Q_ROWS * 4);
    put_tensor(&bytes, "blk.0.attn_k.bias", K_ROWS, 0, TENSOR_F32, COLUMNS * Q_ROWS * 4 + 1632);
    put_tensor(&bytes, "blk.0.attn_v.weight", 2, 2, TENSOR_F32, COLUMNS * Q_ROWS * 4 + 1632 + 64);
    put_padding(&bytes, 32);
    for (int i = 0; i < COLUMNS * Q_ROWS; i++)
        put_float(&bytes, (float)i);
    for (int block = 0; block < COLUMNS * K_ROWS / 32; block++) {
        put_uint(&bytes, 0x3c00, 2); /* 1.0 */
        for (int i = 0; i < 32; i++)
            put_uint(&bytes, (uint8_t)block, 1);
    }
    for (int i = 0; i < K_ROWS; i++)
        put_float(&bytes, (float)i);
    for (int i = 0; i < 4; i++)
        put_float(&bytes, (float)i);

    struct hc_source *source = open_bytes(&scratch);
    struct hc_kernels kernels;
    hc_kernels_init(&kernels, HC_TIER_BEST);
    static float out[COLUMNS * Q_ROWS];
    const struct hc_tensor *q = find(source, "model.layers.0.self_attn.q_proj.weight");
    cr_assert_eq(q->permuted_heads, 4);
    for (uint64_t first = 0; first < q->weights; first += 256) {
        for (uint64_t count = 256; first + count <= q->weights; count += 256) {
            hc_tensor_read(q, &kernels, first, count, out);
            for (uint64_t i = 0; i < count; i++) {
                uint64_t row = (first + i) / COLUMNS, column = (first + i) % COLUMNS;
                cr_assert(out[i] == (float)(stored_row(row, Q_ROWS / 4) * COLUMNS + column));
            }
        }
    }
    const struct hc_tensor *k = find(source, "model.layers.0.self_attn.k_proj.weight");
    cr_assert_eq(k->permuted_heads, 2);
    for (uint64_t first = 0; first < k->weights; first += 256) {
        hc_tensor_read(k, &kernels, first, 256, out);
        for (uint64_t i = 0; i < 256; i++) {
            uint64_t stored = stored_row((first + i) / COLUMNS, K_ROWS / 2) * COLUMNS + (first + i) % COLUMNS;
            cr_assert(out[i] == (float)(stored / 32));
        }
    }
    const struct hc_tensor *bias = find(source, "model.layers.0.self_attn.k_proj.bias");
    hc_tensor_read(bias, &kernels, 0, K_ROWS, out);
    for (uint64_t i = 0; i < K_ROWS; i++)
        cr_assert(out[i] == (float)stored_row(i, K_ROWS / 2));
    const struct hc_tensor *v = find(source, "model.layers.0.self_attn.v_proj.weight");
    hc_tensor_read(v, &kernels, 0, 4, out);
    cr_assert(v->permuted_heads == 0 && out[1] == 1.0f && out[2] == 2.0f);
    hc_source_close(source);
    scratch_remove(&scratch);
}

/* One tensor of three experts becomes three; what has no name in the family keeps its own. */
Test(gguf, experts)
{
    struct scratch scratch;
    scratch_make(&scratch);
    put_llama(3, 0);
    put_string(&bytes, "blk.11.ffn_down_exps.weight");
    put_uint(&bytes, 3, 4);
    put_uint(&bytes, 4, 8);
    put_uint(&bytes, 2, 8);
    put_uint(&bytes, 3, 8);
    put_uint(&bytes, TENSOR_F32, 4);
    put_uint(&bytes, 0, 8);
    put_tensor(&bytes, "rope_freqs.weight", 2, 0, TENSOR_F32, 96);
    put_tensor(&bytes, "blk.x.ffn_up.weight", 2, 0, TENSOR_F32, 128);
    put_padding(&bytes, 32);
    for (int i = 0; i < 34; i++)
        put_float(&bytes, (float)i);

    struct hc_source *source = open_bytes(&scratch);
    cr_assert_eq(source->tensor_count, 5);
    for (unsigned i = 0; i < 3; i++) {
        char name[100];
        snprintf(name, sizeof name, "model.layers.11.block_sparse_moe.experts.%u.w2.weight", i);
        const struct hc_tensor *expert = find(source, name);
        cr_assert(expert->rank == 2 && expert->shape[0] == 2 && expert->shape[1] == 4 && expert->shape[2] == 0);
        cr_assert(expert->weights == 8 && expert->bytes == 32);
        float value;
        memcpy(&value, expert->data, sizeof value);
        cr_assert(value == (float)(8 * i));
    }
    find(source, "rope_freqs.weight");
    find(source, "blk.x.ffn_up.weight");
    hc_source_close(source);
    scratch_remove(&scratch);
}

Test(gguf, names)
{
    static const struct {
        const char *architecture, *gguf, *hf;
        enum hc_family_rows rows;
    } cases[] = {
        {"llama", "token_embd.weight", "model.embed_tokens.weight", HC_ROWS_SAME},
        {"llama", "output_norm.weight", "model.norm.weight", HC_ROWS_SAME},
        {"llama", "output.weight", "lm_head.weight", HC_ROWS_SAME},
        {"llama", "blk.7.attn_norm.weight", "model.layers.7.input_layernorm.weight", HC_ROWS_SAME},
        {"llama", "blk.7.ffn_norm.weight", "model.layers.7.post_attention_layernorm.weight", HC_ROWS_SAME},
        {"llama", "blk.10.attn_q.weight", "model.layers.10.self_attn.q_proj.weight", HC_ROWS_QUERY},
        {"llama", "blk.10.attn_k.bias", "model.layers.10.self_attn.k_proj.bias", HC_ROWS_KEY},
        {"llama", "blk.0.attn_output.weight", "model.layers.0.self_attn.o_proj.weight", HC_ROWS_SAME},
        {"llama", "blk.0.ffn_gate_inp.weight", "model.layers.0.block_sparse_moe.gate.weight", HC_ROWS_SAME},
        {"qwen2", "blk.3.attn_q.bias", "model.layers.3.self_attn.q_proj.bias", HC_ROWS_SAME},
        {"qwen2", "blk.3.ffn_down.weight", "model.layers.3.mlp.down_proj.weight", HC_ROWS_SAME},
        {"qwen3", "blk.3.attn_k_norm.weight", "model.layers.3.self_attn.k_norm.weight", HC_ROWS_SAME},
        {"qwen3moe", "blk.3.ffn_up_exps.weight", "model.layers.3.mlp.experts.*.up_proj.weight", HC_ROWS_SAME},
        {"qwen2moe", "blk.0.ffn_gate_inp_shexp.weight", "model.layers.0.mlp.shared_expert_gate.weight", HC_ROWS_SAME},
        {"llama", "blk.0.attn_q", NULL, HC_ROWS_SAME},
        {"llama", "blk..attn_q.weight", NULL, HC_ROWS_SAME},
        {"llama", "blk.0.weight", NULL, HC_ROWS_SAME},
        {"llama", "attn_q.weight", NULL, HC_ROWS_SAME},
        {"llama", "blk.0.token_embd.weight", NULL, HC_ROWS_SAME},
        {"llama", "blk.0.attn_qq.weight", NULL, HC_ROWS_SAME},
        {"llama", "", NULL, HC_ROWS_SAME},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[100] = "";
        enum hc_family_rows rows = HC_ROWS_SAME;
        const struct hc_family *family = hc_family_find(cases[i].architecture);
        cr_assert_not_null(family);
        bool known = hc_family_rename(family, cases[i].gguf, name, sizeof name, &rows);
        cr_assert_eq(known, cases[i].hf != NULL, "%s", cases[i].gguf);
        cr_assert_str_eq(name, cases[i].hf ? cases[i].hf : "");
        cr_assert_eq(rows, cases[i].rows);
    }
    char small[10];
    enum hc_family_rows rows;
    cr_assert_not(hc_family_rename(hc_family_find("llama"), "token_embd.weight", small, sizeof small, &rows));
    cr_assert_null(hc_family_find("no such thing"));
}

static void put_config_file(const char *architecture, bool scaled)
{
    char key[64];
    put_gguf(&bytes, 3, 1, 9);
    put_text("general.architecture", architecture);
    static const char *const keys[] = {"embedding_length", "feed_forward_length", "block_count", "attention.head_count",
                                       "context_length"};
    for (unsigned i = 0; i < 5; i++) {
        snprintf(key, sizeof key, "%s.%s", architecture, keys[i]);
        put_number(key, 64 * (i + 1));
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", architecture);
    put_real(key, 1e-5f);
    put_number("tokenizer.ggml.eos_token_id", 2);
    snprintf(key, sizeof key, "%s.rope.scaling.type", architecture);
    put_text(key, scaled ? "yarn" : "none");
    put_tensor(&bytes, "token_embd.weight", 2, 6, TENSOR_F32, 0);
    put_padding(&bytes, 32);
    for (int i = 0; i < 12; i++)
        put_float(&bytes, 0.0f);
}

/* What the GGUF in `bytes` says; NULL if it must be refused, for that reason. */
static json_t *config_or(struct scratch *scratch, const char *reason)
{
    json_t *config;
    struct hc_error error = {""};
    struct hc_source *source = open_bytes(scratch);
    hc_status status = hc_gguf_config(source, &config, &error);
    cr_assert_eq(status, reason ? HC_ERR_UNSUPPORTED : HC_OK, "%s", reason ? reason : error.text);
    cr_assert_eq(config == NULL, reason != NULL);
    cr_assert(!reason || strstr(error.text, reason), "%s", error.text);
    hc_source_close(source);
    return config;
}

static json_t *make_config(struct scratch *scratch, const char *architecture, bool scaled, const char *reason)
{
    put_config_file(architecture, scaled);
    return config_or(scratch, reason);
}

Test(gguf, config)
{
    struct scratch scratch;
    scratch_make(&scratch);
    json_t *config = make_config(&scratch, "llama", false, NULL);
    json_t *expected = json_pack(
        "{s:[s], s:n, s:s, s:i, s:i, s:i, s:i, s:i, s:f, s:i, s:i, s:b, s:b, s:s}", "architectures", "LlamaForCausalLM",
        "rope_scaling", "model_type", "llama", "hidden_size", 64, "intermediate_size", 128, "num_hidden_layers", 192,
        "num_attention_heads", 256, "max_position_embeddings", 320, "rms_norm_eps", 1e-5, "eos_token_id", 2,
        "vocab_size", 6, "tie_word_embeddings", 1, "attention_bias", 0, "hidden_act", "silu");
    cr_assert_not_null(expected);
    char *text = json_dumps(config, JSON_SORT_KEYS);
    cr_assert(json_equal(config, expected), "%s", text);
    free(text);
    json_decref(config);
    json_decref(expected);
    make_config(&scratch, "llama", true, "the RoPE scaling 'yarn' of this GGUF is not known (llama.rope.scaling.type)");
    make_config(&scratch, "mystery", false, "the architecture 'mystery' of this GGUF is not known");
    make_config(&scratch, "qwen2moe", false, "'qwen2moe' without experts is not known (qwen2moe.expert_count)");
    scratch_remove(&scratch);
}

/* A GGUF that lacks one entry, and its end. */
static void begin_small(void)
{
    put_gguf(&bytes, 3, 1, 6);
    put_text("general.architecture", "llama");
    put_number("llama.embedding_length", 64);
    put_number("llama.block_count", 1);
    put_number("llama.attention.head_count", 4);
    put_real("llama.attention.layer_norm_rms_epsilon", 1e-5f);
}

static json_t *end_small(struct scratch *scratch, const char *reason)
{
    put_tensor(&bytes, "token_embd.weight", 2, 6, TENSOR_F32, 0);
    put_padding(&bytes, 32);
    for (size_t i = 0; i < 12; i++)
        put_float(&bytes, 0.0f);
    return config_or(scratch, reason);
}

/* What a GGUF with one more number says. */
static json_t *config_with(struct scratch *scratch, const char *key, float number, const char *reason)
{
    begin_small();
    if (number == floorf(number))
        put_number(key, (uint32_t)number);
    else
        put_real(key, number);
    return end_small(scratch, reason);
}

/* A GGUF whose positions are stretched: linearly by `factor`, or, if that is 0, by a tensor of divisors. */
static json_t *scaled_config(struct scratch *scratch, float factor, const float *divisors, size_t count,
                             const char *reason)
{
    put_gguf(&bytes, 3, factor > 0 ? 1 : 2, factor > 0 ? 8 : 6);
    put_text("general.architecture", "llama");
    put_number("llama.embedding_length", 64);
    put_number("llama.block_count", 1);
    put_number("llama.attention.head_count", 4);
    put_real("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    put_real("llama.rope.freq_base", 500000);
    if (factor > 0) {
        put_text("llama.rope.scaling.type", "linear");
        put_real("llama.rope.scaling.factor", factor);
    }
    put_tensor(&bytes, "token_embd.weight", 2, 6, TENSOR_F32, 0);
    if (!(factor > 0)) {
        put_string(&bytes, "rope_freqs.weight");
        put_uint(&bytes, 1, 4);
        put_uint(&bytes, count, 8);
        put_uint(&bytes, TENSOR_F32, 4);
        put_uint(&bytes, 64, 8);
    }
    put_padding(&bytes, 32);
    for (size_t i = 0; i < 16 + count; i++)
        put_float(&bytes, i < 16 ? 0.0f : divisors[i - 16]);
    return config_or(scratch, reason);
}

static double scaling_number(const json_t *config, const char *key)
{
    return json_number_value(json_object_get(json_object_get(config, "rope_scaling"), key));
}

Test(gguf, config_of_linear_positions)
{
    struct scratch scratch;
    scratch_make(&scratch);
    json_t *config = scaled_config(&scratch, 4, NULL, 0, NULL);
    cr_assert_not_null(config);
    cr_assert_str_eq(json_string_value(json_object_get(json_object_get(config, "rope_scaling"), "rope_type")),
                     "linear");
    cr_assert_eq(scaling_number(config, "factor"), 4);
    json_decref(config);
    scratch_remove(&scratch);
}

/* A factor without a type is a linear one; 1 is none. */
Test(gguf, config_of_positions_without_a_type)
{
    static const struct {
        const char *key;
        float number;
        double factor;
    } cases[] = {{"llama.rope.scaling.factor", 2.5f, 2.5},
                 {"llama.rope.scale_linear", 2.5f, 2.5},
                 {"llama.rope.scale_linear", 1, 0},
                 {"llama.rope.dimension_count", 16, 0}};
    struct scratch scratch;
    scratch_make(&scratch);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *config = config_with(&scratch, cases[i].key, cases[i].number, NULL);
        cr_assert_not_null(config, "%s", cases[i].key);
        cr_assert_eq(scaling_number(config, "factor"), cases[i].factor, "%s", cases[i].key);
        json_decref(config);
    }
    config_with(&scratch, "llama.rope.dimension_count", 8, "RoPE of 8 of the 16 numbers of a head");
    scratch_remove(&scratch);
}

/* Settings that would change what is computed are refused by name; what means that they are not used is not. */
Test(gguf, config_of_settings)
{
    static const struct {
        const char *key;
        float number;
        bool known;
    } cases[] = {
        {"llama.attention.scale", 0, true},
        {"llama.attention.scale", 1, false},
        {"llama.attention.clamp_kqv", 0, true},
        {"llama.attention.clamp_kqv", 8, false},
        {"llama.attention.max_alibi_bias", 0, true},
        {"llama.attention.max_alibi_bias", 8, false},
        {"llama.attention.logit_softcapping", 0, true},
        {"llama.attention.logit_softcapping", 50, false},
        {"llama.attn_logit_softcapping", 0, true},
        {"llama.attn_logit_softcapping", 1, false},
        {"llama.final_logit_softcapping", 0, true},
        {"llama.final_logit_softcapping", 30, false},
        {"llama.logit_scale", 0, true},
        {"llama.logit_scale", 1, true},
        {"llama.logit_scale", 0.0625f, false},
        {"llama.embedding_scale", 0, true},
        {"llama.embedding_scale", 1, true},
        {"llama.embedding_scale", 12, false},
        {"llama.residual_scale", 0, true},
        {"llama.residual_scale", 1, true},
        {"llama.residual_scale", 0.22f, false},
        {"llama.rope.scaling.attn_factor", 1, true},
        {"llama.rope.scaling.attn_factor", 0, false},
        {"llama.rope.scaling.attn_factor", 1.5f, false},
        {"llama.logit_scale", NAN, false},
        {"qwen2.logit_scale", 2, true}, /* of another architecture */
    };
    struct scratch scratch;
    scratch_make(&scratch);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        json_decref(config_with(&scratch, cases[i].key, cases[i].number, cases[i].known ? NULL : cases[i].key));
    scratch_remove(&scratch);
}

static void put_truth(const char *key, bool value)
{
    put_key(&bytes, key, TYPE_BOOL);
    put_uint(&bytes, value, 1);
}

static void put_list(const char *key, uint64_t count, uint32_t item)
{
    put_key(&bytes, key, TYPE_ARRAY);
    put_uint(&bytes, TYPE_U32, 4);
    put_uint(&bytes, count, 8);
    for (uint64_t i = 0; i < count; i++)
        put_uint(&bytes, item, 4);
}

Test(gguf, config_of_attention_to_what_follows)
{
    struct scratch scratch;
    scratch_make(&scratch);
    begin_small();
    put_truth("llama.attention.causal", true);
    json_decref(end_small(&scratch, NULL));
    begin_small();
    put_truth("llama.attention.causal", false);
    end_small(&scratch, "(llama.attention.causal)");
    config_with(&scratch, "llama.attention.causal", 1, "(llama.attention.causal)");
    scratch_remove(&scratch);
}

/* A number for every layer is not taken for none, nor is one of another type. */
Test(gguf, config_of_numbers_that_cannot_be_read)
{
    static const char *const keys[] = {"llama.attention.head_count_kv", "llama.feed_forward_length",
                                       "llama.rope.freq_base"};
    char reason[128];
    struct scratch scratch;
    scratch_make(&scratch);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        begin_small();
        put_list(keys[i], 2, 4);
        snprintf(reason, sizeof reason, "%s is a list", keys[i]);
        end_small(&scratch, reason);
        begin_small();
        put_text(keys[i], "4");
        snprintf(reason, sizeof reason, "%s is no such number", keys[i]);
        end_small(&scratch, reason);
    }
    config_with(&scratch, "llama.rope.freq_base", NAN, "llama.rope.freq_base is no such number");
    scratch_remove(&scratch);
}

/* Rows that are shared out among heads need one number of them. */
Test(gguf, heads_of_every_layer)
{
    static const char *const keys[] = {"llama.attention.head_count", "llama.attention.head_count_kv"};
    char reason[128];
    struct scratch scratch;
    scratch_make(&scratch);
    for (size_t i = 0; i < 2; i++) {
        struct hc_source *source;
        struct hc_error error = {""};
        put_gguf(&bytes, 3, 1, i + 2);
        put_text("general.architecture", "llama");
        if (i > 0)
            put_number(keys[0], 4);
        put_list(keys[i], 2, 4);
        put_tensor(&bytes, "blk.0.attn_k.weight", 4, 8, TENSOR_F32, 0);
        put_padding(&bytes, 32);
        for (int n = 0; n < 32; n++)
            put_float(&bytes, 0.0f);
        scratch_write(&scratch, "model", bytes.data, bytes.size);
        hc_status status = hc_source_open(scratch_at(&scratch, "model"), &source, &error);
        snprintf(reason, sizeof reason, "%s is a list", keys[i]);
        cr_assert(status == HC_ERR_UNSUPPORTED && strstr(error.text, reason), "%s: %s", reason, error.text);
    }
    scratch_remove(&scratch);
}

/* A file of the architecture with a context of 320 and a sliding window; with biases of queries, if asked. */
static json_t *window_config(struct scratch *scratch, const char *architecture, uint32_t window, bool biased,
                             const char *reason)
{
    static const char *const keys[] = {"embedding_length", "block_count", "attention.head_count", "context_length"};
    static const uint32_t numbers[] = {64, 1, 4, 320};
    char key[64];
    put_gguf(&bytes, 3, biased ? 2 : 1, 7);
    put_text("general.architecture", architecture);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "%s.%s", architecture, keys[i]);
        put_number(key, numbers[i]);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", architecture);
    put_real(key, 1e-5f);
    snprintf(key, sizeof key, "%s.attention.sliding_window", architecture);
    put_number(key, window);
    put_tensor(&bytes, "token_embd.weight", 2, 6, TENSOR_F32, 0);
    if (biased)
        put_tensor(&bytes, "blk.0.attn_q.bias", 64, 0, TENSOR_F32, 64);
    put_padding(&bytes, 32);
    for (int i = 0; i < 16 + 64; i++)
        put_float(&bytes, 0.0f);
    return config_or(scratch, reason);
}

/* Mistral's is honoured, with as many heads of keys as a GGUF means; one that others would need is refused. */
Test(gguf, config_of_a_sliding_window)
{
    struct scratch scratch;
    scratch_make(&scratch);
    json_t *config = window_config(&scratch, "llama", 128, false, NULL);
    const char *class_name = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    cr_assert_str_eq(class_name, "MistralForCausalLM");
    cr_assert_str_eq(json_string_value(json_object_get(config, "model_type")), "mistral");
    cr_assert_eq(json_integer_value(json_object_get(config, "sliding_window")), 128);
    cr_assert_eq(json_integer_value(json_object_get(config, "num_key_value_heads")), 4);
    json_decref(config);
    static const uint32_t none[] = {0, 320, 4096};
    for (size_t i = 0; i < 6; i++) {
        config = window_config(&scratch, i < 3 ? "llama" : "qwen2", none[i % 3], false, NULL);
        class_name = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
        cr_assert_str_eq(class_name, i < 3 ? "LlamaForCausalLM" : "Qwen2ForCausalLM");
        cr_assert_null(json_object_get(config, "sliding_window"));
        json_decref(config);
    }
    window_config(&scratch, "qwen2", 319, false, "(qwen2.attention.sliding_window)");
    window_config(&scratch, "llama", 319, true, "(llama.attention.sliding_window)");
    scratch_remove(&scratch);
}

/* The divisor of a wave of so many positions, by the formula of Llama 3.1's release with a factor of 8. */
static float llama3_divisor(double wave)
{
    double blend = (8192 / wave - 1) / 3;
    return wave < 2048 ? 1 : wave > 8192 ? 8 : (float)(1 / ((1 - blend) / 8 + blend));
}

Test(gguf, config_of_llama3_positions)
{
    float divisors[16];
    struct scratch scratch;
    scratch_make(&scratch);
    for (int i = 0; i < 16; i++)
        divisors[i] = llama3_divisor(2 * 3.14159265358979323846 * pow(500000, i / 16.0));
    json_t *config = scaled_config(&scratch, 0, divisors, 16, NULL);
    cr_assert_not_null(config);
    cr_assert_float_eq(scaling_number(config, "factor"), 8, 1e-9);
    cr_assert_eq(scaling_number(config, "original_max_position_embeddings"), 8192);
    json_decref(config);
    divisors[2] = 2; /* of nobody that we know */
    scaled_config(&scratch, 0, divisors, 16, "rope_freqs.weight");
    scratch_remove(&scratch);
}
