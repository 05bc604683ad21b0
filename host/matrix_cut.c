#include "matrix_cut.h"

#include "bitpack/bitpack.h"
#include "pair.h"

#include <stdlib.h>
#include <string.h>

struct hc_cut hc_cut_all(const struct hc_model_tensor *tensor)
{
    return (struct hc_cut){.rows = (uint32_t)tensor->info.shape[0], .columns = (uint32_t)tensor->info.shape[1]};
}

bool hc_cut_has_columns(const struct hc_model_tensor *tensor, const struct hc_cut *cut)
{
    return cut->columns == tensor->info.shape[1];
}

uint64_t hc_cut_bytes(const struct hc_model_tensor *tensor, const struct hc_cut *cut)
{
    double share = (double)cut->rows * cut->columns / (double)tensor->info.weights;
    return (uint64_t)((double)tensor->info.stored_bytes * share + 0.5);
}

/* Whether a range begins at a multiple of `unit`, and ends at one or where all does. */
static bool lies_on(uint32_t first, uint32_t count, uint64_t all, uint32_t unit)
{
    const uint64_t end = (uint64_t)first + count;
    return count > 0 && end <= all && first % unit == 0 && (end % unit == 0 || end == all);
}

/* ---- window --------------------------------------------------------------------------------- */

/* What is left of an array, which may have become a smaller one. */
static void *keep_part(void *array, size_t first, size_t bytes)
{
    memmove(array, (uint8_t *)array + first, bytes);
    void *smaller = realloc(array, bytes);
    return smaller ? smaller : array;
}

/* A run of tiles of every row of tiles. */
static uint8_t *copy_tiles(const struct hc_window_matrix *matrix, const struct hc_window_frame *part,
                           const struct hc_cut *cut)
{
    const size_t tile = (size_t)HC_TILE_WEIGHTS / 8 * matrix->code.k;
    const size_t from_run = (size_t)matrix->frame.tile_columns * tile, run = (size_t)part->tile_columns * tile;
    const uint8_t *from = matrix->codes + cut->first_row / HC_TILE * from_run + cut->first_column / HC_TILE * tile;
    uint8_t *codes = malloc((size_t)part->tile_rows * run);
    for (size_t i = 0; codes && i < part->tile_rows; i++)
        memcpy(codes + i * run, from + i * from_run, run);
    return codes;
}

static void cut_frame(struct hc_window_frame *frame, const struct hc_window_frame *part, uint32_t first_column)
{
    const size_t padded = (size_t)hc_window_padded_columns(part);
    frame->from_code =
        keep_part(frame->from_code, first_column * sizeof *frame->from_code, padded * sizeof *frame->from_code);
    frame->rows = part->rows;
    frame->columns = part->columns;
    frame->tile_rows = part->tile_rows;
    frame->tile_columns = part->tile_columns;
}

hc_status hc_window_matrix_cut(struct hc_window_matrix *matrix, const struct hc_cut *cut, const char *name,
                               uint8_t **copied, struct hc_error *error)
{
    struct hc_window_frame *frame = &matrix->frame, part = {0};
    const size_t tile_row = (size_t)frame->tile_columns * HC_TILE_WEIGHTS / 8 * matrix->code.k;
    *copied = NULL;
    if (!lies_on(cut->first_row, cut->rows, frame->rows, HC_TILE))
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: rows %u to %u do not end where tiles do", name, cut->first_row,
                       cut->first_row + cut->rows);
    if (!lies_on(cut->first_column, cut->columns, frame->columns, frame->block))
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: columns %u to %u do not end where Hadamard blocks of %u do",
                       name, cut->first_column, cut->first_column + cut->columns, frame->block);
    hc_window_frame_shape(&part, cut->rows, cut->columns);
    if (cut->columns == frame->columns)
        matrix->codes += cut->first_row / HC_TILE * tile_row;
    else if (!(*copied = copy_tiles(matrix, &part, cut)))
        return hc_no_memory(error);
    else
        matrix->codes = *copied;
    matrix->scales += cut->first_row;
    cut_frame(frame, &part, cut->first_column);
    return HC_OK;
}

