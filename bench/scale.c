/* Predictions instead of clocks: how long GPUs that are not here would take to compress and to run models that are not
 * here, and what they would hold (docs/scaling.md, which has a formula for every column). */
#include <hyperc/plan.h>
#include <hyperc/run.h>

#include <getopt.h>
#include <math.h>

#include "architecture.h"
#include "backend.h"
#include "directory.h"
#include "files.h"
#include "json.h"
#include "options.h"
#include "scale_machine.h"
#include "scale_memory.h"

#include "window_encode/window_encode.h"

enum { EXIT_USAGE = 2, CONTEXT = 4096, VOCABULARY_BITS = 6, MOST_DEVICES = 64, MOST_TENSORS = 1024 };

/* A weight as it is read, and as it is uploaded: bfloat16. */
static const double weight_bytes = 2;
/* Between two kernels of a graph, until the second one's first bytes have come; an assumption. */
static const double kernel_gap = 1e-6;

struct arguments {
    const char *counts, *check, *model;
    const char *method;
    int bits, length, context, batch, devices;
    hc_split split;
    bool held;
};

/* ---- Models ------------------------------------------------------------------------------------- */

struct model {
    const char *name;
    struct hc_decoder decoder;
};

static const struct model models[] = {
    {"LLaMA2-7B",
     {.layers = 32,
      .width = 4096,
      .heads = 32,
      .key_value_heads = 32,
      .head_width = 128,
      .inner_width = 11008,
      .vocabulary = 32000}},
    {"LLaMA2-13B",
     {.layers = 40,
      .width = 5120,
      .heads = 40,
      .key_value_heads = 40,
      .head_width = 128,
      .inner_width = 13824,
      .vocabulary = 32000}},
    {"LLaMA2-70B",
     {.layers = 80,
      .width = 8192,
      .heads = 64,
      .key_value_heads = 8,
      .head_width = 128,
      .inner_width = 28672,
      .vocabulary = 32000}},
};

static const struct scale_code codes[] = {
    {.k = 2, .length = 12},
    {.k = 3, .length = 12},
    {.k = 4, .length = 12},
    {.k = 2, .length = 16},
    {.k = 3, .length = 16},
    {.k = 4, .length = 16},
    {.pair = true, .bits = 4, .entries = 16},
    {.pair = true, .bits = 6, .entries = 64},
    {.pair = true, .bits = 8, .entries = 256},
    {.pair = true, .bits = 13, .entries = 1601 * 4}, /* as published: 1600 points, 3 classes of outer pairs */
};

static const unsigned device_counts[] = {1, 2, 4, 8, 16, 64};

static struct scale_setting setting_of(const struct scale_code *code, uint32_t context, uint32_t batch)
{
    struct scale_setting setting = {*code, *code, context, batch};
    setting.vocabulary.k = VOCABULARY_BITS; /* of `window`; `pair` makes no difference */
    return setting;
}

static double weights_of(const struct hc_decoder *decoder)
{
    double layer = 0;
    for (unsigned m = 0; m < HC_LAYER_MATRICES; m++) {
        const struct hc_matrix_shape shape = hc_layer_matrix_shape(decoder, m);
        layer += (double)shape.rows * shape.columns;
    }
    return layer * decoder->layers + (decoder->tied ? 1.0 : 2.0) * decoder->vocabulary * decoder->width;
}

/* ---- The plan ----------------------------------------------------------------------------------- */

struct tensors {
    hc_tensor_info infos[MOST_TENSORS];
    struct hc_tensor_name names[MOST_TENSORS];
    size_t count;
};

static void add_tensor(struct tensors *tensors, struct hc_tensor_name name, uint64_t rows, uint64_t columns)
{
    if (tensors->count == MOST_TENSORS)
        return;
    const size_t i = tensors->count++;
    tensors->names[i] = name;
    tensors->infos[i] =
        (hc_tensor_info){tensors->names[i].text, HC_TYPE_BF16, 2, {rows, columns}, .weights = rows * columns};
}

/* All matrices; what is kept takes no time. */
static void list_tensors(struct tensors *tensors, const struct hc_decoder *decoder)
{
    const struct hc_decoder_names *names = hc_architectures[0]->names;
    tensors->count = 0;
    add_tensor(tensors, (struct hc_tensor_name){"model.embed_tokens.weight"}, decoder->vocabulary, decoder->width);
    for (uint32_t i = 0; i < decoder->layers; i++)
        for (unsigned m = 0; m < HC_LAYER_MATRICES; m++) {
            const struct hc_matrix_shape shape = hc_layer_matrix_shape(decoder, m);
            add_tensor(tensors, hc_layer_name(names, i, names->matrices[m], ".weight"), shape.rows, shape.columns);
        }
    add_tensor(tensors, (struct hc_tensor_name){"lm_head.weight"}, decoder->vocabulary, decoder->width);
}

