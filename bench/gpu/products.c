/* Products straight from the codes, for the launches of a layer of LLaMA2-7B, against cuBLAS in half precision. */
#include "bench_cuda.h"

#include "pair_product/pair_product_cuda.h"
#include "window_product/window_product_cuda.h"

/* Matrices of one shape that one launch multiplies. */
struct group {
    const char *name;
    size_t rows, columns;
    unsigned count;
};

enum { GROUPS = 4, PAIR_BITS = 13 };
static const struct group layer[GROUPS] = {
    {"q k v", 4096, 4096, 3}, {"o", 4096, 4096, 1}, {"gate up", 11008, 4096, 2}, {"down", 4096, 11008, 1}};
static const struct group small_layer[GROUPS] = {
    {"q k v", 64, 256, 3}, {"o", 64, 256, 1}, {"gate up", 176, 256, 2}, {"down", 64, 688, 1}};

static const size_t positions[] = {1, 8, 16, 64};
enum { POSITIONS = sizeof positions / sizeof *positions };

/* What belongs to a launch: its operands, those of set s after s set_bytes of codes or weights. */
struct product {
    struct gpu *gpu;
    struct group group;
    size_t n, sets, set_bytes;
    const struct hc_window_code *code; /* of window */
    const uint8_t *codes;
    const uint16_t *table, *scales, *halves;
    const float *x_scales;
    float *out;
    uint32_t *faults;
    void *workspace;
};

static double weights_of(const struct group *group)
{
    return (double)(group->rows * group->columns * group->count);
}

/* ---- window --------------------------------------------------------------------------------------------------- */

static void window_matrices(const struct product *p, size_t set, struct hc_window_matrix_cuda *matrices)
{
    size_t bytes = p->set_bytes / p->group.count;
    for (unsigned i = 0; i < p->group.count; i++)
        matrices[i] = (struct hc_window_matrix_cuda){.codes = p->codes + set * p->set_bytes + i * bytes,
                                                     .scales = p->scales,
                                                     .rows = p->group.rows,
                                                     .tile_columns = p->group.columns / HC_TILE,
                                                     .code = *p->code,
                                                     .halves = p->halves,
                                                     .x_scales = p->x_scales,
                                                     .out = p->out + i * p->n * p->group.rows};
}

static cudaError_t run_window(const void *state, size_t set, cudaStream_t stream)
{
    const struct product *p = state;
    struct hc_window_matrix_cuda matrices[HC_INPUT_MATRICES];
    window_matrices(p, set, matrices);
    return hc_window_product_cuda(matrices, p->group.count, p->n, p->workspace, stream);
}

static size_t window_workspace(const struct product *p)
{
    struct hc_window_matrix_cuda matrices[HC_INPUT_MATRICES];
    window_matrices(p, 0, matrices);
    return hc_window_product_cuda_workspace(matrices, p->group.count, p->n);
}

/* ---- pair ----------------------------------------------------------------------------------------------------- */

static void pair_matrices(const struct product *p, size_t set, struct hc_pair_matrix_cuda *matrices)
{
    size_t bytes = p->set_bytes / p->group.count;
    for (unsigned i = 0; i < p->group.count; i++)
        matrices[i] = (struct hc_pair_matrix_cuda){.codes = p->codes + set * p->set_bytes + i * bytes,
                                                   .bits = PAIR_BITS,
                                                   .table = p->table,
                                                   .entries = 1 << PAIR_BITS,
                                                   .rows = p->group.rows,
                                                   .columns = p->group.columns,
                                                   .halves = p->halves,
                                                   .x_scales = p->x_scales,
                                                   .out = p->out + i * p->n * p->group.rows,
                                                   .faults = p->faults};
}

static cudaError_t run_pair(const void *state, size_t set, cudaStream_t stream)
{
    const struct product *p = state;
    struct hc_pair_matrix_cuda matrices[HC_INPUT_MATRICES];
    pair_matrices(p, set, matrices);
    return hc_pair_product_cuda(matrices, p->group.count, p->n, p->workspace, stream);
}

static size_t pair_workspace(const struct product *p)
{
    struct hc_pair_matrix_cuda matrices[HC_INPUT_MATRICES];
    pair_matrices(p, 0, matrices);
    return hc_pair_product_cuda_workspace(matrices, p->group.count, p->n);
}

/* ---- cuBLAS --------------------------------------------------------------------------------------------------- */

static cudaError_t run_blas(const void *state, size_t set, cudaStream_t stream)
{
    const struct product *p = state;
    const size_t bytes = p->set_bytes / p->group.count;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    (void)stream; /* it was opened on this one */
    for (unsigned i = 0; i < p->group.count && status == CUBLAS_STATUS_SUCCESS; i++)
        status = hc_cuda_blas_multiply(&p->gpu->blas,
                                       &(struct hc_cuda_gemm){.weights = p->codes + set * p->set_bytes + i * bytes,
                                                              .x = p->halves,
                                                              .type = CUDA_R_16F,
                                                              .rows = (uint32_t)p->group.rows,
                                                              .columns = (uint32_t)p->group.columns,
                                                              .row_stride = (uint32_t)p->group.columns,
                                                              .x_stride = (uint32_t)p->group.columns,
                                                              .n = (uint32_t)p->n,
                                                              .sums = p->out + i * p->n * p->group.rows});
    return status == CUBLAS_STATUS_SUCCESS ? cudaSuccess : cudaErrorUnknown;
}

