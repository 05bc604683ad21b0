/* Signal to noise against the exact number of stored bits per weight: the library's methods, common ways to round
 * weights, and the limit that no code can pass.
 *
 * The library's figures are those that hc_compress reports of a run that writes nothing: everything stored counts,
 * scales and padding included. Random data are one matrix of SIZE x SIZE weights with the deviation of a language
 * model's, since the published settings of `pair` mean weights of that size. `window-codec` is the code alone, without
 * scales and transform, on normal numbers. */
#include "baselines.h"
#include "rate_table.h"
#include "sources.h"

#include <dirent.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE = 1024, SEED = 4, BATCH = 16, MAX_PATH = 4096, EXIT_USAGE = 2, EXIT_NOT_RUN = 77 };
static const double deviation = 0.02;

#define MODEL_NAME "all-MiniLM-L6-v2"
/* What stands for the model where all of it would take too long. */
#define LAYER "encoder.layer.5."

static const int window_bits[] = {1, 2, 3, 4, 5, 6, 8};
static const int window_lengths[] = {8, 12, 14, 16};
static const uint32_t pair_points[] = {100, 400, 1600, 6400};
static const unsigned integer_bits[] = {2, 3, 4, 5, 6, 7, 8};
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Sums over one or more tensors. */
struct tally {
    double squared_error, squared_weights, weights, bits;
};

struct tensor_tally {
    char name[128];
    struct tally tally;
};

struct bench {
    bool quick;
    const char *model;
    hc_context *context;
    char scratch[MAX_PATH];
    struct rate_table table;
    /* Of the run at hand: */
    const char *data, *method;
    char settings[64];
    struct tensor_tally *tensors;
    size_t tensor_count, tensor_room;
    bool failed;
};

static bool fail(struct bench *bench, const char *what, const char *why)
{
    fprintf(stderr, "rate_distortion: %s: %s\n", what, why);
    bench->failed = true;
    return false;
}

/* ---- Rows --------------------------------------------------------------------------------- */

static void add_row(struct bench *bench, const char *tensor, bool of_tensor, double bits, double decibel)
{
    struct rate_row row = {.bits = bits, .decibel = decibel, .of_tensor = of_tensor};
    snprintf(row.key, sizeof row.key, "%s,%s,%s,%s", bench->data, tensor, bench->method, bench->settings);
    if (!rate_add(&bench->table, &row))
        fail(bench, row.key, "out of memory");
}

static void add_tally(struct bench *bench, const char *tensor, bool of_tensor, const struct tally *tally)
{
    if (!(tally->weights > 0))
        fail(bench, bench->data, "nothing was coded");
    add_row(bench, tensor, of_tensor, tally->bits / tally->weights,
            10 * log10(tally->squared_weights / tally->squared_error));
}

static void sum_tallies(struct tally *sum, const struct tally *tally)
{
    sum->squared_error += tally->squared_error;
    sum->squared_weights += tally->squared_weights;
    sum->weights += tally->weights;
    sum->bits += tally->bits;
}

static void note_tensor(struct bench *bench, const char *name, const struct tally *tally)
{
    if (bench->tensor_count == bench->tensor_room) {
        size_t room = 2 * bench->tensor_room + 16;
        struct tensor_tally *tensors = realloc(bench->tensors, room * sizeof *tensors);
        if (!tensors) {
            fail(bench, name, "out of memory");
            return;
        }
        bench->tensors = tensors;
        bench->tensor_room = room;
    }
    struct tensor_tally *note = &bench->tensors[bench->tensor_count++];
    snprintf(note->name, sizeof note->name, "%s", name);
    note->tally = *tally;
}