static hc_status plan_imbalance(hc_context *context, const struct tensors *tensors, const struct scale_code *code,
                                unsigned devices, double *imbalance)
{
    hc_plan_device equal[MOST_DEVICES];
    hc_compress_options options;
    hc_plan_totals totals;
    hc_plan *plan;
    for (unsigned i = 0; i < devices; i++)
        equal[i] = (hc_plan_device){.name = "cuda"};
    hc_compress_options_init(&options);
    options.method = code->pair ? "pair" : "window";
    if (!code->pair) {
        options.window.bits = code->k;
        options.window.length = (int)code->length;
    }
    hc_status status = hc_plan_tensors(context, tensors->infos, tensors->count, &options, equal, devices, &plan);
    if (status == HC_OK) {
        hc_plan_totals_get(plan, &totals);
        *imbalance = totals.imbalance;
    }
    hc_plan_free(plan);
    return status;
}

/* ---- Compressing -------------------------------------------------------------------------------- */

/* Seconds. */
struct compression {
    double imbalance, moments, read, upload, search, write, exchange;
    double all;
    const char *limit;
};

/* How a matrix is given out: in stretches, of which every device has a share that it does part by part, in whole units
 * of its multiprocessors: tiles, or blocks of a pair (host/window.c, host/pair.c, host/engine_team.c). */
struct division {
    double stretches;
    double units; /* of a part */
};

/* Weights of a stretch for one device. */
static double stretch_weights(const struct scale_code *code)
{
    if (code->pair)
        return 1 << 22;
    return code->length > 12 ? (1 << 21) >> (code->length - 12) : 1 << 21;
}

/* A team has stretches of twice that for each device, and four parts of every share; a GPU takes a chunk at a time. */
static struct division divide(const struct scale_code *code, const struct hc_matrix_shape *shape, unsigned devices)
{
    enum { LONGER = 2, PARTS = 4, CHUNK = 1 << 20 };
    const double unit = code->pair ? HC_BLOCK : HC_TILE_WEIGHTS;
    const double row = code->pair ? 1 : (double)scale_up(shape->columns, HC_TILE) / HC_TILE; /* units, not to be cut */
    const double rows = ceil((double)shape->rows * shape->columns / unit / row);
    const double of_device = fmax(1, floor(stretch_weights(code) / unit / row));
    const bool team = devices > 1;
    const double stretch = fmin(rows, of_device * (team ? LONGER * devices : 1));
    const double part = ceil(ceil(stretch / devices) / (team ? PARTS : 1)) * row;
    return (struct division){ceil(rows / stretch), fmin(part, CHUNK / unit)};
}

/* Which share of its multiprocessors a device can use. */
static double filled(const struct division *division, unsigned processors)
{
    return division->units / (ceil(division->units / processors) * processors);
}

/* States that the search of a weight looks at. */
static double candidates(unsigned k, unsigned length)
{
    return (double)(hc_window_near(k, length) << (length - k)) * (1 + hc_window_seam(k, length) / 256.0);
}

/* Weights a second of one GPU. A k that was not counted takes as long for a candidate as 4 does. */
static double search_rate(const struct scale_rates *rates, const struct scale_code *code)
{
    if (code->pair) /* once to try, and once to encode */
        return rates->pair_search / 2 * SCALE_GIGA;
    if (rates->search[code->k][code->length] > 0)
        return rates->search[code->k][code->length] * SCALE_GIGA;
    return rates->search[4][code->length] * SCALE_GIGA * candidates(4, code->length) /
           candidates(code->k, code->length);
}

/* Between hosts, for a matrix: column norms, codes and scales and errors of every stretch; factors, codes and scales of
 * the rows of tiles that do not come out even. */
