/* Writes small model files that no training would make, for the tests of the program.
 *
 * usage: make_case special FILE.safetensors    every kind of tensor that needs a decision
 *        make_case small FILE.safetensors      three tensors, one of each outcome
 *        make_case window FILE.safetensors     shapes and contents that the method window must bear
 *        make_case gguf FILE.gguf              a LLaMA of one layer: F32, F16 and Q8_0
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WEIGHTS = 1024, MOST_TENSORS = 48, MOST_HEADER = 1 << 16, ALIGNMENT = 32 };

/* What a tensor is filled with; the value is a part of it. */
enum fill { RANDOM, CONSTANT, NAN_AMONG, INFINITY_AMONG, OUTLIER, LARGE, ZERO_ROW, ZERO_COLUMN, HUGE_COLUMN };

struct tensor {
    const char *name, *type;
    int rank;
    unsigned shape[4];
    enum fill fill;
    double value; /* size of random weights, the constant, the outlier */
};

static const struct tensor special[] = {
    {"constant.weight", "F32", 2, {16, 16}, CONSTANT, 0.25},
    {"conv.weight", "F32", 3, {4, 3, 5}, RANDOM, 0.05},
    {"conv2d.weight", "F16", 4, {4, 3, 3, 3}, RANDOM, 0.05},
    {"empty.weight", "F32", 2, {0, 4}, RANDOM, 0.05},
    {"empty_row.weight", "BF16", 2, {4, 0}, RANDOM, 0.05},
    {"empty_vector.bias", "F32", 1, {0}, RANDOM, 0.05},
    {"f64.weight", "F64", 2, {8, 8}, RANDOM, 0.05},
    {"f64_beyond_f32.weight", "F64", 2, {4, 4}, CONSTANT, 1e300},
    {"f8_e4m3.weight", "F8_E4M3", 2, {8, 8}, RANDOM, 0.05},
    {"f8_e5m2.weight", "F8_E5M2", 2, {8, 8}, RANDOM, 0.05},
    {"huge.weight", "F32", 2, {8, 8}, LARGE, FLT_MAX},
    {"i16.weight", "I16", 2, {4, 4}, RANDOM, 0.05},
    {"i32.weight", "I32", 2, {4, 4}, RANDOM, 0.05},
    {"i64.weight", "I64", 2, {4, 4}, RANDOM, 0.05},
    {"i8.weight", "I8", 2, {4, 4}, RANDOM, 0.05},
    {"infinity.weight", "F32", 2, {4, 8}, INFINITY_AMONG, 0.05},
    {"infinity_bf16.weight", "BF16", 2, {4, 8}, INFINITY_AMONG, 0.05},
    {"infinity_f16.weight", "F16", 2, {4, 8}, INFINITY_AMONG, 0.05},
    {"mask.weight", "BOOL", 2, {4, 4}, CONSTANT, 1},
    {"mlp.experts.up.weight", "F32", 3, {3, 8, 8}, RANDOM, 0.05},
    {"nan.weight", "F32", 2, {4, 8}, NAN_AMONG, 0.05},
    {"nan_bf16.weight", "BF16", 2, {4, 8}, NAN_AMONG, 0.05},
    {"nan_f16.weight", "F16", 2, {4, 8}, NAN_AMONG, 0.05},
    {"nan_f64.weight", "F64", 2, {4, 8}, NAN_AMONG, 0.05},
    {"nine.weight", "F32", 2, {3, 3}, RANDOM, 0.05},
    {"odd.weight", "F32", 2, {7, 11}, RANDOM, 0.05},
    {"odd_bf16.weight", "BF16", 2, {5, 13}, RANDOM, 0.05},
    {"outlier.weight", "F32", 2, {16, 16}, OUTLIER, 5},
    {"quote\\\"d/\xc3\xbc.weight", "F32", 2, {4, 8}, RANDOM, 0.05},
    {"scalar", "F32", 0, {0}, CONSTANT, 2.5},
    {"subnormal.weight", "F32", 2, {8, 8}, LARGE, 1e-40},
    {"ten.weight", "F32", 2, {2, 5}, RANDOM, 0.05},
    {"u16.weight", "U16", 2, {4, 4}, RANDOM, 0.05},
    {"u8.weight", "U8", 2, {4, 4}, RANDOM, 0.05},
    {"vector.bias", "F32", 1, {64}, RANDOM, 0.05},
    {"zeros.weight", "F32", 2, {8, 8}, CONSTANT, 0},
};

