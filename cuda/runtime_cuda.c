#include "runtime_cuda.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "attention/attention_cuda.h"
#include "convert/convert_rows_cuda.h"
#include "rms_norm/rms_norm_cuda.h"
#include "rotary/rotary_cuda.h"
#include "sampling/sampling_cuda.h"
#include "silu/silu_cuda.h"
#include "state.h"
#include "window_decode/window_decode_cuda.h"

enum {
    ALIGNMENT = 256,
    BLAS_WORKSPACE = 32 << 20 /* what cuBLAS asks for on the newest devices; its own would be allocated as it runs */
};

static struct hc_cuda_runtime *cuda_of(const struct hc_runtime *runtime)
{
    return hc_cuda_runtime_of(runtime);
}

static struct hc_cuda_matrix *matrix_of(const struct hc_matrix *matrix)
{
    return (struct hc_cuda_matrix *)(uintptr_t)matrix;
}

/* The first failure is the one to tell. */
static void keep(struct hc_cuda_runtime *cuda, hc_status status, const struct hc_error *error)
{
    if (status != HC_OK && cuda->status == HC_OK) {
        cuda->status = status;
        cuda->error = *error;
    }
}

void hc_cuda_note(struct hc_cuda_runtime *cuda, cudaError_t result, const char *call)
{
    struct hc_error error;
    keep(cuda, hc_cuda_check(&cuda->device, result, call, &error), &error);
}

/* Whether the device works; what is wrong is noted. It becomes this thread's. */
static bool enter(struct hc_cuda_runtime *cuda)
{
    struct hc_error error;
    hc_status status = hc_cuda_device_enter(&cuda->device, &error);
    keep(cuda, status, &error);
    return status == HC_OK;
}

/* ---- Matrices ------------------------------------------------------------------------------- */

static hc_status open_matrix(struct hc_runtime *runtime, const struct hc_model_tensor *tensor, const struct hc_cut *cut,
                             bool embedding, struct hc_matrix **matrix, struct hc_error *error)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    struct hc_cuda_matrix *opened = NULL;
    hc_status status = cuda->upload.device ? HC_OK : hc_cuda_upload_open(&cuda->upload, &cuda->device, error);
    if (status == HC_OK)
        status = hc_cuda_matrix_open(tensor, cut, embedding, &cuda->upload, cuda->kernels, &opened, error);
    *matrix = (struct hc_matrix *)(void *)opened;
    return status;
}

static void close_matrix(struct hc_matrix *matrix)
{
    hc_cuda_matrix_close(matrix_of(matrix));
}

static const char *matrix_name(const struct hc_matrix *matrix)
{
    return matrix_of(matrix)->name;
}

/* ---- Waiting -------------------------------------------------------------------------------- */

static void forget_graphs(struct hc_cuda_runtime *cuda)
{
    for (unsigned i = 0; i < HC_CUDA_CONTEXT_BITS; i++)
        for (unsigned j = 0; j < 2; j++) {
            if (cuda->graphs[i][j].exec)
                cudaGraphExecDestroy(cuda->graphs[i][j].exec);
            cuda->graphs[i][j] = (struct hc_cuda_graph){.exec = NULL};
        }
}

/* For the stream; what is wrong is noted. */
static void wait(struct hc_cuda_runtime *cuda)
{
    struct hc_error error;
    hc_status status = hc_cuda_ranks_wait(&cuda->ranks, &cuda->device, &error);
    keep(cuda, status, &error);
    if (status == HC_OK)
        return;
    forget_graphs(cuda);
    hc_cuda_ranks_give_up(&cuda->ranks, &cuda->device, &error);
}

/* ---- Memory --------------------------------------------------------------------------------- */

static hc_status allocate(struct hc_runtime *runtime, size_t bytes, void **memory, struct hc_error *error)
{
    return hc_cuda_allocate(&cuda_of(runtime)->device, bytes ? bytes : 1, memory, error);
}

