/* Linear layers: straight from the codes for a few positions; else a panel of rows at a time is decoded to half
 * precision, and multiplied by cuBLAS, as stored numbers are. */
#include "convert/convert_rows_cuda.h"
#include "state.h"

#include <stdio.h>

/* How a product is made. */
enum way {
    FUSED,  /* from the codes; inputs in half precision, with a scale for every group of columns */
    HALVES, /* by cuBLAS in half precision, with one scale for every position */
    FLOATS  /* by cuBLAS in the type of the matrix */
};

static const struct hc_cuda_matrix *matrix_of(const struct hc_linear *layer)
{
    return (const struct hc_cuda_matrix *)(const void *)layer->matrix;
}

static enum way way_of(const struct hc_cuda_matrix *matrix, uint32_t n)
{
    if (matrix->kind == HC_CUDA_FLOATS)
        return matrix->type == HC_TYPE_F16 ? HALVES : FLOATS;
    bool odd = matrix->kind == HC_CUDA_PAIR && matrix->columns % 2 == 1; /* pairs reach over the ends of rows */
    return n <= HC_PRODUCT_CUDA_POSITIONS && !odd ? FUSED : HALVES;
}

/* ---- Memory --------------------------------------------------------------------------------- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t greatest(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Rows that go through cuBLAS at a time, of the positions that all is made ready for: whole tiles, and at least one;
 * no more than a grid has blocks. */
static uint32_t rows_at_once(const struct hc_cuda_runtime *cuda, const struct hc_cuda_matrix *matrix)
{
    enum { MOST = UINT16_MAX / HC_TILE * HC_TILE };
    size_t rows = cuda->sum_room / cuda->n;
    if (matrix->kind != HC_CUDA_FLOATS) /* these are decoded */
        rows = least(least(rows, cuda->panel_room / matrix->padded), MOST);
    return (uint32_t)least(greatest(rows / HC_TILE * HC_TILE, HC_TILE), matrix->rows);
}

static size_t fused_workspace(const struct hc_cuda_matrix *matrix, uint32_t n)
{
    return matrix->kind == HC_CUDA_WINDOW ? hc_window_product_cuda_workspace(&matrix->window, 1, n)
                                          : hc_pair_product_cuda_workspace(&matrix->pair, 1, n);
}

void hc_cuda_product_need(const struct hc_cuda_runtime *cuda, const struct hc_cuda_matrix *matrix,
                          struct hc_cuda_product_needs *needs)
{
    const size_t groups = (matrix->padded + HC_INPUT_GROUP - 1) / HC_INPUT_GROUP, n = cuda->n;
    const size_t rows = (rows_at_once(cuda, matrix) + HC_TILE - 1) / HC_TILE * HC_TILE;
    needs->halves = greatest(needs->halves, n * matrix->padded * sizeof(uint16_t)); /* or BF16 */
    needs->scales = greatest(needs->scales, n * groups * sizeof(float));
    for (uint32_t i = 1; i <= n && i <= HC_PRODUCT_CUDA_POSITIONS; i++)
        if (way_of(matrix, i) == FUSED)
            needs->workspace = greatest(needs->workspace, fused_workspace(matrix, i));
    if (way_of(matrix, cuda->n) == FUSED)
        return;
    if (matrix->kind != HC_CUDA_FLOATS || matrix->type == HC_TYPE_F16) /* others go where they are wanted */
        needs->sums = greatest(needs->sums, n * rows * sizeof(float));
    if (matrix->kind != HC_CUDA_FLOATS)
        needs->panel = greatest(needs->panel, rows * matrix->padded * sizeof(uint16_t));
}

/* ---- Inputs --------------------------------------------------------------------------------- */

/* The layers of a call that go one way. */
struct products {
    struct hc_cuda_runtime *cuda;
    const struct hc_linear *layers[HC_INPUT_MATRICES];
    unsigned slots[HC_INPUT_MATRICES]; /* of the input that belongs to the layer */
    unsigned count;
    uint32_t n;
};

static struct products choose(struct hc_cuda_runtime *cuda, const struct hc_linear *layers, unsigned count, uint32_t n,
                              enum way way)
{
    struct products products = {.cuda = cuda, .n = n};
    for (unsigned i = 0; i < count; i++)
        if (way_of(matrix_of(&layers[i]), n) == way) {
            products.slots[products.count] = i;
            products.layers[products.count++] = &layers[i];
        }
    return products;
}

