/* Searches the constants of `window`: for every (k, L) the odd multiplier A and the coefficients of g with which normal
 * weights of unit deviation are coded best. It prints lines of kernels/common/window_codes.inc; with --measure,
 * --open or --check it measures the lines that are compiled in.
 *
 * Candidates are compared on the same weights. The scale of g comes first, on a few multipliers; then all multipliers
 * on few tiles, the best sixth of them on four times as many, and so on; the last ones get coefficients of their own by
 * a pattern search, and the line compiled in joins them. What decides between these, and every figure that is printed,
 * comes from weights that no choice was made on. */
#include "sources.h"

#include <kernels.h>

#include <getopt.h>
#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 8,        /* tiles that a thread codes at a time */
    CHECK_TILES = 32, /* the first ones of the final weights: what --check measures */
    KEEP_ONE_OF = 6,  /* candidates of a round */
    FINALISTS = 4,
    MAX_CANDIDATES = 1 << 15,
    EXIT_USAGE = 2,
};
#define TOLERANCE_DB 0.02
#define OPEN_HEAD "k,length,tiles,signal_to_noise_db,open_db\n"
#define CSV_HEAD "k,length,multiplier,a,b,c,tiles,signal_to_noise_db,check_db\n"

struct arguments {
    bool k[HC_WINDOW_MAX_K + 1], length[HC_WINDOW_MAX_LENGTH + 1];
    unsigned candidates, tiles;
    uint64_t seed;
    bool measure, open, random;
    const char *check;
};

struct candidate {
    struct hc_window_code code;
    double decibel;
};

/* ---- Coding on one thread ----------------------------------------------------------------- */

struct coder {
    const struct hc_kernels *kernels;
    struct hc_window_trellis trellis;
    float scale;
    uint16_t *table;
    int16_t *codebook;
    float *values;
    void *layout, *scratch;
};

static void *room(size_t bytes)
{
    return aligned_alloc(64, bytes / 64 * 64 + 64);
}

static void close_coder(struct coder *coder)
{
    free(coder->table);
    free(coder->codebook);
    free(coder->values);
    free(coder->layout);
    free(coder->scratch);
}

/* False if memory is out; to be closed all the same. */
static bool open_coder(struct coder *coder, const struct hc_kernels *kernels, unsigned k, unsigned length)
{
    const struct hc_window_encode_ops *ops = &kernels->window_encode;
    size_t codes = (size_t)1 << length;
    *coder = (struct coder){.kernels = kernels,
                            .table = room(codes * sizeof *coder->table),
                            .codebook = room(codes * sizeof *coder->codebook),
                            .values = room(codes * sizeof *coder->values),
                            .layout = room(ops->layout_bytes(k, length)),
                            .scratch = room(ops->scratch_bytes(k, length))};
    coder->trellis =
        (struct hc_window_trellis){.k = k, .length = length, .codebook = coder->codebook, .layout = coder->layout};
    return coder->table && coder->codebook && coder->values && coder->layout && coder->scratch;
}

/* The same values at places drawn at random: what the multiplier is held against. */
static void shuffle(uint16_t *table, size_t count)
{
    uint64_t state = 1;
    for (size_t i = count - 1; i > 0; i--) {
        size_t other = (size_t)(source_uniform(&state) * (double)(i + 1));
        uint16_t swap = table[i];
        table[i] = table[other];
        table[other] = swap;
    }
}

static void set_code(struct coder *coder, const struct hc_window_code *code, bool random)
{
    hc_window_table(code, coder->table);
    if (random)
        shuffle(coder->table, (size_t)1 << code->length);
    coder->kernels->convert.f16_to_f32(coder->table, (size_t)1 << code->length, coder->values);
    coder->scale = hc_window_codebook(code, coder->table, coder->codebook);
    coder->trellis.multiplier = code->multiplier;
    coder->trellis.all = random;
    coder->kernels->window_encode.prepare(&coder->trellis);
}

