/* How fast the kernels are on a GPU: products straight from the codes, encoding, attention; against a plain copy, and
 * against cuBLAS in half precision. */
#include "bench_cuda.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, MAX_REPEATS = 1001, BLAS_WORKSPACE = 32 << 20, COPY_BYTES = 1 << 28 };

struct arguments {
    const char *device;
    struct gpu *gpu;
};

/* ---- The device ----------------------------------------------------------------------------------------------- */

struct copying {
    uint8_t *from, *to;
    size_t bytes; /* of a set */
};

static cudaError_t run_copy(const void *state, size_t set, cudaStream_t stream)
{
    const struct copying *c = state;
    return cudaMemcpyAsync(c->to + set * c->bytes, c->from + set * c->bytes, c->bytes, cudaMemcpyDeviceToDevice,
                           stream);
}

static void measure_copy(struct gpu *gpu)
{
    struct copying c = {.bytes = gpu->emulated ? 4096 : COPY_BYTES};
    size_t sets = gpu_sets(gpu, c.bytes);
    c.from = gpu_random(gpu, sets * c.bytes);
    c.to = gpu_zeros(gpu, sets * c.bytes);
    double seconds = gpu_time(gpu, run_copy, &c, sets);
    gpu_expect_bytes(gpu, c.to, c.bytes, "copy");
    gpu_release(gpu);
    if (seconds > 0)
        gpu->copy = 2.0 * (double)c.bytes / seconds;
}

/* The workspace is given to cuBLAS, which cannot allocate one while work is recorded. */
static void open_blas(struct gpu *gpu, void **workspace)
{
    hc_status status = hc_cuda_allocate(&gpu->device, BLAS_WORKSPACE, workspace, &gpu->error);
    if (status == HC_OK)
        status = hc_cuda_blas_open(&gpu->blas, &gpu->device, *workspace, BLAS_WORKSPACE, &gpu->error);
    gpu->failed = status != HC_OK;
}

static void describe(struct gpu *gpu, const struct cudaDeviceProp *properties)
{
    gpu->emulated = strstr(properties->name, "(cuemu)") != NULL;
    gpu->cache = (size_t)properties->l2CacheSize;
    measure_copy(gpu);
    if (gpu->emulated)
        fprintf(stderr, "%s: under an emulator: no times\n", properties->name);
    else if (!gpu->failed)
        fprintf(stderr,
                "%s, %d multiprocessors, %d MiB of second-level cache; a plain copy: %.1f GB/s, read and written\n",
                properties->name, properties->multiProcessorCount, properties->l2CacheSize >> 20, gpu->copy / 1e9);
}

static void measure(struct gpu *gpu)
{
    gpu_print_head(gpu);
    bench_products(gpu);
    bench_encoding(gpu);
    bench_pair_search(gpu);
    bench_attention(gpu);
}

static int run(const struct arguments *arguments)
{
    struct gpu *gpu = arguments->gpu;
    struct cudaDeviceProp properties;
    void *workspace = NULL;
    if (hc_cuda_device_open(&gpu->device, arguments->device, &gpu->error) != HC_OK) {
        fprintf(stderr, "gpu: %s\n", gpu->error.text);
        return EXIT_FAILURE;
    }
    open_blas(gpu, &workspace);
    if (!gpu->failed && gpu_check(gpu, cudaGetDeviceProperties(&properties, gpu->device.ordinal), "properties")) {
        describe(gpu, &properties);
        measure(gpu);
    }
    if (gpu->failed)
        fprintf(stderr, "gpu: %s\n", gpu->error.text);
    gpu_release(gpu);
    hc_cuda_blas_close(&gpu->blas);
    hc_cuda_free(&gpu->device, workspace);
    hc_cuda_device_close(&gpu->device);
    return gpu->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- Command line --------------------------------------------------------------------------------------------- */

static void print_help(void)
{
    puts(
        "usage: gpu [options] [K,L ...]\n"
        "Prints how fast the kernels are on a GPU: products straight from the codes, for the launches of a layer of\n"
        "LLaMA2-7B and 1, 8, 16 and 64 positions, in weights per second, bytes of codes per second, as the share of a\n"
        "plain copy, and against cuBLAS in half precision; encoding; and attention of one token, in bytes of keys and\n"
        "values. Times are those of events around graphs, over operands larger than the second-level cache.\n"
        "Under an emulator (cuemu) small shapes are run and checked, and no time is told.\n"
        "\n"
        "  K,L             bits per weight and length of the window (default: 1 to 6 and 8, with 12 and 16)\n"
        "  --device N      default 0\n"
        "  --repeats N     figures are the best of them (default 9)\n"
        "  --csv           one line of comma-separated values a row");
}

/* Returns the exit status, or -1 to go on. */
static int parse(struct arguments *arguments, int argc, char **argv)
{
    static const struct option options[] = {
        {"device", required_argument, NULL, 'd'},
        {"repeats", required_argument, NULL, 'r'},
        {"csv", no_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct gpu *gpu = arguments->gpu;
    bool good = true;
    int option;
    while (good && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return EXIT_SUCCESS;
        }
        if (option == 'c')
            gpu->csv = true;
        else if (option == 'd')
            arguments->device = optarg;
        else
            good = option == 'r' && parse_count(optarg, MAX_REPEATS, &gpu->repeats);
    }
    for (; good && optind < argc; optind++)
        good = gpu->shape_count < GPU_SHAPES && parse_shape(argv[optind], &gpu->shapes[gpu->shape_count++]);
    if (gpu->shape_count == 0)
        gpu->shape_count = usual_shapes(gpu->shapes);
    if (good)
        return -1;
    fprintf(stderr, "gpu: see --help\n");
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct gpu gpu = {.repeats = 9};
    struct arguments arguments = {"", &gpu};
    int code = parse(&arguments, argc, argv);
    return code >= 0 ? code : run(&arguments);
}