static hc_status free_memory(struct hc_runtime *runtime, uint64_t *bytes, struct hc_error *error)
{
    struct hc_cuda_device *device = &cuda_of(runtime)->device;
    size_t available = 0, total = 0;
    hc_status status = hc_cuda_device_enter(device, error);
    if (status == HC_OK)
        status = hc_cuda_check(device, cudaMemGetInfo(&available, &total), "cudaMemGetInfo", error);
    *bytes = available;
    return status;
}

/* Graphs may know it. */
static void release(struct hc_runtime *runtime, void *memory)
{
    enter(cuda_of(runtime));
    forget_graphs(cuda_of(runtime));
    hc_cuda_free(&cuda_of(runtime)->device, memory);
}

static void copy_in(struct hc_runtime *runtime, void *to, const void *from, size_t bytes)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    if (!enter(cuda))
        return;
    hc_cuda_note(cuda, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, cuda->device.stream),
                 "cudaMemcpyAsync to the device");
    hc_cuda_note(cuda, cudaStreamSynchronize(cuda->device.stream), "cudaStreamSynchronize");
}

static void copy_out(struct hc_runtime *runtime, const void *from, size_t bytes, void *to)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    if (!enter(cuda))
        return;
    wait(cuda); /* the copy itself would wait without an end */
    hc_cuda_note(cuda, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, cuda->device.stream),
                 "cudaMemcpyAsync from the device");
    hc_cuda_note(cuda, cudaStreamSynchronize(cuda->device.stream), "cudaStreamSynchronize");
}

static struct hc_cuda_product_needs product_needs(const struct hc_cuda_runtime *cuda, const struct hc_needs *needs)
{
    struct hc_cuda_product_needs most = {0};
    for (size_t i = 0; i < needs->matrix_count; i++)
        hc_cuda_product_need(cuda, matrix_of(needs->matrices[i]), &most);
    return most;
}

static size_t attention_workspace(const struct hc_needs *needs)
{
    const struct hc_decoder *decoder = needs->decoder;
    const struct hc_attention_cuda most = {.context = needs->context,
                                           .heads = decoder->heads,
                                           .key_value_heads = decoder->key_value_heads,
                                           .width = decoder->head_width,
                                           .window = decoder->window,
                                           .count = needs->n,
                                           .most = needs->context};
    return decoder->heads > 0 ? hc_attention_cuda_workspace(&most) : 0; /* a rank may have none */
}

static size_t choice_workspace(uint32_t vocabulary)
{
    const struct hc_top_k_cuda top_k = {.vocabulary = vocabulary, .k = HC_TOP_K_CUDA, .temperature = 1, .top_p = 1};
    if (vocabulary == 0) /* nor any of these */
        return 0;
    size_t largest = hc_largest_cuda_workspace(vocabulary), some = hc_top_k_cuda_workspace(&top_k);
    return largest > some ? largest : some;
}

static void lay_out(struct hc_cuda_runtime *cuda, const struct hc_needs *needs, struct hc_arena *arena)
{
    const struct hc_cuda_product_needs product = product_needs(cuda, needs);
    for (unsigned i = 0; i < HC_INPUT_MATRICES; i++) {
        cuda->halves[i] = hc_arena_take(arena, product.halves);
        cuda->scales[i] = hc_arena_take(arena, product.scales);
    }
    cuda->product_workspace = hc_arena_take(arena, HC_INPUT_MATRICES * product.workspace);
    cuda->attention_workspace = hc_arena_take(arena, attention_workspace(needs));
    cuda->blas_workspace = hc_arena_take(arena, BLAS_WORKSPACE);
    cuda->panel = hc_arena_take(arena, product.panel);
    cuda->sums = hc_arena_take(arena, product.sums);
    cuda->positions = hc_arena_take(arena, needs->context * sizeof *cuda->positions);
    cuda->first = hc_arena_take(arena, sizeof *cuda->first);
    cuda->tokens = hc_arena_take(arena, needs->n * sizeof *cuda->tokens);
    cuda->parts = hc_arena_take(arena, (size_t)needs->n * needs->gathered * sizeof *cuda->parts);
    cuda->faults = hc_arena_take(arena, sizeof *cuda->faults);
    cuda->uniform = hc_arena_take(arena, sizeof *cuda->uniform);
    cuda->chosen = hc_arena_take(arena, sizeof *cuda->chosen);
    cuda->choice_workspace = hc_arena_take(arena, choice_workspace(needs->decoder->vocabulary));
}

