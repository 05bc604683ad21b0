/* How fast `pair` codes and decodes in memory, in million weights per second, against a plain copy of the same weights.
 *
 * Everything goes through the method's own table, as the commands do: `encode` holds the fit (centre, extent, choice of
 * classes), the codes, and decoding them again to measure the error. Weights are drawn as make_checkpoint's are; the
 * arrays are larger than the caches, and their pages are touched before. A figure is the median of the repeats; the
 * copy is measured in the same run. */
#include "options.h"
#include "weights.h"

#include <context.h>
#include <method.h>
#include <pair.h>

#include <getopt.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREAD_COUNTS = 16, MAX_REPEATS = 101, EXIT_USAGE = 2 };

struct arguments {
    uint64_t weights;
    hc_type type;
    double side;
    int repeats;
    int threads[MAX_THREAD_COUNTS];
    size_t thread_counts;
    bool csv;
};

/* Everything that is measured, and what it works on. */
struct bench {
    const struct arguments *arguments;
    struct hc_tensor tensor;
    struct hc_piece piece;
    uint8_t *stored, *copy; /* the weights in their type; where they are copied to */
    float *decoded;
    uint8_t *codes;
    uint64_t code_room, code_bytes;
    hc_context *context;
    int threads;
    json_t *parameters; /* of the last encoding */
};

/* ---- Weights ------------------------------------------------------------------------------ */

static void make_weights(const struct arguments *arguments, const float *table, uint8_t *out)
{
    struct hc_kernels kernels;
    hc_kernels_init(&kernels, HC_TIER_BEST);
    const int64_t columns = 4096;
#pragma omp parallel for
    for (int64_t first = 0; first < (int64_t)arguments->weights; first += columns) {
        float row[4096];
        uint64_t n = arguments->weights - (uint64_t)first;
        n = n < (uint64_t)columns ? n : (uint64_t)columns;
        float sigma = (float)(0.02 * scale_of(0.25 * (double)table[scatter((uint64_t)first) % TABLE_SIZE]));
        for (uint64_t j = 0; j < n; j++) {
            uint64_t place = (uint64_t)first + j;
            row[j] = sigma * unit_weight(table, scatter(place * 0x9e3779b97f4a7c15u) >> 48, 1, place);
        }
        if (arguments->type == HC_TYPE_F32)
            memcpy(out + 4 * first, row, n * 4);
        else if (arguments->type == HC_TYPE_F16)
            kernels.convert.f32_to_f16(row, n, (uint16_t *)(void *)out + first);
        else
            kernels.convert.f32_to_bf16(row, n, (uint16_t *)(void *)out + first);
    }
}

static uint64_t stored_bytes(const struct arguments *arguments)
{
    return arguments->weights * (arguments->type == HC_TYPE_F32 ? 4 : 2);
}

static bool prepare(struct bench *bench, const struct arguments *arguments)
{
    uint64_t bytes = stored_bytes(arguments);
    float *table = malloc(TABLE_SIZE * sizeof *table);
    bench->arguments = arguments;
    bench->code_room = arguments->weights * 3 / 2 + 64; /* 24 bits a pair */
    bench->stored = malloc(bytes);
    bench->copy = malloc(bytes);
    bench->decoded = malloc(arguments->weights * sizeof *bench->decoded);
    bench->codes = malloc(bench->code_room);
    bool good = table && bench->stored && bench->copy && bench->decoded && bench->codes;
    if (good) {
        make_normal_table(table);
        make_weights(arguments, table, bench->stored);
        memset(bench->copy, 1, bytes);
        memset(bench->decoded, 1, arguments->weights * sizeof *bench->decoded);
        memset(bench->codes, 1, bench->code_room);
    }
    bench->tensor = (struct hc_tensor){.name = "bench",
                                       .type = arguments->type,
                                       .rank = 1,
                                       .shape = {arguments->weights},
                                       .weights = arguments->weights,
                                       .bytes = bytes,
                                       .data = bench->stored};
    bench->piece = (struct hc_piece){&bench->tensor, 0, arguments->weights, 1, arguments->weights};
    free(table);
    return good;
}

static void clean(struct bench *bench)
{
    json_decref(bench->parameters);
    free(bench->stored);
    free(bench->copy);
    free(bench->decoded);
    free(bench->codes);
}

/* ---- What is measured --------------------------------------------------------------------- */

struct memory_sink {
    struct hc_sink sink;
    struct bench *bench;
};

static hc_status write_memory(struct hc_sink *sink, unsigned part, const void *data, size_t bytes,
                              struct hc_error *error)
{
    (void)part; /* there is one */
    struct bench *bench = ((struct memory_sink *)(void *)sink)->bench;
    if (bytes > bench->code_room - bench->code_bytes)
        return hc_fail(error, HC_ERR_MEMORY, "more codes than expected");
    memcpy(bench->codes + bench->code_bytes, data, bytes);
    bench->code_bytes += bytes;
    return HC_OK;
}

