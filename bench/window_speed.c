/* How fast `window` codes normal numbers, how well, and how fast its codes are decoded to half precision, against a
 * plain copy.
 *
 * The kernels alone: no transform, no scales. Encoding works on as many tiles as take some tenths of a second; decoding
 * on arrays larger than the caches, whose pages are touched before. A figure is the best of the repeats, of encoding
 * and of decoding alike, since what disturbs only makes them slower. */
#include "options.h"
#include "weights.h"

#include "kernels.h"

#include <getopt.h>
#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHAPES = 64, MAX_REPEATS = 101, EXIT_USAGE = 2 };

/* Decoding: rows of 256 tiles. */
enum { DECODE_COLUMNS = 256 * HC_TILE, DECODE_WEIGHTS = 1 << 25 };

struct arguments {
    struct shape shapes[MAX_SHAPES];
    size_t shape_count;
    int repeats, threads;
    double effort;
    hc_tier tier;
    bool csv;
};

struct bench {
    const struct arguments *arguments;
    struct hc_kernels kernels;
    float *normal;    /* the quantiles that weights are drawn from */
    uint8_t *codes;   /* to decode, any */
    uint16_t *values; /* decoded */
    uint16_t *copy;
    double copy_rate[2]; /* bytes read and written per second, on one thread and on all */
};

/* What belongs to a shape. */
struct coder {
    const struct bench *bench;
    const struct hc_window_code *code;
    struct hc_window_trellis trellis;
    uint16_t *table;
    int16_t *codebook, *weights;
    void *layout;
    uint8_t *scratch, *codes;
    size_t scratch_bytes, tiles;
    float scale;
};

static void *allocate(size_t bytes)
{
    bytes = (bytes + 127) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    if (memory)
        memset(memory, 1, bytes);
    return memory;
}

/* ---- What is measured --------------------------------------------------------------------- */

static float weight_at(const struct bench *bench, size_t i)
{
    return bench->normal[scatter((uint64_t)i * 0x9e3779b97f4a7c15u) >> 48];
}

static void encode(void *state, int threads)
{
    const struct coder *c = state;
    size_t tile_bytes = HC_TILE_WEIGHTS / 8 * (size_t)c->code->k, run = 8;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (size_t first = 0; first < c->tiles; first += run) {
        size_t n = c->tiles - first < run ? c->tiles - first : run;
        c->bench->kernels.window_encode.tiles(&c->trellis, c->weights + first * HC_TILE_WEIGHTS, NULL, n,
                                              c->scratch + (size_t)omp_get_thread_num() * c->scratch_bytes,
                                              c->codes + first * tile_bytes);
    }
}

static void decode(void *state, int threads)
{
    const struct coder *c = state;
    const struct hc_window_decoder decoder = {c->code, c->table};
    const size_t tiles = DECODE_COLUMNS / HC_TILE, band = DECODE_COLUMNS * HC_TILE;
#pragma omp parallel for num_threads(threads)
    for (size_t i = 0; i < DECODE_WEIGHTS / band; i++)
        c->bench->kernels.window_decode.f16(&decoder, c->bench->codes + i * band / 8 * c->code->k, tiles,
                                            c->bench->values + i * band, DECODE_COLUMNS);
}

static void copy(void *state, int threads)
{
    const struct bench *bench = state;
    const size_t parts = 64, part = DECODE_WEIGHTS / parts;
#pragma omp parallel for num_threads(threads)
    for (size_t i = 0; i < parts; i++)
        memcpy(bench->copy + i * part, bench->values + i * part, part * sizeof *bench->copy);
}

#ifdef __GNUC__
enum { ADDITIONS = 1 << 26 };

/* One addition after the other, on every thread: a cycle each. */
static void count(void *state, int threads)
{
    (void)state;
#pragma omp parallel num_threads(threads)
    {
        uint64_t x = 0;
        for (unsigned i = 0; i < ADDITIONS; i++) {
            x++;
            __asm__ volatile("" : "+r"(x)); /* or the compiler would add them up */
        }
    }
}
#endif

/* Seconds of the best repeat, after one that does not count. */
static double best_time(const struct arguments *arguments, void (*run)(void *state, int threads), void *state,
                        int threads)
{
    double best = 0;
    run(state, threads);
    for (int i = 0; i < arguments->repeats; i++) {
        double begin = omp_get_wtime();
        run(state, threads);
        double seconds = omp_get_wtime() - begin;
        best = i == 0 || seconds < best ? seconds : best;
    }
    return best;
}

