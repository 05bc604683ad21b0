/* Writes a checkpoint with the tensor names and shapes of a LLaMA-family model and weights drawn from a
 * distribution like that of trained networks: Hugging Face layout, safetensors, sharded.
 *
 * Weight w[i][j] of a matrix is  sigma * row_i * column_j * z_ij:  row_i log-normal, column_j 1 but for one column in
 * 256, which is 4; z normal, but for one weight in 1024, which has a heavy tail (Student's t with two degrees of
 * freedom, cut at 64). Norms lie around 1.
 *
 * The generator is counter-based (weights.h): the same seed gives the same bytes on any machine, with any number of
 * threads. Memory: 2 MiB per thread. */
#include "weights.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_WEIGHTS = 1 << 18 };

/* ---- Models ------------------------------------------------------------------------------- */

struct model {
    const char *name;
    unsigned vocabulary, hidden, inner, layers, heads, kv_heads, positions;
    bool tied; /* the head is the embedding */
};

static const struct model models[] = {
    {"llama2-7b", 32000, 4096, 11008, 32, 32, 32, 4096, false},
    {"tinyllama-1.1b", 32000, 2048, 5632, 22, 32, 4, 2048, false},
    {"smollm2-135m", 49152, 576, 1536, 30, 9, 3, 8192, true},
    {"stories-15m", 32000, 288, 768, 6, 6, 6, 256, true},
    {"tiny", 512, 64, 172, 5, 8, 4, 512, true},
};

enum type { BF16, F16, F32 };
static const char *const type_names[] = {"BF16", "F16", "F32"};
static const char *const torch_names[] = {"bfloat16", "float16", "float32"};

struct tensor {
    char name[96];
    uint64_t rows, columns; /* a vector has rows 0 in the file, one row here */
    bool vector;
    double sigma;
    unsigned shard;
    uint64_t offset, bytes; /* in the data of its shard */
};

struct checkpoint {
    const struct model *model;
    enum type type;
    uint64_t seed, shard_bytes;
    const char *directory;
    struct tensor *tensors;
    size_t count;
    unsigned shards;
    uint64_t total_bytes;
};

static size_t type_size(enum type type)
{
    return type == F32 ? 4 : 2;
}