static double exchange_seconds(const struct scale_machine *machine, const struct scale_code *code,
                               const struct hc_matrix_shape *shape, unsigned devices)
{
    enum { PASSES = 2, OF_STRETCH = 3, OF_REST = 3, COLUMN_BYTES = 4 + 8 };
    const unsigned hosts = scale_hosts(devices);
    const bool rest = !code->pair && scale_up(shape->rows, HC_TILE) / HC_TILE % hosts > 0;
    const double calls = PASSES + !code->pair + OF_STRETCH * divide(code, shape, devices).stretches + OF_REST * rest;
    const double norms = 2.0 * shape->columns * COLUMN_BYTES; /* there and back */
    const double coded = (double)scale_code_bytes(code, shape->rows, shape->columns) + 2.0 * shape->rows;
    const double moments = code->pair ? 0 : 8.0 * shape->rows;
    if (hosts == 1)
        return 0;
    return calls * scale_all_gather_hosts(machine, hosts, 0) +
           scale_all_gather_hosts(machine, hosts, norms + coded + moments);
}

/* Adds what `count` matrices of one shape take. */
static void add_matrices(struct compression *c, const struct scale_machine *machine, const struct scale_rates *rates,
                         const struct scale_code *code, struct hc_matrix_shape shape, double count, unsigned devices)
{
    const struct division division = divide(code, &shape, devices);
    const double weights = (double)shape.rows * shape.columns;
    c->search += count * weights / search_rate(rates, code) / devices / filled(&division, machine->processors);
    c->exchange += count * exchange_seconds(machine, code, &shape, devices);
}

static double coded_bytes(const struct hc_decoder *decoder, const struct scale_setting *setting)
{
    struct hc_share share;
    struct scale_memory memory = {0};
    hc_share_make(&share, decoder, HC_SPLIT_TENSORS, 0, 1, NULL, NULL);
    scale_add_weights(&memory, &share, decoder, setting);
    return (double)memory.stored;
}

static void find_limit(struct compression *c)
{
    const struct {
        const char *name;
        double seconds;
    } terms[] = {{"moments", c->moments}, {"read", c->read},   {"upload", c->upload},
                 {"search", c->search},   {"write", c->write}, {"exchange", c->exchange}};
    size_t most = 0;
    for (size_t i = 1; i < sizeof terms / sizeof *terms; i++)
        if (terms[i].seconds > terms[most].seconds)
            most = i;
    c->limit = terms[most].name;
}

static struct compression compression_of(const struct scale_machine *machine, const struct scale_rates *rates,
                                         const struct hc_decoder *decoder, const struct scale_setting *setting,
                                         unsigned devices, double imbalance)
{
    const struct hc_matrix_shape vocabulary = {decoder->vocabulary, decoder->width};
    const double read = weights_of(decoder) * weight_bytes;
    struct compression c = {.imbalance = imbalance};
    c.read = read / scale_hosts(devices) / (scale_read * SCALE_GIGA);
    c.moments = setting->layers.pair ? 0 : c.read; /* the same bytes, once more */
    c.upload = read / devices / (machine->pcie * SCALE_GIGA);
    c.write = coded_bytes(decoder, setting) / (scale_write * SCALE_GIGA);
    for (unsigned m = 0; m < HC_LAYER_MATRICES; m++)
        add_matrices(&c, machine, rates, &setting->layers, hc_layer_matrix_shape(decoder, m), decoder->layers, devices);
    add_matrices(&c, machine, rates, &setting->vocabulary, vocabulary, decoder->tied ? 1 : 2, devices);
    c.search *= 1 + imbalance;
    c.all = c.moments + fmax(fmax(c.read, c.upload), fmax(c.search, c.write)) + c.exchange;
    find_limit(&c);
    return c;
}

/* ---- Running ------------------------------------------------------------------------------------ */

/* Seconds for a token; the GPU's memory for what is read, of the device that takes longest. */
struct token {
    double codes, cache, kernels, exchange;
};

static double all_of(const struct token *token)
{
    return token->codes + token->cache + token->kernels + token->exchange;
}

/* Either the memory limits a product, or the instructions do. */
static double product_seconds(const struct scale_machine *machine, const struct scale_rates *rates,
                              const struct scale_code *code, const struct hc_cut *cut)
{
    const double rate = code->pair ? rates->pair_product : rates->product[code->k];
    const double weights = (double)(scale_up(cut->rows, HC_TILE) * scale_up(cut->columns, HC_TILE));
    const double bytes = (double)scale_code_bytes(code, cut->rows, cut->columns);
    return fmax(bytes / (machine->bandwidth * SCALE_GIGA), weights / (rate * SCALE_GIGA));
}