/* Decibels of what was encoded last, as the table decodes it. */
static double signal_to_noise(const struct coder *c)
{
    double signal = 0, noise = 0;
    for (size_t i = 0; i < c->tiles * HC_TILE_WEIGHTS; i++) {
        const uint8_t *tile = c->codes + i / HC_TILE_WEIGHTS * HC_TILE_WEIGHTS / 8 * c->code->k;
        uint32_t theta = hc_window_theta(tile, c->code->k, c->code->length, i % HC_TILE_WEIGHTS);
        float value;
        c->bench->kernels.convert.f16_to_f32(&c->table[theta], 1, &value);
        double weight = (double)weight_at(c->bench, i), error = weight - (double)value;
        signal += weight * weight;
        noise += error * error;
    }
    return 10 * log10(signal / noise);
}

/* ---- One shape ---------------------------------------------------------------------------- */

static void free_coder(struct coder *c)
{
    free(c->table);
    free(c->codebook);
    free(c->weights);
    free(c->layout);
    free(c->scratch);
    free(c->codes);
}

static bool make_coder(struct coder *c, const struct bench *bench, const struct shape *shape)
{
    const struct hc_window_encode_ops *ops = &bench->kernels.window_encode;
    const unsigned k = shape->k, length = shape->length;
    const double tiles = bench->arguments->effort * 4096.0 * 4096.0 / (double)(1u << length);
    memset(c, 0, sizeof *c);
    c->bench = bench;
    c->code = hc_window_code_find(k, length);
    c->tiles = tiles < 16 ? 16 : (size_t)tiles;
    c->scratch_bytes = (ops->scratch_bytes(k, length) + 63) / 64 * 64;
    c->table = allocate(sizeof *c->table << length);
    c->codebook = allocate(sizeof *c->codebook << length);
    c->weights = allocate(c->tiles * HC_TILE_WEIGHTS * sizeof *c->weights);
    c->layout = allocate(ops->layout_bytes(k, length));
    c->scratch = allocate(c->scratch_bytes * (size_t)bench->arguments->threads);
    c->codes = allocate(c->tiles * HC_TILE_WEIGHTS / 8 * k);
    if (!c->table || !c->codebook || !c->weights || !c->layout || !c->scratch || !c->codes)
        return false;
    hc_window_table(c->code, c->table);
    c->scale = hc_window_codebook(c->code, c->table, c->codebook);
    c->trellis = (struct hc_window_trellis){
        .k = k, .length = length, .multiplier = c->code->multiplier, .codebook = c->codebook, .layout = c->layout};
    ops->prepare(&c->trellis);
    for (size_t i = 0; i < c->tiles * HC_TILE_WEIGHTS; i++) {
        long x = lrintf(weight_at(bench, i) * c->scale);
        c->weights[i] = (int16_t)(x > 32767 ? 32767 : x < -32767 ? -32767 : x);
    }
    return true;
}

static void print_head(const struct arguments *arguments)
{
    if (arguments->csv)
        puts("k,length,threads,encode_million_weights_per_second,decibel,decode_billion_weights_per_second,of_copy");
    else
        printf("%2s %3s %8s %12s %8s %12s %8s\n", "k", "L", "threads", "encode, M/s", "dB", "decode, G/s", "of copy");
}

static void measure(struct coder *c, int threads, bool all)
{
    const struct arguments *arguments = c->bench->arguments;
    double encoding = (double)c->tiles * HC_TILE_WEIGHTS / best_time(arguments, encode, c, threads) / 1e6;
    double decoding = DECODE_WEIGHTS / best_time(arguments, decode, c, threads);
    double share = decoding * (c->code->k / 8.0 + sizeof(uint16_t)) / c->bench->copy_rate[all];
    printf(arguments->csv ? "%u,%u,%d,%.4f,%.4f,%.3f,%.4f\n" : "%2u %3u %8d %12.3f %8.3f %12.2f %8.2f\n",
           (unsigned)c->code->k, (unsigned)c->code->length, threads, encoding, signal_to_noise(c), decoding / 1e9,
           share);
    fflush(stdout);
}

static bool run_shape(const struct bench *bench, const struct shape *shape)
{
    struct coder coder;
    bool good = make_coder(&coder, bench, shape);
    if (good) {
        measure(&coder, 1, false);
        if (bench->arguments->threads > 1)
            measure(&coder, bench->arguments->threads, true);
    }
    free_coder(&coder);
    return good;
}