static const struct tensor small[] = {
    {"coded.weight", "F32", 2, {16, 16}, RANDOM, 0.05},
    {"infinity.weight", "F32", 2, {4, 8}, INFINITY_AMONG, 0.05},
    {"vector.bias", "F32", 1, {8}, RANDOM, 0.05},
};

static const struct tensor window[] = {
    {"column.weight", "F64", 2, {100, 1}, RANDOM, 0.05},
    {"conv.weight", "F32", 4, {8, 3, 3, 3}, RANDOM, 0.05},
    {"conv1d.weight", "F16", 3, {12, 7, 9}, RANDOM, 0.05},
    {"huge_column.weight", "F32", 2, {32, 32}, HUGE_COLUMN, 0.05},
    {"infinity.weight", "F32", 2, {16, 32}, INFINITY_AMONG, 0.05},
    {"lm_head.weight", "BF16", 2, {40, 24}, RANDOM, 0.05},
    {"mlp.experts.up.weight", "F32", 3, {3, 16, 20}, RANDOM, 0.05},
    {"model.embed_tokens.weight", "BF16", 2, {40, 24}, RANDOM, 0.05},
    {"model.layers.0.k_proj.weight", "F16", 2, {24, 40}, RANDOM, 0.05},
    {"model.layers.0.q_proj.weight", "F32", 2, {24, 40}, RANDOM, 0.05},
    {"nan.weight", "F32", 2, {16, 32}, NAN_AMONG, 0.05},
    {"odd.weight", "F32", 2, {17, 33}, RANDOM, 0.05},
    {"row.weight", "F64", 2, {1, 100}, RANDOM, 0.05},
    {"small.weight", "F64", 2, {7, 5}, RANDOM, 0.05},
    {"tiny.weight", "F32", 2, {3, 5}, RANDOM, 0.05},
    {"zero_column.weight", "F32", 2, {20, 40}, ZERO_COLUMN, 0.05},
    {"zero_row.weight", "F32", 2, {20, 40}, ZERO_ROW, 0.05},
    {"zeros.weight", "F32", 2, {32, 32}, CONSTANT, 0},
};

/* A linear congruential generator: the tests need the same weights everywhere, and no more of them than that. */
static double next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) / 9007199254740992.0 * 2 - 1;
}

static double weight_at(const struct tensor *tensor, size_t i, size_t count, uint64_t *state)
{
    double random = next_random(state);
    size_t columns = tensor->rank ? tensor->shape[tensor->rank - 1] : 1;
    switch (tensor->fill) {
    case CONSTANT:
        return tensor->value;
    case OUTLIER:
        return i == count / 3 ? tensor->value : 0;
    case NAN_AMONG:
        return i == count / 3 ? (double)NAN : tensor->value * random;
    case INFINITY_AMONG:
        return i == count / 3 ? -(double)INFINITY : tensor->value * random;
    case ZERO_ROW:
        return i / columns == 2 ? 0 : tensor->value * random;
    case ZERO_COLUMN:
        return i % columns == 2 ? 0 : tensor->value * random;
    case HUGE_COLUMN:
        return (i % columns == 2 ? 10000 : 1) * tensor->value * random;
    default:
        return tensor->value * random;
    }
}

static unsigned type_bytes(const char *type)
{
    static const char *const eight[] = {"F64", "I64"}, *const four[] = {"F32", "I32"};
    static const char *const two[] = {"F16", "BF16", "I16", "U16"};
    for (size_t i = 0; i < 2; i++)
        if (strcmp(type, eight[i]) == 0)
            return 8;
        else if (strcmp(type, four[i]) == 0)
            return 4;
    for (size_t i = 0; i < 4; i++)
        if (strcmp(type, two[i]) == 0)
            return 2;
    return 1;
}

/* The upper part of a float32, cut to BF16; F16 by way of its own bits: subnormals and rounding do not matter here. */
static uint16_t half_bits(const char *type, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (strcmp(type, "BF16") == 0)
        return (uint16_t)(bits >> 16);
    uint32_t sign = bits >> 16 & 0x8000, exponent = bits >> 23 & 0xff, fraction = bits >> 13 & 0x3ff;
    if (exponent == 0xff)
        return (uint16_t)(sign | 0x7c00 | (bits & 0x7fffff ? 0x200 : 0));
    if (exponent < 113)
        return (uint16_t)sign;
    return (uint16_t)(sign | (exponent - 112) << 10 | fraction);
}

