#include "matrix_cuda.h"

#include "matrix_cpu.h"
#include "pair.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 256, MOST_PARTS = 5, BEYOND = 16 /* bytes behind packed codes may be read */ };

/* What is uploaded: parts, one behind the other. */
struct part {
    const void *from;
    size_t bytes;
};

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Allocates for all parts, and uploads them; at[i] is where part i lies. A part from NULL is only room. */
static hc_status upload_parts(struct hc_cuda_matrix *matrix, struct hc_cuda_upload *upload, const struct part *parts,
                              size_t count, void **at, struct hc_error *error)
{
    size_t bytes = 0;
    void *memory;
    for (size_t i = 0; i < count; i++)
        bytes += aligned(parts[i].bytes);
    hc_status status = hc_cuda_allocate(upload->device, bytes, &memory, error);
    matrix->memory = memory;
    bytes = 0;
    for (size_t i = 0; status == HC_OK && i < count; i++) {
        at[i] = matrix->memory + bytes;
        bytes += aligned(parts[i].bytes);
        if (parts[i].from)
            status = hc_cuda_upload_bytes(upload, at[i], parts[i].from, parts[i].bytes, error);
    }
    return status;
}

static hc_status upload_window(struct hc_cuda_matrix *matrix, const struct hc_window_matrix *stored, bool embedding,
                               struct hc_cuda_upload *upload, struct hc_error *error)
{
    const struct hc_window_frame *frame = &stored->frame;
    const struct hc_window_code *code = &stored->code;
    const size_t tiles = (size_t)(frame->tile_rows * frame->tile_columns);
    void *at[4] = {NULL};
    const size_t values = embedding ? (size_t)1 << code->length : 0;
    uint16_t *table = values > 0 ? malloc(values * sizeof *table) : NULL;
    if (values > 0 && !table)
        return hc_no_memory(error);
    if (table)
        hc_window_table(code, table);
    const struct part parts[] = {{stored->codes, tiles * HC_TILE_WEIGHTS / 8 * code->k},
                                 {stored->scales, (size_t)frame->rows * sizeof *stored->scales},
                                 {frame->from_code, (size_t)hc_window_padded_columns(frame) * sizeof(float)},
                                 {table, values * sizeof *table}};
    hc_status status = upload_parts(matrix, upload, parts, sizeof parts / sizeof *parts, at, error);
    free(table);
    matrix->kind = HC_CUDA_WINDOW;
    matrix->padded = (uint32_t)hc_window_padded_columns(frame);
    matrix->window = (struct hc_window_matrix_cuda){.codes = at[0],
                                                    .scales = at[1],
                                                    .rows = matrix->rows,
                                                    .tile_columns = (size_t)frame->tile_columns,
                                                    .code = *code};
    matrix->from_code = at[2];
    matrix->block = frame->block;
    matrix->table = at[3];
    return status;
}

static hc_status upload_pair(struct hc_cuda_matrix *matrix, const struct hc_pair_matrix *stored, bool embedding,
                             struct hc_cuda_upload *upload, const struct hc_kernels *kernels, struct hc_error *error)
{
    const size_t numbers = 2 * (size_t)stored->entries;
    void *at[4] = {NULL};
    uint16_t *halves = malloc(numbers * sizeof *halves);
    if (!halves)
        return hc_no_memory(error);
    kernels->convert.f32_to_f16(stored->table[0], numbers, halves);
    const struct part parts[] = {{stored->codes, (size_t)stored->bytes},
                                 {NULL, BEYOND},
                                 {halves, numbers * sizeof *halves},
                                 {stored->table, embedding ? numbers * sizeof(float) : 0}};
    hc_status status = upload_parts(matrix, upload, parts, sizeof parts / sizeof *parts, at, error);
    free(halves);
    matrix->kind = HC_CUDA_PAIR;
    matrix->pair = (struct hc_pair_matrix_cuda){.codes = at[0],
                                                .bits = stored->bits,
                                                .table = at[2],
                                                .entries = stored->entries,
                                                .rows = matrix->rows,
                                                .columns = matrix->columns};
    matrix->pair_table = at[3];
    return status;
}

