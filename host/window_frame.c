#include "window_frame.h"

#include "moments.h"
#include "philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Column scales -------------------------------------------------------------------------- */

/* The float32 values nearest to 2^(i/8). */
static const float octave[HC_WINDOW_OCTAVE] = {1.0F,        1.09050775F, 1.18920708F, 1.29683959F,
                                               1.41421354F, 1.54221082F, 1.68179286F, 1.83400810F};

/* The nearest step to a scale: 8 log2 of it, from its square, which lies between two of the 4 steps to an
 * octave of a square. By comparison, since no library's logarithm is the same everywhere. */
static int step_of(double square)
{
    static const double between[] = {0.5452538663326288, 0.6484197773255048, 0.7711054127039704, 0.9170040432046712};
    int exponent, n = 0;
    double mantissa = frexp(square, &exponent);
    for (size_t i = 0; i < sizeof between / sizeof *between; i++)
        n += mantissa >= between[i];
    int step = 4 * (exponent - 1) + n;
    return step < 1023 ? step : 1023; /* 2^(1024/8) is no float32 */
}

static int floor_octave(int step)
{
    return (step >= 0 ? step : step - (HC_WINDOW_OCTAVE - 1)) / HC_WINDOW_OCTAVE;
}

/* Of the mean: below it an input counts as this. Inputs of zero would ask for scales without end. */
static const double LEAST_INPUT = 0x1p-24;

/* By square roots, which are the same everywhere. */
static double believed(double input, double norm2, unsigned trust)
{
    double root = sqrt(sqrt(input)), other = 1 / sqrt(sqrt(norm2)), product = 1;
    for (unsigned quarter = 0; quarter < HC_MOMENTS_MEASURED; quarter++)
        product *= quarter < trust ? root : other;
    return product;
}

void hc_window_inputs(double *inputs, const double *norms2, const struct hc_moments_vector *moments)
{
    double all = 0, told = 0, taken = 0;
    for (uint64_t j = 0; j < moments->count; j++)
        all += (double)moments->values[j];
    double least = all / (double)moments->count * LEAST_INPUT;
    for (uint64_t j = 0; j < moments->count; j++) {
        double input = (double)moments->values[j] > least ? (double)moments->values[j] : least;
        bool mixed = moments->trust < HC_MOMENTS_MEASURED && norms2[j] > 0;
        inputs[j] = mixed ? believed(input, norms2[j], moments->trust) : input;
        told += norms2[j] * input;
        taken += norms2[j] * inputs[j];
    }
    for (uint64_t j = 0; taken > 0 && j < moments->count; j++)
        inputs[j] *= told / taken;
}

/* Squares of the scales of columns with mean squares c^2 and inputs with second moments h: c / h^(1/2), under which
 * errors do least harm (window_frame.h), times what gives the columns that are divided by them a mean square of 1. They
 * take the place of the inputs. */
static void set_squares(double *squares, const double *norms2, uint64_t columns)
{
    double energy = 0;
    for (uint64_t j = 0; j < columns; j++) {
        double input = squares[j];
        squares[j] = sqrt(norms2[j] / input);
        energy += sqrt(norms2[j] * input);
    }
    for (uint64_t j = 0; j < columns; j++)
        squares[j] *= energy / (double)columns;
}

/* From the squares of the scales. The largest one has a byte of 248 to 255, and what is smaller by more than that has
 * 1; 0 stands for zeros. */
static void set_bytes(struct hc_window_frame *frame, const double *squares)
{
    double most = 0;
    for (uint64_t j = 0; j < frame->columns; j++)
        most = squares[j] > most ? squares[j] : most;
    frame->exponent = most > 0 ? floor_octave(step_of(most)) - 31 : 0;
    if (frame->exponent < HC_WINDOW_MIN_EXPONENT)
        frame->exponent = HC_WINDOW_MIN_EXPONENT;
    for (uint64_t j = 0; j < frame->columns; j++) {
        int byte = squares[j] > 0 ? step_of(squares[j]) - HC_WINDOW_OCTAVE * frame->exponent : 0;
        frame->bytes[j] = (uint8_t)(squares[j] > 0 && byte < 1 ? 1 : byte);
    }
}

static float column_scale(const struct hc_window_frame *frame, uint64_t column)
{
    if (!frame->bytes)
        return ldexpf(1, frame->exponent);
    int byte = frame->bytes[column];
    float scale = ldexpf(octave[byte % HC_WINDOW_OCTAVE], frame->exponent + byte / HC_WINDOW_OCTAVE);
    return byte == 0 ? 0 : fminf(scale, 0x1.fffffep127F);
}