/* Sum of the squared errors of CHUNK tiles. */
static double code_chunk(const struct coder *coder, const float *weights)
{
    int16_t numbers[CHUNK * HC_TILE_WEIGHTS];
    uint8_t codes[CHUNK * HC_TILE_WEIGHTS / 8 * HC_WINDOW_MAX_K];
    unsigned k = coder->trellis.k, length = coder->trellis.length;
    double noise = 0;
    for (size_t i = 0; i < CHUNK * HC_TILE_WEIGHTS; i++)
        numbers[i] = (int16_t)lrintf(fminf(fmaxf(weights[i] * coder->scale, -32767), 32767));
    coder->kernels->window_encode.tiles(&coder->trellis, numbers, NULL, CHUNK, coder->scratch, codes);
    for (unsigned i = 0; i < CHUNK * HC_TILE_WEIGHTS; i++) {
        const uint8_t *tile = codes + i / HC_TILE_WEIGHTS * (HC_TILE_WEIGHTS / 8) * k;
        double error = (double)weights[i] - coder->values[hc_window_theta(tile, k, length, i % HC_TILE_WEIGHTS)];
        noise += error * error;
    }
    return noise;
}

/* ---- Measuring candidates ----------------------------------------------------------------- */

struct bench {
    const struct arguments *arguments;
    struct hc_kernels kernels;
    unsigned k, length;
    struct coder *coders; /* one per thread */
    float *weights;
    double *noise;    /* of every chunk of every candidate of one measurement */
    unsigned streams; /* of weights drawn so far for this (k, length) */
};

static bool out_of_memory(void)
{
    fprintf(stderr, "multipliers: out of memory\n");
    return false;
}

static void draw(struct bench *bench, unsigned stream, unsigned tiles)
{
#pragma omp parallel for schedule(static)
    for (unsigned i = 0; i < tiles; i++) {
        uint64_t state = bench->arguments->seed << 48 | (uint64_t)stream << 32 | (uint64_t)i << 12;
        for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++)
            bench->weights[i * HC_TILE_WEIGHTS + t] = (float)source_normal(&state);
    }
}

/* New weights, the same for all candidates measured on them. */
static void draw_fresh(struct bench *bench, unsigned tiles)
{
    draw(bench, ++bench->streams, tiles);
}

static double decibel(const struct bench *bench, const double *noise, unsigned tiles)
{
    double signal = 0, sum = 0;
    for (unsigned i = 0; i < tiles * HC_TILE_WEIGHTS; i++)
        signal += (double)bench->weights[i] * bench->weights[i];
    for (unsigned i = 0; i < tiles / CHUNK; i++)
        sum += noise[i];
    return 10 * log10(signal / sum);
}

/* Fills in the decibels of candidates, on the first `tiles` of the weights drawn. */
static void measure(struct bench *bench, struct candidate *candidates, size_t count, unsigned tiles)
{
    int chunks = (int)(tiles / CHUNK), jobs = (int)count * chunks;
#pragma omp parallel
    {
        struct coder *coder = &bench->coders[omp_get_thread_num()];
        int ready = -1;
        /* Enough candidates: a thread codes all chunks of one, since making a codebook ready takes time too. */
#pragma omp for schedule(dynamic, count >= 16 ? chunks : 1)
        for (int job = 0; job < jobs; job++) {
            if (ready != job / chunks) {
                ready = job / chunks;
                set_code(coder, &candidates[ready].code, bench->arguments->random);
            }
            bench->noise[job] = code_chunk(coder, bench->weights + (size_t)(job % chunks) * CHUNK * HC_TILE_WEIGHTS);
        }
    }
    for (size_t i = 0; i < count; i++)
        candidates[i].decibel = decibel(bench, bench->noise + i * (size_t)chunks, tiles);
}

static void close_bench(struct bench *bench)
{
    for (int i = 0; bench->coders && i < omp_get_max_threads(); i++)
        close_coder(&bench->coders[i]);
    free(bench->coders);
    free(bench->weights);
    free(bench->noise);
}