static struct token reads_of(const struct scale_machine *machine, const struct scale_rates *rates,
                             const struct hc_share *share, const struct hc_decoder *decoder,
                             const struct scale_setting *setting)
{
    const struct hc_decoder local = hc_share_decoder(share, decoder);
    const struct hc_cut vocabulary = hc_share_vocabulary_cut(share, decoder);
    struct token token = {.cache =
                              (double)scale_cache_bytes(&local, setting->context) / (machine->bandwidth * SCALE_GIGA)};
    for (unsigned m = 0; m < HC_LAYER_MATRICES; m++) {
        const struct hc_cut cut = hc_share_cut(share, decoder, m);
        token.codes += local.layers * product_seconds(machine, rates, &setting->layers, &cut);
    }
    if (share->decides)
        token.codes += product_seconds(machine, rates, &setting->vocabulary, &vocabulary);
    return token;
}

/* Launches of a token, as the emulator counts them: 15 in a layer. */
static double kernel_seconds(const struct hc_decoder *decoder)
{
    enum { OF_LAYER = 15, OTHERS = 6 };
    return (OF_LAYER * decoder->layers + OTHERS) * kernel_gap;
}

/* Of a matrix by columns, the sum of what it gives; by rows, what it reads, and what it gives. */
static double matrix_exchange(const struct scale_machine *machine, const struct hc_decoder *decoder,
                              enum hc_layer_matrix which, bool by_rows, unsigned devices)
{
    const struct hc_matrix_shape shape = hc_layer_matrix_shape(decoder, which);
    if (!by_rows)
        return scale_all_reduce(machine, devices, 4.0 * shape.rows);
    return scale_all_gather(machine, devices, 4.0 * shape.columns) +
           scale_all_gather(machine, devices, 4.0 * shape.rows);
}

/* The embedding, o and down, and 8 bytes of every rank for the token. */
static double tensor_exchanges(const struct scale_machine *machine, const struct hc_decoder *decoder,
                               const struct hc_share *share)
{
    const unsigned devices = (unsigned)share->ranks;
    const double layer = matrix_exchange(machine, decoder, HC_OUTPUT, share->output_by_rows, devices) +
                         matrix_exchange(machine, decoder, HC_DOWN, share->down_by_rows, devices);
    return decoder->layers * layer + scale_all_reduce(machine, devices, 4.0 * decoder->width) +
           scale_all_reduce(machine, devices, 8.0 * devices);
}

/* From device to device, and the token back to the first one. */
static double layer_exchanges(const struct scale_machine *machine, const struct hc_decoder *decoder, unsigned devices)
{
    const unsigned hosts = scale_hosts(devices);
    const double width = 4.0 * decoder->width;
    if (devices == 1)
        return 0;
    return (devices - hosts) * scale_send(machine, false, width) + (hosts - 1) * scale_send(machine, true, width) +
           scale_send(machine, hosts > 1, 8);
}

struct running {
    struct token token;
    struct scale_memory memory; /* of the device that holds most */
};

static hc_status run_split(const struct scale_machine *machine, const struct scale_rates *rates,
                           const struct hc_decoder *decoder, const struct scale_setting *setting, hc_split split,
                           unsigned devices, struct running *running)
{
    struct hc_share share;
    *running = (struct running){0};
    for (unsigned r = 0; r < devices; r++) {
        hc_status status = hc_share_make(&share, decoder, split, (int)r, (int)devices, NULL, NULL);
        if (status != HC_OK)
            return status;
        const struct token reads = reads_of(machine, rates, &share, decoder, setting);
        const struct scale_memory memory = scale_memory_of(&share, decoder, setting);
        if (scale_total(&memory) > scale_total(&running->memory))
            running->memory = memory;
        if (split == HC_SPLIT_LAYERS) { /* one after the other */
            running->token.codes += reads.codes;
            running->token.cache += reads.cache;
        } else if (all_of(&reads) > all_of(&running->token)) {
            running->token = reads;
        }
    }
    running->token.kernels = kernel_seconds(decoder);
    running->token.exchange = split == HC_SPLIT_TENSORS ? tensor_exchanges(machine, decoder, &share)
                                                        : layer_exchanges(machine, decoder, devices);
    return HC_OK;
}

/* ---- The table ---------------------------------------------------------------------------------- */

static const char heading[] =
    "gpu,model,devices,method,bits,length,imbalance_percent,moments_s,read_s,upload_s,search_s,write_s,exchange_s,"
    "compress_s,limited_by,codes_ms,cache_ms,kernels_ms,exchange_ms,token_ms,layers_token_ms,weights_gb,cache_gb,"
    "activations_gb,workspace_gb,device_gb,layers_device_gb\n";

