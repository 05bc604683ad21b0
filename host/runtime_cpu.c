/* The CPU's runtime: operations spread over threads. */
#include "matrix_cpu.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_LAYERS = 3,             /* that read the same input */
    PANEL_WEIGHTS = 1 << 16,    /* of rows that are decoded at a time */
    CHUNK_BYTES = 1 << 15,      /* of codes that a thread takes at a time */
    WORK_FOR_THREADS = 1 << 15, /* below this, waking the others takes longer */
};

struct cpu {
    const struct hc_kernels *kernels;
    int threads;
    struct hc_engine engine; /* of one thread; shared, as it does nothing but decode */
    struct hc_comm *comm;    /* NULL: alone; and */
    size_t *part_bytes;      /* of every rank, in a gathering */
    /* Working memory: inputs of products for every layer; for every thread a transformed row, what products need, a
     * panel of decoded rows, and scores of attention, one behind the other. */
    uint8_t *memory, *inputs, *scratch;
    float *parts;                      /* what ranks have gathered, one behind the other */
    size_t input_bytes, scratch_bytes; /* of a layer; of a thread */
    size_t row_bytes, product_bytes, panel_bytes;
    hc_status status;
    struct hc_error error;
};

static struct cpu *cpu_of(const struct hc_runtime *runtime)
{
    return runtime->state;
}

/* The first failure is kept. */
static void keep_failure(struct cpu *cpu, hc_status status, const struct hc_error *error)
{
#pragma omp critical(hc_runtime_failure)
    if (cpu->status == HC_OK) {
        cpu->status = status;
        cpu->error = *error;
    }
}

static uint8_t *my_scratch(const struct cpu *cpu)
{
    return cpu->scratch + cpu->scratch_bytes * (size_t)omp_get_thread_num();
}

static float *my_row(const struct cpu *cpu)
{
    return (float *)(void *)my_scratch(cpu);
}

static void *my_product(const struct cpu *cpu)
{
    return my_scratch(cpu) + cpu->row_bytes;
}

static float *my_panel(const struct cpu *cpu)
{
    return (float *)(void *)(my_scratch(cpu) + cpu->row_bytes + cpu->product_bytes);
}

static float *my_scores(const struct cpu *cpu)
{
    return (float *)(void *)(my_scratch(cpu) + cpu->row_bytes + cpu->product_bytes + cpu->panel_bytes);
}

/* ---- Memory --------------------------------------------------------------------------------- */

static hc_status open_matrix(struct hc_runtime *runtime, const struct hc_model_tensor *tensor, const struct hc_cut *cut,
                             bool embedding, struct hc_matrix **matrix, struct hc_error *error)
{
    (void)runtime;
    return hc_matrix_cpu_open(tensor, cut, embedding, matrix, error);
}

static const char *matrix_name(const struct hc_matrix *matrix)
{
    return matrix->tensor->name;
}

