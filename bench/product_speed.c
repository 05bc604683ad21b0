/* How fast products decode `window` and `pair` matrices, against a plain read of the same codes.
 *
 * The matrices are those of LLaMA2-7B's layers, as many layers as make a set larger than the caches, of random codes;
 * those of `pair` are of its published setting: 12 bits, 1600 points, one class of outer pairs.
 * For one position the set is gone through matrix by matrix, then read as plainly as can be, and so on in turns: what
 * one leaves in the caches is gone before its turn comes again. For many positions some rows of one are enough. A
 * figure adds up the best times of every matrix, since what disturbs only makes them slower. */
#include "options.h"
#include "weights.h"

#include "kernels.h"

#include <getopt.h>
#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHAPES = 64, MAX_REPEATS = 1001, EXIT_USAGE = 2 };
enum { MOST_COLUMNS = 11008, MOST_ROWS = 11008, MOST_POSITIONS = 128 };
enum { PAIR_BITS = 12, PAIR_ENTRIES = 2 * 1601 };

/* Stands for `pair`. */
static const struct shape pairs = {0, 0};

struct arguments {
    struct shape shapes[MAX_SHAPES];
    size_t shape_count;
    int repeats, threads;
    double megabytes; /* of codes in a set */
    hc_tier tier;
    bool csv;
};

struct matrix {
    size_t rows, columns;
};

/* q, k, v, o, gate, up, down */
static const struct matrix layer[] = {{4096, 4096},  {4096, 4096},  {4096, 4096}, {4096, 4096},
                                      {11008, 4096}, {11008, 4096}, {4096, 11008}};
enum { LAYER = sizeof layer / sizeof *layer, PIECE = 1024 };

/* For many positions. */
enum { SOME_COLUMNS = 4096 };
static const struct matrix some_rows = {512, SOME_COLUMNS};

struct bench {
    const struct arguments *arguments;
    struct hc_kernels kernels;
    uint8_t *codes;
    size_t code_bytes;
    uint16_t *scales;
    float *inputs; /* of MOST_COLUMNS of one position, or SOME_COLUMNS of all */
    float *out;
    uint8_t *activations;
    uint8_t *scratch; /* of all threads */
    float (*table)[2];
};

struct products;

/* Bands of 16 rows, on the thread at hand. */
typedef void multiply_bands(const struct products *p, size_t begin, size_t end, void *scratch);

/* What belongs to a shape. */
struct products {
    const struct bench *bench;
    multiply_bands *bands;
    unsigned k;                     /* bits per weight */
    struct hc_window_values values; /* but for `pair` */
    struct matrix matrix;
    const uint8_t *codes; /* of the matrix */
    size_t n, scratch_bytes;
};

static void *allocate(size_t bytes)
{
    bytes = (bytes + 127) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    if (memory)
        memset(memory, 1, bytes);
    return memory;
}

static size_t matrix_bytes(const struct matrix *matrix, unsigned k)
{
    return matrix->rows * matrix->columns / 8 * k;
}

/* ---- What is measured --------------------------------------------------------------------- */

/* A part of `count` things for every thread. */
static size_t part_begin(size_t count, int part, int parts)
{
    return count * (size_t)part / (size_t)parts;
}

static size_t band_bytes(const struct products *p)
{
    return p->matrix.columns * HC_TILE / 8 * p->k;
}

static void multiply_windows(const struct products *p, size_t begin, size_t end, void *scratch)
{
    const struct bench *bench = p->bench;
    const struct hc_window_product product = {.values = &p->values,
                                              .codes = p->codes + begin * band_bytes(p),
                                              .scales = bench->scales,
                                              .rows = (end - begin) * HC_TILE,
                                              .tile_columns = p->matrix.columns / HC_TILE,
                                              .x = bench->activations,
                                              .n = p->n,
                                              .scratch = scratch,
                                              .out = bench->out + begin * HC_TILE,
                                              .out_stride = p->matrix.rows};
    bench->kernels.window_product.multiply(&product);
}

static void multiply_pairs(const struct products *p, size_t begin, size_t end, void *scratch)
{
    const struct bench *bench = p->bench;
    const struct hc_pair_product product = {.codes = p->codes + begin * band_bytes(p),
                                            .bits = PAIR_BITS,
                                            .table = (const float(*)[2])bench->table,
                                            .entries = PAIR_ENTRIES,
                                            .rows = (end - begin) * HC_TILE,
                                            .columns = p->matrix.columns,
                                            .x = bench->inputs,
                                            .n = p->n,
                                            .x_stride = p->matrix.columns,
                                            .scratch = scratch,
                                            .out = bench->out + begin * HC_TILE,
                                            .out_stride = p->matrix.rows};
    bench->kernels.pair_product.multiply(&product);
}