static bool negative(uint32_t seed, uint64_t column)
{
    uint32_t words[4];
    hc_philox((uint32_t[]){seed, 0}, (uint32_t[]){(uint32_t)(column / 128), 0, 0, 0}, words);
    return words[column % 128 / 32] >> column % 32 & 1;
}

static void set_factors(struct hc_window_frame *frame)
{
    for (uint64_t j = 0; j < frame->columns; j++) {
        float scale = column_scale(frame, j), sign = negative(frame->seed, j) ? -1.0F : 1.0F;
        frame->from_code[j] = sign * scale;
        frame->to_code[j] = scale > 0 ? (float)((double)sign / (double)scale) : 0;
    }
}

/* ---- Frames --------------------------------------------------------------------------------- */

void hc_window_frame_shape(struct hc_window_frame *frame, uint64_t rows, uint64_t columns)
{
    frame->rows = rows;
    frame->columns = columns;
    frame->tile_rows = (rows + HC_TILE - 1) / HC_TILE;
    frame->tile_columns = (columns + HC_TILE - 1) / HC_TILE;
    frame->block = HC_HADAMARD_MIN;
    while (frame->block < HC_HADAMARD_MAX && hc_window_padded_columns(frame) % (2 * frame->block) == 0)
        frame->block *= 2;
}

void hc_window_frame_free(struct hc_window_frame *frame)
{
    free(frame->bytes);
    free(frame->to_code);
    free(frame->from_code);
    *frame = (struct hc_window_frame){0};
}

static hc_status frame_alloc(struct hc_window_frame *frame, bool bytes, struct hc_error *error)
{
    uint64_t padded = hc_window_padded_columns(frame);
    frame->to_code = calloc(padded, sizeof *frame->to_code);
    frame->from_code = calloc(padded, sizeof *frame->from_code);
    frame->bytes = bytes ? malloc(frame->columns) : NULL;
    return frame->to_code && frame->from_code && (frame->bytes || !bytes) ? HC_OK : hc_no_memory(error);
}

hc_status hc_window_frame_restore(struct hc_window_frame *frame, uint64_t rows, uint64_t columns, unsigned block,
                                  uint32_t seed, int exponent, const uint8_t *bytes, struct hc_error *error)
{
    *frame = (struct hc_window_frame){0};
    hc_window_frame_shape(frame, rows, columns);
    frame->block = block;
    frame->seed = seed;
    frame->exponent = exponent;
    hc_status status = frame_alloc(frame, bytes != NULL, error);
    if (status != HC_OK) {
        hc_window_frame_free(frame);
        return status;
    }
    if (bytes)
        memcpy(frame->bytes, bytes, columns);
    set_factors(frame);
    return HC_OK;
}

/* Exponents of the columns' largest magnitudes: every weight of column j lies below 2^e[j]. */
static void unit_exponents(const float *largest, uint64_t columns, int *exponents)
{
    for (uint64_t j = 0; j < columns; j++)
        (void)frexp((double)largest[j], &exponents[j]);
}

/* Mean squares of the columns, exact up to the units of window_rows.h. */
static hc_status mean_squares(struct hc_engine *engine, const struct hc_piece *piece, const float *largest,
                              double *norms2, struct hc_error *error)
{
    uint64_t columns = piece->columns;
    int *exponents = malloc(columns * sizeof *exponents);
    double *to_units = malloc(columns * sizeof *to_units);
    uint64_t *sums = calloc(columns, sizeof *sums);
    hc_status status = exponents && to_units && sums ? HC_OK : hc_no_memory(error);
    if (status != HC_OK)
        goto done;
    unit_exponents(largest, columns, exponents);
    for (uint64_t j = 0; j < columns; j++)
        to_units[j] = ldexp(1, HC_COLUMN_BITS - exponents[j]);
    HC_TRY(engine->table->window_squares(engine, piece, 0, piece->rows, to_units, sums, error));
    for (uint64_t j = 0; j < columns; j++)
        norms2[j] = ldexp((double)sums[j], 2 * (exponents[j] - HC_COLUMN_BITS)) / (double)piece->rows;
done:
    free(exponents);
    free(to_units);
    free(sums);
    return status;
}