static hc_status fill(struct hc_cuda_runtime *cuda, const struct hc_needs *needs, size_t bytes, struct hc_error *error)
{
    uint32_t *positions = malloc(needs->context * sizeof *positions);
    if (!positions)
        return hc_no_memory(error);
    for (uint32_t i = 0; i < needs->context; i++)
        positions[i] = i;
    /* Counters in the workspaces begin at zero. */
    hc_status status = hc_cuda_check(&cuda->device, cudaMemsetAsync(cuda->memory, 0, bytes, cuda->device.stream),
                                     "cudaMemsetAsync", error);
    if (status == HC_OK)
        status = hc_cuda_check(&cuda->device,
                               cudaMemcpyAsync(cuda->positions, positions, needs->context * sizeof *positions,
                                               cudaMemcpyHostToDevice, cuda->device.stream),
                               "cudaMemcpyAsync to the device", error);
    if (status == HC_OK)
        status =
            hc_cuda_check(&cuda->device, cudaStreamSynchronize(cuda->device.stream), "cudaStreamSynchronize", error);
    free(positions);
    return status;
}

static hc_status join(struct hc_runtime *runtime, struct hc_comm *comm, struct hc_error *error)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    return hc_cuda_ranks_join(&cuda->ranks, &cuda->device, comm, error);
}

static hc_status prepare(struct hc_runtime *runtime, const struct hc_needs *needs, uint64_t *bytes,
                         struct hc_error *error)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    struct hc_arena counted = {.alignment = ALIGNMENT}, arena = {.alignment = ALIGNMENT};
    void *memory, *exchange;
    hc_status status;
    HC_TRY(hc_cuda_device_enter(&cuda->device, error));
    forget_graphs(cuda);
    cuda->n = needs->n;
    lay_out(cuda, needs, &counted);
    HC_TRY(hc_cuda_allocate(&cuda->device, counted.used, &memory, error));
    hc_cuda_free(&cuda->device, cuda->memory);
    cuda->memory = arena.base = memory;
    lay_out(cuda, needs, &arena);
    HC_TRY(hc_cuda_allocate_pinned(&cuda->device, sizeof *cuda->exchange + needs->n * sizeof *cuda->exchange->tokens,
                                   &exchange, error));
    hc_cuda_free_pinned(&cuda->device, cuda->exchange);
    cuda->exchange = exchange;
    cuda->context = needs->context;
    HC_TRY(fill(cuda, needs, counted.used, error));
    HC_TRY(hc_cuda_blas_open(&cuda->blas, &cuda->device, cuda->blas_workspace, BLAS_WORKSPACE, error));
    *bytes = counted.used;
done:
    return status;
}

/* ---- Steps ---------------------------------------------------------------------------------- */

/* The power of two that bounds the positions of a step of one token. */
static unsigned bits_of(uint32_t positions)
{
    unsigned bits = 0;
    while (((uint64_t)HC_CUDA_LEAST_POSITIONS << bits) < positions)
        bits++;
    return bits;
}

static void send_step(struct hc_cuda_runtime *cuda, const struct hc_step *step)
{
    cuda->exchange->first = step->first;
    memcpy(cuda->exchange->tokens, step->tokens, step->count * sizeof *step->tokens);
    hc_cuda_note(cuda,
                 cudaMemcpyAsync(cuda->tokens, cuda->exchange->tokens, step->count * sizeof *step->tokens,
                                 cudaMemcpyHostToDevice, cuda->device.stream),
                 "cudaMemcpyAsync to the device");
    hc_cuda_note(cuda,
                 cudaMemcpyAsync(cuda->first, &cuda->exchange->first, sizeof *cuda->first, cudaMemcpyHostToDevice,
                                 cuda->device.stream),
                 "cudaMemcpyAsync to the device");
}

