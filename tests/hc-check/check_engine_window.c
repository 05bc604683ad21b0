/* The operations of `window` over long stretches, as in check_engine.c: rows, codes and scales, bit for bit. */
#include "check_engine_window.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine_scenes.h"
#include "window_frame.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

/* What is coded, and how; the stretch is the rows of tiles first_tile_row .. first_tile_row + tile_rows - 1. */
struct window_plan {
    struct scene_plan tensor;
    unsigned k, length;
    hc_columns columns;
    uint64_t first_tile_row, tile_rows;
    bool spikes; /* one weight in every row, zeros beside it: tiles that no string comes near */
};

struct window_scene {
    struct scene scene;
    struct hc_window_frame frame;
    struct hc_window_coder truth, tested; /* each with a layout of its tier */
    uint64_t first_row, rows;             /* of the stretch */
};

/* ---- Scenes ------------------------------------------------------------------------------- */

/* The second row of a matrix is zeros, whatever its type. */
static void clear_row(struct scene *s, const struct scene_plan *plan)
{
    uint64_t before, bytes;
    if (plan->rows > 1 && plan->heads == 0 && hc_type_bytes(plan->type, plan->columns, &bytes) &&
        hc_type_bytes(plan->type, s->piece.first, &before))
        memset(s->memory + (s->tensor.data - s->memory) + before + bytes, 0, bytes);
}

static void make_spikes(struct scene *s, const struct scene_plan *plan)
{
    uint8_t *data = s->memory + (s->tensor.data - s->memory);
    memset(data, 0, s->tensor.bytes);
    for (uint64_t r = 0; r < plan->rows; r++) {
        float spike = r % 3 ? 2.0f : -1.0f;
        memcpy(data + (r * plan->columns + 5) * sizeof spike, &spike, sizeof spike);
    }
}

static bool window_open(struct window_scene *w, struct check *c, const struct window_plan *plan)
{
    const struct scene_plan *t = &plan->tensor;
    struct hc_engine engine = c->truth->engine, tested = c->tested->engine;
    const struct hc_window_code *code = hc_window_code_find(plan->k, plan->length);
    const char *kept_because;
    struct hc_error error;
    *w = (struct window_scene){.rows = 0};
    check_case(c, "%s, %llu x %llu x %llu, k=%u L=%u, rows of tiles %llu to %llu", hc_type_name(t->type),
               (unsigned long long)t->experts, (unsigned long long)t->rows, (unsigned long long)t->columns, plan->k,
               plan->length, (unsigned long long)plan->first_tile_row,
               (unsigned long long)(plan->first_tile_row + plan->tile_rows));
    if (!scene_make(&w->scene, &c->random, &c->truth->kernels, t))
        return false;
    if (plan->spikes)
        make_spikes(&w->scene, t);
    else
        clear_row(&w->scene, t);
    uint64_t end = (plan->first_tile_row + plan->tile_rows) * HC_TILE;
    w->first_row = plan->first_tile_row * HC_TILE;
    w->rows = (end < t->rows ? end : t->rows) - w->first_row;
    return hc_window_frame_fit(&w->frame, &engine, &w->scene.piece, plan->columns, 7, NULL, &kept_because, &error) ==
               HC_OK &&
           !kept_because && hc_window_coder_init(&w->truth, code, engine.kernels, &error) == HC_OK &&
           hc_window_coder_init(&w->tested, code, tested.kernels, &error) == HC_OK;
}

static void window_close(struct window_scene *w)
{
    hc_window_frame_free(&w->frame);
    hc_window_coder_free(&w->truth);
    hc_window_coder_free(&w->tested);
    scene_close(&w->scene);
}

#define TENSOR(type_, content_, experts_, rows_, columns_)                                                             \
    .tensor = {.type = HC_TYPE_##type_,                                                                                \
               .content = SCENE_##content_,                                                                            \
               .experts = (experts_),                                                                                  \
               .rows = (rows_),                                                                                        \
               .columns = (columns_)}

