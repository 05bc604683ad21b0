#include "matrix_cpu.h"

#include <stdlib.h>
#include <string.h>

static hc_status open_window(struct hc_matrix *matrix, bool embedding, struct hc_error *error)
{
    void *decoder;
    hc_status status = hc_model_open_piece(matrix->tensor, 0, &decoder, error);
    if (status != HC_OK)
        return status;
    hc_window_matrix_take(decoder, &matrix->window);
    hc_method_window.close(decoder);
    matrix->values = aligned_alloc(64, (sizeof *matrix->values + 63) / 64 * 64);
    if (!matrix->values)
        return hc_no_memory(error);
    hc_window_values_init(matrix->values, &matrix->window.code);
    return embedding ? hc_model_open_piece(matrix->tensor, 0, &matrix->decoder, error) : HC_OK;
}

static bool lies_as_floats(const struct hc_tensor *tensor)
{
    return tensor->type == HC_TYPE_F32 && tensor->permuted_heads == 0 && (uintptr_t)tensor->data % sizeof(float) == 0;
}

hc_status hc_matrix_cpu_open(const struct hc_model_tensor *tensor, bool embedding, struct hc_matrix **out,
                             struct hc_error *error)
{
    const struct hc_method *method = tensor->description.method;
    struct hc_matrix *matrix = calloc(1, sizeof *matrix);
    *out = matrix;
    if (!matrix)
        return hc_no_memory(error);
    matrix->tensor = tensor;
    matrix->rows = (uint32_t)tensor->info.shape[0];
    matrix->columns = (uint32_t)tensor->info.shape[1];
    if (method == &hc_method_window) {
        matrix->kind = HC_MATRIX_WINDOW;
        return open_window(matrix, embedding, error);
    }
    if (method) {
        matrix->kind = HC_MATRIX_CODED;
        hc_status status = hc_model_open_piece(tensor, 0, &matrix->decoder, error);
        return status == HC_OK && method->settle ? method->settle(matrix->decoder, error) : status;
    }
    matrix->kind = lies_as_floats(tensor->parts[0]) ? HC_MATRIX_FLOAT : HC_MATRIX_STORED;
    return HC_OK;
}

void hc_matrix_cpu_close(struct hc_matrix *matrix)
{
    if (!matrix)
        return;
    if (matrix->decoder)
        matrix->tensor->description.method->close(matrix->decoder);
    hc_window_matrix_free(&matrix->window);
    free(matrix->values);
    free(matrix);
}

size_t hc_matrix_cpu_room(const struct hc_matrix *matrix, uint32_t count)
{
    size_t weights = (size_t)count * matrix->columns;
    return matrix->kind == HC_MATRIX_FLOAT ? 0 : weights + HC_BLOCK;
}

hc_status hc_matrix_cpu_rows(const struct hc_matrix *matrix, struct hc_engine *engine, uint32_t first, uint32_t count,
                             float *buffer, const float **rows, struct hc_error *error)
{
    const struct hc_tensor *stored = matrix->tensor->parts[0];
    uint64_t at = (uint64_t)first * matrix->columns, weights = (uint64_t)count * matrix->columns;
    uint64_t begin = at / HC_BLOCK * HC_BLOCK;
    *rows = buffer;
    switch (matrix->kind) {
    case HC_MATRIX_FLOAT:
        *rows = (const float *)(const void *)stored->data + at;
        return HC_OK;
    case HC_MATRIX_STORED:
        hc_tensor_read(stored, engine->kernels, at, weights, buffer);
        return HC_OK;
    default:
        *rows = buffer + (at - begin);
        return matrix->tensor->description.method->decode(engine, matrix->decoder, begin, at - begin + weights, buffer,
                                                          error);
    }
}