/* Rows of the tensors noted: their total, that of the layer, and each tensor, where there are several. */
static void add_noted(struct bench *bench, bool each)
{
    struct tally total = {0}, layer = {0};
    size_t in_layer = 0;
    for (size_t i = 0; i < bench->tensor_count; i++) {
        struct tensor_tally *note = &bench->tensors[i];
        bool inside = strncmp(note->name, LAYER, strlen(LAYER)) == 0;
        in_layer += inside;
        sum_tallies(&total, &note->tally);
        if (inside)
            sum_tallies(&layer, &note->tally);
        if (each && bench->tensor_count > 1)
            add_tally(bench, note->name, true, &note->tally);
    }
    if (bench->tensor_count > in_layer || in_layer == 0)
        add_tally(bench, "all", false, &total);
    if (in_layer > 0)
        add_tally(bench, LAYER "*", false, &layer);
    bench->tensor_count = 0;
}

/* ---- The library -------------------------------------------------------------------------- */

static void tensor_done(const hc_tensor_info *info, void *user)
{
    if (info->method)
        note_tensor(user, info->name,
                    &(struct tally){info->squared_error, info->squared_weights, (double)info->weights,
                                    8 * (double)info->stored_bytes});
}

static bool compress(struct bench *bench, const char *input, hc_compress_options *options)
{
    char output[MAX_PATH + 32];
    snprintf(output, sizeof output, "%s/coded", bench->scratch);
    options->tensor_done = tensor_done;
    options->user = bench;
    options->dry_run = true;
    if (hc_compress(bench->context, input, output, options) != HC_OK)
        return fail(bench, input, hc_message(bench->context));
    return true;
}

static void run_window(struct bench *bench, const char *input, const hc_patterns *only, int k, int length, bool each)
{
    const hc_bits_for all = {"*", k};
    hc_compress_options options;
    hc_compress_options_init(&options);
    options.method = "window";
    options.window.bits_for = &all;
    options.window.bits_for_count = 1;
    options.window.length = length;
    options.only = *only;
    bench->method = "window";
    snprintf(bench->settings, sizeof bench->settings, "k=%d L=%d", k, length);
    if (compress(bench, input, &options))
        add_noted(bench, each);
}

static void run_pair(struct bench *bench, const char *input, const hc_patterns *only, uint32_t points, bool chosen)
{
    hc_compress_options options;
    hc_compress_options_init(&options);
    options.method = "pair";
    options.pair.points = &points;
    options.pair.point_counts = 1;
    if (chosen)
        options.pair.side = 0;
    options.only = *only;
    bench->method = "pair";
    snprintf(bench->settings, sizeof bench->settings, "U=%u side=%s", (unsigned)points, chosen ? "auto" : "0.1");
    if (compress(bench, input, &options))
        add_noted(bench, true);
}

/* Which windows are measured. In quick runs k = 2 to 4 at L = 12, k = 3 alone where the machine knows no vectors, which
 * makes them 50 times slower. Else all but what takes too long: at L = 16 k is 2 to 4 or 8, but for the normal data as
 * a whole; 8 bits have no fast encoder at lengths between 8 and 16, and are measured once at the default length. */
static bool in_table(const struct bench *bench, int k, int length, bool thorough)
{
    bool vectors = hc_cpu_tier() > HC_TIER_C;
    if (bench->quick)
        return length == 12 && k >= (vectors ? 2 : 3) && k <= (vectors ? 4 : 3);
    if (k == 8)
        return length == 8 || length == 16 || (length == 12 && thorough);
    return length < 16 || (k >= 2 && k <= 4) || thorough;
}

static void run_windows(struct bench *bench, const char *input, const hc_patterns *only, int length, bool thorough,
                        bool each)
{
    for (size_t i = 0; i < COUNT(window_bits); i++)
        if (in_table(bench, window_bits[i], length, thorough))
            run_window(bench, input, only, window_bits[i], length, each);
}

static void run_pairs(struct bench *bench, const char *input, const hc_patterns *only)
{
    for (size_t i = 0; i < COUNT(pair_points); i++)
        for (int chosen = 0; chosen < 2; chosen++)
            if (!bench->quick || (pair_points[i] == 1600 && !chosen))
                run_pair(bench, input, only, pair_points[i], chosen);
}

/* ---- The code alone ----------------------------------------------------------------------- */

/* One (k, L) made ready. */
struct codec {
    struct hc_window_encode_ops ops;
    struct hc_window_trellis trellis;
    uint16_t *table;
    int16_t *codebook;
    void *layout;
    float scale;
};