static void print_code(FILE *file, const struct scale_code *code)
{
    if (code->pair)
        fprintf(file, "pair,%g,,", code->bits / 2.0);
    else
        fprintf(file, "window,%u,%u,", code->k, code->length);
}

static void print_compression(FILE *file, const struct compression *c)
{
    fprintf(file, "%.2f,%.3g,%.3g,%.3g,%.3g,%.3g,%.3g,%.3g,%s,", 100 * c->imbalance, c->moments, c->read, c->upload,
            c->search, c->write, c->exchange, c->all, c->limit);
}

static void print_running(FILE *file, const struct running *tensors, const struct running *layers)
{
    const struct token *token = &tensors->token;
    const struct scale_memory *memory = &tensors->memory;
    fprintf(file, "%.3g,%.3g,%.3g,%.3g,%.3g,", 1e3 * token->codes, 1e3 * token->cache, 1e3 * token->kernels,
            1e3 * token->exchange, 1e3 * all_of(token));
    if (layers)
        fprintf(file, "%.3g", 1e3 * all_of(&layers->token));
    fprintf(file, ",%.4g,%.4g,%.4g,%.4g,%.4g,", (double)memory->weights / SCALE_GIGA,
            (double)memory->cache / SCALE_GIGA, (double)memory->activations / SCALE_GIGA,
            (double)memory->workspace / SCALE_GIGA, (double)scale_total(memory) / SCALE_GIGA);
    if (layers)
        fprintf(file, "%.4g", (double)scale_total(&layers->memory) / SCALE_GIGA);
    fputc('\n', file);
}

/* What stays the same from row to row. */
struct table {
    FILE *file;
    hc_context *context;
    struct tensors tensors;
    struct scale_rates rates;
};

static hc_status print_row(struct table *table, const struct scale_machine *machine, const struct model *model,
                           unsigned devices, const struct scale_code *code)
{
    const struct hc_decoder *decoder = &model->decoder;
    const struct scale_setting setting = setting_of(code, CONTEXT, HC_DEFAULT_BATCH);
    struct running tensors, layers;
    double imbalance = 0;
    hc_status status = plan_imbalance(table->context, &table->tensors, code, devices, &imbalance);
    if (status == HC_OK)
        status = run_split(machine, &table->rates, decoder, &setting, HC_SPLIT_TENSORS, devices, &tensors);
    if (status != HC_OK)
        return status;
    const bool cut = run_split(machine, &table->rates, decoder, &setting, HC_SPLIT_LAYERS, devices, &layers) == HC_OK;
    const struct compression c = compression_of(machine, &table->rates, decoder, &setting, devices, imbalance);
    fprintf(table->file, "%s,%s,%u,", machine->gpu, model->name, devices);
    print_code(table->file, code);
    print_compression(table->file, &c);
    print_running(table->file, &tensors, cut ? &layers : NULL);
    return HC_OK;
}

static hc_status print_model(struct table *table, const struct scale_machine *machine, const struct model *model)
{
    hc_status status = HC_OK;
    list_tensors(&table->tensors, &model->decoder);
    for (size_t c = 0; c < sizeof codes / sizeof *codes; c++)
        for (size_t d = 0; d < sizeof device_counts / sizeof *device_counts; d++)
            HC_TRY(print_row(table, machine, model, device_counts[d], &codes[c]));
done:
    return status;
}

static bool print_table(struct table *table, const char *counts)
{
    fputs(heading, table->file);
    for (size_t g = 0; g < SCALE_MACHINES; g++) {
        if (!scale_read_rates(counts, scale_machines[g].gpu, &table->rates))
            return false;
        for (size_t m = 0; m < sizeof models / sizeof *models; m++)
            if (print_model(table, &scale_machines[g], &models[m]) != HC_OK) {
                fprintf(stderr, "scale: %s\n", hc_message(table->context));
                return false;
            }
    }
    return true;
}

/* Line by line, exactly. */
static bool compare(const char *committed, FILE *now)
{
    char was[1024], is[1024];
    size_t lines = 0, faults = 0;
    FILE *file = fopen(committed, "r");
    if (!file) {
        fprintf(stderr, "%s: cannot be read\n", committed);
        return false;
    }
    rewind(now);
    for (bool more = true; more; lines += more) {
        const bool one = fgets(was, sizeof was, file), other = fgets(is, sizeof is, now);
        more = one || other;
        if (!more || (one && other && strcmp(was, is) == 0))
            continue;
        printf("was %sis  %s", one ? was : "nothing\n", other ? is : "nothing\n");
        faults++;
    }
    fclose(file);
    printf("%s: %zu lines, %zu differences\n", committed, lines, faults);
    return faults == 0 && lines > 1;
}