static bool run(struct bench *bench)
{
    const struct arguments *arguments = bench->arguments;
    const double bytes = 2 * sizeof(uint16_t) * (double)DECODE_WEIGHTS;
    bench->normal = malloc(TABLE_SIZE * sizeof *bench->normal);
    bench->codes = allocate(DECODE_WEIGHTS);
    bench->values = allocate(DECODE_WEIGHTS * sizeof *bench->values);
    bench->copy = allocate(DECODE_WEIGHTS * sizeof *bench->copy);
    if (!bench->normal || !bench->codes || !bench->values || !bench->copy)
        return false;
    make_normal_table(bench->normal);
    for (size_t i = 0; i < DECODE_WEIGHTS; i++)
        bench->codes[i] = (uint8_t)scatter(i);
    bench->copy_rate[0] = bytes / best_time(arguments, copy, bench, 1);
    bench->copy_rate[1] = bytes / best_time(arguments, copy, bench, arguments->threads);
    print_head(arguments);
    for (size_t i = 0; i < arguments->shape_count; i++)
        if (!run_shape(bench, &arguments->shapes[i]))
            return false;
#ifdef __GNUC__
    if (!arguments->csv)
        printf("clock: %.2f GHz on one thread, %.2f on %d\n", ADDITIONS / best_time(arguments, count, NULL, 1) / 1e9,
               ADDITIONS / best_time(arguments, count, NULL, arguments->threads) / 1e9, arguments->threads);
#endif
    if (!arguments->csv)
        printf("a copy: %.1f GB/s on one thread, %.1f on %d, read plus written\n", bench->copy_rate[0] / 1e9,
               bench->copy_rate[1] / 1e9, arguments->threads);
    return true;
}

/* ---- Command line ------------------------------------------------------------------------- */

static void print_help(void)
{
    puts("usage: window_speed [options] [K,L ...]\n"
         "Prints how fast the window method encodes normal numbers, the signal to noise that it reaches, and how fast\n"
         "its codes are decoded to half precision, with the share of a plain copy's bytes per second.\n"
         "\n"
         "  K,L             bits per weight and length of the window\n"
         "                  (default 4,12 3,12 2,12 6,12 4,14 4,16 3,16 2,16)\n"
         "  --threads N     besides one (default 2)\n"
         "  --repeats N     figures are the best of them (default 5)\n"
         "  --effort X      times as many tiles to encode; 1: 4096 of them at L = 12\n"
         "  --tier NAME     c, avx2 or avx512 (default: the best that this machine has)\n"
         "  --csv           one line of comma-separated values a row");
}

static bool parse_option(struct arguments *arguments, int option, const char *text)
{
    switch (option) {
    case 't':
        return parse_tier(text, &arguments->tier);
    case 'e':
        return parse_number(text, 0.001, 1000, &arguments->effort);
    case 'j':
        return parse_count(text, 4096, &arguments->threads);
    case 'r':
        return parse_count(text, MAX_REPEATS, &arguments->repeats);
    default:
        return false;
    }
}

static void default_shapes(struct arguments *arguments)
{
    static const struct shape shapes[] = {{4, 12}, {3, 12}, {2, 12}, {6, 12}, {4, 14}, {4, 16}, {3, 16}, {2, 16}};
    memcpy(arguments->shapes, shapes, sizeof shapes);
    arguments->shape_count = sizeof shapes / sizeof *shapes;
}

/* Returns the exit status, or -1 to go on. */
static int parse(struct arguments *arguments, int argc, char **argv)
{
    static const struct option options[] = {
        {"threads", required_argument, NULL, 'j'},
        {"repeats", required_argument, NULL, 'r'},
        {"effort", required_argument, NULL, 'e'},
        {"tier", required_argument, NULL, 't'},
        {"csv", no_argument, NULL, 'c'},
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
        if (option == 'c')
            arguments->csv = true;
        else
            good = parse_option(arguments, option, optarg);
    }
    for (; good && optind < argc; optind++)
        good = arguments->shape_count < MAX_SHAPES &&
               parse_shape(argv[optind], &arguments->shapes[arguments->shape_count++]);
    if (arguments->shape_count == 0)
        default_shapes(arguments);
    if (good)
        return -1;
    fprintf(stderr, "window_speed: see --help\n");
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.repeats = 5, .threads = 2, .effort = 1, .tier = HC_TIER_BEST};
    struct bench bench = {.arguments = &arguments};
    int code = parse(&arguments, argc, argv);
    if (code >= 0)
        return code;
    hc_tier tier = hc_kernels_init(&bench.kernels, arguments.tier);
    bool good = arguments.tier == HC_TIER_BEST || tier == arguments.tier;
    if (!good)
        fprintf(stderr, "window_speed: not run: this machine lacks that tier\n");
    else if (!(good = run(&bench)))
        fprintf(stderr, "window_speed: out of memory\n");
    free(bench.normal);
    free(bench.codes);
    free(bench.values);
    free(bench.copy);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