/* Each matrix gets the input in its own frame; those that have none, as it is. */
static void ready_inputs(const struct products *products, const struct hc_input *input, bool uniform)
{
    struct hc_cuda_runtime *cuda = products->cuda;
    struct hc_input_launch launch = {.x = input->x,
                                     .gain = input->gain,
                                     .up = input->up,
                                     .epsilon = input->epsilon,
                                     .n = products->n,
                                     .columns = input->columns,
                                     .uniform = uniform,
                                     .not_finite = &cuda->faults->inputs,
                                     .count = products->count};
    for (unsigned i = 0; i < products->count; i++) {
        const struct hc_cuda_matrix *matrix = matrix_of(products->layers[i]);
        unsigned slot = products->slots[i];
        launch.ready[i] = (struct hc_input_ready){matrix->from_code, matrix->block, matrix->padded, cuda->halves[slot],
                                                  cuda->scales[slot]};
    }
    if (products->count > 0)
        hc_cuda_note(cuda, hc_window_input_cuda(&launch, cuda->device.stream), "window_input");
}

/* ---- From the codes ------------------------------------------------------------------------- */

static void multiply_windows(const struct products *products)
{
    struct hc_cuda_runtime *cuda = products->cuda;
    bool done[HC_INPUT_MATRICES] = {false};
    for (unsigned i = 0; i < products->count; i++) {
        struct hc_window_matrix_cuda matrices[HC_INPUT_MATRICES];
        unsigned count = 0;
        for (unsigned j = i; j < products->count; j++) {
            const struct hc_cuda_matrix *matrix = matrix_of(products->layers[j]);
            if (done[j] || matrix->kind != HC_CUDA_WINDOW || (count > 0 && matrix->window.code.k != matrices[0].code.k))
                continue;
            matrices[count] = matrix->window;
            matrices[count].halves = cuda->halves[products->slots[j]];
            matrices[count].x_scales = cuda->scales[products->slots[j]];
            matrices[count].bias = products->layers[j]->bias;
            matrices[count++].out = products->layers[j]->out;
            done[j] = true;
        }
        if (count > 0)
            hc_cuda_note(
                cuda,
                hc_window_product_cuda(matrices, count, products->n, cuda->product_workspace, cuda->device.stream),
                "window_product");
    }
}

static void multiply_pairs(const struct products *products)
{
    struct hc_cuda_runtime *cuda = products->cuda;
    struct hc_pair_matrix_cuda matrices[HC_INPUT_MATRICES];
    unsigned count = 0;
    for (unsigned i = 0; i < products->count; i++) {
        const struct hc_cuda_matrix *matrix = matrix_of(products->layers[i]);
        if (matrix->kind != HC_CUDA_PAIR)
            continue;
        matrices[count] = matrix->pair;
        matrices[count].halves = cuda->halves[products->slots[i]];
        matrices[count].x_scales = cuda->scales[products->slots[i]];
        matrices[count].bias = products->layers[i]->bias;
        matrices[count].faults = &cuda->faults->codes;
        matrices[count++].out = products->layers[i]->out;
    }
    if (count > 0)
        hc_cuda_note(cuda,
                     hc_pair_product_cuda(matrices, count, products->n, cuda->product_workspace, cuda->device.stream),
                     "pair_product");
}

/* ---- By cuBLAS ------------------------------------------------------------------------------ */

static void multiply_dense(struct hc_cuda_runtime *cuda, const struct hc_cuda_gemm *gemm)
{
    cublasStatus_t status = hc_cuda_blas_multiply(&cuda->blas, gemm);
    if (status != CUBLAS_STATUS_SUCCESS) {
        char call[96];
        snprintf(call, sizeof call, "cublasGemmEx: %s", cuda->blas.status_string(status));
        hc_cuda_note(cuda, cudaErrorUnknown, call);
    }
}

/* Rows first .. as halves: those of the panel, or where they lie. */
static const void *half_rows(struct hc_cuda_runtime *cuda, const struct hc_cuda_matrix *matrix, uint32_t first,
                             uint32_t rows)
{
    const struct hc_window_matrix_cuda *window = &matrix->window;
    size_t tile_rows = (rows + HC_TILE - 1) / HC_TILE;
    size_t codes = first / HC_TILE * window->tile_columns * (HC_TILE_WEIGHTS / 8) * window->code.k;
    struct hc_pair_matrix_cuda pair = matrix->pair;
    pair.faults = &cuda->faults->codes;
    switch (matrix->kind) {
    case HC_CUDA_WINDOW:
        hc_cuda_note(cuda,
                     hc_window_panel_cuda(&window->code, window->codes + codes, tile_rows, window->tile_columns,
                                          cuda->panel, cuda->device.stream),
                     "window_panel");
        return cuda->panel;
    case HC_CUDA_PAIR:
        hc_cuda_note(cuda, hc_pair_panel_cuda(&pair, first, rows, cuda->panel, matrix->padded, cuda->device.stream),
                     "pair_panel");
        return cuda->panel;
    default:
        return (const uint16_t *)matrix->floats + (size_t)first * matrix->columns;
    }
}