static void *aligned(size_t bytes)
{
    return aligned_alloc(64, (bytes + 64) / 64 * 64);
}

static void codec_close(struct codec *codec)
{
    free(codec->table);
    free(codec->codebook);
    free(codec->layout);
}

static bool codec_open(struct codec *codec, unsigned k, unsigned length)
{
    struct hc_kernels kernels;
    hc_kernels_init(&kernels, HC_TIER_BEST);
    *codec = (struct codec){.ops = kernels.window_encode};
    codec->table = malloc(sizeof *codec->table << length);
    codec->codebook = malloc(sizeof *codec->codebook << length);
    codec->layout = aligned(codec->ops.layout_bytes(k, length));
    if (!codec->table || !codec->codebook || !codec->layout)
        return false;
    const struct hc_window_code *code = hc_window_code_find(k, length);
    hc_window_table(code, codec->table);
    codec->scale = hc_window_codebook(code, codec->table, codec->codebook);
    codec->trellis = (struct hc_window_trellis){
        .k = k, .length = length, .multiplier = code->multiplier, .codebook = codec->codebook, .layout = codec->layout};
    codec->ops.prepare(&codec->trellis);
    return true;
}

/* Squared error of BATCH tiles of weights of unit deviation. */
static double codec_error(const struct codec *codec, const float *weights, void *scratch)
{
    unsigned k = codec->trellis.k, length = codec->trellis.length;
    struct hc_convert_ops convert;
    int16_t scaled[BATCH * HC_TILE_WEIGHTS];
    uint8_t codes[BATCH * HC_TILE_WEIGHTS / 8 * HC_WINDOW_MAX_K];
    double sum = 0;
    hc_convert_c(&convert);
    for (unsigned i = 0; i < BATCH * HC_TILE_WEIGHTS; i++)
        scaled[i] = (int16_t)lrintf(fminf(fmaxf(weights[i] * codec->scale, -INT16_MAX), INT16_MAX));
    codec->ops.tiles(&codec->trellis, scaled, NULL, BATCH, scratch, codes);
    for (unsigned i = 0; i < BATCH * HC_TILE_WEIGHTS; i++) {
        const uint8_t *tile = codes + i / HC_TILE_WEIGHTS * (HC_TILE_WEIGHTS / 8 * k);
        float value;
        convert.f16_to_f32(&codec->table[hc_window_theta(tile, k, length, i % HC_TILE_WEIGHTS)], 1, &value);
        sum += ((double)weights[i] - (double)value) * ((double)weights[i] - (double)value);
    }
    return sum;
}

static void run_codec(struct bench *bench, const float *weights, int k, int length)
{
    struct codec codec;
    struct tally tally = {.weights = SIZE * SIZE, .bits = (double)SIZE * SIZE * k};
    double error = 0, energy = 0;
    int missing = 0;
    bool open = codec_open(&codec, (unsigned)k, (unsigned)length);
#pragma omp parallel reduction(+ : error, energy, missing)
    {
        void *scratch = !open ? NULL : aligned(codec.ops.scratch_bytes((unsigned)k, (unsigned)length));
        missing = scratch == NULL;
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < SIZE * SIZE; i += BATCH * HC_TILE_WEIGHTS) {
            if (!missing)
                error += codec_error(&codec, weights + i, scratch);
            for (size_t j = i; j < i + BATCH * HC_TILE_WEIGHTS; j++)
                energy += (double)weights[j] * (double)weights[j];
        }
        free(scratch);
    }
    codec_close(&codec);
    tally.squared_error = error;
    tally.squared_weights = energy;
    bench->method = "window-codec";
    snprintf(bench->settings, sizeof bench->settings, "k=%d L=%d", k, length);
    if (missing)
        fail(bench, bench->method, "out of memory");
    else
        add_tally(bench, "all", false, &tally);
}