/* Small: plain C encodes on one thread, and devices may be emulated. */
static const struct window_plan plans[] = {
    {TENSOR(F32, NORMAL, 1, 1, 1), 1, 8, HC_COLUMNS_NORM, 0, 1, false},
    {TENSOR(BF16, NORMAL, 1, 40, 100), 4, 12, HC_COLUMNS_NORM, 0, 3, false},
    {TENSOR(F16, NORMAL, 3, 33, 48), 3, 12, HC_COLUMNS_NORM, 1, 2, false},
    {TENSOR(F32, TINY, 3, 19, 31), 2, 10, HC_COLUMNS_NORM, 0, 2, false},
    {TENSOR(BF16, TINY, 1, 64, 33), 4, 8, HC_COLUMNS_NONE, 2, 1, false},
    {TENSOR(F32, HUGE, 1, 17, 64), 5, 12, HC_COLUMNS_NORM, 1, 1, false},
    {TENSOR(F64, NORMAL, 1, 20, 17), 6, 12, HC_COLUMNS_NONE, 0, 2, false},
    {TENSOR(F8_E5M2, BITS, 1, 16, 128), 8, 10, HC_COLUMNS_NORM, 0, 1, false},
    {TENSOR(Q4_1, BITS, 3, 18, 96), 3, 9, HC_COLUMNS_NORM, 0, 2, false},
    {TENSOR(Q4_K, BITS, 1, 18, 512), 1, 8, HC_COLUMNS_NORM, 0, 2, false},
    {TENSOR(F32, NORMAL, 1, 16, 2048), 1, 8, HC_COLUMNS_NONE, 0, 1, true},
    {TENSOR(F32, NORMAL, 1, 20, 32), 2, 14, HC_COLUMNS_NORM, 0, 1, false},
    {TENSOR(F16, NORMAL, 1, 3, 16), 3, 16, HC_COLUMNS_NORM, 0, 1, false},
    {{.type = HC_TYPE_BF16, .experts = 1, .rows = 64, .columns = 40, .heads = 2}, 4, 10, HC_COLUMNS_NORM, 1, 3, false},
    {{.type = HC_TYPE_F32, .experts = 1, .rows = 48, .columns = 25, .heads = 4}, 2, 8, HC_COLUMNS_NORM, 0, 3, false},
};

/* Rows and columns beyond those that a device takes at once: decoded, compared and summed only, as that is fast;
 * tests/cuda/bands.c encodes. */
static const struct window_plan large[] = {
    {TENSOR(BF16, NORMAL, 1, 9000, 3), 3, 8, HC_COLUMNS_NORM, 0, 563, false},
    {TENSOR(F32, NORMAL, 1, 37, 70003), 8, 8, HC_COLUMNS_NORM, 0, 3, false},
    {TENSOR(F32, NORMAL, 1, 2, HC_WINDOW_MAX_COLUMNS - 1), 8, 8, HC_COLUMNS_NORM, 0, 1, false},
    {TENSOR(F16, NORMAL, 3, 600, 2000), 4, 12, HC_COLUMNS_NORM, 3, 35, false},
};

/* One operation on a scene that is open. */
typedef void step(struct check *c, struct window_scene *w);

static void each(struct check *c, const struct window_plan *some, int count, step *act)
{
    for (int i = 0; i < count; i++) {
        struct window_scene w;
        if (window_open(&w, c, &some[i]))
            act(c, &w);
        else
            check_fail(c, "no memory, or no frame", CHECK_WHOLE, INFINITY);
        window_close(&w);
    }
}

/* Buffers of a check are small; these come from the heap, for two engines. */
struct room {
    void *expected, *got;
    size_t bytes;
};

static bool room_open(struct room *room, size_t bytes)
{
    *room = (struct room){malloc(bytes + 1), malloc(bytes + 1), bytes};
    if (!room->expected || !room->got)
        return false;
    memset(room->expected, 0x5a, bytes + 1);
    memset(room->got, 0x5a, bytes + 1);
    return true;
}

/* The results, and the byte behind them. */
static void room_compare(struct check *c, const struct room *room, const char *what)
{
    check_bytes(c, what, room->expected, room->got, room->bytes + 1);
}

static void room_close(struct room *room)
{
    free(room->expected);
    free(room->got);
}

static void same_status(struct check *c, hc_status expected, hc_status got)
{
    check_u64(c, "status of plain C", HC_OK, expected);
    check_u64(c, "status", HC_OK, got);
}

/* ---- Columns ------------------------------------------------------------------------------ */

static hc_status largest_of(const struct check_tier *tier, const struct hc_piece *piece, uint64_t first, uint64_t rows,
                            float *largest, uint64_t *bad)
{
    struct hc_engine engine = tier->engine;
    for (uint64_t j = 0; j < piece->columns; j++)
        largest[j] = j % 3 ? 0 : 0.04f; /* what was found before stays */
    *bad = 3;
    return engine.table->window_largest(&engine, piece, first, rows, largest, bad, NULL);
}