/* False if memory is out; to be closed all the same. */
static bool open_bench(struct bench *bench, const struct arguments *arguments, unsigned k, unsigned length)
{
    int threads = omp_get_max_threads();
    size_t chunks = arguments->tiles / CHUNK + arguments->candidates; /* later rounds need less */
    *bench = (struct bench){.arguments = arguments, .k = k, .length = length};
    hc_kernels_init(&bench->kernels, HC_TIER_BEST);
    bench->coders = calloc((size_t)threads, sizeof *bench->coders);
    bench->weights = malloc((size_t)arguments->tiles * HC_TILE_WEIGHTS * sizeof *bench->weights);
    bench->noise = malloc(chunks * sizeof *bench->noise);
    bool good = bench->coders && bench->weights && bench->noise;
    for (int i = 0; good && i < threads; i++)
        good = open_coder(&bench->coders[i], &bench->kernels, k, length);
    return good || out_of_memory();
}

/* ---- Searching ---------------------------------------------------------------------------- */

/* Tiles on which the last candidates are fitted and chosen, a multiple of CHUNK. */
static unsigned search_tiles(const struct bench *bench)
{
    unsigned tiles = bench->arguments->tiles / (bench->length < 14 ? 8 : 32) / CHUNK * CHUNK;
    return tiles > CHUNK ? tiles : CHUNK;
}

static int compare_candidates(const void *a, const void *b)
{
    double x = ((const struct candidate *)a)->decibel, y = ((const struct candidate *)b)->decibel;
    return (x < y) - (x > y);
}

static double round_coefficient(double x)
{
    return round(x * 1e4) / 1e4;
}

static void scale_code(struct hc_window_code *code, double a, double b, double c)
{
    code->a = round_coefficient(code->a * a);
    code->b = round_coefficient(code->b * b);
    code->c = round_coefficient(code->c * c);
}

/* Every odd multiplier, or as many as asked for, in no order. Returns how many. */
static unsigned draw_multipliers(const struct bench *bench, struct candidate *candidates)
{
    unsigned all = 1u << (bench->length - 1), count = bench->arguments->candidates, shift = 16 - bench->length;
    uint64_t state = bench->arguments->seed;
    count = count < all ? count : all;
    for (unsigned i = 0; i < count; i++) {
        unsigned index = count == all ? i : (unsigned)(source_uniform(&state) * all);
        candidates[i].code = (struct hc_window_code){
            (uint8_t)bench->k, (uint8_t)bench->length, (uint16_t)((2 * index + 1) << shift), 0, 0, 0};
    }
    return count;
}

/* Gives all candidates the shape of the inverse normal at the scale that serves the best of a few multipliers best. */
static void choose_scale(struct bench *bench, struct candidate *candidates, unsigned count)
{
    enum { FEW = 16 };
    struct candidate few[FEW], best = {.decibel = -HUGE_VAL};
    unsigned n = count < FEW ? count : FEW;
    draw_fresh(bench, CHUNK);
    for (double scale = 0.8; scale < 1.85; scale += 0.1) {
        for (unsigned i = 0; i < n; i++) {
            few[i] = candidates[i * (count / n)];
            few[i].code.a = 1.28, few[i].code.b = 0.84, few[i].code.c = 1.24;
            scale_code(&few[i].code, scale, scale, scale);
        }
        measure(bench, few, n, CHUNK);
        for (unsigned i = 0; i < n; i++)
            best = few[i].decibel > best.decibel ? few[i] : best;
    }
    for (unsigned i = 0; i < count; i++) {
        uint16_t multiplier = candidates[i].code.multiplier;
        candidates[i] = best;
        candidates[i].code.multiplier = multiplier;
    }
}

/* Leaves the best ones in front; returns how many there are. */
static unsigned halve(struct bench *bench, struct candidate *candidates, unsigned count)
{
    for (unsigned tiles = CHUNK; count > FINALISTS; tiles *= 4) {
        tiles = tiles < search_tiles(bench) ? tiles : search_tiles(bench);
        draw_fresh(bench, tiles);
        measure(bench, candidates, count, tiles);
        qsort(candidates, count, sizeof *candidates, compare_candidates);
        count = count / KEEP_ONE_OF > FINALISTS ? count / KEEP_ONE_OF : FINALISTS;
    }
    return count;
}

