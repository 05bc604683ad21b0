#include "window_product/window_kernels.cuh"

static const struct window_launchers *launchers_of(unsigned k)
{
    static const struct window_launchers *const all[HC_WINDOW_MAX_K + 1] = {
        NULL, &hc_window_1, &hc_window_2, &hc_window_3, &hc_window_4, &hc_window_5, &hc_window_6, NULL, &hc_window_8};
    return k <= HC_WINDOW_MAX_K ? all[k] : NULL;
}

static struct product_part part_of(const struct hc_window_matrix_cuda *matrix)
{
    struct product_part part = {};
    part.halves = matrix->halves;
    part.x_scales = matrix->x_scales;
    part.row_scales = matrix->scales;
    part.bias = matrix->bias;
    part.out = matrix->out;
    part.rows = (uint32_t)matrix->rows;
    part.tile_columns = (uint32_t)matrix->tile_columns;
    part.add = matrix->add;
    return part;
}

/* Returns the number of blocks. */
static uint32_t make_launch(const struct hc_window_matrix_cuda *matrices, unsigned count, size_t n, void *workspace,
                            struct window_launch *launch)
{
    *launch = {};
    launch->parts.count = count;
    launch->parts.n = (uint32_t)n;
    launch->parts.workspace = workspace;
    for (unsigned i = 0; i < count; i++) {
        launch->parts.part[i] = part_of(&matrices[i]);
        launch->codes[i] = matrices[i].codes;
        launch->constants[i] = window_constants_of(&matrices[i].code);
    }
    return plan_parts(&launch->parts);
}

size_t hc_window_product_cuda_workspace(const struct hc_window_matrix_cuda *matrices, unsigned count, size_t n)
{
    struct window_launch launch;
    uint32_t blocks = make_launch(matrices, count, n, NULL, &launch);
    return workspace_bytes(&launch.parts, blocks, n);
}

cudaError_t hc_window_product_cuda(const struct hc_window_matrix_cuda *matrices, unsigned count, size_t n,
                                   void *workspace, cudaStream_t stream)
{
    if (count < 1 || count > HC_INPUT_MATRICES || n < 1 || n > HC_PRODUCT_CUDA_POSITIONS)
        return cudaErrorInvalidValue;
    const struct window_launchers *launchers = launchers_of(matrices[0].code.k);
    for (unsigned i = 0; i < count; i++)
        if (!launchers || matrices[i].code.k != matrices[0].code.k)
            return cudaErrorInvalidValue;
    struct window_launch launch;
    uint32_t blocks = make_launch(matrices, count, n, workspace, &launch);
    return launchers->product(&launch, blocks, stream);
}

cudaError_t hc_window_panel_cuda(const struct hc_window_code *code, const uint8_t *codes, size_t tile_rows,
                                 size_t tile_columns, uint16_t *out, cudaStream_t stream)
{
    const struct window_launchers *launchers = launchers_of(code->k);
    if (!launchers)
        return cudaErrorInvalidValue;
    return launchers->panel(code, codes, (uint32_t)tile_rows, (uint32_t)tile_columns, out, stream);
}

/* Grid: x = rows, one a thread, 256 in a block; y = positions. No shared memory; any shape. Everything is read once. */
enum { FINISH_THREADS = 256 };

struct finish {
    const float *sums;
    size_t rows;
    const uint16_t *row_scales;
    const float *x_scales;
    size_t x_stride;
    const float *bias;
    bool add;
    float *out;
    size_t stride;
};

static __global__ void __launch_bounds__(FINISH_THREADS) product_finish(const struct finish finish)
{
    size_t i = blockIdx.y, r = (size_t)blockIdx.x * FINISH_THREADS + threadIdx.x;
    if (r >= finish.rows)
        return;
    float scale = finish.row_scales ? __half2float(__ushort_as_half(finish.row_scales[r])) : 1.0f;
    float value = finish.sums[i * finish.rows + r] * (finish.x_scales ? finish.x_scales[i * finish.x_stride] : 1.0f);
    value = fmaf(value, scale, finish.bias ? finish.bias[r] : 0.0f);
    float *out = &finish.out[i * finish.stride + r];
    *out = finish.add ? *out + value : value;
}

cudaError_t hc_product_finish_cuda(const float *sums, size_t n, size_t rows, const uint16_t *row_scales,
                                   const float *x_scales, size_t x_stride, const float *bias, bool add, float *out,
                                   size_t stride, cudaStream_t stream)
{
    struct finish finish = {sums, rows, row_scales, x_scales, x_stride, bias, add, out, stride};
    dim3 grid((unsigned)((rows + FINISH_THREADS - 1) / FINISH_THREADS), (unsigned)n);
    product_finish<<<grid, FINISH_THREADS, 0, stream>>>(finish);
    return cudaGetLastError();
}
