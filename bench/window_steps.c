/* What the engine of the CPU takes for rows of tiles that it codes at once, and in the steps by which several devices
 * share them (host/engine.h): nanoseconds of one thread for a weight. What a row takes more by itself is the decoding
 * of the 15 others.
 *
 * A bfloat16 matrix of LLaMA2-7B's width, normal numbers. A figure is the best of the repeats. */
#include "options.h"
#include "weights.h"

#include "engine.h"
#include "window_frame.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

enum { TILE_ROWS = 4, ROWS = TILE_ROWS * HC_TILE, COLUMNS = 4096, WEIGHTS = ROWS * COLUMNS, MAX_REPEATS = 101 };

enum step { ENCODE, FACTORS, SEARCH, FIT, FIT_ROWS, STEPS };

struct bench {
    struct hc_kernels kernels;
    struct hc_engine engine;
    struct hc_tensor tensor;
    struct hc_piece piece;
    struct hc_window_frame frame;
    struct hc_window_coder coder;
    uint16_t weights[WEIGHTS], scales[ROWS];
    uint8_t codes[WEIGHTS];
    float factors[ROWS];
    struct hc_error error;
};

static hc_status make_matrix(struct bench *bench)
{
    const char *kept_because;
    float *normal = malloc(TABLE_SIZE * sizeof *normal);
    if (!normal)
        return hc_no_memory(&bench->error);
    make_normal_table(normal);
    for (size_t i = 0; i < WEIGHTS; i++)
        bench->kernels.convert.f32_to_bf16(&normal[scatter(i) >> 48], 1, &bench->weights[i]);
    free(normal);
    bench->tensor = (struct hc_tensor){.name = "weights",
                                       .type = HC_TYPE_BF16,
                                       .rank = 2,
                                       .shape = {ROWS, COLUMNS},
                                       .weights = WEIGHTS,
                                       .bytes = sizeof bench->weights,
                                       .data = (const uint8_t *)bench->weights};
    bench->piece = (struct hc_piece){&bench->tensor, 0, WEIGHTS, ROWS, COLUMNS};
    return hc_window_frame_fit(&bench->frame, &bench->engine, &bench->piece, HC_COLUMNS_NORM, 1, NULL, &kept_because,
                               &bench->error);
}

/* Each by itself. */
static hc_status fit_rows(struct bench *bench, const struct hc_window_coded *coded)
{
    hc_status status = HC_OK;
    for (uint64_t r = 0; status == HC_OK && r < ROWS; r++)
        status =
            bench->engine.table->window_fit(&bench->engine, &bench->piece, &bench->frame, &bench->coder, coded, r, 1,
                                            &(struct hc_window_result){.scales = &bench->scales[r]}, &bench->error);
    return status;
}

static hc_status do_step(struct bench *bench, enum step step)
{
    const struct hc_engine_table *table = bench->engine.table;
    const struct hc_window_factors factors = {bench->factors, 0};
    const struct hc_window_coded coded = {bench->codes, NULL, 0};
    const struct hc_window_result result = {.codes = bench->codes, .scales = bench->scales};
    const uint64_t blocks = TILE_ROWS * hc_window_row_blocks(&bench->frame);
    switch (step) {
    case FACTORS:
        return table->window_factors(&bench->engine, &bench->piece, &bench->frame, &bench->coder, 0, ROWS,
                                     bench->factors, &bench->error);
    case SEARCH:
        return table->window_search(&bench->engine, &bench->piece, &bench->frame, &bench->coder, &factors, 0, blocks,
                                    bench->codes, &bench->error);
    case FIT:
        return table->window_fit(&bench->engine, &bench->piece, &bench->frame, &bench->coder, &coded, 0, ROWS, &result,
                                 &bench->error);
    case FIT_ROWS:
        return fit_rows(bench, &coded);
    default:
        return table->window_encode(&bench->engine, &bench->piece, &bench->frame, &bench->coder, 0, TILE_ROWS, &result,
                                    &bench->error);
    }
}

/* Takes turns with all steps, so that what disturbs does so to all of them. */
static hc_status run_shape(struct bench *bench, const struct shape *shape, int repeats)
{
    double best[STEPS] = {0};
    hc_status status = hc_window_coder_init(&bench->coder, hc_window_code_find(shape->k, shape->length),
                                            &bench->kernels, &bench->error);
    for (int i = 0; status == HC_OK && i <= repeats; i++)
        for (enum step step = ENCODE; status == HC_OK && step < STEPS; step++) {
            double begin = omp_get_wtime();
            status = do_step(bench, step);
            double time = 1e9 * (omp_get_wtime() - begin) / WEIGHTS;
            best[step] = i <= 1 || time < best[step] ? time : best[step];
        }
    hc_window_coder_free(&bench->coder);
    bench->coder = (struct hc_window_coder){.table = NULL};
    if (status == HC_OK)
        printf("%2u %3u %10.2f %10.2f %10.2f %10.2f %10.2f\n", shape->k, shape->length, best[ENCODE], best[SEARCH],
               best[FACTORS], best[FIT], best[FIT_ROWS]);
    return status;
}

int main(int argc, char **argv)
{
    static const struct shape shapes[] = {{4, 8}, {4, 12}, {2, 12}};
    static struct bench bench;
    int repeats = 5;
    bool help = argc == 2 && strcmp(argv[1], "--help") == 0, set = argc == 3 && strcmp(argv[1], "--repeats") == 0;
    if (help || argc != (set ? 3 : 1) || (set && !parse_count(argv[2], MAX_REPEATS, &repeats))) {
        fputs("usage: window_steps [--repeats N]\n", help ? stdout : stderr);
        return help ? 0 : 2;
    }
    hc_kernels_init(&bench.kernels, HC_TIER_BEST);
    hc_status status = hc_engine_cpu(&bench.engine, &bench.kernels, 1, &bench.error);
    if (status == HC_OK)
        status = make_matrix(&bench);
    printf("%2s %3s %10s %10s %10s %10s %10s\n", "k", "L", "at once", "search", "factors", "scales", "of a row");
    for (size_t i = 0; status == HC_OK && i < sizeof shapes / sizeof *shapes; i++)
        status = run_shape(&bench, &shapes[i], repeats);
    if (status != HC_OK)
        fprintf(stderr, "window_steps: %s\n", bench.error.text);
    hc_window_frame_free(&bench.frame);
    if (bench.engine.table)
        bench.engine.table->destroy(&bench.engine);
    return status != HC_OK;
}