/* Coefficients, by steps along the scale, b and c that shrink when none of them helps. */
static void polish(struct bench *bench, struct candidate *candidate)
{
    unsigned tiles = search_tiles(bench);
    draw_fresh(bench, tiles);
    measure(bench, candidate, 1, tiles);
    for (double step = 0.16; step > 0.015;) {
        struct candidate tries[6];
        for (int i = 0; i < 6; i++) {
            double factor = i % 2 ? 1 / (1 + step) : 1 + step;
            double small = 1 + (factor - 1) / 4; /* the scale matters most */
            tries[i] = *candidate;
            scale_code(&tries[i].code, i < 2 ? small : 1,
                       i < 2   ? small
                       : i < 4 ? factor
                               : 1,
                       i < 2   ? small
                       : i < 4 ? 1
                               : factor);
        }
        measure(bench, tries, 6, tiles);
        qsort(tries, 6, sizeof *tries, compare_candidates);
        if (tries[0].decibel > candidate->decibel)
            *candidate = tries[0];
        else
            step /= 2;
    }
}

/* False if memory is out. */
static bool search(struct bench *bench, struct candidate *best)
{
    const struct hc_window_code *present = hc_window_code_find(bench->k, bench->length);
    struct candidate *candidates = malloc(((size_t)bench->arguments->candidates + 2) * sizeof *candidates);
    if (!candidates)
        return out_of_memory();
    unsigned count = draw_multipliers(bench, candidates);
    choose_scale(bench, candidates, count);
    count = halve(bench, candidates, count);
    candidates[count++].code = *present;
    for (unsigned i = 0; i < count; i++)
        polish(bench, &candidates[i]);
    candidates[count++].code = *present; /* as it is: polishing may have fitted it to its weights */
    draw_fresh(bench, search_tiles(bench));
    measure(bench, candidates, count, search_tiles(bench));
    qsort(candidates, count, sizeof *candidates, compare_candidates);
    *best = candidates[0];
    free(candidates);
    return true;
}

/* ---- What is printed ---------------------------------------------------------------------- */

/* Stream 0 is kept for this. Returns decibels on the first tiles, those of --check. */
static double measure_final(struct bench *bench, struct candidate *candidate, unsigned tiles)
{
    draw(bench, 0, tiles);
    measure(bench, candidate, 1, tiles);
    return decibel(bench, bench->noise, CHECK_TILES);
}

static bool print_search(struct bench *bench)
{
    struct candidate best;
    if (!search(bench, &best))
        return false;
    measure_final(bench, &best, bench->arguments->tiles);
    printf("{%u, %2u, %5u, %.4f, %.4f, %.4f}, /* %.3f dB */\n", bench->k, bench->length, best.code.multiplier,
           best.code.a, best.code.b, best.code.c, best.decibel);
    return true;
}

static bool print_measured(struct bench *bench)
{
    struct candidate present = {*hc_window_code_find(bench->k, bench->length), 0};
    double check = measure_final(bench, &present, bench->arguments->tiles);
    printf("%u,%u,%u,%.4f,%.4f,%.4f,%u,%.3f,%.3f\n", bench->k, bench->length, present.code.multiplier, present.code.a,
           present.code.b, present.code.c, bench->arguments->tiles, present.decibel, check);
    return true;
}

/* ---- Without closing ---------------------------------------------------------------------- */

/* Least sum of squared errors of any path through all the weights, in floating point: its ends are free, so nothing is
 * spent on closing strings, on a search that is cut short or on integers. metrics: of all states, before and after. */
static double open_noise(const struct coder *coder, const float *weights, size_t count, float *metrics)
{
    const unsigned k = coder->trellis.k;
    const uint32_t states = 1u << (coder->trellis.length - k);
    float *before = metrics, *after = metrics + states;
    double noise = 0;
    memset(before, 0, states * sizeof *before);
    for (size_t i = 0; i < count; i++) {
        float least = INFINITY;
        for (uint32_t s = 0; s < states; s++) {
            after[s] = INFINITY;
            for (uint32_t theta = s << k; theta < (s + 1) << k; theta++) {
                float d = weights[i] - coder->values[theta];
                after[s] = fminf(after[s], before[theta & (states - 1)] + d * d);
            }
            least = fminf(least, after[s]);
        }
        for (uint32_t s = 0; s < states; s++)
            before[s] = after[s] - least;
        noise += least;
    }
    return noise;
}