static bool run_table(const struct arguments *arguments)
{
    struct table *table = calloc(1, sizeof *table);
    bool good = table && hc_context_create(&table->context, NULL) == HC_OK;
    if (good) {
        table->file = arguments->check ? tmpfile() : stdout;
        good = table->file && print_table(table, arguments->counts);
        if (good && arguments->check)
            good = compare(arguments->check, table->file);
        if (arguments->check && table->file)
            fclose(table->file);
    }
    if (table)
        hc_context_destroy(table->context);
    free(table);
    return good;
}

/* ---- The memory of one model -------------------------------------------------------------------- */

static hc_status read_config(const char *directory, struct hc_decoder *decoder, struct hc_error *error)
{
    enum { MAX_BYTES = 16 << 20, DEPTH = 32 };
    const struct hc_architecture *architecture;
    char *path = hc_path_join(directory, HC_CONFIG_NAME), *text = NULL;
    json_t *config = NULL;
    size_t bytes;
    hc_status status = path ? HC_OK : hc_no_memory(error);
    if (status != HC_OK)
        return status;
    HC_TRY(hc_read_file(path, MAX_BYTES, &text, &bytes, error));
    HC_TRY(hc_json_parse(text, bytes, DEPTH, path, &config, error));
    HC_TRY(hc_architecture_find(config, path, &architecture, error));
    HC_TRY(architecture->configure(config, path, decoder, error));
done:
    json_decref(config);
    free(text);
    free(path);
    return status;
}

static struct scale_setting setting_asked(const struct arguments *arguments, const struct hc_decoder *decoder)
{
    const struct scale_code published = codes[sizeof codes / sizeof *codes - 1];
    const struct scale_code window = {.k = (unsigned)arguments->bits, .length = (unsigned)arguments->length};
    const uint32_t context = arguments->context ? (uint32_t)arguments->context : decoder->context;
    return setting_of(strcmp(arguments->method, "pair") == 0 ? &published : &window, context,
                      (uint32_t)scale_least((uint32_t)arguments->batch, context));
}

/* What a device has of a model that is there: as the library counts it, and as the device itself says, by what is free
 * before and after. The CUDA context is there before; what cuBLAS and NCCL take for themselves is in `taken`. */
struct held {
    hc_rank_use use;
    int64_t taken_weights, taken;
};

/* Runtimes that only ask their devices, and keep those from going away. */
struct probes {
    struct hc_kernels kernels;
    struct hc_runtime runtimes[MOST_DEVICES];
    uint64_t before[MOST_DEVICES];
    int count;
};

static hc_status ask_free(struct hc_runtime *runtime, uint64_t *bytes, struct hc_error *error)
{
    if (!runtime->table->free_memory)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "a device does not tell how much memory is free");
    return runtime->table->free_memory(runtime, bytes, error);
}

static hc_status open_probes(struct probes *probes, int devices, struct hc_error *error)
{
    hc_status status = HC_OK;
    hc_kernels_init(&probes->kernels, HC_TIER_BEST);
    while (status == HC_OK && probes->count < devices) {
        char name[24];
        struct hc_runtime *runtime = &probes->runtimes[probes->count];
        snprintf(name, sizeof name, "cuda:%d", probes->count);
        status = hc_backend_runtime(name, runtime, &probes->kernels, 1, error);
        if (status == HC_OK)
            status = ask_free(runtime, &probes->before[probes->count++], error);
    }
    return status;
}

static void close_probes(struct probes *probes)
{
    for (int d = 0; d < probes->count; d++)
        probes->runtimes[d].table->destroy(&probes->runtimes[d]);
}

/* What is taken since the probes were opened; of the weights alone while there is no sequence. */
static hc_status ask_taken(struct probes *probes, bool weights, struct held *held, struct hc_error *error)
{
    hc_status status = HC_OK;
    for (int d = 0; status == HC_OK && d < probes->count; d++) {
        uint64_t now = 0;
        status = ask_free(&probes->runtimes[d], &now, error);
        *(weights ? &held[d].taken_weights : &held[d].taken) = (int64_t)(probes->before[d] - now);
    }
    return status;
}

static hc_status ask_uses(hc_context *context, hc_sequence *sequence, int devices, struct held *held,
                          struct hc_error *error)
{
    hc_rank_use uses[MOST_DEVICES];
    hc_status status = hc_sequence_use(sequence, uses);
    for (int d = 0; status == HC_OK && d < devices; d++)
        held[d].use = uses[d];
    return status == HC_OK ? HC_OK : hc_fail(error, status, "%s", hc_message(context));
}