static void record(struct hc_cuda_runtime *cuda, struct hc_cuda_graph *graph, unsigned bits)
{
    uint64_t most = (uint64_t)HC_CUDA_LEAST_POSITIONS << bits;
    cudaError_t result = cudaStreamBeginCapture(cuda->device.stream, cudaStreamCaptureModeThreadLocal);
    hc_cuda_note(cuda, result, "cudaStreamBeginCapture");
    cuda->most = most < cuda->context ? (uint32_t)most : cuda->context;
    cuda->recording = result == cudaSuccess ? graph : NULL;
}

static bool begin(struct hc_runtime *runtime, const struct hc_step *step)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    if (!enter(cuda))
        return false;
    send_step(cuda, step);
    if (step->count > 1 || !step->usual || !hc_cuda_ranks_record(&cuda->ranks))
        return true;
    unsigned bits = bits_of(step->first + 1);
    struct hc_cuda_graph *graph = &cuda->graphs[bits][step->wanted > 0];
    if (graph->exec) {
        hc_cuda_note(cuda, cudaGraphLaunch(graph->exec, cuda->device.stream), "cudaGraphLaunch");
        return false;
    }
    if (graph->seen)
        record(cuda, graph, bits);
    graph->seen = true;
    return true;
}

static void end(struct hc_runtime *runtime)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    cudaGraph_t graph = NULL;
    if (!cuda->recording)
        return;
    struct hc_cuda_graph *recorded = cuda->recording;
    cuda->recording = NULL;
    hc_cuda_note(cuda, cudaStreamEndCapture(cuda->device.stream, &graph), "cudaStreamEndCapture");
    if (cuda->status == HC_OK)
        hc_cuda_note(cuda, cudaGraphInstantiate(&recorded->exec, graph, 0), "cudaGraphInstantiate");
    if (cuda->status == HC_OK)
        hc_cuda_note(cuda, cudaGraphLaunch(recorded->exec, cuda->device.stream), "cudaGraphLaunch");
    if (graph)
        cudaGraphDestroy(graph);
}

/* ---- Operations ----------------------------------------------------------------------------- */

static void embed(struct hc_runtime *runtime, const struct hc_matrix *handle, const int32_t *tokens, uint32_t n,
                  float *out)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    const struct hc_cuda_matrix *matrix = matrix_of(handle);
    const struct hc_window_matrix_cuda *window = &matrix->window;
    struct hc_pair_matrix_cuda pair = matrix->pair;
    cudaStream_t stream = cuda->device.stream;
    (void)tokens; /* the device has them since the step began */
    pair.faults = &cuda->faults->codes;
    if (matrix->kind == HC_CUDA_WINDOW)
        hc_cuda_note(cuda,
                     hc_window_restore_cuda(&window->code, matrix->table, window->codes, window->scales,
                                            matrix->from_code, matrix->block, matrix->columns, window->tile_columns,
                                            cuda->tokens, 0, n, out, stream),
                     "window_restore");
    else if (matrix->kind == HC_CUDA_PAIR)
        hc_cuda_note(cuda, hc_pair_rows_cuda(&pair, matrix->pair_table, cuda->tokens, n, out, stream), "pair_rows");
    else
        hc_cuda_note(cuda,
                     hc_convert_rows_cuda(matrix->floats, matrix->type, matrix->columns, cuda->tokens, n, out, stream),
                     "convert_rows");
}

static void norm(struct hc_runtime *runtime, const float *x, const float *gain, uint32_t rows, uint32_t width,
                 float epsilon, float *out)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    hc_cuda_note(cuda, hc_rms_norm_cuda(x, gain, rows, width, epsilon, out, cuda->device.stream), "rms_norm");
}