static void largest_rows(struct check *c, const struct hc_piece *piece, uint64_t first, uint64_t rows)
{
    struct room room;
    uint64_t bad, got_bad;
    if (room_open(&room, piece->columns * sizeof(float))) {
        same_status(c, largest_of(c->truth, piece, first, rows, room.expected, &bad),
                    largest_of(c->tested, piece, first, rows, room.got, &got_bad));
        check_u64(c, "not finite", bad, got_bad);
        room_compare(c, &room, "byte of the largest");
    }
    room_close(&room);
}

static void largest(struct check *c, struct window_scene *w)
{
    largest_rows(c, &w->scene.piece, w->first_row, w->rows);
}

void check_window_largest(struct check *c)
{
    each(c, plans, COUNT(plans), largest);
    each(c, large, COUNT(large), largest);
    for (int i = scenes_finite(); i < scenes_finite() + scenes_not_finite(); i++) {
        struct scene s;
        if (scene_open(&s, c, i))
            largest_rows(c, &s.piece, 0, s.piece.rows);
        else
            check_fail(c, "no memory", CHECK_WHOLE, INFINITY);
        scene_close(&s);
    }
}

static hc_status squares_of(const struct check_tier *tier, const struct window_scene *w, uint64_t *sums)
{
    struct hc_engine engine = tier->engine;
    uint64_t columns = w->frame.columns;
    double *to_units = malloc(columns * sizeof *to_units);
    for (uint64_t j = 0; to_units && j < columns; j++) {
        int exponent;
        (void)frexp((double)w->frame.to_code[j], &exponent);
        to_units[j] = ldexp(1, 12 + exponent); /* scales are those of the columns, or of the largest weight */
        sums[j] = j << 40;
    }
    hc_status status =
        to_units ? engine.table->window_squares(&engine, &w->scene.piece, w->first_row, w->rows, to_units, sums, NULL)
                 : HC_ERR_MEMORY;
    free(to_units);
    return status;
}

static void squares(struct check *c, struct window_scene *w)
{
    struct room room;
    if (room_open(&room, w->frame.columns * sizeof(uint64_t))) {
        same_status(c, squares_of(c->truth, w, room.expected), squares_of(c->tested, w, room.got));
        room_compare(c, &room, "byte of the sums");
    }
    room_close(&room);
}

void check_window_squares(struct check *c)
{
    each(c, plans, COUNT(plans), squares);
    each(c, large, COUNT(large), squares);
}

/* ---- Encoding ----------------------------------------------------------------------------- */

/* Everything, or the codes alone. */
static hc_status encode(const struct check_tier *tier, const struct hc_window_coder *coder,
                        const struct window_scene *w, const struct hc_window_result *result)
{
    struct hc_engine engine = tier->engine;
    return engine.table->window_encode(&engine, &w->scene.piece, &w->frame, coder, w->first_row / HC_TILE,
                                       (w->rows + HC_TILE - 1) / HC_TILE, result, NULL);
}

static void encode_stretch(struct check *c, struct window_scene *w)
{
    uint64_t tiles = (w->rows + HC_TILE - 1) / HC_TILE * w->frame.tile_columns;
    struct room codes, scales, residual, alone;
    bool there = room_open(&codes, tiles * hc_window_tile_bytes(&w->truth));
    there &= room_open(&scales, w->rows * sizeof(uint16_t));
    there &= room_open(&residual, w->rows * sizeof(double));
    there &= room_open(&alone, codes.bytes);
    if (there) {
        same_status(c,
                    encode(c->truth, &w->truth, w,
                           &(struct hc_window_result){codes.expected, scales.expected, residual.expected}),
                    encode(c->tested, &w->tested, w, &(struct hc_window_result){codes.got, scales.got, residual.got}));
        memcpy(alone.expected, codes.expected, codes.bytes);
        same_status(c, HC_OK, encode(c->tested, &w->tested, w, &(struct hc_window_result){.codes = alone.got}));
        room_compare(c, &codes, "byte of the codes");
        room_compare(c, &scales, "byte of the scales");
        room_compare(c, &residual, "byte of the residual");
        room_compare(c, &alone, "byte of the codes alone");
    } else {
        check_fail(c, "no memory", CHECK_WHOLE, INFINITY);
    }
    room_close(&codes);
    room_close(&scales);
    room_close(&residual);
    room_close(&alone);
}

void check_window_encode_stretch(struct check *c)
{
    each(c, plans, COUNT(plans), encode_stretch);
}