__attribute__((format(printf, 5, 6))) static void add_tensor(struct checkpoint *c, uint64_t rows, uint64_t columns,
                                                             double sigma, const char *format, ...)
{
    struct tensor *t = &c->tensors[c->count++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(t->name, sizeof t->name, format, arguments);
    va_end(arguments);
    t->vector = rows == 0;
    t->rows = rows ? rows : 1;
    t->columns = columns;
    t->sigma = sigma;
    t->bytes = t->rows * t->columns * type_size(c->type);
}

static void add_layer(struct checkpoint *c, unsigned n)
{
    const struct model *m = c->model;
    uint64_t kv = (uint64_t)m->hidden / m->heads * m->kv_heads;
    const char *layer = "model.layers";

    add_tensor(c, 0, m->hidden, 1, "%s.%u.input_layernorm.weight", layer, n);
    add_tensor(c, m->hidden, m->inner, 0.018, "%s.%u.mlp.down_proj.weight", layer, n);
    add_tensor(c, m->inner, m->hidden, 0.020, "%s.%u.mlp.gate_proj.weight", layer, n);
    add_tensor(c, m->inner, m->hidden, 0.019, "%s.%u.mlp.up_proj.weight", layer, n);
    add_tensor(c, 0, m->hidden, 1, "%s.%u.post_attention_layernorm.weight", layer, n);
    add_tensor(c, kv, m->hidden, 0.024, "%s.%u.self_attn.k_proj.weight", layer, n);
    add_tensor(c, m->hidden, m->hidden, 0.018, "%s.%u.self_attn.o_proj.weight", layer, n);
    add_tensor(c, m->hidden, m->hidden, 0.024, "%s.%u.self_attn.q_proj.weight", layer, n);
    add_tensor(c, kv, m->hidden, 0.018, "%s.%u.self_attn.v_proj.weight", layer, n);
}

/* A new shard begins when the next tensor would not fit any more. */
static void assign_shards(struct checkpoint *c)
{
    uint64_t filled = 0;
    c->shards = 1;
    for (size_t i = 0; i < c->count; i++) {
        struct tensor *t = &c->tensors[i];
        if (filled && filled + t->bytes > c->shard_bytes) {
            c->shards++;
            filled = 0;
        }
        t->shard = c->shards - 1;
        t->offset = filled;
        filled += t->bytes;
        c->total_bytes += t->bytes;
    }
}

static bool plan(struct checkpoint *c)
{
    const struct model *m = c->model;
    c->tensors = calloc(9 * (size_t)m->layers + 3, sizeof *c->tensors);
    if (!c->tensors)
        return false;
    add_tensor(c, m->vocabulary, m->hidden, 0.016, "model.embed_tokens.weight");
    for (unsigned n = 0; n < m->layers; n++)
        add_layer(c, n);
    add_tensor(c, 0, m->hidden, 1, "model.norm.weight");
    if (!m->tied)
        add_tensor(c, m->vocabulary, m->hidden, 0.016, "lm_head.weight");
    assign_shards(c);
    return true;
}

/* ---- Numbers ------------------------------------------------------------------------------ */

/* One column in 256 stands out. */
static float column_scale(uint64_t key, uint64_t column)
{
    return scatter(key + 0x5851f42d4c957f2du * (column + 1)) % 256 == 0 ? 4 : 1;
}

/* Row `row` of a matrix; columns is a multiple of 4: one hash gives four draws. */
static void make_row(const struct tensor *t, uint64_t key, const float *table, const float *columns, uint64_t row,
                     float *out)
{
    uint64_t row_draw = scatter(~key ^ (row * 0xe7037ed1a0b428dbu)) % TABLE_SIZE;
    float sigma = (float)(t->sigma * scale_of(0.25 * (double)table[row_draw]));
    for (uint64_t j = 0; j < t->columns; j += 4) {
        uint64_t place = row * t->columns + j;
        uint64_t bits = scatter(key + place * 0x9e3779b97f4a7c15u);
        for (unsigned k = 0; k < 4; k++)
            out[j + k] = sigma * columns[j + k] * unit_weight(table, bits >> (16 * k) & 0xffff, key, place + k);
    }
}

static void make_norm(const struct tensor *t, uint64_t key, const float *table, float *out)
{
    for (uint64_t j = 0; j < t->columns; j++)
        out[j] = (float)scale_of(0.2 * (double)table[scatter(key + j * 0x9e3779b97f4a7c15u) % TABLE_SIZE]);
}

static uint16_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* To nearest, ties to even. Adding 2^(e+13) and taking it off again leaves the ten bits of a half; for subnormal
 * halves, with their fixed step of 2^-24, e stays at -14. */
static uint16_t to_f16(float value)
{
    uint32_t bits, sign;
    memcpy(&bits, &value, 4);
    sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    if (bits >= 0x477ff000)
        return (uint16_t)(sign | 0x7c00); /* never with these weights */
    if (bits >= 0x38800000)
        return (uint16_t)(sign | ((bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13));
    float magnitude = fabsf(value) + 0.5f; /* 2^-24 is the last bit of a float in [0.5, 1) */
    memcpy(&bits, &magnitude, 4);
    return (uint16_t)(sign | (bits - 0x3f000000));
}

static void store(enum type type, const float *weights, uint64_t count, uint8_t *out)
{
    if (type == F32) {
        memcpy(out, weights, count * 4);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint16_t half = type == BF16 ? to_bf16(weights[i]) : to_f16(weights[i]);
        memcpy(out + 2 * i, &half, 2);
    }
}

/* ---- Files -------------------------------------------------------------------------------- */

static bool fail(const char *what, const char *path)
{
    fprintf(stderr, "make_checkpoint: %s: %s: %s\n", path, what, strerror(errno));
    return false;
}

static void shard_name(const struct checkpoint *c, unsigned shard, char *name, size_t size)
{
    if (c->shards == 1)
        snprintf(name, size, "model.safetensors");
    else
        snprintf(name, size, "model-%05u-of-%05u.safetensors", shard + 1, c->shards);
}

static bool write_all(int fd, const uint8_t *data, size_t bytes, uint64_t offset)
{
    while (bytes) {
        ssize_t n = pwrite(fd, data, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        bytes -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

/* The length, then the header in JSON, padded with blanks to a multiple of 8. Returns where the data begin; 0: failed.
 */
static uint64_t write_header(const struct checkpoint *c, unsigned shard, int fd)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return 0;
    fprintf(f, "        {\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < c->count; i++) {
        const struct tensor *t = &c->tensors[i];
        if (t->shard != shard)
            continue;
        fprintf(f, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, type_names[c->type]);
        if (!t->vector)
            fprintf(f, "%" PRIu64 ",", t->rows);
        fprintf(f, "%" PRIu64 "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", t->columns, t->offset,
                t->offset + t->bytes);
    }
    fputc('}', f);
    for (long n = ftell(f); n % 8; n++)
        fputc(' ', f);
    bool good = fclose(f) == 0;
    for (unsigned i = 0; good && i < 8; i++)
        text[i] = (char)(((uint64_t)size - 8) >> (8 * i) & 0xff);
    good = good && write_all(fd, (const uint8_t *)text, size, 0);
    free(text);
    return good ? size : 0;
}

/* Rows first .. first + rows - 1, to their place in the file. */
static bool write_rows(const struct checkpoint *c, const struct tensor *t, uint64_t key, const float *table,
                       const float *columns, uint64_t first, uint64_t rows, int fd, uint64_t data)
{
    uint64_t count = rows * t->columns;
    float *weights = malloc(count * sizeof *weights);
    uint8_t *bytes = malloc(count * type_size(c->type));
    bool good = weights && bytes;
    for (uint64_t r = 0; good && r < rows; r++) {
        if (t->vector)
            make_norm(t, key, table, weights);
        else
            make_row(t, key, table, columns, first + r, weights + r * t->columns);
    }
    if (good) {
        store(c->type, weights, count, bytes);
        good = write_all(fd, bytes, count * type_size(c->type),
                         data + t->offset + first * t->columns * type_size(c->type));
    }
    free(bytes);
    free(weights);
    return good;
}

static bool write_tensor(const struct checkpoint *c, size_t index, const float *table, int fd, uint64_t data)
{
    const struct tensor *t = &c->tensors[index];
    uint64_t key = scatter(scatter(c->seed + 0x2545f4914f6cdd1du) + index);
    uint64_t rows = CHUNK_WEIGHTS / t->columns ? CHUNK_WEIGHTS / t->columns : 1;
    float *columns = malloc(t->columns * sizeof *columns);
    bool good = columns != NULL;
    if (!good)
        return false;
    for (uint64_t j = 0; j < t->columns; j++)
        columns[j] = column_scale(key, j);
#pragma omp parallel for schedule(dynamic) reduction(&& : good)
    for (uint64_t first = 0; first < t->rows; first += rows) {
        uint64_t n = t->rows - first < rows ? t->rows - first : rows;
        good = good && write_rows(c, t, key, table, columns, first, n, fd, data);
    }
    free(columns);
    return good;
}

static bool write_shard(const struct checkpoint *c, unsigned shard, const float *table)
{
    char name[64], path[4096];
    shard_name(c, shard, name, sizeof name);
    snprintf(path, sizeof path, "%s/%s", c->directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd < 0)
        return fail("cannot create", path);
    uint64_t data = write_header(c, shard, fd);
    bool good = data != 0;
    for (size_t i = 0; good && i < c->count; i++)
        if (c->tensors[i].shard == shard)
            good = write_tensor(c, i, table, fd, data);
    if (!good)
        fail("cannot write", path);
    if (close(fd) != 0 && good)
        good = fail("cannot write", path);
    return good;
}

static bool write_index(const struct checkpoint *c)
{
    char path[4096], shard[64];
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", c->directory);
    FILE *f = fopen(path, "wx");
    if (!f)
        return fail("cannot create", path);
    fprintf(f, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64 "\n  },\n  \"weight_map\": {\n", c->total_bytes);
    for (size_t i = 0; i < c->count; i++) {
        shard_name(c, c->tensors[i].shard, shard, sizeof shard);
        fprintf(f, "    \"%s\": \"%s\"%s\n", c->tensors[i].name, shard, i + 1 < c->count ? "," : "");
    }
    fprintf(f, "  }\n}\n");
    bool good = !ferror(f);
    if (fclose(f) != 0 || !good)
        return fail("cannot write", path);
    return true;
}

static bool write_config(const struct checkpoint *c)
{
    const struct model *m = c->model;
    char path[4096];
    snprintf(path, sizeof path, "%s/config.json", c->directory);
    FILE *f = fopen(path, "wx");
    if (!f)
        return fail("cannot create", path);
    fprintf(f, "{\n  \"architectures\": [\"LlamaForCausalLM\"],\n  \"model_type\": \"llama\",\n");
    fprintf(f, "  \"hidden_act\": \"silu\",\n  \"hidden_size\": %u,\n  \"intermediate_size\": %u,\n", m->hidden,
            m->inner);
    fprintf(f, "  \"max_position_embeddings\": %u,\n  \"num_attention_heads\": %u,\n", m->positions, m->heads);
    fprintf(f, "  \"num_hidden_layers\": %u,\n  \"num_key_value_heads\": %u,\n", m->layers, m->kv_heads);
    fprintf(f, "  \"rms_norm_eps\": 1e-05,\n  \"rope_theta\": 10000.0,\n  \"vocab_size\": %u,\n", m->vocabulary);
    fprintf(f, "  \"bos_token_id\": 1,\n  \"eos_token_id\": 2,\n  \"tie_word_embeddings\": %s,\n",
            m->tied ? "true" : "false");
    fprintf(f, "  \"torch_dtype\": \"%s\"\n}\n", torch_names[c->type]);
    bool good = !ferror(f);
    if (fclose(f) != 0 || !good)
        return fail("cannot write", path);
    return true;
}

static bool write_checkpoint(const struct checkpoint *c)
{
    bool good = false;
    float *table = malloc(TABLE_SIZE * sizeof *table);
    if (!table)
        goto done;
    make_normal_table(table);
    if (mkdir(c->directory, 0777) != 0) {
        fail("cannot make the directory", c->directory);
        goto done;
    }
    for (unsigned shard = 0; shard < c->shards; shard++)
        if (!write_shard(c, shard, table))
            goto done;
    if (c->shards > 1 && !write_index(c))
        goto done;
    good = write_config(c);
done:
    free(table);
    return good;
}

/* ---- Command line ------------------------------------------------------------------------- */

static void print_help(void)
{
    puts("usage: make_checkpoint --model NAME -o DIR [options]\n"
         "Writes a checkpoint of random weights in the shape of a known model into the new directory DIR.\n"
         "\n"
         "  --model NAME       one of the models below\n"
         "  -o, --output DIR   must not exist\n"
         "  --type TYPE        bf16 (default), f16 or f32\n"
         "  --shard-size SIZE  most bytes of weights in one file, such as 500MB or 5GB (default)\n"
         "  --seed N           another set of weights (default 1)\n"
         "  --threads N        default: one per core\n"
         "  --dry-run          print what would be written, and write nothing\n"
         "\n"
         "models:");
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        printf("  %-15s %2u layers of %u, %u heads, vocabulary %u\n", models[i].name, models[i].layers,
               models[i].hidden, models[i].heads, models[i].vocabulary);
}

static bool parse_number(const char *text, uint64_t *value, const char **end)
{
    char *after;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &after, 10);
    *end = after;
    return errno == 0;
}

static bool parse_size(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {{"", 1}, {"KB", 1000}, {"MB", 1000000}, {"GB", 1000000000}};
    const char *end;
    if (!parse_number(text, bytes, &end))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].name) == 0 && *bytes > 0 && *bytes <= UINT64_MAX / units[i].factor) {
            *bytes *= units[i].factor;
            return true;
        }
    }
    return false;
}