static hc_status run_copy(struct bench *bench, struct hc_error *error)
{
    (void)error;
    uint64_t bytes = stored_bytes(bench->arguments);
#pragma omp parallel num_threads(bench->threads)
    {
        uint64_t n = (uint64_t)omp_get_num_threads(), i = (uint64_t)omp_get_thread_num();
        uint64_t begin = bytes / n * i, end = i + 1 == n ? bytes : bytes / n * (i + 1);
        memcpy(bench->copy + begin, bench->stored + begin, end - begin);
    }
    return HC_OK;
}

static void compress_options(const struct bench *bench, hc_compress_options *options)
{
    hc_compress_options_init(options);
    options->pair.side = bench->arguments->side;
}

static hc_status run_fit(struct bench *bench, struct hc_error *error)
{
    hc_compress_options options;
    struct hc_pair_fit fit;
    const char *kept_because;
    compress_options(bench, &options);
    return hc_pair_fit(&bench->context->engine, &bench->piece, &options.pair, NULL, &fit, &kept_because, error);
}

static hc_status run_encode(struct bench *bench, struct hc_error *error)
{
    struct memory_sink sink = {{write_memory}, bench};
    struct hc_coded coded = {0};
    hc_compress_options options;
    compress_options(bench, &options);
    bench->code_bytes = 0;
    hc_status status =
        hc_method_pair.encode(&bench->context->engine, &bench->piece, &options, 0, &sink.sink, NULL, &coded, error);
    if (status == HC_OK && coded.kept_because)
        status = hc_fail(error, HC_ERR_DIFFERENT, "not coded: %s", coded.kept_because);
    json_decref(bench->parameters);
    bench->parameters = coded.parameters;
    return status;
}

static hc_status run_decode(struct bench *bench, struct hc_error *error)
{
    struct hc_engine *engine = &bench->context->engine;
    const struct hc_shape shape = {1, bench->tensor.weights};
    const uint8_t *const parts[HC_MAX_PARTS] = {bench->codes};
    void *decoder = NULL;
    hc_status status;
    HC_TRY(hc_method_pair.open(bench->parameters, &shape, parts, &decoder, error));
    HC_TRY(hc_method_pair.decode(engine, decoder, 0, bench->tensor.weights, HC_TYPE_F32, bench->decoded, error));
done:
    if (decoder)
        hc_method_pair.close(decoder);
    return status;
}

/* ---- Measuring ---------------------------------------------------------------------------- */

struct row {
    const char *name;
    hc_status (*run)(struct bench *bench, struct hc_error *error);
};

/* Decoding reads what the last encoding left. */
static const struct row rows[] = {{"copy", run_copy}, {"fit", run_fit}, {"encode", run_encode}, {"decode", run_decode}};
enum { ROWS = sizeof rows / sizeof *rows };

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median seconds of the repeats, after one run that does not count. */
static hc_status measure(struct bench *bench, const struct row *row, double *seconds, struct hc_error *error)
{
    double times[MAX_REPEATS];
    hc_status status;
    HC_TRY(row->run(bench, error));
    for (int i = 0; i < bench->arguments->repeats; i++) {
        double begin = omp_get_wtime();
        HC_TRY(row->run(bench, error));
        times[i] = omp_get_wtime() - begin;
    }
    qsort(times, (size_t)bench->arguments->repeats, sizeof *times, compare_doubles);
    *seconds = times[bench->arguments->repeats / 2];
done:
    return status;
}

static void print_head(const struct arguments *arguments)
{
    if (arguments->csv)
        puts("operation,type,weights,threads,million_weights_per_second,per_thread,of_copy,scaling");
    else
        printf("%.1f million weights of %s, median of %d\n%-8s %7s %11s %11s %8s %8s\n", arguments->weights / 1e6,
               hc_type_name(arguments->type), arguments->repeats, "", "threads", "M weights/s", "per thread", "of copy",
               "scaling");
}

static void print_row(const struct arguments *arguments, const char *name, int threads, double rate, double of_copy,
                      double scaling)
{
    if (arguments->csv)
        printf("%s,%s,%llu,%d,%.1f,%.1f,%.4f,%.3f\n", name, hc_type_name(arguments->type),
               (unsigned long long)arguments->weights, threads, rate, rate / threads, of_copy, scaling);
    else
        printf("%-8s %7d %11.1f %11.1f %7.1f%% %7.2fx\n", name, threads, rate, rate / threads, 100 * of_copy, scaling);
    fflush(stdout);
}