static void multiply(const struct products *p, int threads)
{
    const size_t bands = p->matrix.rows / HC_TILE;
#pragma omp parallel num_threads(threads)
    {
        int thread = omp_get_thread_num(), team = omp_get_num_threads(); /* may be fewer than asked for */
        size_t begin = part_begin(bands, thread, team), end = part_begin(bands, thread + 1, team);
        p->bands(p, begin, end, p->bench->scratch + (size_t)thread * p->scratch_bytes);
    }
}

static uint64_t sum(const uint8_t *bytes, size_t n)
{
    uint64_t sums[8] = {0};
    for (size_t i = 0; i + sizeof sums <= n; i += sizeof sums) {
        uint64_t words[8];
        memcpy(words, bytes + i, sizeof words);
        for (unsigned j = 0; j < 8; j++)
            sums[j] += words[j];
    }
    return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}

static void read_codes(const struct products *p, int threads)
{
    size_t bytes = matrix_bytes(&p->matrix, p->k);
    uint64_t total = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
    {
        int thread = omp_get_thread_num(), team = omp_get_num_threads();
        size_t begin = part_begin(bytes, thread, team), end = part_begin(bytes, thread + 1, team);
        total += sum(p->codes + begin, end - begin);
    }
    p->bench->out[0] = (float)total;
}

typedef void work(const struct products *p, int threads);

static void keep_best(double *best, const struct products *p, int threads, work *run)
{
    double begin = omp_get_wtime();
    run(p, threads);
    double seconds = omp_get_wtime() - begin;
    *best = *best == 0 || seconds < *best ? seconds : *best;
}

/* ---- One position: a set of matrices -------------------------------------------------------------------------- */

struct set {
    size_t layers, pieces;
    double *multiplied, *read; /* best seconds of each */
    double weights;
};

static size_t layer_bytes(unsigned k)
{
    size_t bytes = 0;
    for (size_t i = 0; i < LAYER; i++)
        bytes += matrix_bytes(&layer[i], k);
    return bytes;
}

static void activate(const struct products *p)
{
    const struct hc_window_product_ops *ops = &p->bench->kernels.window_product;
    size_t tiles = p->matrix.columns / HC_TILE, bytes = ops->activation_bytes(p->k, tiles);
    for (size_t i = 0; i < p->n; i++)
        ops->activate(p->k, p->bench->inputs, tiles, p->bench->activations + i * bytes);
}

static void prepare(struct products *p, struct matrix matrix, size_t n)
{
    p->matrix = matrix;
    p->n = n;
    if (p->bands == multiply_pairs) {
        p->scratch_bytes = hc_pair_product_scratch(matrix.columns, n) * sizeof(float);
        return;
    }
    p->scratch_bytes = p->bench->kernels.window_product.scratch_bytes(p->k, matrix.columns / HC_TILE, n);
    activate(p);
}

static void pass(struct products *p, struct set *set, int threads, work *run, double *best)
{
    p->codes = p->bench->codes;
    for (size_t i = 0; i < set->layers * LAYER; i++) {
        const struct matrix *matrix = &layer[i % LAYER];
        for (size_t row = 0; row < matrix->rows; row += PIECE) {
            size_t rows = matrix->rows - row < PIECE ? matrix->rows - row : PIECE;
            prepare(p, (struct matrix){rows, matrix->columns}, 1);
            keep_best(best++, p, threads, run);
            p->codes += matrix_bytes(&p->matrix, p->k);
        }
    }
}

static double total(const double *seconds, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += seconds[i];
    return sum;
}

static bool make_set(struct set *set, const struct bench *bench, unsigned k)
{
    size_t layers = bench->code_bytes / layer_bytes(k), pieces = 0;
    for (size_t i = 0; i < LAYER; i++)
        pieces += (layer[i].rows + PIECE - 1) / PIECE;
    set->layers = layers > 0 ? layers : 1;
    set->pieces = set->layers * pieces;
    set->multiplied = calloc(set->pieces, sizeof *set->multiplied);
    set->read = calloc(set->pieces, sizeof *set->read);
    set->weights = 8.0 * (double)(layer_bytes(k) * set->layers) / k;
    return set->multiplied && set->read;
}

/* ---- Rows of the table -------------------------------------------------------------------- */