/* The first `cut` of something, and then the others. */
struct halves {
    uint64_t first[2], count[2];
};

static struct halves halves_of(uint64_t first, uint64_t count, uint64_t cut)
{
    return (struct halves){{first, first + cut}, {cut, count - cut}};
}

/* In the three steps, each of them in two parts. */
static hc_status encode_steps(const struct check_tier *tier, const struct hc_window_coder *coder,
                              const struct window_scene *w, float *factors, const struct hc_window_result *result)
{
    struct hc_engine engine = tier->engine;
    const struct hc_engine_table *table = engine.table;
    const struct hc_piece *piece = &w->scene.piece;
    uint64_t tile_row = w->first_row / HC_TILE, in_row = hc_window_row_blocks(&w->frame);
    uint64_t blocks = (w->rows + HC_TILE - 1) / HC_TILE * in_row;
    size_t block_bytes = hc_window_block_tiles(&w->frame) * hc_window_tile_bytes(coder);
    const struct halves rows = halves_of(w->first_row, w->rows, w->rows / 3);
    const struct halves searched = halves_of(tile_row * in_row, blocks, 2 * blocks / 3);
    const struct hc_window_factors known = {factors, tile_row};
    const struct hc_window_coded coded = {result->codes, NULL, tile_row};
    hc_status status = HC_OK;
    for (int i = 0; i < 2 && status == HC_OK; i++)
        status = table->window_factors(&engine, piece, &w->frame, coder, rows.first[i], rows.count[i],
                                       factors + (rows.first[i] - w->first_row), NULL);
    for (int i = 0; i < 2 && status == HC_OK; i++)
        status = table->window_search(&engine, piece, &w->frame, coder, &known, searched.first[i], searched.count[i],
                                      result->codes + (searched.first[i] - searched.first[0]) * block_bytes, NULL);
    for (int i = 0; i < 2 && status == HC_OK; i++) {
        uint64_t before = rows.first[i] - w->first_row;
        const struct hc_window_result part = {NULL, result->scales + before, result->residual + before};
        status = table->window_fit(&engine, piece, &w->frame, coder, &coded, rows.first[i], rows.count[i], &part, NULL);
    }
    return status;
}

static void encode_in_steps(struct check *c, struct window_scene *w)
{
    uint64_t tiles = (w->rows + HC_TILE - 1) / HC_TILE * w->frame.tile_columns;
    struct room codes, scales, residual;
    float *factors = malloc(w->rows * sizeof *factors);
    bool there = factors != NULL;
    there &= room_open(&codes, tiles * hc_window_tile_bytes(&w->truth));
    there &= room_open(&scales, w->rows * sizeof(uint16_t));
    there &= room_open(&residual, w->rows * sizeof(double));
    if (there) {
        same_status(c,
                    encode(c->truth, &w->truth, w,
                           &(struct hc_window_result){codes.expected, scales.expected, residual.expected}),
                    encode_steps(c->tested, &w->tested, w, factors,
                                 &(struct hc_window_result){codes.got, scales.got, residual.got}));
        room_compare(c, &codes, "byte of the codes");
        room_compare(c, &scales, "byte of the scales");
        room_compare(c, &residual, "byte of the residual");
    } else {
        check_fail(c, "no memory", CHECK_WHOLE, INFINITY);
    }
    free(factors);
    room_close(&codes);
    room_close(&scales);
    room_close(&residual);
}

void check_window_encode_steps(struct check *c)
{
    each(c, plans, COUNT(plans), encode_in_steps);
}

/* ---- Decoding and comparing --------------------------------------------------------------- */

/* Codes and scales of the whole matrix, at random. Only weights that are finite are compared: scales of less than 2^-7
 * make them so where the largest numbers were coded, too. */
enum { ANY_SCALE = 0x7c00, SMALL_SCALE = 0x2000 };

struct coded {
    uint8_t *codes;
    uint16_t *scales;
};

static bool coded_open(struct coded *coded, struct check *c, const struct window_scene *w, uint64_t scales)
{
    uint64_t bytes = w->frame.tile_rows * w->frame.tile_columns * hc_window_tile_bytes(&w->truth);
    *coded = (struct coded){malloc(bytes), malloc(w->frame.rows * sizeof *coded->scales)};
    if (!coded->codes || !coded->scales)
        return false;
    check_fill(&c->random, coded->codes, bytes);
    for (uint64_t r = 0; r < w->frame.rows; r++)
        coded->scales[r] = (uint16_t)(r % 7 == 0 ? 0 : check_below(&c->random, scales));
    return true;
}

