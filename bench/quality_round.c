/* The baselines of the quality table: the linear layers of a model rounded group by group (baselines.h), and written
 * back as float32, so that anything can run the result. What would be stored is counted exactly. */
#include "baselines.h"
#include "dither_rewrite.h"

#include <getopt.h>

enum { EXIT_USAGE = 2, MAX_GROUP = 128 };

struct rounding {
    struct baseline baseline;
    struct hc_convert_ops convert;
    float levels[16];
    hc_window_options linear_only;
    uint64_t weights, groups;
};

/* The tensors that `hyperc compress --embed-bits keep --head-bits keep` codes. */
static bool is_linear(const struct rounding *rounding, const struct hc_tensor *tensor)
{
    return tensor->rank == 2 && hc_window_bits(tensor->name, &rounding->linear_only) > 0;
}

static void round_tensor(void *user, const struct hc_tensor *tensor, size_t index, float *weights)
{
    struct rounding *rounding = user;
    uint64_t group = rounding->baseline.group;
    (void)index;
    if (!is_linear(rounding, tensor))
        return;
#pragma omp parallel for schedule(static)
    for (uint64_t at = 0; at < tensor->weights; at += group) {
        float out[MAX_GROUP];
        size_t n = (size_t)(tensor->weights - at < group ? tensor->weights - at : group);
        baseline_round(&rounding->baseline, &rounding->convert, rounding->levels, weights + at, n, out);
        memcpy(weights + at, out, n * sizeof *out);
    }
    rounding->weights += tensor->weights;
    rounding->groups += (tensor->weights + group - 1) / group;
}

/* ---- Command line ------------------------------------------------------------------------- */

static void print_help(FILE *file)
{
    fputs("usage: quality_round INPUT -o DIR --kind int4|int8|nf4 --group N\n"
          "Rounds the linear layers of a model to nearest, in groups of N neighbours (at most 128), writes the result\n"
          "as float32 to the new directory DIR, and prints exactly what would be stored: {\"bits_per_weight\": B}\n"
          "\n"
          "  int4, int8   whole numbers; the weight of the largest magnitude is the most negative one\n"
          "  nf4          16 quantiles of the normal distribution\n",
          file);
}

static bool set_kind(struct baseline *baseline, const char *name)
{
    static const struct {
        const char *name;
        enum baseline_kind kind;
        unsigned bits;
    } kinds[] = {{"int4", BASELINE_SYMMETRIC, 4}, {"int8", BASELINE_SYMMETRIC, 8}, {"nf4", BASELINE_NORMAL, 4}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            baseline->kind = kinds[i].kind;
            baseline->bits = kinds[i].bits;
            return true;
        }
    }
    return false;
}

static int run(struct rounding *rounding, const char *input, const char *output)
{
    hc_compress_options options;
    hc_compress_options_init(&options);
    rounding->linear_only = options.window;
    rounding->linear_only.embedding_bits = rounding->linear_only.head_bits = 0;
    hc_convert_c(&rounding->convert);
    normal_levels(rounding->levels);
    if (!rewrite_model("quality_round", input, output, round_tensor, rounding))
        return 1;
    if (rounding->weights == 0) {
        fprintf(stderr, "quality_round: %s: no linear layers\n", input);
        return 1;
    }
    double bits = (double)rounding->weights * rounding->baseline.bits + 16.0 * (double)rounding->groups;
    printf("{\"bits_per_weight\": %.6f}\n", bits / (double)rounding->weights);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"output", required_argument, 0, 'o'},
                                            {"kind", required_argument, 0, 'k'},
                                            {"group", required_argument, 0, 'g'},
                                            {"help", no_argument, 0, 'h'},
                                            {0}};
    struct rounding rounding = {.baseline = {.group = 0}};
    const char *output = NULL, *kind = "";
    int option;
    while ((option = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
        if (option == 'h') {
            print_help(stdout);
            return 0;
        }
        if (option == 'o')
            output = optarg;
        else if (option == 'k')
            kind = optarg;
        else if (option == 'g')
            rounding.baseline.group = (unsigned)strtoul(optarg, NULL, 10);
        else
            optind = argc + 1; /* wrong usage */
    }
    if (!output || optind + 1 != argc || !set_kind(&rounding.baseline, kind) || rounding.baseline.group == 0 ||
        rounding.baseline.group > MAX_GROUP) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    return run(&rounding, argv[optind], output);
}