static void multiply_halves(const struct products *products, unsigned i)
{
    struct hc_cuda_runtime *cuda = products->cuda;
    const struct hc_linear *layer = products->layers[i];
    const struct hc_cuda_matrix *matrix = matrix_of(layer);
    const uint32_t at_once = rows_at_once(cuda, matrix);
    const bool stored = matrix->kind == HC_CUDA_FLOATS;
    const size_t groups = (matrix->padded + HC_INPUT_GROUP - 1) / HC_INPUT_GROUP;
    for (uint32_t first = 0; first < matrix->rows; first += at_once) {
        uint32_t rows = (uint32_t)least(at_once, matrix->rows - first);
        multiply_dense(cuda, &(struct hc_cuda_gemm){.weights = half_rows(cuda, matrix, first, rows),
                                                    .x = cuda->halves[products->slots[i]],
                                                    .type = CUDA_R_16F,
                                                    .rows = rows,
                                                    .columns = stored ? matrix->columns : matrix->padded,
                                                    .row_stride = stored ? matrix->columns : matrix->padded,
                                                    .x_stride = matrix->padded,
                                                    .n = products->n,
                                                    .sums = cuda->sums});
        hc_cuda_note(cuda,
                     hc_product_finish_cuda(cuda->sums, products->n, rows,
                                            matrix->kind == HC_CUDA_WINDOW ? matrix->window.scales + first : NULL,
                                            cuda->scales[products->slots[i]], groups,
                                            layer->bias ? layer->bias + first : NULL, false, layer->out + first,
                                            matrix->rows, cuda->device.stream),
                     "product_finish");
    }
}

/* x: of the type of the matrix. */
static void multiply_floats(struct hc_cuda_runtime *cuda, const struct hc_linear *layer, const void *x, uint32_t n)
{
    const struct hc_cuda_matrix *matrix = matrix_of(layer);
    multiply_dense(cuda, &(struct hc_cuda_gemm){.weights = matrix->floats,
                                                .x = x,
                                                .type = matrix->type == HC_TYPE_F32 ? CUDA_R_32F : CUDA_R_16BF,
                                                .rows = matrix->rows,
                                                .columns = matrix->columns,
                                                .row_stride = matrix->columns,
                                                .x_stride = matrix->columns,
                                                .n = n,
                                                .sums = layer->out});
    if (layer->bias)
        hc_cuda_note(cuda,
                     hc_product_finish_cuda(layer->out, n, matrix->rows, NULL, NULL, 0, layer->bias, false, layer->out,
                                            matrix->rows, cuda->device.stream),
                     "product_finish");
}

/* The plain input, made once, and rounded once for those of BF16. */
static void multiply_plain(struct hc_runtime *runtime, const struct products *products, const struct hc_input *input)
{
    struct hc_cuda_runtime *cuda = products->cuda;
    const size_t numbers = (size_t)products->n * input->columns;
    bool rounded = false;
    if (products->count == 0)
        return;
    const float *x = hc_input_make(runtime, runtime->table, input, products->n);
    for (unsigned i = 0; i < products->count; i++) {
        const hc_type type = matrix_of(products->layers[i])->type;
        if (type == HC_TYPE_BF16 && !rounded)
            hc_cuda_note(cuda, hc_convert_to_cuda(x, numbers, type, cuda->halves[0], cuda->device.stream),
                         "convert_to");
        rounded = rounded || type == HC_TYPE_BF16;
        multiply_floats(cuda, products->layers[i], type == HC_TYPE_F32 ? (const void *)x : cuda->halves[0],
                        products->n);
    }
}

/* ---- The whole ------------------------------------------------------------------------------ */

void hc_cuda_linear(struct hc_runtime *runtime, const struct hc_linear *layers, unsigned count,
                    const struct hc_input *input, uint32_t n)
{
    struct hc_cuda_runtime *cuda = hc_cuda_runtime_of(runtime);
    const struct products fused = choose(cuda, layers, count, n, FUSED);
    const struct products halves = choose(cuda, layers, count, n, HALVES);
    const struct products floats = choose(cuda, layers, count, n, FLOATS);
    ready_inputs(&fused, input, false);
    multiply_windows(&fused);
    multiply_pairs(&fused);
    ready_inputs(&halves, input, true);
    for (unsigned i = 0; i < halves.count; i++)
        multiply_halves(&halves, i);
    multiply_plain(runtime, &floats, input); /* last: with `up` it takes the place of x */
}