static bool print_open(struct bench *bench)
{
    struct candidate present = {*hc_window_code_find(bench->k, bench->length), 0};
    struct coder *coder = &bench->coders[0];
    const unsigned tiles = bench->arguments->tiles;
    float *metrics = malloc(sizeof *metrics << (bench->length - bench->k + 1));
    if (!metrics)
        return out_of_memory();
    measure_final(bench, &present, tiles);
    set_code(coder, &present.code, false);
    double signal = 0, noise = open_noise(coder, bench->weights, (size_t)tiles * HC_TILE_WEIGHTS, metrics);
    for (size_t i = 0; i < (size_t)tiles * HC_TILE_WEIGHTS; i++)
        signal += (double)bench->weights[i] * bench->weights[i];
    printf("%u,%u,%u,%.3f,%.3f\n", bench->k, bench->length, tiles, present.decibel, 10 * log10(signal / noise));
    free(metrics);
    return true;
}

static bool for_each(const struct arguments *arguments, bool (*print)(struct bench *bench))
{
    bool good = true;
    for (unsigned k = 1; k <= HC_WINDOW_MAX_K; k++) {
        for (unsigned length = HC_WINDOW_MIN_LENGTH; length <= HC_WINDOW_MAX_LENGTH; length++) {
            struct bench bench;
            if (!good || !arguments->k[k] || !arguments->length[length])
                continue;
            good = open_bench(&bench, arguments, k, length) && print(&bench);
            close_bench(&bench);
            fflush(stdout);
        }
    }
    return good;
}

/* ---- Checking ----------------------------------------------------------------------------- */

/* False, with a message, if a row of the file is not what is compiled in or, where chosen, not what is measured. */
static bool check_row(const struct arguments *arguments, const char *line)
{
    struct candidate row = {0};
    struct bench bench;
    double a, b, c, check;
    unsigned k, length, multiplier;
    if (sscanf(line, "%u,%u,%u,%lf,%lf,%lf,%*u,%*f,%lf", &k, &length, &multiplier, &a, &b, &c, &check) != 7 ||
        !hc_window_code_find(k, length)) {
        fprintf(stderr, "multipliers: not a row: %s", line);
        return false;
    }
    row.code = *hc_window_code_find(k, length);
    if (row.code.multiplier != multiplier || row.code.a != a || row.code.b != b || row.code.c != c) {
        fprintf(stderr, "multipliers: k %u, L %u: the table has other constants\n", k, length);
        return false;
    }
    if (!arguments->k[k] || !arguments->length[length])
        return true;
    bool good = open_bench(&bench, arguments, k, length);
    if (good) {
        measure_final(&bench, &row, CHECK_TILES);
        good = fabs(row.decibel - check) <= TOLERANCE_DB;
        printf("k %u, L %2u: %.3f dB, expected %.3f%s\n", k, length, row.decibel, check, good ? "" : ": differs");
    }
    close_bench(&bench);
    return good;
}

static bool check(const struct arguments *arguments)
{
    enum { ROWS = 7 * (HC_WINDOW_MAX_LENGTH - HC_WINDOW_MIN_LENGTH + 1) };
    FILE *file = fopen(arguments->check, "r");
    char line[256];
    unsigned rows = 0;
    bool good = file && fgets(line, sizeof line, file) && strcmp(line, CSV_HEAD) == 0;
    while (good && fgets(line, sizeof line, file)) {
        good = check_row(arguments, line);
        rows++;
    }
    if (good && rows != ROWS)
        good = false;
    if (!good)
        fprintf(stderr, "multipliers: %s: differs, or cannot be read, after %u of %d rows\n", arguments->check, rows,
                ROWS);
    if (file)
        fclose(file);
    return good;
}

/* ---- Command line ------------------------------------------------------------------------- */