/* A recorded step finds its position on the device. */
static const uint32_t *position(const struct hc_cuda_runtime *cuda, uint32_t first)
{
    return cuda->recording ? cuda->first : cuda->positions + first;
}

static void turns(struct hc_runtime *runtime, uint32_t first, uint32_t n, const float *frequencies, uint32_t count,
                  float *out)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    hc_cuda_note(cuda, hc_rotary_turns_cuda(position(cuda, first), n, frequencies, count, out, cuda->device.stream),
                 "turns");
}

static void rotate(struct hc_runtime *runtime, float *x, uint32_t n, uint32_t heads, uint32_t head_width,
                   const float *turn)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    hc_cuda_note(cuda, hc_rotary_cuda(x, n, heads, head_width, turn, cuda->device.stream), "rotary");
}

static struct hc_attention_cuda on_device(const struct hc_cuda_runtime *cuda, const struct hc_attention *attention)
{
    const struct hc_decoder *decoder = attention->decoder;
    const struct hc_cache *cache = attention->cache;
    return (struct hc_attention_cuda){
        .type = cache->type,
        .keys = cache->keys,
        .values = cache->values,
        .key_scales = hc_cache_scales(decoder, cache, cache->keys),
        .value_scales = hc_cache_scales(decoder, cache, cache->values),
        .context = cache->context,
        .heads = decoder->heads,
        .key_value_heads = decoder->key_value_heads,
        .width = decoder->head_width,
        .window = decoder->window,
        .scale = 1 / sqrtf((float)decoder->head_width),
        .first = position(cuda, attention->first),
        .count = attention->count,
        .most = cuda->recording ? cuda->most : attention->first + attention->count,
    };
}

static void remember(struct hc_runtime *runtime, const struct hc_attention *attention, const float *keys,
                     const float *values)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    const struct hc_attention_cuda cached = on_device(cuda, attention);
    hc_cuda_note(cuda, hc_attention_store_cuda(&cached, keys, values, cuda->device.stream), "attention_store");
}

static void attend(struct hc_runtime *runtime, const struct hc_attention *attention, const float *queries, float *out)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    const struct hc_attention_cuda cached = on_device(cuda, attention);
    hc_cuda_note(cuda, hc_attention_cuda(&cached, queries, cuda->attention_workspace, out, cuda->device.stream),
                 "attention");
}

static void gate(struct hc_runtime *runtime, float *gates, const float *up, size_t n)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    hc_cuda_note(cuda, hc_silu_gate_cuda(gates, up, n, cuda->device.stream), "silu");
}

static void add(struct hc_runtime *runtime, float *x, const float *y, size_t n)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    hc_cuda_note(cuda, hc_add_cuda(x, y, n, cuda->device.stream), "add");
}

static void clear(struct hc_runtime *runtime, float *x, size_t n)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    hc_cuda_note(cuda, cudaMemsetAsync(x, 0, n * sizeof *x, cuda->device.stream), "cudaMemsetAsync");
}

/* ---- Between ranks -------------------------------------------------------------------------- */

/* After a failure nothing is exchanged: `finish` tells, and the others hear of it. */
static void exchange(struct hc_runtime *runtime, const struct hc_cuda_rank_operation *what, float *x)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    struct hc_error error;
    if (cuda->status != HC_OK || what->n == 0)
        return;
    hc_status status = hc_cuda_ranks_exchange(&cuda->ranks, &cuda->device, what, x, &error);
    keep(cuda, status, &error);
}

static void all_reduce(struct hc_runtime *runtime, float *x, size_t n)
{
    exchange(runtime, &(struct hc_cuda_rank_operation){.kind = HC_CUDA_ALL_REDUCE, .n = n}, x);
}