static void print_head(const struct arguments *arguments)
{
    if (arguments->csv)
        puts("k,length,threads,codes_gigabytes_per_second,of_read,billion_weights_per_second,"
             "billion_products_per_second_32,billion_products_per_second_128");
    else
        printf("%4s %3s %8s %12s %8s %14s %14s %14s\n", "k", "L", "threads", "codes, GB/s", "of read", "weights, G/s",
               "n = 32, G/s", "n = 128, G/s");
}

static void print_shape(const struct products *p)
{
    const bool csv = p->bench->arguments->csv;
    if (p->bands == multiply_pairs)
        fputs(csv ? "pair,-," : "pair   - ", stdout);
    else
        printf(csv ? "%u,%u," : "%4u %3u ", p->k, (unsigned)p->values.code.length);
}

/* Billions of weights times positions per second. */
static double many(struct products *p, size_t n, int threads)
{
    double best = 0;
    prepare(p, some_rows, n);
    p->codes = p->bench->codes;
    for (int i = 0; i < 4 * p->bench->arguments->repeats; i++)
        keep_best(&best, p, threads, multiply);
    return (double)(p->matrix.rows * p->matrix.columns * n) / best / 1e9;
}

static bool measure(struct products *p, int threads)
{
    const struct arguments *arguments = p->bench->arguments;
    const unsigned k = p->k;
    struct set set = {0};
    bool good = make_set(&set, p->bench, k);
    for (int i = 0; good && i < arguments->repeats; i++) {
        pass(p, &set, threads, multiply, set.multiplied);
        pass(p, &set, threads, read_codes, set.read);
    }
    if (good) {
        double seconds = total(set.multiplied, set.pieces), share = total(set.read, set.pieces) / seconds;
        double rate = set.weights / seconds / 1e9, few = many(p, 32, threads);
        print_shape(p);
        printf(arguments->csv ? "%d,%.3f,%.4f,%.3f,%.2f,%.2f\n" : "%8d %12.2f %8.2f %14.2f %14.1f %14.1f\n", threads,
               rate * k / 8, share, rate, few, many(p, MOST_POSITIONS, threads));
        fflush(stdout);
    }
    free(set.multiplied);
    free(set.read);
    return good;
}

static void fill_random(const struct bench *bench)
{
    for (size_t i = 0; i < bench->code_bytes; i++)
        bench->codes[i] = (uint8_t)scatter(i);
}

/* Codes that are in the table. */
static void fill_pairs(const struct bench *bench)
{
    enum { GROUP = 8 };
    for (size_t i = 0; i + PAIR_BITS <= bench->code_bytes; i += PAIR_BITS) {
        uint32_t codes[GROUP];
        for (size_t j = 0; j < GROUP; j++)
            codes[j] = (uint32_t)(scatter(i + j) % PAIR_ENTRIES);
        bench->kernels.bitpack.pack(codes, GROUP, PAIR_BITS, bench->codes + i);
    }
}

static bool run_shape(const struct bench *bench, const struct shape *shape)
{
    struct products p = {.bench = bench};
    if (shape->k == pairs.k) {
        p.bands = multiply_pairs;
        p.k = PAIR_BITS / 2;
        fill_pairs(bench);
    } else {
        p.bands = multiply_windows;
        p.k = shape->k;
        hc_window_values_init(&p.values, hc_window_code_find(shape->k, shape->length));
        fill_random(bench);
    }
    return measure(&p, 1) && (bench->arguments->threads == 1 || measure(&p, bench->arguments->threads));
}

/* For any shape. */
static size_t most_scratch(const struct bench *bench)
{
    const size_t window =
        bench->kernels.window_product.scratch_bytes(HC_WINDOW_MAX_K, MOST_COLUMNS / HC_TILE, MOST_POSITIONS);
    const size_t pair = hc_pair_product_scratch(SOME_COLUMNS, MOST_POSITIONS) * sizeof(float);
    return window > pair ? window : pair;
}