static void run_codecs(struct bench *bench, const float *weights)
{
    for (size_t i = 0; i < COUNT(window_lengths); i++)
        for (size_t j = 0; j < COUNT(window_bits); j++)
            if (in_table(bench, window_bits[j], window_lengths[i], false))
                run_codec(bench, weights, window_bits[j], window_lengths[i]);
}

/* ---- Baselines ---------------------------------------------------------------------------- */

struct matrix {
    char name[128];
    float *weights;
    uint64_t count, columns;
};

static void tally_baseline(const struct baseline *baseline, const struct matrix *matrix, struct tally *tally)
{
    struct hc_convert_ops convert;
    float levels[16];
    double error = 0, energy = 0;
    uint64_t group = baseline->group;
    hc_convert_c(&convert);
    normal_levels(levels);
#pragma omp parallel for reduction(+ : error, energy)
    for (uint64_t i = 0; i < matrix->count; i += group) {
        float out[128];
        uint64_t n = matrix->count - i < group ? matrix->count - i : group;
        baseline_round(baseline, &convert, levels, matrix->weights + i, n, out);
        for (uint64_t j = 0; j < n; j++) {
            double w = (double)matrix->weights[i + j], e = w - (double)out[j];
            error += e * e;
            energy += w * w;
        }
    }
    double weights = (double)matrix->count;
    *tally = (struct tally){error, energy, weights, weights * baseline_rate(baseline)};
}

static void run_baseline(struct bench *bench, const struct baseline *baseline, const struct matrix *matrices,
                         size_t count)
{
    static const char *const names[] = {"int-symmetric", "int-asymmetric", "nf4"};
    bench->method = names[baseline->kind];
    snprintf(bench->settings, sizeof bench->settings, "b=%u group=%u", baseline->bits, baseline->group);
    for (size_t i = 0; i < count; i++) {
        struct tally tally;
        tally_baseline(baseline, &matrices[i], &tally);
        note_tensor(bench, matrices[i].name, &tally);
    }
    add_noted(bench, true);
}

static void run_baselines(struct bench *bench, const struct matrix *matrices, size_t count)
{
    for (int kind = BASELINE_SYMMETRIC; kind <= BASELINE_ASYMMETRIC; kind++)
        for (unsigned group = 32; group <= 128; group *= 4)
            for (size_t i = 0; i < COUNT(integer_bits); i++)
                run_baseline(bench, &(struct baseline){(enum baseline_kind)kind, integer_bits[i], group}, matrices,
                             count);
    run_baseline(bench, &(struct baseline){BASELINE_NORMAL, 4, 64}, matrices, count);
}

/* ---- Random data -------------------------------------------------------------------------- */

/* A safetensors file of one matrix of float32. */
static bool write_matrix(struct bench *bench, const char *path, const float *weights)
{
    char header[256];
    uint64_t bytes = sizeof *weights * SIZE * SIZE;
    int length =
        snprintf(header, sizeof header, "{\"weight\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[0,%llu]}}",
                 SIZE, SIZE, (unsigned long long)bytes);
    while (length % 8)
        header[length++] = ' ';
    const uint64_t size = (uint64_t)length; /* little-endian, as the weights */
    FILE *file = fopen(path, "wb");
    if (!file)
        return fail(bench, path, "cannot be written");
    bool good = fwrite(&size, sizeof size, 1, file) == 1 && fwrite(header, (size_t)length, 1, file) == 1 &&
                fwrite(weights, bytes, 1, file) == 1;
    good = fclose(file) == 0 && good;
    return good || fail(bench, path, "cannot be written");
}

static void run_limit(struct bench *bench, const struct source *source)
{
    bench->method = "limit";
    for (int bits = 1; bits <= 8; bits++) {
        snprintf(bench->settings, sizeof bench->settings, "R=%d", bits);
        add_row(bench, "all", false, bits, source_limit(source, bits));
    }
}