/* ---- Both ----------------------------------------------------------------------------------------------------- */

/* All that products read but the codes, and where they write. */
static struct product begin(struct gpu *gpu, const struct group *group, size_t n, double bits)
{
    struct product p = {.gpu = gpu, .group = *group, .n = n};
    size_t groups = (group->columns + HC_INPUT_GROUP - 1) / HC_INPUT_GROUP;
    p.set_bytes = (size_t)(weights_of(group) * bits / 8);
    p.sets = gpu_sets(gpu, p.set_bytes);
    p.scales = gpu_random_halves(gpu, group->rows);
    p.halves = gpu_random_halves(gpu, n * group->columns);
    p.x_scales = gpu_fill_floats(gpu, n * groups, 1.0f);
    p.out = gpu_zeros(gpu, n * group->rows * group->count * sizeof *p.out);
    return p;
}

/* Seconds of a launch. */
static double measure(struct product *p, gpu_work *work, const char *what)
{
    double seconds = gpu_time(p->gpu, work, p, p->sets);
    gpu_expect_floats(p->gpu, p->out, p->n * p->group.rows * p->group.count, what);
    gpu_release(p->gpu);
    return seconds;
}

static double time_blas(struct gpu *gpu, const struct group *group, size_t n)
{
    struct product p = begin(gpu, group, n, 16);
    p.codes = gpu_random_halves(gpu, p.sets * p.set_bytes / sizeof(uint16_t));
    return measure(&p, run_blas, "cuBLAS");
}

static double time_window(struct gpu *gpu, const struct group *group, size_t n, const struct hc_window_code *code)
{
    struct product p = begin(gpu, group, n, code->k);
    p.code = code;
    p.codes = gpu_random(gpu, p.sets * p.set_bytes);
    p.workspace = gpu_zeros(gpu, window_workspace(&p));
    return measure(&p, run_window, "window_product");
}

static double time_pair(struct gpu *gpu, const struct group *group, size_t n)
{
    struct product p = begin(gpu, group, n, PAIR_BITS / 2.0);
    p.codes = gpu_random(gpu, p.sets * p.set_bytes + 8);
    p.table = gpu_random_halves(gpu, 2 << PAIR_BITS);
    p.faults = gpu_zeros(gpu, sizeof *p.faults);
    p.workspace = gpu_zeros(gpu, pair_workspace(&p));
    return measure(&p, run_pair, "pair_product");
}

/* By launch of the layer, and number of positions. */
struct seconds {
    double of[GROUPS][POSITIONS];
};

/* A row for every launch of a layer, and one for all of them. */
static void print_rows(const struct gpu *gpu, struct gpu_row row, const struct group *groups,
                       const struct seconds *seconds, const struct seconds *blas)
{
    const double bits = row.k;
    for (size_t n = 0; n < POSITIONS; n++) {
        struct gpu_row all = row;
        all.shape = "layer";
        all.n = row.n = positions[n];
        for (size_t i = 0; i < GROUPS; i++) {
            row.shape = groups[i].name;
            row.seconds = seconds->of[i][n];
            row.weights = weights_of(&groups[i]);
            row.bytes = row.weights * bits / 8;
            row.baseline = blas ? blas->of[i][n] : 0;
            all.seconds += row.seconds;
            all.weights += row.weights;
            all.bytes += row.bytes;
            all.baseline += row.baseline;
            gpu_print(gpu, &row);
        }
        gpu_print(gpu, &all);
    }
}

static void bench_window(struct gpu *gpu, const struct group *groups, const struct shape *shape,
                         const struct seconds *blas)
{
    struct seconds seconds;
    struct gpu_row row = {.operation = "window_product", .k = shape->k, .length = shape->length};
    for (size_t i = 0; i < GROUPS; i++)
        for (size_t n = 0; n < POSITIONS; n++)
            seconds.of[i][n] = time_window(gpu, &groups[i], positions[n], hc_window_code_find(shape->k, shape->length));
    print_rows(gpu, row, groups, &seconds, blas);
}

void bench_products(struct gpu *gpu)
{
    const struct group *groups = gpu->emulated ? small_layer : layer;
    struct seconds blas, pair;
    for (size_t i = 0; i < GROUPS; i++)
        for (size_t n = 0; n < POSITIONS; n++) {
            blas.of[i][n] = time_blas(gpu, &groups[i], positions[n]);
            pair.of[i][n] = time_pair(gpu, &groups[i], positions[n]);
        }
    print_rows(gpu, (struct gpu_row){.operation = "cuBLAS", .k = 16}, groups, &blas, NULL);
    print_rows(gpu, (struct gpu_row){.operation = "pair_product", .k = PAIR_BITS / 2.0}, groups, &pair, &blas);
    for (size_t i = 0; i < gpu->shape_count; i++)
        bench_window(gpu, groups, &gpu->shapes[i], &blas);
}
