/* A matrix that the device takes in many parts: codes, scales and weights are the CPU's. The parts are made small, as
 * nobody has the time to emulate one matrix of many of them. */
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
    float largest[COLUMNS];
    uint64_t sums[COLUMNS];
    uint8_t codes[TILE_ROWS * TILE_COLUMNS * HC_TILE_WEIGHTS];
    uint16_t scales[ROWS];
    float decoded[WEIGHTS], again[WEIGHTS - 3 * COLUMNS];
    double residual[ROWS];
    uint64_t non_finite;
};

static hc_status work(struct hc_engine *engine, const struct hc_piece *piece, struct result *r, struct hc_error *error)
{
    struct hc_window_frame frame = {0};
    struct hc_window_coder coder = {0};
    const struct hc_window_result coded = {r->codes, r->scales, r->decoded, r->residual};
    const char *kept_because;
    double to_units[COLUMNS];
    hc_status status;
    memset(r, 0, sizeof *r);
    for (int j = 0; j < COLUMNS; j++)
        to_units[j] = 0x1p17;
    HC_TRY(engine->table->window_largest(engine, piece, 2, ROWS - 2, r->largest, &r->non_finite, error));
    HC_TRY(engine->table->window_squares(engine, piece, 1, ROWS - 1, to_units, r->sums, error));
    HC_TRY(hc_window_frame_fit(&frame, engine, piece, HC_COLUMNS_NORM, 1, NULL, &kept_because, error));
    HC_TRY(hc_window_coder_init(&coder, hc_window_code_find(4, 8), engine->kernels, error));
    HC_TRY(engine->table->window_encode(engine, piece, &frame, &coder, 0, TILE_ROWS, &coded, error));
    HC_TRY(engine->table->window_decode(engine, &frame, &coder, r->codes, r->scales, 3, ROWS - 3, r->again, error));
done:
    hc_window_frame_free(&frame);
    hc_window_coder_free(&coder);
    return status;
}

/* Bands of so many weights. */
static bool agree(struct hc_engine *cuda, uint64_t band, const struct hc_piece *piece, const struct result *expected,
                  struct result *got)
{
    struct hc_error error;
    ((struct hc_cuda_staging *)cuda->state)->band = band;
    if (work(cuda, piece, got, &error) != HC_OK) {
        printf("bands of %llu weights: %s\n", (unsigned long long)band, error.text);
        return false;
    }
    const unsigned char *e = (const void *)expected, *g = (const void *)got;
    size_t at = 0;
    while (at < sizeof *expected && e[at] == g[at])
        at++;
    bool same = at == sizeof *expected;
    printf("bands of %llu weights: %s", (unsigned long long)band, same ? "the same\n" : "differ");
    if (!same)
        printf(", first in byte %zu of struct result\n", at);
    return same;
}

int main(void)
{
    /* Several bands of a few rows of tiles; of one; a row of tiles in several parts, of a row each at last. */
    static const uint64_t bands[] = {2 * HC_TILE * 160, HC_TILE * 160, 7 * 160, 1};
    static struct result expected, got;
    float *weights = malloc(WEIGHTS * sizeof *weights);
    struct hc_tensor tensor = {.name = "weights",
                               .type = HC_TYPE_F32,
                               .rank = 2,
                               .shape = {ROWS, COLUMNS},
                               .weights = WEIGHTS,
                               .bytes = WEIGHTS * sizeof *weights,
                               .data = (const uint8_t *)weights};
    const struct hc_piece piece = {&tensor, 0, WEIGHTS, ROWS, COLUMNS};
    struct hc_kernels kernels;
    struct hc_engine cpu = {0}, cuda = {0};
    struct hc_error error = {""};
    int faults = 0;

    if (!weights)
        return 1;
    for (int i = 0; i < WEIGHTS; i++)
        weights[i] = sinf((float)i * (float)i) * (1 + (float)(i % 7));
    hc_kernels_init(&kernels, HC_TIER_C);
    if (hc_engine_cpu(&cpu, &kernels, 1, &error) != HC_OK || hc_engine_cuda(&cuda, &kernels, 1, "", &error) != HC_OK ||
        work(&cpu, &piece, &expected, &error) != HC_OK) {
        printf("cannot begin: %s\n", error.text);
        return 1;
    }
    for (size_t i = 0; i < sizeof bands / sizeof bands[0]; i++)
        faults += !agree(&cuda, bands[i], &piece, &expected, &got);
    cuda.table->destroy(&cuda);
    cpu.table->destroy(&cpu);
    free(weights);
    return faults ? 1 : 0;
}