static void run_source(struct bench *bench, const struct source *source)
{
    const hc_patterns all = {0};
    char path[MAX_PATH + 32];
    uint64_t state = SEED;
    struct matrix matrix = {"weight", malloc(sizeof(float) * SIZE * SIZE), SIZE * SIZE, SIZE};
    snprintf(path, sizeof path, "%s/data.safetensors", bench->scratch);
    bench->data = source->name;
    if (!matrix.weights) {
        fail(bench, source->name, "out of memory");
        return;
    }
    for (size_t i = 0; i < matrix.count; i++)
        matrix.weights[i] = (float)source->draw(&state);
    run_limit(bench, source);
    if (source == sources)
        run_codecs(bench, matrix.weights);
    for (size_t i = 0; i < matrix.count; i++)
        matrix.weights[i] *= (float)deviation;
    if (write_matrix(bench, path, matrix.weights)) {
        run_pairs(bench, path, &all);
        for (size_t i = 0; i < COUNT(window_lengths); i++)
            run_windows(bench, path, &all, window_lengths[i], source == sources, true);
        unlink(path);
    }
    run_baselines(bench, &matrix, 1);
    free(matrix.weights);
}

/* ---- A real model ------------------------------------------------------------------------- */

struct matrices {
    struct matrix *items;
    size_t count;
};

static void matrices_free(struct matrices *matrices)
{
    for (size_t i = 0; i < matrices->count; i++)
        free(matrices->items[i].weights);
    free(matrices->items);
}

/* The tensors that are coded: floats of two dimensions, those of the layer alone in quick runs. */
static bool wanted(const struct bench *bench, const hc_tensor_info *info)
{
    return info->rank == 2 && info->type <= HC_TYPE_F8_E5M2 &&
           (!bench->quick || strncmp(info->name, LAYER, strlen(LAYER)) == 0);
}

static bool read_matrix(struct bench *bench, const hc_model *model, uint64_t index, const hc_tensor_info *info,
                        struct matrices *matrices)
{
    struct matrix *matrix = &matrices->items[matrices->count];
    *matrix = (struct matrix){"", malloc(info->weights * sizeof(float)), info->weights, info->shape[1]};
    if (!matrix->weights)
        return fail(bench, info->name, "out of memory");
    matrices->count++;
    snprintf(matrix->name, sizeof matrix->name, "%s", info->name);
    if (hc_model_read(bench->context, model, index, 0, info->weights, matrix->weights) != HC_OK)
        return fail(bench, info->name, hc_message(bench->context));
    return true;
}

static bool read_model(struct bench *bench, struct matrices *matrices)
{
    hc_model *model = NULL;
    hc_tensor_info info;
    if (hc_model_open(bench->context, bench->model, &model) != HC_OK)
        return fail(bench, bench->model, hc_message(bench->context));
    uint64_t count = hc_model_tensor_count(model);
    matrices->items = calloc(count, sizeof *matrices->items);
    bool good = matrices->items != NULL || fail(bench, bench->model, "out of memory");
    for (uint64_t i = 0; good && i < count; i++)
        if (hc_model_tensor(model, i, &info) == HC_OK && wanted(bench, &info))
            good = read_matrix(bench, model, i, &info, matrices);
    hc_model_close(model);
    return good;
}

/* ---- What it wins to give tensors different k ---------------------------------------------- */

/* Sum of the squared errors of a matrix, each divided by the mean square of its column. */
static bool column_error(const struct matrix *matrix, const float *decoded, double *sum)
{
    const uint64_t columns = matrix->columns;
    double *energy = calloc(2 * columns, sizeof *energy), *error = energy + columns;
    if (!energy)
        return false;
    for (uint64_t i = 0; i < matrix->count; i++) {
        double w = (double)matrix->weights[i], e = w - (double)decoded[i];
        energy[i % columns] += w * w;
        error[i % columns] += e * e;
    }
    for (uint64_t j = 0; j < columns; j++)
        if (energy[j] > 0)
            *sum += error[j] / energy[j] * (double)(matrix->count / columns);
    free(energy);
    return true;
}

static const struct matrix *find_matrix(const struct matrices *matrices, const char *name)
{
    for (size_t i = 0; i < matrices->count; i++)
        if (strcmp(matrices->items[i].name, name) == 0)
            return &matrices->items[i];
    return NULL;
}