/* ---- pair ----------------------------------------------------------------------------------- */

/* Codes of pairs; eight of them begin and end with a byte. */
struct pair_codes {
    const uint8_t *codes;
    unsigned bits;
    uint64_t row_pairs; /* of a row of the whole */
};

/* Codes first .. first + count - 1 as numbers. `numbers` has room for 7 more than `count`; they begin where is
 * returned. */
static const uint32_t *unpack_from(const struct pair_codes *pairs, const struct hc_bitpack_ops *ops, uint64_t first,
                                   size_t count, uint32_t *numbers)
{
    const size_t before = (size_t)(first % 8);
    ops->unpack(pairs->codes + first / 8 * pairs->bits, before + count, pairs->bits, numbers);
    return numbers + before;
}

/* Columns of rows, packed anew: as many rows at a time as make whole bytes. */
static hc_status copy_pairs(const struct pair_codes *pairs, const struct hc_cut *cut, uint8_t *out,
                            struct hc_error *error)
{
    enum { ROWS = 8 };
    const size_t count = cut->columns / 2;
    uint32_t *numbers = malloc((ROWS * count + count + 7) * sizeof *numbers);
    struct hc_bitpack_ops ops;
    if (!numbers)
        return hc_no_memory(error);
    hc_bitpack_c(&ops);
    for (uint32_t row = 0; row < cut->rows; row += ROWS) {
        const uint32_t rows = cut->rows - row < ROWS ? cut->rows - row : ROWS;
        for (uint32_t r = 0; r < rows; r++) {
            const uint64_t first = (cut->first_row + row + r) * pairs->row_pairs + cut->first_column / 2;
            memcpy(numbers + r * count, unpack_from(pairs, &ops, first, count, numbers + ROWS * count),
                   count * sizeof *numbers);
        }
        ops.pack(numbers, rows * count, pairs->bits, out + (size_t)row / 8 * count * pairs->bits);
    }
    free(numbers);
    return HC_OK;
}

static hc_status open_codes(const struct hc_model_tensor *tensor, const struct hc_cut *cut, const uint8_t *codes,
                            void **decoder, struct hc_error *error)
{
    const struct hc_shape shape = {cut->rows, cut->columns};
    const uint8_t *const parts[HC_MAX_PARTS] = {codes};
    return hc_method_pair.open(json_array_get(tensor->description.pieces, 0), &shape, parts, decoder, error);
}

hc_status hc_pair_open_cut(const struct hc_model_tensor *tensor, const struct hc_cut *cut, void **decoder,
                           uint8_t **copied, struct hc_error *error)
{
    const json_t *parameters = json_array_get(tensor->description.pieces, 0);
    const uint64_t rows = tensor->info.shape[0], columns = tensor->info.shape[1];
    const struct pair_codes whole = {tensor->parts[0]->data + tensor->offsets[0][0],
                                     (unsigned)json_integer_value(json_object_get(parameters, "bits")), columns / 2};
    *copied = NULL;
    *decoder = NULL;
    if (!lies_on(cut->first_row, cut->rows, rows, HC_TILE))
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: rows %u to %u do not end where tiles do", tensor->name,
                       cut->first_row, cut->first_row + cut->rows);
    if (cut->columns == columns) /* 16 rows are whole pairs, and eight of these whole bytes */
        return open_codes(tensor, cut, whole.codes + cut->first_row * columns / 16 * whole.bits, decoder, error);
    if (columns % 2 != 0 || cut->columns % 2 != 0 || !lies_on(cut->first_column, cut->columns, columns, 2))
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: columns %u to %u of %u do not end where pairs do", tensor->name,
                       cut->first_column, cut->first_column + cut->columns, (unsigned)columns);
    const uint64_t pairs = (uint64_t)cut->rows * (cut->columns / 2);
    if (!(*copied = malloc((size_t)(pairs * whole.bits + 7) / 8)))
        return hc_no_memory(error);
    hc_status status = copy_pairs(&whole, cut, *copied, error);
    return status == HC_OK ? open_codes(tensor, cut, *copied, decoder, error) : status;
}
