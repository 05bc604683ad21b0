/* A matrix that the device takes in many parts: codes, scales, weights and errors are the CPU's. The parts are made
 * small, as nobody has the time to emulate one matrix of many of them. So they are where the device holds the matrix,
 * and where it has no room for it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_cpu.h"
#include "engine_cuda.h"
#include "staging.h"

enum { ROWS = 75, COLUMNS = 150, TILE_ROWS = 5, TILE_COLUMNS = 10, WEIGHTS = ROWS * COLUMNS };

/* What an engine makes of it. */
struct result {
    float largest[COLUMNS], of_other[COLUMNS];
    uint64_t sums[COLUMNS];
    uint8_t codes[TILE_ROWS * TILE_COLUMNS * HC_TILE_WEIGHTS], some_codes[TILE_ROWS * TILE_COLUMNS * HC_TILE_WEIGHTS];
    uint16_t scales[ROWS], some_scales[ROWS];
    float factors[ROWS];
    float decoded[WEIGHTS];
    uint16_t halves[WEIGHTS - 3 * COLUMNS];
    double residual[ROWS], some_residual[ROWS];
    uint64_t non_finite;
    double abs_error, squared_error, squared_weights, max_abs_error;
};

/* Of the piece. What is held must not be read again: it is wiped out here once all of it was seen, from its middle on,
 * and then what lies before. */
enum holding { NOT_HELD, NO_ROOM, HELD, HOLDINGS };

static const char *const holding_names[HOLDINGS] = {"not held", "no room", "held"};

static void hold(struct hc_engine *engine, const struct hc_piece *piece, enum holding holding)
{
    struct hc_piece endless = *piece;
    endless.weights = UINT64_C(1) << 50;
    if (holding == HELD)
        engine->table->hold(engine, piece);
    else if (holding == NO_ROOM)
        engine->table->hold(engine, &endless);
}

static hc_status compare(struct hc_engine *engine, const struct hc_piece *piece, const struct hc_window_frame *frame,
                         const struct hc_window_coder *coder, struct result *r, struct hc_error *error)
{
    enum { TILE_ROW = HC_BLOCK / COLUMNS / HC_TILE }; /* of the second block */
    const struct hc_window_coded all = {r->codes, r->scales, 0};
    const struct hc_window_coded rest = {r->codes + TILE_ROW * TILE_COLUMNS * hc_window_tile_bytes(coder),
                                         r->scales + TILE_ROW * HC_TILE, TILE_ROW};
    struct hc_compare_sum sum = {0};
    hc_status status;
    HC_TRY(engine->table->window_compare(engine, piece, frame, coder, &all, 0, HC_BLOCK, &sum, error));
    HC_TRY(
        engine->table->window_compare(engine, piece, frame, coder, &rest, HC_BLOCK, WEIGHTS - HC_BLOCK, &sum, error));
    r->abs_error = hc_exact_value(&sum.abs_error);
    r->squared_error = hc_exact_value(&sum.squared_error);
    r->squared_weights = hc_exact_value(&sum.squared_weights);
    r->max_abs_error = sum.max_abs_error;
done:
    return status;
}

/* Some of the rows of tiles from the second on, in steps. */
static hc_status encode_steps(struct hc_engine *engine, const struct hc_piece *piece,
                              const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                              struct result *r, struct hc_error *error)
{
    const uint64_t blocks = hc_window_row_blocks(frame), end = TILE_ROWS * blocks;
    const struct hc_window_factors factors = {r->factors, 1};
    const struct hc_window_coded coded = {r->codes + TILE_COLUMNS * hc_window_tile_bytes(coder), NULL, 1};
    const struct hc_window_result some = {NULL, r->some_scales, r->some_residual};
    hc_status status;
    HC_TRY(engine->table->window_factors(engine, piece, frame, coder, 19, ROWS - 19, r->factors + 3, error));
    HC_TRY(engine->table->window_factors(engine, piece, frame, coder, 16, 3, r->factors, error));
    HC_TRY(engine->table->window_search(engine, piece, frame, coder, &factors, blocks + 2, end - blocks - 3,
                                        r->some_codes, error));
    HC_TRY(engine->table->window_fit(engine, piece, frame, coder, &coded, 21, ROWS - 24, &some, error));
done:
    return status;
}