/* Adds the coded tensors of a model to the tally; errors and weights are those of column_error. */
static bool tally_columns(struct bench *bench, const hc_model *coded, const struct matrices *matrices,
                          struct tally *tally)
{
    hc_tensor_info info;
    for (uint64_t i = 0; hc_model_tensor(coded, i, &info) == HC_OK; i++) {
        const struct matrix *matrix = info.method ? find_matrix(matrices, info.name) : NULL;
        if (!matrix)
            continue;
        float *decoded = malloc(info.weights * sizeof *decoded);
        bool good = decoded && hc_model_read(bench->context, coded, i, 0, info.weights, decoded) == HC_OK &&
                    column_error(matrix, decoded, &tally->squared_error);
        free(decoded);
        if (!good)
            return fail(bench, info.name, "cannot be compared");
        tally->weights += (double)info.weights;
        tally->squared_weights += (double)info.weights;
        tally->bits += 8 * (double)info.stored_bytes;
    }
    return true;
}

static void remove_tree(const char *path)
{
    char name[2 * MAX_PATH];
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof name, "%s/%.255s", path, entry->d_name);
        if (unlink(name) != 0)
            remove_tree(name);
    }
    if (folder)
        closedir(folder);
    rmdir(path);
}

/* Codes the model with `bits` and tallies it; the embeddings, whose k is always given, are left out. */
static bool code_columns(struct bench *bench, const struct matrices *matrices, double bits, struct tally *tally)
{
    static const char *const embeddings = "embeddings.*";
    char output[MAX_PATH + 32];
    hc_compress_options options;
    hc_model *coded = NULL;
    snprintf(output, sizeof output, "%s/shared", bench->scratch);
    hc_compress_options_init(&options);
    options.method = "window";
    options.window.bits = bits;
    options.keep = (hc_patterns){&embeddings, 1};
    *tally = (struct tally){0};
    bool good = hc_compress(bench->context, bench->model, output, &options) == HC_OK &&
                hc_model_open(bench->context, output, &coded) == HC_OK;
    if (good)
        good = tally_columns(bench, coded, matrices, tally);
    else
        fail(bench, bench->model, hc_message(bench->context));
    hc_model_close(coded);
    remove_tree(output);
    return good;
}

static void run_shares(struct bench *bench, const struct matrices *matrices)
{
    bench->data = MODEL_NAME " by columns";
    for (int k = 2; k <= 4; k++) {
        struct tally flat, shared;
        if (!code_columns(bench, matrices, k, &flat) ||
            !code_columns(bench, matrices, flat.bits / flat.weights, &shared))
            return;
        bench->method = "window";
        snprintf(bench->settings, sizeof bench->settings, "k=%d L=12", k);
        add_tally(bench, "encoder and pooler", false, &flat);
        bench->method = "window-shared";
        snprintf(bench->settings, sizeof bench->settings, "rate of k=%d L=12", k);
        add_tally(bench, "encoder and pooler", false, &shared);
    }
}

static void run_model(struct bench *bench)
{
    /* Its matrices: whatever is named is coded, vectors too. */
    static const char *const layer[] = {LAYER "attention.self.*.weight", LAYER "*dense.weight"};
    const hc_patterns all = {0}, part = {layer, COUNT(layer)};
    struct matrices matrices = {0};
    bench->data = MODEL_NAME;
    if (read_model(bench, &matrices)) {
        const hc_patterns *coded = bench->quick ? &part : &all;
        run_pairs(bench, bench->model, coded);
        for (size_t i = 0; i < COUNT(window_lengths); i++)
            run_windows(bench, bench->model, window_lengths[i] == 12 ? coded : &part, window_lengths[i], false,
                        window_lengths[i] == 12);
        run_baselines(bench, matrices.items, matrices.count);
        if (!bench->quick)
            run_shares(bench, &matrices);
    }
    matrices_free(&matrices);
}

/* ---- Command line ------------------------------------------------------------------------- */