/* Not in blocks. */
static bool is_plain(hc_type type)
{
    return type == HC_TYPE_F64 || type == HC_TYPE_F32 || type == HC_TYPE_F16 || type == HC_TYPE_BF16;
}

static size_t type_bytes(hc_type type)
{
    return type == HC_TYPE_F32 ? 4 : 2;
}

/* Of floats, what is stored on the device. */
static void convert_rows(const struct hc_kernels *kernels, hc_type type, const float *rows, size_t n, void *out)
{
    if (type == HC_TYPE_F32)
        memcpy(out, rows, n * sizeof *rows);
    else
        kernels->convert.f32_to_f16(rows, n, out);
}

/* A row that is stored, beginning with the cut's first column. */
static const uint8_t *stored_row(const struct hc_matrix *matrix, uint32_t row)
{
    const struct hc_tensor *tensor = matrix->tensor->parts[0];
    const uint64_t at = hc_tensor_stored_row(tensor, (uint64_t)matrix->cut.first_row + row);
    return tensor->data + (at * tensor->shape[1] + matrix->cut.first_column) * type_bytes(tensor->type);
}

/* The cut's columns of rows that lie further apart, or in another order. */
static void copy_rows(const struct hc_matrix *stored, uint32_t first, uint32_t count, size_t row_bytes, uint8_t *out)
{
    for (uint32_t i = 0; i < count; i++)
        memcpy(out + i * row_bytes, stored_row(stored, first + i), row_bytes);
}

/* Some rows at a time: what fills a buffer of uploads. */
static uint32_t rows_at_once(size_t row_bytes)
{
    const uint32_t fitting = (uint32_t)(HC_CUDA_UPLOAD_BYTES / row_bytes);
    return fitting > 0 ? fitting : 1;
}

static hc_status upload_cut(struct hc_cuda_matrix *matrix, const struct hc_matrix *stored,
                            struct hc_cuda_upload *upload, struct hc_error *error)
{
    const size_t row_bytes = matrix->columns * type_bytes(matrix->type);
    const uint32_t at_once = rows_at_once(row_bytes);
    uint8_t *copied = malloc(at_once * row_bytes);
    hc_status status = copied ? HC_OK : hc_no_memory(error);
    for (uint32_t first = 0; status == HC_OK && first < matrix->rows; first += at_once) {
        const uint32_t rest = matrix->rows - first, count = rest < at_once ? rest : at_once;
        copy_rows(stored, first, count, row_bytes, copied);
        status = hc_cuda_upload_bytes(upload, matrix->memory + first * row_bytes, copied, count * row_bytes, error);
    }
    free(copied);
    return status;
}

/* So are rows that are converted. */
static hc_status upload_rows(struct hc_cuda_matrix *matrix, const struct hc_matrix *stored, struct hc_engine *engine,
                             struct hc_cuda_upload *upload, struct hc_error *error)
{
    const size_t row_bytes = matrix->columns * type_bytes(matrix->type);
    const uint32_t at_once = rows_at_once(row_bytes);
    float *buffer = malloc((hc_matrix_cpu_room(stored, at_once) + matrix->columns) * sizeof *buffer);
    uint8_t *converted = malloc(at_once * row_bytes);
    hc_status status = buffer && converted ? HC_OK : hc_no_memory(error);
    for (uint32_t first = 0; status == HC_OK && first < matrix->rows; first += at_once) {
        const uint32_t rest = matrix->rows - first, count = rest < at_once ? rest : at_once;
        const float *rows;
        HC_TRY(hc_matrix_cpu_rows(stored, engine, first, count, buffer, &rows, error));
        convert_rows(engine->kernels, matrix->type, rows, (size_t)count * matrix->columns, converted);
        HC_TRY(hc_cuda_upload_bytes(upload, matrix->memory + first * row_bytes, converted, count * row_bytes, error));
    }
done:
    free(buffer);
    free(converted);
    return status;
}