/* `weights`: where the tensor's lie. */
static hc_status work(struct hc_engine *engine, const struct hc_piece *piece, float *weights, enum holding holding,
                      struct result *r, struct hc_error *error)
{
    struct hc_window_frame frame = {0};
    struct hc_window_coder coder = {0};
    const struct hc_window_result coded = {r->codes, r->scales, r->residual};
    const struct hc_piece other = {piece->tensor, 0, WEIGHTS, ROWS, COLUMNS};
    const char *kept_because;
    double to_units[COLUMNS];
    hc_status status;
    memset(r, 0, sizeof *r);
    for (int j = 0; j < COLUMNS; j++)
        to_units[j] = 0x1p17;
    hold(engine, piece, holding);
    HC_TRY(engine->table->window_largest(engine, piece, 30, ROWS - 30, r->largest, &r->non_finite, error));
    HC_TRY(engine->table->window_largest(engine, &other, 0, ROWS, r->of_other, &r->non_finite, error));
    HC_TRY(engine->table->window_largest(engine, piece, 0, 30, r->largest, &r->non_finite, error));
    if (holding == HELD)
        memset(weights, 0, 2 * WEIGHTS * sizeof *weights);
    HC_TRY(engine->table->window_squares(engine, piece, 1, ROWS - 1, to_units, r->sums, error));
    HC_TRY(hc_window_frame_fit(&frame, engine, piece, HC_COLUMNS_NORM, 1, NULL, &kept_because, error));
    HC_TRY(hc_window_coder_init(&coder, hc_window_code_find(4, 8), engine->kernels, error));
    HC_TRY(engine->table->window_encode(engine, piece, &frame, &coder, 0, TILE_ROWS, &coded, error));
    HC_TRY(encode_steps(engine, piece, &frame, &coder, r, error));
    HC_TRY(engine->table->window_decode(engine, &frame, &coder, r->codes, r->scales, 0, ROWS, HC_TYPE_F32, r->decoded,
                                        error));
    HC_TRY(engine->table->window_decode(engine, &frame, &coder, r->codes, r->scales, 3, ROWS - 3, HC_TYPE_F16,
                                        r->halves, error));
    HC_TRY(compare(engine, piece, &frame, &coder, r, error));
done:
    engine->table->let_go(engine);
    hc_window_frame_free(&frame);
    hc_window_coder_free(&coder);
    return status;
}

/* Both engines see two matrices of these bytes, one after the other in a tensor, and code the second. */
static void fill(float *weights, hc_type type)
{
    uint16_t *half = (void *)weights;
    for (int i = 0; i < 2 * WEIGHTS; i++) {
        float weight = sinf((float)i * (float)i) * (1 + (float)(i % 7));
        uint32_t bits;
        memcpy(&bits, &weight, sizeof bits);
        if (type == HC_TYPE_BF16)
            half[i] = (uint16_t)(bits >> 16);
        else
            weights[i] = weight;
    }
}

struct test {
    hc_type type;
    uint64_t band; /* in weights */
    enum holding holding;
};

static bool agree(const struct test *test, struct hc_engine *cpu, struct hc_engine *cuda, float *weights)
{
    static struct result expected, got;
    const unsigned char *e = (const void *)&expected, *g = (const void *)&got;
    const struct hc_tensor tensor = {.name = "weights",
                                     .type = test->type,
                                     .rank = 3,
                                     .shape = {2, ROWS, COLUMNS},
                                     .weights = UINT64_C(2) * WEIGHTS,
                                     .bytes = UINT64_C(2) * WEIGHTS * hc_type_block_bytes(test->type),
                                     .data = (const uint8_t *)weights};
    const struct hc_piece piece = {&tensor, WEIGHTS, WEIGHTS, ROWS, COLUMNS};
    struct hc_error error;
    size_t at = 0;

    printf("%s, bands of %llu weights, %s: ", hc_type_name(test->type), (unsigned long long)test->band,
           holding_names[test->holding]);
    fill(weights, test->type);
    ((struct hc_cuda_staging *)cuda->state)->band = test->band;
    if (work(cpu, &piece, weights, NOT_HELD, &expected, &error) != HC_OK ||
        work(cuda, &piece, weights, test->holding, &got, &error) != HC_OK) {
        printf("%s\n", error.text);
        return false;
    }
    while (at < sizeof expected && e[at] == g[at])
        at++;
    if (at == sizeof expected)
        printf("the same\n");
    else
        printf("differ, first in byte %zu of struct result\n", at);
    return at == sizeof expected;
}

int main(void)
{
    /* Several bands of a few rows of tiles; of one; a row of tiles in several parts, of a row each at last. */
    static const struct test tests[] = {
        {HC_TYPE_F32, 2 * HC_TILE * 160, NOT_HELD},
        {HC_TYPE_F32, HC_TILE * 160, NOT_HELD},
        {HC_TYPE_F32, 7 * 160, NOT_HELD},
        {HC_TYPE_F32, 1, NOT_HELD},
        {HC_TYPE_BF16, 2 * HC_TILE * 160, HELD},
        {HC_TYPE_F32, HC_TILE * 160, HELD},
        {HC_TYPE_BF16, 7 * 160, HELD},
        {HC_TYPE_BF16, HC_TILE * 160, NO_ROOM},
        {HC_TYPE_F32, 1, HELD},
    };
    float *weights = malloc(2 * WEIGHTS * sizeof *weights);
    struct hc_kernels kernels;
    struct hc_engine cpu = {0}, cuda = {0};
    struct hc_error error = {""};
    int faults = 0;

    if (!weights)
        return 1;
    hc_kernels_init(&kernels, HC_TIER_C);
    if (hc_engine_cpu(&cpu, &kernels, 1, &error) != HC_OK || hc_engine_cuda(&cuda, &kernels, 1, "", &error) != HC_OK) {
        printf("cannot begin: %s\n", error.text);
        return 1;
    }
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        faults += !agree(&tests[i], &cpu, &cuda, weights);
    cuda.table->destroy(&cuda);
    cpu.table->destroy(&cpu);
    free(weights);
    return faults ? 1 : 0;
}