/* All rows on `threads` threads. first[]: rates on the first count of threads, against which scaling is told. */
static hc_status measure_threads(struct bench *bench, int threads, double first[ROWS], struct hc_error *error)
{
    hc_context_options options = {.threads = threads, .tier = HC_TIER_BEST};
    double copy = 0;
    hc_status status = hc_context_create(&bench->context, &options);
    if (status != HC_OK) {
        hc_fail(error, status, "%s", hc_message(bench->context));
        goto done;
    }
    bench->threads = threads;
    for (int i = 0; i < ROWS; i++) {
        double seconds;
        HC_TRY(measure(bench, &rows[i], &seconds, error));
        double rate = (double)bench->arguments->weights / seconds / 1e6;
        if (i == 0)
            copy = rate;
        if (first[i] == 0)
            first[i] = rate;
        print_row(bench->arguments, rows[i].name, threads, rate, rate / copy, rate / first[i]);
    }
done:
    hc_context_destroy(bench->context);
    bench->context = NULL;
    return status;
}

static hc_status run(struct bench *bench, struct hc_error *error)
{
    const struct arguments *arguments = bench->arguments;
    double first[ROWS] = {0};
    char text[128];
    hc_status status = HC_OK;
    print_head(arguments);
    for (size_t i = 0; i < arguments->thread_counts; i++)
        HC_TRY(measure_threads(bench, arguments->threads[i], first, error));
    hc_method_pair.describe(bench->parameters, text, sizeof text);
    if (!arguments->csv)
        printf("coded with %s: %.3f bits per weight\n", text,
               8 * (double)bench->code_bytes / (double)arguments->weights);
done:
    return status;
}

/* ---- Command line ------------------------------------------------------------------------- */

static void print_help(void)
{
    puts("usage: pair_speed [options]\n"
         "Prints how fast the pair method codes and decodes in memory, against a plain copy of the same weights.\n"
         "\n"
         "  copy    memcpy of the stored weights\n"
         "  fit     centre, extent, and the choice of classes: part of encode\n"
         "  encode  everything that compress does to a tensor: fit, codes, packing, decoding again to know the error\n"
         "  decode  packed codes to float32\n"
         "\n"
         "  --weights N     million weights (default 64)\n"
         "  --type TYPE     f32 (default), f16 or bf16\n"
         "  --threads LIST  thread counts (default 1,2)\n"
         "  --repeats N     odd; figures are medians (default 5)\n"
         "  --side S        side of the square, or auto (default 0.1)\n"
         "  --csv           one line of comma-separated values a row");
}

static bool parse_threads(struct arguments *arguments, const char *text)
{
    char *end = NULL;
    for (arguments->thread_counts = 0; arguments->thread_counts < MAX_THREAD_COUNTS; text = end + 1) {
        long n = strtol(text, &end, 10);
        if (end == text || n < 1 || n > 4096)
            return false;
        arguments->threads[arguments->thread_counts++] = (int)n;
        if (*end != ',')
            return *end == '\0';
    }
    return false;
}

static bool parse_type(struct arguments *arguments, const char *text)
{
    static const struct {
        const char *name;
        hc_type type;
    } types[] = {{"f32", HC_TYPE_F32}, {"f16", HC_TYPE_F16}, {"bf16", HC_TYPE_BF16}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, text) == 0) {
            arguments->type = types[i].type;
            return true;
        }
    }
    return false;
}

static bool parse_option(struct arguments *arguments, int option, const char *text)
{
    double value = 0;
    switch (option) {
    case 'w':
        if (!parse_number(text, 0.01, 1e5, &value))
            return false;
        arguments->weights = (uint64_t)(value * 1e6);
        return true;
    case 't':
        return parse_type(arguments, text);
    case 'j':
        return parse_threads(arguments, text);
    case 'r':
        return parse_count(text, MAX_REPEATS, &arguments->repeats);
    default:
        arguments->side = 0;
        return strcmp(text, "auto") == 0 || parse_number(text, 1e-6, 1e6, &arguments->side);
    }
}

/* Returns the exit status, or -1 to go on. */
static int parse(struct arguments *arguments, int argc, char **argv)
{
    static const struct option options[] = {
        {"weights", required_argument, NULL, 'w'}, {"type", required_argument, NULL, 't'},
        {"threads", required_argument, NULL, 'j'}, {"repeats", required_argument, NULL, 'r'},
        {"side", required_argument, NULL, 's'},    {"csv", no_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return EXIT_SUCCESS;
        }
        if (option == 'c') {
            arguments->csv = true;
        } else if (option == '?' || !parse_option(arguments, option, optarg)) {
            fprintf(stderr, "pair_speed: see --help\n");
            return EXIT_USAGE;
        }
    }
    return optind == argc ? -1 : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {
        .weights = 64000000, .type = HC_TYPE_F32, .side = 0.1, .repeats = 5, .threads = {1, 2}, .thread_counts = 2};
    struct bench bench = {0};
    struct hc_error error = {{0}};
    int code = parse(&arguments, argc, argv);
    if (code >= 0)
        return code;
    hc_status status = HC_ERR_MEMORY;
    snprintf(error.text, sizeof error.text, "out of memory");
    if (prepare(&bench, &arguments))
        status = run(&bench, &error);
    if (status != HC_OK)
        fprintf(stderr, "pair_speed: %s\n", error.text);
    clean(&bench);
    return status == HC_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