static int largest_exponent(const float *largest, uint64_t columns)
{
    float most = 0;
    int exponent;
    for (uint64_t j = 0; j < columns; j++)
        most = fmaxf(most, largest[j]);
    (void)frexp((double)most, &exponent);
    exponent = exponent < 127 ? exponent : 127;
    return exponent > HC_WINDOW_MIN_EXPONENT ? exponent : HC_WINDOW_MIN_EXPONENT;
}

hc_status hc_window_frame_fit(struct hc_window_frame *frame, struct hc_engine *engine, const struct hc_piece *piece,
                              hc_columns columns, uint32_t seed, double *norms2, const char **kept_because,
                              struct hc_error *error)
{
    float *largest = NULL;
    double *own = NULL, *squares = NULL;
    uint64_t bad = 0;
    hc_status status = HC_OK;
    *frame = (struct hc_window_frame){.seed = seed};
    *kept_because = piece->rows > HC_WINDOW_MAX_ROWS         ? "more than 16777216 rows"
                    : piece->columns > HC_WINDOW_MAX_COLUMNS ? "more than 1048576 columns"
                                                             : NULL;
    if (*kept_because)
        return HC_OK;
    hc_window_frame_shape(frame, piece->rows, piece->columns);
    largest = calloc(piece->columns, sizeof *largest);
    own = norms2 ? norms2 : malloc(piece->columns * sizeof *own);
    status = largest && own ? frame_alloc(frame, columns == HC_COLUMNS_NORM, error) : hc_no_memory(error);
    if (status != HC_OK)
        goto done;
    HC_TRY(engine->table->window_largest(engine, piece, 0, piece->rows, largest, &bad, error));
    if (bad) {
        *kept_because = "NaN or infinity in it";
        goto done;
    }
    if (columns == HC_COLUMNS_NORM || norms2)
        HC_TRY(mean_squares(engine, piece, largest, own, error));
    if (columns == HC_COLUMNS_NORM && piece->tensor->moments) {
        squares = malloc(piece->columns * sizeof *squares);
        if (!squares) {
            status = hc_no_memory(error);
            goto done;
        }
        hc_window_inputs(squares, own, piece->tensor->moments);
        set_squares(squares, own, piece->columns);
    }
    if (columns == HC_COLUMNS_NORM)
        set_bytes(frame, squares ? squares : own);
    else
        frame->exponent = largest_exponent(largest, piece->columns);
    set_factors(frame);
done:
    free(largest);
    free(squares);
    if (own != norms2)
        free(own);
    if (status != HC_OK || *kept_because)
        hc_window_frame_free(frame);
    return status;
}

/* ---- Coders --------------------------------------------------------------------------------- */

void hc_window_coder_free(struct hc_window_coder *coder)
{
    free(coder->table);
    free(coder->codebook);
    free(coder->layout);
    *coder = (struct hc_window_coder){0};
}

/* aligned_alloc wants whole multiples, and something. */
static void *alloc_aligned(size_t bytes)
{
    return aligned_alloc(64, bytes / 64 * 64 + 64);
}

static hc_status add_encoder(struct hc_window_coder *coder, const struct hc_kernels *kernels, struct hc_error *error)
{
    const struct hc_window_encode_ops *ops = &kernels->window_encode;
    unsigned k = coder->code.k, length = coder->code.length;
    coder->codebook = alloc_aligned(sizeof *coder->codebook << length);
    coder->layout = alloc_aligned(ops->layout_bytes(k, length));
    if (!coder->codebook || !coder->layout)
        return hc_no_memory(error);
    coder->full_scale = hc_window_codebook(&coder->code, coder->table, coder->codebook);
    coder->trellis = (struct hc_window_trellis){.k = k,
                                                .length = length,
                                                .multiplier = coder->code.multiplier,
                                                .codebook = coder->codebook,
                                                .layout = coder->layout};
    ops->prepare(&coder->trellis);
    return HC_OK;
}

hc_status hc_window_coder_init(struct hc_window_coder *coder, const struct hc_window_code *code,
                               const struct hc_kernels *kernels, struct hc_error *error)
{
    *coder = (struct hc_window_coder){.code = *code, .table = alloc_aligned(sizeof *coder->table << code->length)};
    hc_status status = coder->table ? HC_OK : hc_no_memory(error);
    if (status == HC_OK)
        hc_window_table(code, coder->table);
    if (status == HC_OK && kernels)
        status = add_encoder(coder, kernels, error);
    if (status != HC_OK)
        hc_window_coder_free(coder);
    return status;
}