static bool make_bench(struct bench *bench)
{
    const struct arguments *arguments = bench->arguments;
    const struct hc_window_product_ops *ops = &bench->kernels.window_product;
    const size_t tiles = MOST_COLUMNS / HC_TILE;
    size_t set = (size_t)(arguments->megabytes * 1e6), least = layer_bytes(HC_WINDOW_MAX_K);
    size_t activations = MOST_POSITIONS * ops->activation_bytes(HC_WINDOW_MAX_K, tiles);
    bench->code_bytes = set > least ? set : least;
    bench->codes = allocate(bench->code_bytes);
    bench->scales = allocate(MOST_ROWS * sizeof *bench->scales);
    bench->inputs = allocate((size_t)MOST_POSITIONS * SOME_COLUMNS * sizeof *bench->inputs);
    bench->out = allocate((size_t)MOST_POSITIONS * MOST_ROWS * sizeof *bench->out);
    bench->activations = allocate(activations);
    bench->scratch = allocate((size_t)arguments->threads * most_scratch(bench));
    bench->table = allocate(PAIR_ENTRIES * sizeof *bench->table);
    if (!bench->codes || !bench->scales || !bench->inputs || !bench->out || !bench->activations || !bench->scratch ||
        !bench->table)
        return false;
    for (size_t i = 0; i < 2 * PAIR_ENTRIES; i++)
        bench->table[i / 2][i % 2] = (float)(scatter(i) >> 40) / 0x1p24f - 0.5f;
    for (size_t i = 0; i < (size_t)MOST_POSITIONS * SOME_COLUMNS; i++)
        bench->inputs[i] = (float)(scatter(i) >> 40) / 0x1p24f - 0.5f;
    for (size_t i = 0; i < MOST_ROWS; i++)
        bench->scales[i] = 0x3c00; /* 1 */
    return true;
}

static bool run(struct bench *bench)
{
    if (!make_bench(bench))
        return false;
    print_head(bench->arguments);
    for (size_t i = 0; i < bench->arguments->shape_count; i++)
        if (!run_shape(bench, &bench->arguments->shapes[i]))
            return false;
    return true;
}

/* ---- Command line ------------------------------------------------------------------------- */

static void print_help(void)
{
    puts(
        "usage: product_speed [options] [K,L ...] [pair]\n"
        "Prints how fast codes of both methods are multiplied by the activations of one position, in codes per second\n"
        "and as the share of a plain read of the same bytes; and products (weights times positions) per second for 32\n"
        "and 128 positions. The matrices are those of LLaMA2-7B.\n"
        "\n"
        "  K,L             bits per weight and length of the window\n"
        "  pair            the method pair, 12 bits for two weights\n"
        "                  (default: 1 to 6 and 8, with 12 and 16; pair)\n"
        "  --threads N     besides one (default 2)\n"
        "  --repeats N     figures add up the best of them (default 9)\n"
        "  --megabytes X   of codes for one position, a layer at least (default 400)\n"
        "  --tier NAME     c, avx2 or avx512 (default: the best that this machine has)\n"
        "  --csv           one line of comma-separated values a row");
}

static bool parse_product(const char *text, struct shape *shape)
{
    *shape = pairs;
    return strcmp(text, "pair") == 0 || parse_shape(text, shape);
}

static bool parse_option(struct arguments *arguments, int option, const char *text)
{
    switch (option) {
    case 't':
        return parse_tier(text, &arguments->tier);
    case 'm':
        return parse_number(text, 0, 1e6, &arguments->megabytes);
    case 'j':
        return parse_count(text, 4096, &arguments->threads);
    case 'r':
        return parse_count(text, MAX_REPEATS, &arguments->repeats);
    default:
        return false;
    }
}

/* Returns the exit status, or -1 to go on. */
static int parse(struct arguments *arguments, int argc, char **argv)
{
    static const struct option options[] = {
        {"threads", required_argument, NULL, 'j'},
        {"repeats", required_argument, NULL, 'r'},
        {"megabytes", required_argument, NULL, 'm'},
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
               parse_product(argv[optind], &arguments->shapes[arguments->shape_count++]);
    if (arguments->shape_count == 0) {
        arguments->shape_count = usual_shapes(arguments->shapes);
        arguments->shapes[arguments->shape_count++] = pairs;
    }
    if (good)
        return -1;
    fprintf(stderr, "product_speed: see --help\n");
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.repeats = 9, .threads = 2, .megabytes = 400, .tier = HC_TIER_BEST};
    struct bench bench = {.arguments = &arguments};
    int code = parse(&arguments, argc, argv);
    if (code >= 0)
        return code;
    hc_tier tier = hc_kernels_init(&bench.kernels, arguments.tier);
    bool good = arguments.tier == HC_TIER_BEST || tier == arguments.tier;
    if (!good)
        fprintf(stderr, "product_speed: not run: this machine lacks that tier\n");
    else if (!(good = run(&bench)))
        fprintf(stderr, "product_speed: out of memory\n");
    free(bench.codes);
    free(bench.scales);
    free(bench.inputs);
    free(bench.out);
    free(bench.activations);
    free(bench.scratch);
    free(bench.table);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