/* Only read. */
static void send(struct hc_runtime *runtime, int to, const float *x, size_t n)
{
    exchange(runtime, &(struct hc_cuda_rank_operation){.kind = HC_CUDA_SEND, .other = to, .n = n},
             (float *)(uintptr_t)x);
}

static void receive(struct hc_runtime *runtime, int from, float *x, size_t n)
{
    exchange(runtime, &(struct hc_cuda_rank_operation){.kind = HC_CUDA_RECEIVE, .other = from, .n = n}, x);
}

/* Rank by rank, n rows of each become n rows of all. */
static void put_together(struct hc_cuda_runtime *cuda, const struct hc_cuda_parts *parts, size_t row, float *all)
{
    const float *from = cuda->parts;
    for (int r = 0; r < parts->ranks; from += hc_cuda_part(parts, r), all += parts->widths[r++]) {
        const size_t bytes = parts->widths[r] * sizeof *all;
        if (bytes > 0)
            hc_cuda_note(cuda,
                         cudaMemcpy2DAsync(all, row * sizeof *all, from, bytes, bytes, parts->rows,
                                           cudaMemcpyDeviceToDevice, cuda->device.stream),
                         "cudaMemcpy2DAsync");
    }
}

static void gather(struct hc_runtime *runtime, const float *x, uint32_t n, const uint32_t *widths, float *all)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    const struct hc_comm *comm = cuda->ranks.comm;
    struct hc_cuda_rank_operation what = {.kind = HC_CUDA_GATHER, .parts = {x, widths, n, comm->rank, comm->ranks}};
    size_t row = 0;
    for (int r = 0; r < comm->ranks; r++)
        row += widths[r];
    what.n = n * row;
    exchange(runtime, &what, n > 1 ? cuda->parts : all);
    if (n > 1)
        put_together(cuda, &what.parts, row, all);
}

/* ---- Choices -------------------------------------------------------------------------------- */

static void choose_top_k(struct hc_cuda_runtime *cuda, const float *logits, uint32_t vocabulary, uint32_t k,
                         const struct hc_choice *choice)
{
    const struct hc_top_k_cuda options = {vocabulary, k, choice->temperature, choice->top_p, choice->min_p};
    cuda->exchange->uniform = choice->uniform;
    hc_cuda_note(cuda,
                 cudaMemcpyAsync(cuda->uniform, &cuda->exchange->uniform, sizeof *cuda->uniform, cudaMemcpyHostToDevice,
                                 cuda->device.stream),
                 "cudaMemcpyAsync to the device");
    hc_cuda_note(
        cuda, hc_top_k_cuda(logits, &options, cuda->uniform, cuda->choice_workspace, cuda->chosen, cuda->device.stream),
        "top_k");
}

static bool choose(struct hc_runtime *runtime, const float *logits, uint32_t vocabulary, const struct hc_choice *choice,
                   int32_t *token)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    const uint32_t k = choice->top_k > 0 && choice->top_k < vocabulary ? choice->top_k : vocabulary;
    if (choice->temperature > 0 && k > HC_TOP_K_CUDA)
        return false;
    if (!enter(cuda))
        return true; /* `finish` tells why */
    if (choice->temperature > 0)
        choose_top_k(cuda, logits, vocabulary, k, choice);
    else
        hc_cuda_note(cuda,
                     hc_largest_cuda(logits, vocabulary, cuda->choice_workspace, cuda->chosen, cuda->device.stream),
                     "largest");
    hc_cuda_note(cuda,
                 cudaMemcpyAsync(&cuda->exchange->chosen, cuda->chosen, sizeof *token, cudaMemcpyDeviceToHost,
                                 cuda->device.stream),
                 "cudaMemcpyAsync from the device");
    cuda->chosen_for = token;
    return true;
}

/* ---- The table ------------------------------------------------------------------------------ */