static void coded_close(struct coded *coded)
{
    free(coded->codes);
    free(coded->scales);
}

static hc_status decode(const struct check_tier *tier, const struct hc_window_coder *coder,
                        const struct window_scene *w, const struct coded *coded, uint64_t first, hc_type type,
                        void *out)
{
    struct hc_engine engine = tier->engine;
    return engine.table->window_decode(&engine, &w->frame, coder, coded->codes, coded->scales, first,
                                       w->frame.rows - first, type, out, NULL);
}

static void decode_to(struct check *c, const struct window_scene *w, const struct coded *coded, uint64_t first,
                      const float *weights, hc_type type)
{
    uint64_t count = (w->frame.rows - first) * w->frame.columns;
    struct room room;
    if (room_open(&room, count * hc_type_block_bytes(type))) {
        scene_round(c, weights, count, type, room.expected);
        check_u64(c, "status", HC_OK, decode(c->tested, &w->tested, w, coded, first, type, room.got));
        room_compare(c, &room, type == HC_TYPE_F32 ? "byte of the rows" : "byte of the halves");
    } else {
        check_fail(c, "no memory", CHECK_WHOLE, INFINITY);
    }
    room_close(&room);
}

/* From a row on that begins no row of tiles, too. */
static void decode_rows(struct check *c, struct window_scene *w)
{
    struct coded coded;
    uint64_t first = check_below(&c->random, w->frame.rows);
    float *weights = malloc((w->frame.rows - first) * w->frame.columns * sizeof *weights);
    if (coded_open(&coded, c, w, ANY_SCALE) && weights) {
        check_u64(c, "status of plain C", HC_OK, decode(c->truth, &w->truth, w, &coded, first, HC_TYPE_F32, weights));
        for (int i = 0; i < SCENE_TYPES; i++)
            decode_to(c, w, &coded, first, weights, scene_types[i]);
    } else {
        check_fail(c, "no memory", CHECK_WHOLE, INFINITY);
    }
    free(weights);
    coded_close(&coded);
}

void check_window_decode_rows(struct check *c)
{
    each(c, plans, COUNT(plans), decode_rows);
    each(c, large, COUNT(large), decode_rows);
}

/* From weight `first` on; codes and scales from its row of tiles on. */
static hc_status compare(const struct check_tier *tier, const struct hc_window_coder *coder,
                         const struct window_scene *w, const struct coded *coded, uint64_t first,
                         struct hc_compare_sum *sum)
{
    struct hc_engine engine = tier->engine;
    uint64_t tile_row = first / w->frame.columns / HC_TILE;
    const struct hc_window_coded rest = {coded->codes + tile_row * w->frame.tile_columns * hc_window_tile_bytes(coder),
                                         coded->scales + tile_row * HC_TILE, tile_row};
    *sum = (struct hc_compare_sum){.max_abs_error = 0x1p-30};
    return engine.table->window_compare(&engine, &w->scene.piece, &w->frame, coder, &rest, first,
                                        w->scene.piece.weights - first, sum, NULL);
}

static void compare_rest(struct check *c, struct window_scene *w)
{
    uint64_t blocks = (w->scene.piece.weights - 1) / HC_BLOCK;
    uint64_t first = HC_BLOCK * check_below(&c->random, blocks + 1);
    struct hc_compare_sum expected = {0}, got = {0};
    struct coded coded;
    if (coded_open(&coded, c, w, SMALL_SCALE))
        same_status(c, compare(c->truth, &w->truth, w, &coded, first, &expected),
                    compare(c->tested, &w->tested, w, &coded, first, &got));
    else
        check_fail(c, "no memory", CHECK_WHOLE, INFINITY);
    check_f64(c, "abs_error", hc_exact_value(&expected.abs_error), hc_exact_value(&got.abs_error));
    check_f64(c, "squared_error", hc_exact_value(&expected.squared_error), hc_exact_value(&got.squared_error));
    check_f64(c, "squared_weights", hc_exact_value(&expected.squared_weights), hc_exact_value(&got.squared_weights));
    check_f64(c, "max_abs_error", expected.max_abs_error, got.max_abs_error);
    coded_close(&coded);
}

void check_window_compare(struct check *c)
{
    each(c, plans, COUNT(plans), compare_rest);
    each(c, large, COUNT(large), compare_rest);
}