static size_t whole_lines(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static hc_status allocate(struct hc_runtime *runtime, size_t bytes, void **memory, struct hc_error *error)
{
    (void)runtime;
    *memory = bytes <= SIZE_MAX - 64 ? aligned_alloc(64, whole_lines(bytes + !bytes)) : NULL;
    if (!*memory)
        return hc_fail(error, HC_ERR_MEMORY, "out of memory: %llu bytes were wanted", (unsigned long long)bytes);
    return HC_OK;
}

static void release(struct hc_runtime *runtime, void *memory)
{
    (void)runtime;
    free(memory);
}

static void copy_in(struct hc_runtime *runtime, void *to, const void *from, size_t bytes)
{
    (void)runtime;
    memcpy(to, from, bytes);
}

static void copy_out(struct hc_runtime *runtime, const void *from, size_t bytes, void *to)
{
    (void)runtime;
    memcpy(to, from, bytes);
}

static uint32_t panel_rows(const struct hc_matrix *matrix)
{
    uint32_t rows = PANEL_WEIGHTS / matrix->columns;
    return rows < 4 ? 4 : rows > 64 ? 64 : rows;
}

static size_t largest(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void need_matrix(struct cpu *cpu, const struct hc_matrix *matrix, uint32_t n)
{
    const struct hc_window_product_ops *ops = &cpu->kernels->window_product;
    if (matrix->kind == HC_MATRIX_PAIR) {
        size_t floats = hc_pair_product_scratch(matrix->columns, n);
        cpu->product_bytes = largest(cpu->product_bytes, whole_lines(floats * sizeof(float)));
        return;
    }
    if (matrix->kind != HC_MATRIX_WINDOW) {
        size_t floats = hc_matrix_cpu_room(matrix, panel_rows(matrix));
        cpu->panel_bytes = largest(cpu->panel_bytes, whole_lines(floats * sizeof(float)));
        return;
    }
    size_t tiles = (size_t)matrix->window.frame.tile_columns;
    unsigned k = matrix->window.code.k;
    cpu->row_bytes = largest(cpu->row_bytes, whole_lines(tiles * HC_TILE * sizeof(float)));
    cpu->input_bytes = largest(cpu->input_bytes, n * ops->activation_bytes(k, tiles));
    cpu->product_bytes = largest(cpu->product_bytes, whole_lines(ops->scratch_bytes(k, tiles, n)));
}

/* A row of an embedding. */
static void need_rows(struct cpu *cpu, const struct hc_matrix *embedding)
{
    size_t floats = (size_t)embedding->columns + HC_BLOCK;
    cpu->panel_bytes = largest(cpu->panel_bytes, whole_lines(floats * sizeof(float)));
}

static hc_status prepare(struct hc_runtime *runtime, const struct hc_needs *needs, uint64_t *bytes,
                         struct hc_error *error)
{
    struct cpu *cpu = cpu_of(runtime);
    const struct hc_decoder *decoder = needs->decoder;
    const uint32_t group = decoder->key_value_heads > 0 ? decoder->heads / decoder->key_value_heads : 0;
    size_t scores = (size_t)needs->context * group * sizeof(float);
    void *memory;
    cpu->row_bytes = cpu->product_bytes = cpu->panel_bytes = cpu->input_bytes = 0;
    for (size_t i = 0; i < needs->matrix_count; i++) {
        need_matrix(cpu, needs->matrices[i], needs->n);
        need_rows(cpu, needs->matrices[i]);
    }
    cpu->scratch_bytes = cpu->row_bytes + cpu->product_bytes + cpu->panel_bytes + whole_lines(scores);
    const size_t all_scratch = cpu->scratch_bytes * (size_t)cpu->threads;
    *bytes = MAX_LAYERS * cpu->input_bytes + all_scratch + (size_t)needs->n * needs->gathered * sizeof *cpu->parts;
    hc_status status = allocate(runtime, *bytes, &memory, error);
    if (status != HC_OK)
        return status;
    free(cpu->memory);
    cpu->memory = cpu->inputs = memory;
    cpu->scratch = cpu->inputs + MAX_LAYERS * cpu->input_bytes;
    cpu->parts = (float *)(void *)(cpu->scratch + all_scratch);
    return HC_OK;
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static void norm(struct hc_runtime *runtime, const float *x, const float *gain, uint32_t rows, uint32_t width,
                 float epsilon, float *out)
{
    const struct cpu *cpu = cpu_of(runtime);
#pragma omp parallel for schedule(static) num_threads(cpu->threads) if ((uint64_t)rows * width >= WORK_FOR_THREADS)
    for (uint32_t i = 0; i < rows; i++)
        cpu->kernels->rms_norm.rows(x + (size_t)i * width, gain, 1, width, epsilon, out + (size_t)i * width);
}

static void turns(struct hc_runtime *runtime, uint32_t first, uint32_t n, const float *frequencies, uint32_t count,
                  float *out)
{
    (void)runtime;
    for (uint32_t i = 0; i < n; i++, out += 2 * count)
        for (uint32_t d = 0; d < count; d++) {
            double angle = (double)((float)(first + i) * frequencies[d]);
            out[d] = (float)cos(angle);
            out[count + d] = (float)sin(angle);
        }
}

static void rotate(struct hc_runtime *runtime, float *x, uint32_t n, uint32_t heads, uint32_t head_width,
                   const float *turn)
{
    const struct cpu *cpu = cpu_of(runtime);
    size_t width = (size_t)heads * head_width;
#pragma omp parallel for schedule(static) num_threads(cpu->threads) if (n * width >= WORK_FOR_THREADS)
    for (uint32_t i = 0; i < n; i++)
        cpu->kernels->rotary.heads(x + i * width, heads, head_width, turn + (size_t)i * head_width,
                                   turn + (size_t)i * head_width + head_width / 2);
}

static void gate(struct hc_runtime *runtime, float *gates, const float *up, size_t n)
{
    enum { PIECE = 4096 };
    const struct cpu *cpu = cpu_of(runtime);
#pragma omp parallel for schedule(static) num_threads(cpu->threads) if (n >= WORK_FOR_THREADS)
    for (size_t i = 0; i < n; i += PIECE)
        cpu->kernels->silu.gate(gates + i, up + i, n - i < PIECE ? n - i : PIECE);
}

static void add(struct hc_runtime *runtime, float *x, const float *y, size_t n)
{
    const struct cpu *cpu = cpu_of(runtime);
#pragma omp parallel for simd schedule(static) num_threads(cpu->threads) if (n >= WORK_FOR_THREADS)
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

static void clear(struct hc_runtime *runtime, float *x, size_t n)
{
    (void)runtime;
    memset(x, 0, n * sizeof *x);
}

/* ---- Products ------------------------------------------------------------------------------- */

/* Linear layers that read the same input, cut into chunks of rows. */
struct products {
    struct cpu *cpu;
    const struct hc_linear *layers;
    unsigned count;
    const float *x;
    uint32_t n;
    uint32_t chunk_rows[MAX_LAYERS], chunks[MAX_LAYERS];
    uint32_t all_chunks;
    uint64_t work;
};

/* Bytes of the codes of 16 rows, which begin and end with a byte. */
static uint64_t tile_row_bytes(const struct hc_matrix *matrix)
{
    if (matrix->kind == HC_MATRIX_PAIR)
        return (uint64_t)matrix->columns * HC_TILE / 2 / 8 * matrix->pair.bits;
    return matrix->window.frame.tile_columns * HC_TILE_WEIGHTS / 8 * matrix->window.code.k;
}

static uint32_t rows_of_chunk(const struct hc_matrix *matrix)
{
    if (matrix->kind != HC_MATRIX_WINDOW && matrix->kind != HC_MATRIX_PAIR)
        return panel_rows(matrix);
    uint64_t tile_rows = CHUNK_BYTES / tile_row_bytes(matrix);
    return HC_TILE * (uint32_t)(tile_rows ? tile_rows : 1);
}

static void cut_products(struct products *products)
{
    for (unsigned i = 0; i < products->count; i++) {
        const struct hc_matrix *matrix = products->layers[i].matrix;
        products->chunk_rows[i] = rows_of_chunk(matrix);
        products->chunks[i] = (matrix->rows + products->chunk_rows[i] - 1) / products->chunk_rows[i];
        products->all_chunks += products->chunks[i];
        products->work += (uint64_t)matrix->rows * matrix->columns * products->n;
    }
}

static uint8_t *input_of(const struct products *products, unsigned layer)
{
    return products->cpu->inputs + layer * products->cpu->input_bytes;
}

static bool is_finite(const float *x, size_t n)
{
    float zero = 0;
    for (size_t i = 0; i < n; i++)
        zero += x[i] * 0; /* NaN for infinity and NaN, else 0 */
    return zero == 0;
}

/* The input of a coded matrix goes through the matrix' own column scales, signs and Hadamard blocks. */
static void transform_input(const struct products *products, unsigned layer, uint32_t position)
{
    struct cpu *cpu = products->cpu;
    const struct hc_matrix *matrix = products->layers[layer].matrix;
    const struct hc_window_frame *frame = &matrix->window.frame;
    const struct hc_window_product_ops *ops = &cpu->kernels->window_product;
    size_t padded = (size_t)hc_window_padded_columns(frame), tiles = (size_t)frame->tile_columns;
    unsigned k = matrix->window.code.k;
    float *row = my_row(cpu);
    memcpy(row, products->x + (size_t)position * matrix->columns, matrix->columns * sizeof *row);
    memset(row + matrix->columns, 0, (padded - matrix->columns) * sizeof *row);
    cpu->kernels->window_rows.scale(row, padded, frame->from_code);
    cpu->kernels->hadamard.blocks(row, padded, frame->block);
    if (!is_finite(row, padded)) {
        struct hc_error error;
        hc_status status = hc_fail(&error, HC_ERR_CORRUPT, "%s: its inputs are not finite", matrix->tensor->name);
        keep_failure(cpu, status, &error);
        memset(row, 0, padded * sizeof *row);
    }
    ops->activate(k, row, tiles, input_of(products, layer) + position * ops->activation_bytes(k, tiles));
}

static void multiply_codes(const struct products *products, unsigned layer, uint32_t first, uint32_t rows)
{
    const struct hc_linear *linear = &products->layers[layer];
    const struct hc_matrix *matrix = linear->matrix;
    size_t tiles = (size_t)matrix->window.frame.tile_columns;
    const struct hc_window_product product = {.values = matrix->values,
                                              .codes = matrix->window.codes + first / HC_TILE * tile_row_bytes(matrix),
                                              .scales = matrix->window.scales + first,
                                              .rows = rows,
                                              .tile_columns = tiles,
                                              .x = input_of(products, layer),
                                              .n = products->n,
                                              .scratch = my_product(products->cpu),
                                              .out = linear->out + first,
                                              .out_stride = matrix->rows};
    products->cpu->kernels->window_product.multiply(&product);
}

static void multiply_pairs(const struct products *products, unsigned layer, uint32_t first, uint32_t rows)
{
    struct cpu *cpu = products->cpu;
    const struct hc_linear *linear = &products->layers[layer];
    const struct hc_matrix *matrix = linear->matrix;
    const struct hc_pair_matrix *pair = &matrix->pair;
    const struct hc_pair_product product = {.codes = pair->codes + first / HC_TILE * tile_row_bytes(matrix),
                                            .bits = pair->bits,
                                            .table = pair->table,
                                            .entries = pair->entries,
                                            .rows = rows,
                                            .columns = matrix->columns,
                                            .x = products->x,
                                            .n = products->n,
                                            .x_stride = matrix->columns,
                                            .scratch = my_product(cpu),
                                            .out = linear->out + first,
                                            .out_stride = matrix->rows};
    const size_t strays = cpu->kernels->pair_product.multiply(&product);
    if (strays > 0) {
        struct hc_error error;
        hc_status status = hc_fail(&error, HC_ERR_CORRUPT, "%zu codes are not in the codebook", strays);
        keep_failure(cpu, status, &error);
    }
}

static void multiply_floats(const struct products *products, unsigned layer, uint32_t first, uint32_t rows)
{
    struct cpu *cpu = products->cpu;
    const struct hc_linear *linear = &products->layers[layer];
    const struct hc_matrix *matrix = linear->matrix;
    struct hc_dense_product product = {.row_count = rows,
                                       .row_stride = matrix->columns,
                                       .x = products->x,
                                       .n = products->n,
                                       .x_stride = matrix->columns,
                                       .columns = matrix->columns,
                                       .out = linear->out + first,
                                       .out_stride = matrix->rows};
    struct hc_error error;
    hc_status status = hc_matrix_cpu_rows(matrix, &cpu->engine, first, rows, my_panel(cpu), &product.rows, &error);
    if (status == HC_OK)
        cpu->kernels->dense_product.multiply(&product);
    else
        keep_failure(cpu, status, &error);
}

static void add_bias(const struct products *products, unsigned layer, uint32_t first, uint32_t rows)
{
    const struct hc_linear *linear = &products->layers[layer];
    for (uint32_t i = 0; linear->bias && i < products->n; i++)
        for (uint32_t r = first; r < first + rows; r++)
            linear->out[(size_t)i * linear->matrix->rows + r] += linear->bias[r];
}

static void run_chunk(const struct products *products, uint32_t chunk)
{
    unsigned layer = 0;
    for (; chunk >= products->chunks[layer]; layer++)
        chunk -= products->chunks[layer];
    const struct hc_matrix *matrix = products->layers[layer].matrix;
    uint32_t first = chunk * products->chunk_rows[layer], rest = matrix->rows - first;
    uint32_t rows = rest < products->chunk_rows[layer] ? rest : products->chunk_rows[layer];
    if (matrix->kind == HC_MATRIX_WINDOW)
        multiply_codes(products, layer, first, rows);
    else if (matrix->kind == HC_MATRIX_PAIR)
        multiply_pairs(products, layer, first, rows);
    else
        multiply_floats(products, layer, first, rows);
    add_bias(products, layer, first, rows);
}

static void linear(struct hc_runtime *runtime, const struct hc_linear *layers, unsigned count,
                   const struct hc_input *input, uint32_t n)
{
    struct products products = {.cpu = cpu_of(runtime),
                                .layers = layers,
                                .count = count,
                                .x = hc_input_make(runtime, runtime->table, input, n),
                                .n = n};
    cut_products(&products);
#pragma omp parallel num_threads(products.cpu->threads) if (products.work >= WORK_FOR_THREADS)
    {
#pragma omp for schedule(static)
        for (uint32_t i = 0; i < count * n; i++)
            if (layers[i / n].matrix->kind == HC_MATRIX_WINDOW)
                transform_input(&products, i / n, i % n);
#pragma omp for schedule(dynamic)
        for (uint32_t chunk = 0; chunk < products.all_chunks; chunk++)
            run_chunk(&products, chunk);
    }
}

static void embed_row(struct cpu *cpu, const struct hc_matrix *matrix, uint32_t token, float *out)
{
    const float *row;
    struct hc_error error;
    hc_status status = hc_matrix_cpu_rows(matrix, &cpu->engine, token, 1, my_panel(cpu), &row, &error);
    if (status == HC_OK)
        memcpy(out, row, matrix->columns * sizeof *out);
    else
        keep_failure(cpu, status, &error);
}

static void embed(struct hc_runtime *runtime, const struct hc_matrix *matrix, const int32_t *tokens, uint32_t n,
                  float *out)
{
    struct cpu *cpu = cpu_of(runtime);
#pragma omp parallel for schedule(dynamic) num_threads(cpu->threads) if (n > 1)
    for (uint32_t i = 0; i < n; i++) {
        float *to = out + (size_t)i * matrix->columns;
        if (tokens[i] >= 0)
            embed_row(cpu, matrix, (uint32_t)tokens[i], to);
        else
            memset(to, 0, matrix->columns * sizeof *to);
    }
}

/* ---- Attention ------------------------------------------------------------------------------ */

static uint8_t *cache_at(const struct hc_attention *attention, void *cache, uint32_t head, uint32_t position)
{
    size_t width = attention->decoder->head_width * hc_cache_type_bytes(attention->cache->type);
    return (uint8_t *)cache + ((size_t)head * attention->cache->context + position) * width;
}

static float *cache_scales(const struct hc_attention *attention, void *cache, uint32_t head)
{
    float *scales = hc_cache_scales(attention->decoder, attention->cache, cache);
    return scales ? scales + (size_t)head * attention->cache->context : NULL;
}

static void store_head(const struct cpu *cpu, const struct hc_attention *attention, void *cache, uint32_t head,
                       uint32_t position, const float *x)
{
    float *scales = cache_scales(attention, cache, head);
    cpu->kernels->attention.store(attention->cache->type, x, attention->decoder->head_width,
                                  cache_at(attention, cache, head, position), scales ? scales + position : NULL);
}

static void remember(struct hc_runtime *runtime, const struct hc_attention *attention, const float *keys,
                     const float *values)
{
    const struct cpu *cpu = cpu_of(runtime);
    const uint32_t heads = attention->decoder->key_value_heads, width = attention->decoder->head_width;
    for (uint32_t i = 0; i < attention->count; i++)
        for (uint32_t h = 0; h < heads; h++) {
            size_t at = ((size_t)i * heads + h) * width;
            store_head(cpu, attention, attention->cache->keys, h, attention->first + i, keys + at);
            store_head(cpu, attention, attention->cache->values, h, attention->first + i, values + at);
        }
}

/* The queries of a position that share a head of keys and values. */
static void attend_head(const struct cpu *cpu, const struct hc_attention *attention, uint32_t head, uint32_t i,
                        const float *queries, float *out)
{
    const struct hc_decoder *decoder = attention->decoder;
    const uint32_t group = decoder->heads / decoder->key_value_heads, to = attention->first + i + 1;
    const uint32_t from = decoder->window && to > decoder->window ? to - decoder->window : 0;
    const struct hc_attention_head cached = {.type = attention->cache->type,
                                             .width = decoder->head_width,
                                             .keys = cache_at(attention, attention->cache->keys, head, 0),
                                             .values = cache_at(attention, attention->cache->values, head, 0),
                                             .key_scales = cache_scales(attention, attention->cache->keys, head),
                                             .value_scales = cache_scales(attention, attention->cache->values, head),
                                             .from = from,
                                             .to = to,
                                             .scale = 1 / sqrtf((float)decoder->head_width),
                                             .scores = my_scores(cpu)};
    size_t at = ((size_t)i * decoder->heads + (size_t)head * group) * decoder->head_width;
    cpu->kernels->attention.attend(&cached, queries + at, group, out + at);
}

static void attend(struct hc_runtime *runtime, const struct hc_attention *attention, const float *queries, float *out)
{
    const struct cpu *cpu = cpu_of(runtime);
    const uint32_t heads = attention->decoder->key_value_heads, count = attention->count;
    const uint64_t work =
        (uint64_t)count * (attention->first + count) * attention->decoder->heads * attention->decoder->head_width;
#pragma omp parallel for schedule(dynamic) num_threads(cpu->threads) if (work >= WORK_FOR_THREADS)
    for (uint32_t i = 0; i < heads * count; i++)
        attend_head(cpu, attention, i % heads, i / heads, queries, out);
}

/* ---- Between ranks -------------------------------------------------------------------------- */

static hc_status join(struct hc_runtime *runtime, struct hc_comm *comm, struct hc_error *error)
{
    struct cpu *cpu = cpu_of(runtime);
    bool direct;
    cpu->comm = comm;
    cpu->part_bytes = malloc((size_t)comm->ranks * sizeof *cpu->part_bytes);
    if (!cpu->part_bytes)
        return hc_no_memory(error);
    return hc_runtime_direct(comm, false, &direct, error);
}

static void all_reduce(struct hc_runtime *runtime, float *x, size_t n)
{
    struct cpu *cpu = cpu_of(runtime);
    struct hc_error error;
    hc_status status = hc_comm_all_reduce(cpu->comm, x, n, HC_SUM_F32, "the sum of activations", &error);
    if (status != HC_OK)
        keep_failure(cpu, status, &error);
}

static void send(struct hc_runtime *runtime, int to, const float *x, size_t n)
{
    struct cpu *cpu = cpu_of(runtime);
    struct hc_error error;
    hc_status status = cpu->comm->table->send(cpu->comm, to, x, n * sizeof *x, "activations for a layer", &error);
    if (status != HC_OK)
        keep_failure(cpu, status, &error);
}

static void receive(struct hc_runtime *runtime, int from, float *x, size_t n)
{
    struct cpu *cpu = cpu_of(runtime);
    struct hc_error error;
    hc_status status = cpu->comm->table->receive(cpu->comm, from, x, n * sizeof *x, "activations of a layer", &error);
    if (status == HC_OK)
        return;
    keep_failure(cpu, status, &error);
    memset(x, 0, n * sizeof *x);
}

/* Rank by rank, n rows of each become n rows of all. */
static void put_together(const float *parts, uint32_t n, const uint32_t *widths, int ranks, size_t row, float *all)
{
    for (int r = 0; r < ranks; all += widths[r++])
        for (uint32_t i = 0; i < n; i++, parts += widths[r])
            memcpy(all + i * row, parts, widths[r] * sizeof *all);
}

static void gather(struct hc_runtime *runtime, const float *x, uint32_t n, const uint32_t *widths, float *all)
{
    struct cpu *cpu = cpu_of(runtime);
    const int ranks = cpu->comm->ranks;
    float *parts = n > 1 ? cpu->parts : all;
    size_t row = 0;
    struct hc_error error;
    for (int r = 0; r < ranks; row += widths[r++])
        cpu->part_bytes[r] = (size_t)n * widths[r] * sizeof *x;
    hc_status status = hc_comm_all_gather(cpu->comm, x, parts, cpu->part_bytes, "the activations of all ranks", &error);
    if (status != HC_OK) {
        keep_failure(cpu, status, &error);
        memset(all, 0, n * row * sizeof *all);
    } else if (n > 1) {
        put_together(parts, n, widths, ranks, row, all);
    }
}

/* ---- Steps ---------------------------------------------------------------------------------- */

static bool begin(struct hc_runtime *runtime, const struct hc_step *step)
{
    (void)runtime;
    (void)step;
    return true;
}

static void end(struct hc_runtime *runtime)
{
    (void)runtime;
}

/* The logits are at hand. */
static bool choose(struct hc_runtime *runtime, const float *logits, uint32_t vocabulary, const struct hc_choice *choice,
                   int32_t *token)
{
    (void)runtime;
    (void)logits;
    (void)vocabulary;
    (void)choice;
    (void)token;
    return false;
}

/* ---- The table ------------------------------------------------------------------------------ */

static hc_status finish(struct hc_runtime *runtime, struct hc_error *error)
{
    struct cpu *cpu = cpu_of(runtime);
    hc_status status = cpu->status;
    if (status != HC_OK)
        *error = cpu->error;
    cpu->status = HC_OK;
    return status;
}

static void destroy(struct hc_runtime *runtime)
{
    struct cpu *cpu = cpu_of(runtime);
    if (!cpu)
        return;
    if (cpu->engine.table)
        cpu->engine.table->destroy(&cpu->engine);
    free(cpu->memory);
    free(cpu->part_bytes);
    free(cpu);
    *runtime = (struct hc_runtime){0};
}

static const struct hc_runtime_table table = {
    .name = "cpu",
    .destroy = destroy,
    .open_matrix = open_matrix,
    .close_matrix = hc_matrix_cpu_close,
    .matrix_name = matrix_name,
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
    .linear = linear,
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

hc_status hc_runtime_cpu(struct hc_runtime *runtime, const struct hc_kernels *kernels, int threads,
                         struct hc_error *error)
{
    struct cpu *cpu = calloc(1, sizeof *cpu);
    *runtime = (struct hc_runtime){&table, cpu};
    if (!cpu)
        return hc_no_memory(error);
    cpu->kernels = kernels;
    cpu->threads = threads;
    return hc_engine_cpu(&cpu->engine, kernels, 1, error);
}
