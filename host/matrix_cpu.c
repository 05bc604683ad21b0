#include "matrix_cpu.h"

#include "matrix_cut.h"

#include <stdlib.h>
#include <string.h>

static hc_status open_window(struct hc_matrix *matrix, bool embedding, struct hc_error *error)
{
    const struct hc_model_tensor *tensor = matrix->tensor;
    void *decoder;
    hc_status status = hc_model_open_piece(tensor, 0, &decoder, error);
    if (status != HC_OK)
        return status;
    hc_window_matrix_take(decoder, &matrix->window);
    hc_method_window.close(decoder);
    status = hc_window_matrix_cut(&matrix->window, &matrix->cut, tensor->name, &matrix->copied, error);
    if (status != HC_OK)
        return status;
    matrix->values = aligned_alloc(64, (sizeof *matrix->values + 63) / 64 * 64);
    if (!matrix->values)
        return hc_no_memory(error);
    hc_window_values_init(matrix->values, &matrix->window.code);
    return embedding ? hc_model_open_piece(tensor, 0, &matrix->decoder, error) : HC_OK;
}

static hc_status open_coded(struct hc_matrix *matrix, struct hc_error *error)
{
    const struct hc_method *method = matrix->tensor->description.method;
    hc_status status = hc_pair_open_cut(matrix->tensor, &matrix->cut, &matrix->decoder, &matrix->copied, error);
    if (status == HC_OK && method->settle)
        status = method->settle(matrix->decoder, error);
    if (status != HC_OK || matrix->columns % 2 != 0 || !hc_pair_has_table(matrix->decoder))
        return status;
    matrix->kind = HC_MATRIX_PAIR;
    return hc_pair_matrix_view(matrix->decoder, &matrix->pair, error);
}

static bool lies_as_floats(const struct hc_tensor *tensor)
{
    return tensor->type == HC_TYPE_F32 && tensor->permuted_heads == 0 && (uintptr_t)tensor->data % sizeof(float) == 0;
}

hc_status hc_matrix_cpu_open(const struct hc_model_tensor *tensor, const struct hc_cut *cut, bool embedding,
                             struct hc_matrix **out, struct hc_error *error)
{
    const struct hc_method *method = tensor->description.method;
    struct hc_matrix *matrix = calloc(1, sizeof *matrix);
    hc_status status = HC_OK;
    *out = matrix;
    if (!matrix)
        return hc_no_memory(error);
    matrix->tensor = tensor;
    matrix->cut = cut ? *cut : hc_cut_all(tensor);
    matrix->rows = matrix->cut.rows;
    matrix->columns = matrix->cut.columns;
    if (method == &hc_method_window) {
        matrix->kind = HC_MATRIX_WINDOW;
        status = open_window(matrix, embedding, error);
    } else if (method) {
        matrix->kind = HC_MATRIX_CODED;
        status = open_coded(matrix, error);
    } else {
        const bool there = lies_as_floats(tensor->parts[0]) && hc_cut_has_columns(tensor, &matrix->cut);
        matrix->kind = there ? HC_MATRIX_FLOAT : HC_MATRIX_STORED;
    }
    if (matrix->copied)
        hc_model_drop(tensor);
    return status;
}

void hc_matrix_cpu_close(struct hc_matrix *matrix)
{
    if (!matrix)
        return;
    if (matrix->decoder)
        matrix->tensor->description.method->close(matrix->decoder);
    hc_window_matrix_free(&matrix->window);
    free(matrix->values);
    free(matrix->copied);
    free(matrix);
}

/* Columns that are cut out of rows are read from a multiple of this on, to one or the end of the row. */
enum { READ_UNIT = 256 };

size_t hc_matrix_cpu_room(const struct hc_matrix *matrix, uint32_t count)
{
    size_t weights = (size_t)count * matrix->columns;
    return matrix->kind == HC_MATRIX_FLOAT    ? 0
           : matrix->kind == HC_MATRIX_STORED ? weights + 2 * READ_UNIT
                                              : weights + HC_BLOCK;
}

/* Columns of a row. What is read beside them is overwritten by the next row, or lies in the room behind all. */
static void read_columns(const struct hc_matrix *matrix, const struct hc_kernels *kernels, uint64_t row, float *out)
{
    const struct hc_cut *cut = &matrix->cut;
    const uint64_t columns = matrix->tensor->info.shape[1], end = cut->first_column + cut->columns;
    const uint64_t from = cut->first_column / READ_UNIT * READ_UNIT;
    const uint64_t rounded = (end + READ_UNIT - 1) / READ_UNIT * READ_UNIT, to = rounded < columns ? rounded : columns;
    hc_tensor_read(matrix->tensor->parts[0], kernels, row * columns + from, to - from, out);
    memmove(out, out + (cut->first_column - from), cut->columns * sizeof *out);
}

static void read_stored(const struct hc_matrix *matrix, const struct hc_kernels *kernels, uint64_t first,
                        uint32_t count, float *out)
{
    if (hc_cut_has_columns(matrix->tensor, &matrix->cut)) {
        hc_tensor_read(matrix->tensor->parts[0], kernels, first * matrix->columns, (uint64_t)count * matrix->columns,
                       out);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        read_columns(matrix, kernels, first + i, out + (size_t)i * matrix->columns);
}

static hc_status decode_rows(const struct hc_matrix *matrix, struct hc_engine *engine, uint64_t first, uint32_t count,
                             float *buffer, const float **rows, struct hc_error *error)
{
    const uint64_t at = first * matrix->columns, begin = at / HC_BLOCK * HC_BLOCK;
    *rows = buffer + (at - begin);
    return matrix->tensor->description.method->decode(
        engine, matrix->decoder, begin, at - begin + (uint64_t)count * matrix->columns, HC_TYPE_F32, buffer, error);
}

hc_status hc_matrix_cpu_rows(const struct hc_matrix *matrix, struct hc_engine *engine, uint32_t first, uint32_t count,
                             float *buffer, const float **rows, struct hc_error *error)
{
    const uint64_t of_all = (uint64_t)matrix->cut.first_row + first;
    switch (matrix->kind) {
    case HC_MATRIX_FLOAT:
        *rows = (const float *)(const void *)matrix->tensor->parts[0]->data + of_all * matrix->columns;
        return HC_OK;
    case HC_MATRIX_STORED:
        *rows = buffer;
        read_stored(matrix, engine->kernels, of_all, count, buffer);
        return HC_OK;
    default:
        return decode_rows(matrix, engine, matrix->kind == HC_MATRIX_WINDOW ? of_all : first, count, buffer, rows,
                           error);
    }
}