static void print_help(void)
{
    puts("usage: multipliers [options]\n"
         "Searches the constants of the window method, and prints the lines of kernels/common/window_codes.inc with "
         "their\n"
         "signal to noise on fresh normal weights.\n"
         "\n"
         "  --k LIST         bits per weight, of 1,2,3,4,5,6,8 (default: all)\n"
         "  --length LIST    bits of a code, 8 to 16 (default: all)\n"
         "  --candidates N   most multipliers to try (default 4096; there are 2^(L-1))\n"
         "  --tiles N        tiles of 256 weights that the printed figure is measured on (default 4096)\n"
         "  --seed N         of weights and candidates, below 65536 (default 1)\n"
         "  --measure        no search: measure the constants that are compiled in, as comma-separated values\n"
         "  --open           no search: what is lost to closing the strings, and to a search in integers that is cut "
         "short:\n"
         "                   the signal to noise of tiles, and that of the best path through all weights, ends free\n"
         "  --random         with --measure: the same values, but in an order drawn at random instead of a winding's\n"
         "  --check FILE     compare them with what --measure once printed; exit status 1 if they differ");
}

static bool parse_number(const char *text, unsigned least, unsigned most, unsigned *value)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    *value = (unsigned)n;
    return end != text && (*end == '\0' || *end == ',') && n >= least && n <= most;
}

static bool parse_list(const char *text, unsigned least, unsigned most, bool *chosen)
{
    memset(chosen, 0, (most + 1) * sizeof *chosen);
    for (;; text = strchr(text, ',') + 1) {
        unsigned value;
        if (!parse_number(text, least, most, &value))
            return false;
        chosen[value] = true;
        if (!strchr(text, ','))
            return true;
    }
}

static bool parse_option(struct arguments *arguments, int option, const char *text)
{
    unsigned seed = 0;
    switch (option) {
    case 'k':
        return parse_list(text, 1, HC_WINDOW_MAX_K, arguments->k) && !arguments->k[7];
    case 'l':
        return parse_list(text, HC_WINDOW_MIN_LENGTH, HC_WINDOW_MAX_LENGTH, arguments->length);
    case 'n':
        return parse_number(text, 16, MAX_CANDIDATES, &arguments->candidates);
    case 't':
        return parse_number(text, CHECK_TILES, 1 << 20, &arguments->tiles) && arguments->tiles % CHUNK == 0;
    case 's':
        if (!parse_number(text, 0, 65535, &seed))
            return false;
        arguments->seed = seed;
        return true;
    case 'm':
        return arguments->measure = true;
    case 'o':
        return arguments->open = true;
    case 'r':
        return arguments->random = true;
    default:
        arguments->check = text;
        return option == 'c';
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"k", required_argument, NULL, 'k'},
        {"length", required_argument, NULL, 'l'},
        {"candidates", required_argument, NULL, 'n'},
        {"tiles", required_argument, NULL, 't'},
        {"seed", required_argument, NULL, 's'},
        {"measure", no_argument, NULL, 'm'},
        {"open", no_argument, NULL, 'o'},
        {"random", no_argument, NULL, 'r'},
        {"check", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct arguments arguments = {.candidates = 4096, .tiles = 4096, .seed = 1};
    parse_list("1,2,3,4,5,6,8", 1, HC_WINDOW_MAX_K, arguments.k);
    parse_list("8,9,10,11,12,13,14,15,16", HC_WINDOW_MIN_LENGTH, HC_WINDOW_MAX_LENGTH, arguments.length);
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return EXIT_SUCCESS;
        }
        if (!parse_option(&arguments, option, optarg)) {
            fprintf(stderr, "multipliers: see --help\n");
            return EXIT_USAGE;
        }
    }
    if (optind != argc || (arguments.random && !arguments.measure) ||
        (arguments.open && (arguments.measure || arguments.check))) {
        fprintf(stderr, "multipliers: see --help\n");
        return EXIT_USAGE;
    }
    bool good;
    if (arguments.check) {
        good = check(&arguments);
    } else {
        if (arguments.measure || arguments.open)
            fputs(arguments.open ? OPEN_HEAD : CSV_HEAD, stdout);
        good = for_each(&arguments, arguments.open ? print_open : arguments.measure ? print_measured : print_search);
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