static hc_status open_held(const struct arguments *arguments, const struct scale_setting *setting, hc_context *context,
                           struct probes *probes, struct held *held, struct hc_error *error)
{
    const hc_sequence_options options = {
        .context = setting->context, .batch = setting->batch, .logits = 1, .cache_type = HC_TYPE_F16};
    hc_network *network = NULL;
    hc_sequence *sequence = NULL;
    hc_status status = hc_network_open(context, arguments->model, &network);
    if (status == HC_OK) {
        HC_TRY(ask_taken(probes, true, held, error));
        status = hc_sequence_create(context, network, &options, &sequence);
    }
    if (status != HC_OK) {
        hc_fail(error, status, "%s", hc_message(context));
        goto done;
    }
    HC_TRY(ask_taken(probes, false, held, error));
    status = ask_uses(context, sequence, arguments->devices, held, error);
done:
    hc_sequence_destroy(sequence);
    hc_network_close(network);
    return status;
}

static hc_status measure_held(const struct arguments *arguments, const struct scale_setting *setting, struct held *held,
                              struct hc_error *error)
{
    char names[16 * MOST_DEVICES];
    int length = 0;
    struct probes probes = {0};
    hc_context_options options;
    hc_context *context = NULL;
    hc_context_options_init(&options);
    for (int d = 0; d < arguments->devices; d++)
        length += snprintf(names + length, sizeof names - (size_t)length, "%scuda:%d", d ? "," : "", d);
    options.device = names;
    options.split = arguments->split;
    hc_status status = open_probes(&probes, arguments->devices, error);
    if (status == HC_OK) {
        status = hc_context_create(&context, &options);
        if (status != HC_OK)
            hc_fail(error, status, "%s", hc_message(context));
    }
    if (status == HC_OK)
        status = open_held(arguments, setting, context, &probes, held, error);
    hc_context_destroy(context);
    close_probes(&probes);
    return status;
}

static bool is_near(double predicted, double held, double most)
{
    return fabs(predicted / held - 1) <= most;
}

/* False if the prediction is wrong. What sequences take is mostly the same for any split: it must be nearer. */
static bool print_rank(int rank, const struct scale_memory *memory, const struct held *held)
{
    const uint64_t sequence = scale_total(memory) - memory->weights, all = scale_total(memory);
    printf("%d,%llu,%llu,%llu,%llu,%llu,%llu,%llu,%llu", rank, (unsigned long long)memory->stored,
           (unsigned long long)memory->weights, (unsigned long long)memory->given, (unsigned long long)memory->cache,
           (unsigned long long)memory->activations, (unsigned long long)memory->workspace, (unsigned long long)sequence,
           (unsigned long long)all);
    if (held)
        printf(",%llu,%llu,%lld,%lld", (unsigned long long)held->use.weight_bytes,
               (unsigned long long)held->use.sequence_bytes, (long long)held->taken_weights, (long long)held->taken);
    putchar('\n');
    return !held || (is_near((double)memory->stored, (double)held->use.weight_bytes, 0.02) &&
                     is_near((double)sequence, (double)held->use.sequence_bytes, 0.001) &&
                     is_near((double)memory->given, (double)held->taken_weights, 0.1) &&
                     is_near((double)all, (double)held->taken, 0.1));
}

static hc_status print_memory(const struct arguments *arguments, struct hc_error *error)
{
    struct held held[MOST_DEVICES] = {0};
    struct hc_decoder decoder;
    bool near = true;
    hc_status status = read_config(arguments->model, &decoder, error);
    if (status != HC_OK)
        return status;
    const struct scale_setting setting = setting_asked(arguments, &decoder);
    if (arguments->held)
        HC_TRY(measure_held(arguments, &setting, held, error));
    printf("rank,stored,weights,given,cache,activations,workspace,sequence,all%s\n",
           arguments->held ? ",library_stored,library_sequence,device_weights,device_all" : "");
    for (int r = 0; r < arguments->devices; r++) {
        struct hc_share share;
        HC_TRY(hc_share_make(&share, &decoder, arguments->split, r, arguments->devices, NULL, error));
        const struct scale_memory memory = scale_memory_of(&share, &decoder, &setting);
        near = print_rank(r, &memory, arguments->held ? &held[r] : NULL) && near;
    }
    if (!near)
        status = hc_fail(error, HC_ERR_DIFFERENT, "what is held is not what was predicted");
done:
    return status;
}