static hc_status upload_converted(struct hc_cuda_matrix *matrix, const struct hc_matrix *stored,
                                  struct hc_cuda_upload *upload, const struct hc_kernels *kernels,
                                  struct hc_error *error)
{
    struct hc_engine engine = {0};
    hc_status status = hc_engine_cpu(&engine, kernels, 1, error);
    if (status == HC_OK)
        status = upload_rows(matrix, stored, &engine, upload, error);
    if (engine.table)
        engine.table->destroy(&engine);
    return status;
}

static hc_status upload_floats(struct hc_cuda_matrix *matrix, const struct hc_matrix *stored,
                               struct hc_cuda_upload *upload, const struct hc_kernels *kernels, struct hc_error *error)
{
    const struct hc_tensor *tensor = stored->kind == HC_MATRIX_CODED ? NULL : stored->tensor->parts[0];
    const bool keeps_type = tensor && is_plain(tensor->type) && tensor->type != HC_TYPE_F64;
    const bool in_one = keeps_type && tensor->permuted_heads == 0 && matrix->columns == tensor->shape[1];
    void *at;
    matrix->kind = HC_CUDA_FLOATS;
    /* A half holds whatever is stored in blocks; F64 needs all the range there is. */
    matrix->type = keeps_type ? tensor->type : tensor && is_plain(tensor->type) ? HC_TYPE_F32 : HC_TYPE_F16;
    const struct part all = {in_one ? stored_row(stored, 0) : NULL,
                             (size_t)matrix->rows * matrix->columns * type_bytes(matrix->type)};
    hc_status status = upload_parts(matrix, upload, &all, 1, &at, error);
    matrix->floats = at;
    if (status != HC_OK || in_one)
        return status;
    return keeps_type ? upload_cut(matrix, stored, upload, error)
                      : upload_converted(matrix, stored, upload, kernels, error);
}

static hc_status upload_matrix(struct hc_cuda_matrix *matrix, const struct hc_matrix *stored, bool embedding,
                               struct hc_cuda_upload *upload, const struct hc_kernels *kernels, struct hc_error *error)
{
    struct hc_pair_matrix pair;
    if (stored->kind == HC_MATRIX_WINDOW)
        return upload_window(matrix, &stored->window, embedding, upload, error);
    if (stored->tensor->description.method != &hc_method_pair)
        return upload_floats(matrix, stored, upload, kernels, error);
    hc_status status = hc_pair_matrix_view(stored->decoder, &pair, error);
    return status == HC_OK ? upload_pair(matrix, &pair, embedding, upload, kernels, error) : status;
}

hc_status hc_cuda_matrix_open(const struct hc_model_tensor *tensor, const struct hc_cut *cut, bool embedding,
                              struct hc_cuda_upload *upload, const struct hc_kernels *kernels,
                              struct hc_cuda_matrix **out, struct hc_error *error)
{
    struct hc_matrix *stored = NULL;
    struct hc_cuda_matrix *matrix = calloc(1, sizeof *matrix);
    *out = matrix;
    if (!matrix)
        return hc_no_memory(error);
    hc_status status = hc_matrix_cpu_open(tensor, cut, false, &stored, error);
    if (status != HC_OK)
        goto done;
    matrix->ordinal = upload->device->ordinal;
    matrix->name = tensor->name;
    matrix->rows = stored->rows;
    matrix->columns = stored->columns;
    matrix->padded = (stored->columns + HC_TILE - 1) / HC_TILE * HC_TILE;
    HC_TRY(upload_matrix(matrix, stored, embedding, upload, kernels, error));
    hc_model_drop(tensor);
done:
    hc_matrix_cpu_close(stored);
    return status;
}

void hc_cuda_matrix_close(struct hc_cuda_matrix *matrix)
{
    if (!matrix)
        return;
    hc_cuda_free(&(struct hc_cuda_device){.ordinal = matrix->ordinal}, matrix->memory);
    free(matrix);
}