static bool parse_whole(const char *text, uint64_t most, uint64_t *value)
{
    const char *end;
    return parse_number(text, value, &end) && *end == '\0' && *value <= most;
}

static bool set_model(struct checkpoint *c, const char *name)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i].name, name) == 0)
            c->model = &models[i];
    return c->model != NULL;
}

static bool set_type(struct checkpoint *c, const char *name)
{
    static const char *const names[] = {"bf16", "f16", "f32"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], name) == 0) {
            c->type = (enum type)i;
            return true;
        }
    }
    return false;
}

enum { EXIT_USAGE = 2 };

/* False: a message was printed. */
static bool parse(struct checkpoint *c, bool *dry_run, bool *help, int argc, char **argv)
{
    static const struct option options[] = {
        {"model", required_argument, NULL, 'm'},
        {"output", required_argument, NULL, 'o'},
        {"type", required_argument, NULL, 't'},
        {"shard-size", required_argument, NULL, 's'},
        {"seed", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 'j'},
        {"dry-run", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    uint64_t threads = 0;
    bool good = true;
    while (good && (option = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
        switch (option) {
        case 'm':
            good = set_model(c, optarg);
            break;
        case 'o':
            c->directory = optarg;
            break;
        case 't':
            good = set_type(c, optarg);
            break;
        case 's':
            good = parse_size(optarg, &c->shard_bytes);
            break;
        case 'r':
            good = parse_whole(optarg, UINT64_MAX, &c->seed);
            break;
        case 'j':
            good = parse_whole(optarg, 1024, &threads);
            break;
        case 'n':
            *dry_run = true;
            break;
        case 'h':
            *help = true;
            break;
        default:
            return false;
        }
        if (!good)
            fprintf(stderr, "make_checkpoint: \"%s\" is not a value of that option; see --help\n", optarg);
    }
    if (threads)
        omp_set_num_threads((int)threads);
    if (good && !*help && (optind < argc || !c->model || (!c->directory && !*dry_run))) {
        fprintf(stderr, "make_checkpoint: wants --model NAME and -o DIR; see --help\n");
        good = false;
    }
    return good;
}

int main(int argc, char **argv)
{
    struct checkpoint c = {.type = BF16, .seed = 1, .shard_bytes = 5000000000u};
    bool dry_run = false, help = false;
    if (!parse(&c, &dry_run, &help, argc, argv))
        return EXIT_USAGE;
    if (help) {
        print_help();
        return EXIT_SUCCESS;
    }
    if (!plan(&c)) {
        fprintf(stderr, "make_checkpoint: out of memory\n");
        return EXIT_FAILURE;
    }
    double begin = omp_get_wtime();
    bool good = dry_run || write_checkpoint(&c);
    if (good)
        printf("%s: %zu tensors, %" PRIu64 " weights, %" PRIu64 " bytes, %u file%s, %.1f s\n", c.model->name, c.count,
               c.total_bytes / type_size(c.type), c.total_bytes, c.shards, c.shards == 1 ? "" : "s",
               omp_get_wtime() - begin);
    free(c.tensors);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