static size_t put_weight(const char *type, double value, size_t i, uint8_t *out)
{
    float single = (float)value;
    uint16_t half = half_bits(type, single);
    unsigned bytes = type_bytes(type);
    memset(out, 0, 8);
    if (strcmp(type, "F64") == 0)
        memcpy(out, &value, 8);
    else if (strcmp(type, "F32") == 0)
        memcpy(out, &single, 4);
    else if (strcmp(type, "F16") == 0 || strcmp(type, "BF16") == 0)
        memcpy(out, &half, 2);
    else if (strcmp(type, "BOOL") == 0)
        out[0] = i % 2;
    else
        out[0] = (uint8_t)(i * 7 % 100); /* integers, and bytes that are finite as 8-bit floats */
    return bytes;
}

static size_t put_tensor(const struct tensor *tensor, uint64_t seed, uint8_t *out)
{
    size_t count = 1, used = 0;
    uint64_t state = seed;
    for (int d = 0; d < tensor->rank; d++)
        count *= tensor->shape[d];
    for (size_t i = 0; i < count && i < MOST_WEIGHTS; i++)
        used += put_weight(tensor->type, weight_at(tensor, i, count, &state), i, out + used);
    return used;
}

static int put_entry(char *out, size_t room, const struct tensor *tensor, size_t begin, size_t end)
{
    char shape[64] = "";
    size_t used = 0;
    for (int d = 0; d < tensor->rank; d++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%u", d ? "," : "", tensor->shape[d]);
    return snprintf(out, room, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", tensor->name,
                    tensor->type, shape, begin, end);
}

/* Wide elements first, as safetensors' own writer does: all are aligned. */
static int write_safetensors(FILE *file, const struct tensor *tensors, size_t count)
{
    static const unsigned widths[] = {8, 4, 2, 1};
    static char header[MOST_HEADER];
    static uint8_t data[MOST_TENSORS * MOST_WEIGHTS * 8];
    size_t used = 0, bytes = 0;
    used += (size_t)snprintf(header, sizeof header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t w = 0; w < 4; w++)
        for (size_t i = 0; i < count; i++)
            if (type_bytes(tensors[i].type) == widths[w]) {
                size_t begin = bytes;
                bytes += put_tensor(&tensors[i], i + 1, data + bytes);
                used += (size_t)put_entry(header + used, sizeof header - used, &tensors[i], begin, bytes);
            }
    used += (size_t)snprintf(header + used, sizeof header - used, "}");
    while (used % 8)
        header[used++] = ' ';
    uint64_t length = used;
    return fwrite(&length, 8, 1, file) == 1 && fwrite(header, 1, used, file) == used &&
           fwrite(data, 1, bytes, file) == bytes;
}

/* ---- GGUF ----------------------------------------------------------------------------------- */

enum gguf_type { GGUF_U32 = 4, GGUF_F32 = 6, GGUF_STRING = 8 };
enum ggml_type { GGML_F32 = 0, GGML_F16 = 1, GGML_Q8_0 = 8 };

struct gguf_tensor {
    const char *name;
    unsigned rank, columns, rows;
    enum ggml_type type;
};

static const struct gguf_tensor gguf_tensors[] = {
    {"token_embd.weight", 2, 64, 32, GGML_Q8_0},  {"blk.0.attn_norm.weight", 1, 64, 1, GGML_F32},
    {"blk.0.attn_q.weight", 2, 64, 64, GGML_F16}, {"blk.0.attn_k.weight", 2, 64, 32, GGML_Q8_0},
    {"blk.0.attn_v.weight", 2, 64, 32, GGML_F32}, {"blk.0.attn_output.weight", 2, 64, 64, GGML_F32},
    {"output_norm.weight", 1, 64, 1, GGML_F32},
};

struct gguf_number {
    const char *key;
    enum gguf_type type;
    double value;
};

static const struct gguf_number gguf_numbers[] = {
    {"llama.block_count", GGUF_U32, 1},
    {"llama.embedding_length", GGUF_U32, 64},
    {"llama.attention.head_count", GGUF_U32, 4},
    {"llama.attention.head_count_kv", GGUF_U32, 2},
    {"llama.context_length", GGUF_U32, 128},
    {"llama.feed_forward_length", GGUF_U32, 128},
    {"llama.attention.layer_norm_rms_epsilon", GGUF_F32, 1e-5},
};

static void put(FILE *file, uint64_t value, size_t bytes)
{
    fwrite(&value, 1, bytes, file);
}

static void put_string(FILE *file, const char *text)
{
    put(file, strlen(text), 8);
    fwrite(text, 1, strlen(text), file);
}

static uint64_t gguf_bytes(const struct gguf_tensor *tensor)
{
    uint64_t weights = (uint64_t)tensor->columns * tensor->rows;
    return tensor->type == GGML_F32 ? 4 * weights : tensor->type == GGML_F16 ? 2 * weights : weights / 32 * 34;
}

static void put_gguf_data(FILE *file, const struct gguf_tensor *tensor, uint64_t seed)
{
    uint64_t state = seed;
    for (size_t i = 0; i < (size_t)tensor->columns * tensor->rows; i++) {
        float weight = (float)(0.05 * next_random(&state));
        uint32_t bits;
        memcpy(&bits, &weight, sizeof bits);
        if (tensor->type == GGML_Q8_0 && i % 32 == 0)
            put(file, half_bits("F16", 0.0005f), 2);
        if (tensor->type == GGML_Q8_0)
            put(file, (uint8_t)(int8_t)(weight * 2000), 1);
        else
            put(file, tensor->type == GGML_F16 ? half_bits("F16", weight) : bits, tensor->type == GGML_F16 ? 2 : 4);
    }
}

static int write_gguf(FILE *file)
{
    const size_t tensors = sizeof gguf_tensors / sizeof *gguf_tensors;
    const size_t numbers = sizeof gguf_numbers / sizeof *gguf_numbers;
    uint64_t offset = 0;
    fwrite("GGUF", 1, 4, file);
    put(file, 3, 4);
    put(file, tensors, 8);
    put(file, numbers + 1, 8);
    put_string(file, "general.architecture");
    put(file, GGUF_STRING, 4);
    put_string(file, "llama");
    for (size_t i = 0; i < numbers; i++) {
        float real = (float)gguf_numbers[i].value;
        uint32_t bits;
        memcpy(&bits, &real, sizeof bits);
        put_string(file, gguf_numbers[i].key);
        put(file, gguf_numbers[i].type, 4);
        put(file, gguf_numbers[i].type == GGUF_F32 ? bits : (uint32_t)gguf_numbers[i].value, 4);
    }
    for (size_t i = 0; i < tensors; i++) {
        put_string(file, gguf_tensors[i].name);
        put(file, gguf_tensors[i].rank, 4);
        put(file, gguf_tensors[i].columns, 8);
        if (gguf_tensors[i].rank > 1)
            put(file, gguf_tensors[i].rows, 8);
        put(file, gguf_tensors[i].type, 4);
        put(file, offset, 8);
        offset += gguf_bytes(&gguf_tensors[i]); /* all are multiples of the alignment */
    }
    while (ftell(file) % ALIGNMENT)
        put(file, 0, 1);
    for (size_t i = 0; i < tensors; i++)
        put_gguf_data(file, &gguf_tensors[i], i + 1);
    return !ferror(file);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: make_case special|small|window|gguf FILE\n", stderr);
        return 2;
    }
    FILE *file = fopen(argv[2], "wb");
    if (!file) {
        perror(argv[2]);
        return 1;
    }
    int good = strcmp(argv[1], "special") == 0  ? write_safetensors(file, special, sizeof special / sizeof *special)
               : strcmp(argv[1], "small") == 0  ? write_safetensors(file, small, sizeof small / sizeof *small)
               : strcmp(argv[1], "window") == 0 ? write_safetensors(file, window, sizeof window / sizeof *window)
               : strcmp(argv[1], "gguf") == 0   ? write_gguf(file)
                                                : 0;
    if (fclose(file) != 0 || !good) {
        fprintf(stderr, "make_case: cannot make %s\n", argv[2]);
        return 1;
    }
    return 0;
}