/* Waits for everything. What kernels found wrong begins anew. */
static struct hc_cuda_faults take_faults(struct hc_cuda_runtime *cuda)
{
    struct hc_cuda_faults *faults = cuda->exchange ? &cuda->exchange->faults : NULL;
    cudaStream_t stream = cuda->device.stream;
    if (faults)
        hc_cuda_note(cuda, cudaMemcpyAsync(faults, cuda->faults, sizeof *faults, cudaMemcpyDeviceToHost, stream),
                     "cudaMemcpyAsync from the device");
    wait(cuda);
    if (!faults || cuda->status != HC_OK)
        return (struct hc_cuda_faults){0};
    if (faults->codes || faults->inputs)
        hc_cuda_note(cuda, cudaMemsetAsync(cuda->faults, 0, sizeof *faults, stream), "cudaMemsetAsync");
    return *faults;
}

static hc_status finish(struct hc_runtime *runtime, struct hc_error *error)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    const struct hc_cuda_faults faults = enter(cuda) ? take_faults(cuda) : (struct hc_cuda_faults){0};
    hc_status status = cuda->status;
    if (status != HC_OK)
        *error = cuda->error;
    else if (faults.codes > 0)
        status = hc_fail(error, HC_ERR_CORRUPT, "%u codes are not in the codebook", faults.codes);
    else if (faults.inputs > 0)
        status = hc_fail(error, HC_ERR_CORRUPT, "the inputs of a matrix are not finite");
    if (status == HC_OK && cuda->chosen_for)
        *cuda->chosen_for = cuda->exchange->chosen;
    cuda->chosen_for = NULL;
    hc_cuda_upload_close(&cuda->upload); /* what there was to upload is there */
    cuda->status = HC_OK;
    return status;
}

static void destroy(struct hc_runtime *runtime)
{
    struct hc_cuda_runtime *cuda = cuda_of(runtime);
    if (!cuda)
        return;
    if (enter(cuda))
        wait(cuda);
    cudaSetDevice(cuda->device.ordinal); /* also of a poisoned one */
    forget_graphs(cuda);
    hc_cuda_ranks_leave(&cuda->ranks, &cuda->device);
    hc_cuda_upload_close(&cuda->upload);
    hc_cuda_blas_close(&cuda->blas);
    hc_cuda_free_pinned(&cuda->device, cuda->exchange);
    hc_cuda_free(&cuda->device, cuda->memory);
    hc_cuda_device_close(&cuda->device);
    free(cuda);
    *runtime = (struct hc_runtime){0};
}

static const struct hc_runtime_table table = {
    .name = "cuda",
    .destroy = destroy,
    .open_matrix = open_matrix,
    .close_matrix = close_matrix,
    .matrix_name = matrix_name,
    .free_memory = free_memory,
    .allocate = allocate,
    .release = release,
    .write = copy_in,
    .read = copy_out,
    .join = join,
    .prepare = prepare,
    .begin = begin,
    .end = end,
    .embed = embed,
    .norm = norm,
    .linear = hc_cuda_linear,
    .turns = turns,
    .rotate = rotate,
    .remember = remember,
    .attend = attend,
    .gate = gate,
    .add = add,
    .clear = clear,
    .all_reduce = all_reduce,
    .send = send,
    .receive = receive,
    .gather = gather,
    .choose = choose,
    .finish = finish,
};

hc_status hc_runtime_cuda(struct hc_runtime *runtime, const struct hc_kernels *kernels, int threads, const char *spec,
                          struct hc_error *error)
{
    (void)threads;
    struct hc_cuda_runtime *cuda = calloc(1, sizeof *cuda);
    *runtime = (struct hc_runtime){0};
    if (!cuda)
        return hc_no_memory(error);
    cuda->kernels = kernels;
    cuda->panel_room = HC_CUDA_PANEL;
    cuda->sum_room = HC_CUDA_SUMS;
    hc_status status = hc_cuda_device_open(&cuda->device, spec, error);
    if (status != HC_OK) {
        free(cuda);
        return status;
    }
    *runtime = (struct hc_runtime){&table, cuda};
    return HC_OK;
}