static bool run_memory(const struct arguments *arguments)
{
    struct hc_error error;
    const bool good = print_memory(arguments, &error) == HC_OK;
    if (!good)
        fprintf(stderr, "scale: %s\n", error.text);
    return good;
}

/* ---- Command line ------------------------------------------------------------------------------- */

static void print_help(void)
{
    puts("usage: scale [--counts FILE] [--check FILE]\n"
         "       scale --memory DIR [options]\n"
         "Predicts how long GPUs take to compress and to run the LLaMA2 models, and what they hold; docs/scaling.md "
         "tells\n"
         "what the columns are made of. Nothing of it is measured.\n"
         "\n"
         "  --counts FILE   what bench/sass.sh counted (default bench/results/sass.csv)\n"
         "  --check FILE    compares the table with that one\n"
         "  --memory DIR    bytes on each device, for the model whose config.json lies there:\n"
         "    --devices N   (default 1)\n"
         "    --split HOW   tensors (default) or layers\n"
         "    --method NAME window (default), or pair with its published settings\n"
         "    --bits K      of `window` (default 4); embedding and head have 6\n"
         "    --length L    of its codes (default 12)\n"
         "    --context N   positions in the cache (default: all that the model allows)\n"
         "    --batch N     positions at once (default 512)\n"
         "    --held        opens the compressed model on equal GPUs, and compares what is held:\n"
         "                  library_...: as the library counts it, stored to 2 %, sequence to 0.1 %\n"
         "                  device_...: as the devices do, before and after, given and all to 10 %;\n"
         "                  with what cuBLAS and NCCL take for themselves, which is not predicted");
}

static bool parse_split(const char *text, hc_split *split)
{
    *split = strcmp(text, "layers") == 0 ? HC_SPLIT_LAYERS : HC_SPLIT_TENSORS;
    return *split == HC_SPLIT_LAYERS || strcmp(text, "tensors") == 0;
}

static bool parse_method(const char *text, const char **method)
{
    *method = text;
    return strcmp(text, "window") == 0 || strcmp(text, "pair") == 0;
}

static bool parse_option(struct arguments *arguments, int option, const char *text)
{
    switch (option) {
    case 'f':
        arguments->counts = text;
        return true;
    case 'c':
        arguments->check = text;
        return true;
    case 'm':
        arguments->model = text;
        return true;
    case 'd':
        return parse_count(text, MOST_DEVICES, &arguments->devices);
    case 's':
        return parse_split(text, &arguments->split);
    case 'M':
        return parse_method(text, &arguments->method);
    case 'k':
        return parse_count(text, HC_WINDOW_MAX_K, &arguments->bits);
    case 'l':
        return parse_count(text, 16, &arguments->length);
    case 't':
        return parse_count(text, 1 << 24, &arguments->context);
    case 'b':
        return parse_count(text, UINT16_MAX, &arguments->batch);
    case 'H':
        return arguments->held = true;
    default:
        return false;
    }
}

/* Returns the exit status, or -1 to go on. */
static int parse(struct arguments *arguments, int argc, char **argv)
{
    static const struct option options[] = {
        {"counts", required_argument, NULL, 'f'},
        {"check", required_argument, NULL, 'c'},
        {"memory", required_argument, NULL, 'm'},
        {"devices", required_argument, NULL, 'd'},
        {"split", required_argument, NULL, 's'},
        {"method", required_argument, NULL, 'M'},
        {"bits", required_argument, NULL, 'k'},
        {"length", required_argument, NULL, 'l'},
        {"context", required_argument, NULL, 't'},
        {"batch", required_argument, NULL, 'b'},
        {"held", no_argument, NULL, 'H'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    bool good = true;
    int option;
    while (good && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return EXIT_SUCCESS;
        }
        good = parse_option(arguments, option, optarg);
    }
    if (good && optind == argc && hc_window_code_find((unsigned)arguments->bits, (unsigned)arguments->length))
        return -1;
    fprintf(stderr, "scale: see --help\n");
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.counts = "bench/results/sass.csv",
                                  .method = "window",
                                  .bits = 4,
                                  .length = 12,
                                  .batch = HC_DEFAULT_BATCH,
                                  .devices = 1};
    const int code = parse(&arguments, argc, argv);
    if (code >= 0)
        return code;
    const bool good = arguments.model ? run_memory(&arguments) : run_table(&arguments);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