static void print_help(void)
{
    puts("usage: rate_distortion [options] [MODEL]\n"
         "Prints signal to noise (decibel) against all stored bits per weight, as comma-separated values.\n"
         "\n"
         "data\n"
         "  normal, laplace, student-t4  one matrix of 1024 x 1024 independent weights of deviation 0.02\n"
         "  " MODEL_NAME "             every matrix of MODEL, all of them, and those of one layer\n"
         "  ... by columns               its matrices but the embeddings, errors divided by the size of their column\n"
         "methods\n"
         "  limit           rate-distortion function (normal), Shannon's lower bound of the distortion (the others)\n"
         "  window          k bits a weight, windows of L bits, column and row scales\n"
         "  window-codec    the same without transform and scales\n"
         "  window-shared   --bits as the stored rate of that k: tensors have different k\n"
         "  pair            U points, side as published (0.1) or chosen for each tensor\n"
         "  int-symmetric   round to nearest, groups, half-precision step, the largest weight at -2^(b-1) steps\n"
         "  int-asymmetric  round to nearest, groups, half-precision step and least weight\n"
         "  nf4             16 normal quantiles, groups, half-precision largest magnitude\n"
         "\n"
         "  --quick      a part that takes seconds\n"
         "  --model-only nothing but MODEL\n"
         "  --check CSV  holds the figures against those: bits to 0.001, decibels to 0.02; without --quick the rows, "
         "too.\n"
         "               Exit: 0 same, 1 different, 77 not run (there is no MODEL)");
}

struct arguments {
    bool quick, model_only;
    const char *model, *check;
};

/* Returns the exit status, or -1 to go on. */
static int parse(struct arguments *arguments, int argc, char **argv)
{
    static const struct option options[] = {
        {"quick", no_argument, NULL, 'q'},
        {"model-only", no_argument, NULL, 'm'},
        {"check", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return EXIT_SUCCESS;
        }
        if (option == '?')
            return EXIT_USAGE;
        if (option == 'c')
            arguments->check = optarg;
        else
            *(option == 'q' ? &arguments->quick : &arguments->model_only) = true;
    }
    arguments->model = argv[optind];
    if (argc - optind > 1 || (arguments->model_only && !arguments->model)) {
        fprintf(stderr, "rate_distortion: see --help\n");
        return EXIT_USAGE;
    }
    if (arguments->model && access(arguments->model, R_OK) != 0) {
        printf("not run: %s is not at hand (bench/minilm.sh --fetch downloads it)\n", arguments->model);
        return EXIT_NOT_RUN;
    }
    return -1;
}

static bool prepare(struct bench *bench)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(bench->scratch, sizeof bench->scratch, "%s/rate_distortion.XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(bench->scratch))
        return fail(bench, bench->scratch, "cannot be made");
    return hc_context_create(&bench->context, NULL) == HC_OK || fail(bench, "context", hc_message(bench->context));
}

static int report(struct bench *bench, const struct arguments *arguments)
{
    struct rate_table committed = {0};
    int code = EXIT_FAILURE;
    if (bench->failed || bench->table.count == 0)
        return EXIT_FAILURE;
    if (!arguments->check) {
        rate_print(&bench->table, stdout);
        return EXIT_SUCCESS;
    }
    if (rate_read(arguments->check, &committed)) {
        size_t faults = rate_compare(&committed, &bench->table, !arguments->quick && !arguments->model_only);
        printf("%s: %zu of %zu rows, %zu differences\n", arguments->check, bench->table.count, committed.count, faults);
        code = faults ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    free(committed.rows);
    return code;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct bench bench = {0};
    int code = parse(&arguments, argc, argv);
    if (code >= 0)
        return code;
    bench.quick = arguments.quick;
    bench.model = arguments.model;
    if (prepare(&bench)) {
        for (size_t i = 0; !arguments.model_only && i < SOURCES; i++)
            run_source(&bench, &sources[i]);
        if (bench.model)
            run_model(&bench);
    }
    code = report(&bench, &arguments);
    rmdir(bench.scratch);
    hc_context_destroy(bench.context);
    free(bench.tensors);
    free(bench.table.rows);
    return code;
}
