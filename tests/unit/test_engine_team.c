/* Engines made of several: what they give is what one gives, whoever does which part; members that fail are left out,
 * slow ones do not hold up the rest. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "context.h"
#include "crew.h"
#include "engine_counted.h"
#include "engine_ranks.h"
#include "engine_team.h"
#include "meter.h"
#include "method.h"
#include "partition.h"
#include "selection.h"
#include "window_frame.h"

enum { MOST = 8, ROWS = 777, MANY_ROWS = 14500, COLUMNS = 301 };

/* ---- What is coded -------------------------------------------------------------------------- */

static struct hc_tensor tensor;
static struct hc_kernels kernels;
static int length = 12; /* of windows */

/* A few outliers, which give `pair` its classes. */
static void set_matrix(uint64_t rows, uint64_t columns)
{
    uint64_t state = 5, all = rows * columns;
    float *weights = malloc(all * sizeof *weights);
    cr_assert_not_null(weights);
    for (uint64_t i = 0; i < all; i++) {
        double sum = -3;
        for (int n = 0; n < 6; n++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            sum += (double)(state >> 40) / (1 << 24);
        }
        weights[i] = (float)(i % 1009 ? 0.03 * sum : 0.5 * sum);
    }
    tensor = (struct hc_tensor){.name = "m.weight",
                                .type = HC_TYPE_F32,
                                .rank = 2,
                                .shape = {rows, columns},
                                .weights = all,
                                .bytes = all * sizeof *weights,
                                .data = (const uint8_t *)weights};
}

static void free_matrix(void)
{
    free((void *)(uintptr_t)tensor.data);
}

static void setup(void)
{
    set_matrix(ROWS, COLUMNS);
    hc_kernels_init(&kernels, HC_TIER_BEST);
}

TestSuite(engine_team, .init = setup, .fini = free_matrix);

/* Everything that coding leaves behind, and decoding gives back. */
struct made {
    struct hc_sink sink;
    uint8_t *parts[HC_MAX_PARTS];
    size_t bytes[HC_MAX_PARTS];
    struct hc_coded coded;
    double errors[4];
    uint8_t *decoded; /* in each of the types */
};

static hc_status take(struct hc_sink *sink, unsigned part, const void *data, size_t bytes, struct hc_error *error)
{
    struct made *made = (struct made *)sink;
    made->parts[part] = realloc(made->parts[part], made->bytes[part] + bytes + 1);
    if (!made->parts[part])
        return hc_no_memory(error);
    memcpy(made->parts[part] + made->bytes[part], data, bytes);
    made->bytes[part] += bytes;
    return HC_OK;
}

static void made_free(struct made *made)
{
    for (int p = 0; p < HC_MAX_PARTS; p++)
        free(made->parts[p]);
    json_decref(made->coded.parameters);
    free(made->decoded);
}

static void note_errors(struct made *made, const struct hc_compare_sum *sum)
{
    made->errors[0] = hc_exact_value(&sum->abs_error);
    made->errors[1] = hc_exact_value(&sum->squared_error);
    made->errors[2] = hc_exact_value(&sum->squared_weights);
    made->errors[3] = sum->max_abs_error;
}

/* What is decoded to. */
enum { TYPES = 3 };
static const hc_type types[TYPES] = {HC_TYPE_F32, HC_TYPE_F16, HC_TYPE_BF16};

static size_t decoded_bytes(void)
{
    size_t bytes = 0;
    for (int i = 0; i < TYPES; i++)
        bytes += tensor.weights * hc_type_block_bytes(types[i]);
    return bytes;
}

static hc_status decode(struct hc_engine *engine, const struct hc_method *method, const struct hc_piece *piece,
                        struct made *made, struct hc_error *error)
{
    const struct hc_shape shape = {tensor.shape[0], tensor.shape[1]};
    void *decoder = NULL;
    struct hc_compare_sum sum = {0};
    hc_status status;
    made->decoded = malloc(decoded_bytes());
    HC_TRY(method->open(made->coded.parameters, &shape, (const uint8_t *const *)made->parts, &decoder, error));
    uint64_t cut = tensor.weights > 3 * HC_BLOCK ? 3 * HC_BLOCK : 0;
    uint8_t *out = made->decoded;
    for (int i = 0; i < TYPES; i++) {
        uint64_t width = hc_type_block_bytes(types[i]);
        HC_TRY(method->decode(engine, decoder, 0, cut, types[i], out, error));
        HC_TRY(method->decode(engine, decoder, cut, tensor.weights - cut, types[i], out + cut * width, error));
        out += tensor.weights * width;
    }
    HC_TRY(method->compare(engine, decoder, piece, 0, tensor.weights, &sum, error));
    note_errors(made, &sum);
    cr_assert(made->errors[0] == hc_exact_value(&made->coded.compare.abs_error), "not the errors of coding");
done:
    method->close(decoder);
    return status;
}

static hc_status make(struct hc_engine *engine, const struct hc_method *method, struct made *made,
                      struct hc_error *error)
{
    struct hc_piece piece = hc_piece_at(&tensor, 0);
    hc_compress_options options;
    hc_compress_options_init(&options);
    options.pair.loss_threshold = 0; /* all classes are tried */
    options.window.length = length;
    *made = (struct made){.sink = {take}};
    engine->table->hold(engine, &piece);
    hc_status status = method->encode(engine, &piece, &options, 3, &made->sink, NULL, &made->coded, error);
    if (status == HC_OK)
        status = decode(engine, method, &piece, made, error);
    engine->table->let_go(engine);
    return status;
}

static void expect_same(const struct made *a, const struct made *b)
{
    for (int p = 0; p < HC_MAX_PARTS; p++)
        cr_assert(a->bytes[p] == b->bytes[p] &&
                      (a->bytes[p] == 0 || memcmp(a->parts[p], b->parts[p], a->bytes[p]) == 0),
                  "part %d", p);
    cr_assert(json_equal(a->coded.parameters, b->coded.parameters));
    cr_assert(memcmp(a->errors, b->errors, sizeof a->errors) == 0);
    cr_assert(memcmp(a->decoded, b->decoded, decoded_bytes()) == 0);
}

static struct made by_one(const struct hc_method *method)
{
    struct hc_engine engine;
    struct hc_error error = {""};
    struct made made;
    cr_assert(hc_engine_cpu(&engine, &kernels, 1, &error) == HC_OK);
    cr_assert(make(&engine, method, &made, &error) == HC_OK, "%s", error.text);
    cr_assert(made.bytes[0] > 500);
    engine.table->destroy(&engine);
    return made;
}

/* ---- Teams ---------------------------------------------------------------------------------- */

static const char *const names[MOST] = {"a", "b", "c", "d", "e", "f", "g", "h"};

/* Engines of the CPU; `odd`, if there is one, with a table of its own. `reports`: each is counted there, or NULL. */
static struct hc_engine counted_team_of(size_t count, const double *speeds, const struct hc_engine_table *odd,
                                        hc_device_report *reports)
{
    struct hc_team_member members[MOST];
    struct hc_engine engine;
    struct hc_error error = {""};
    for (size_t m = 0; m < count; m++) {
        members[m] = (struct hc_team_member){.name = names[m], .speed = speeds ? speeds[m] : 1};
        cr_assert(hc_engine_cpu(&members[m].engine, &kernels, 1, &error) == HC_OK);
    }
    if (odd)
        members[count - 1].engine.table = odd;
    for (size_t m = 0; reports && m < count; m++)
        cr_assert(hc_engine_counted(&members[m].engine, &reports[m], &error) == HC_OK);
    cr_assert(hc_engine_team(&engine, members, count, &error) == HC_OK, "%s", error.text);
    return engine;
}

static struct hc_engine team_of(size_t count, const double *speeds, const struct hc_engine_table *odd)
{
    return counted_team_of(count, speeds, odd, NULL);
}

static void expect_team(const char *name, size_t count, const double *speeds)
{
    const struct hc_method *method = hc_method_find(name);
    struct hc_engine engine = team_of(count, speeds, NULL);
    struct made one = by_one(method), made;
    struct hc_error error = {""};
    cr_assert(make(&engine, method, &made, &error) == HC_OK, "%s", error.text);
    expect_same(&one, &made);
    made_free(&one);
    made_free(&made);
    engine.table->destroy(&engine);
}

Test(engine_team, any_number_gives_the_same)
{
    for (size_t count = 1; count <= 4; count++) {
        expect_team("window", count, NULL);
        expect_team("pair", count, NULL);
    }
}

Test(engine_team, any_speeds_give_the_same)
{
    expect_team("window", 4, (const double[]){100, 1, 3, 0.5});
    expect_team("pair", 4, (const double[]){100, 1, 3, 0.5});
    expect_team("window", 2, (const double[]){1, 1e6});
}

/* Rows and columns that fill no tile, Hadamard blocks of any width, fewer rows of tiles than devices. */
static const uint64_t shapes[][2] = {{33, 100}, {16, 128}, {47, 160}, {77, 192}, {130, 61}, {100, 256}, {7, 2050}};

enum { SHAPES = sizeof shapes / sizeof *shapes };

Test(engine_team, any_shape_gives_the_same)
{
    for (size_t i = 0; i < SHAPES; i++) {
        free_matrix();
        set_matrix(shapes[i][0], shapes[i][1]);
        expect_team("window", 2, NULL);
        expect_team("window", 5, (const double[]){1, 3, 2, 1, 7});
        expect_team("window", MOST, NULL);
    }
}

/* One goes over it in several stretches, several in fewer. */
Test(engine_team, many_stretches)
{
    length = 16;
    expect_team("window", 2, NULL);
    free_matrix();
    set_matrix(MANY_ROWS, COLUMNS);
    expect_team("pair", 3, NULL);
}

/* ---- A member that fails -------------------------------------------------------------------- */

static atomic_int calls_left, own_calls;
static struct hc_engine_table cpu_table, odd_table;
static hc_status how;

static bool fails(void)
{
    return atomic_fetch_sub(&calls_left, 1) <= 0;
}

/* Whoever fails leaves half of a result. */
static hc_status odd_encode(struct hc_engine *engine, const struct hc_piece *piece, const struct hc_window_frame *frame,
                            const struct hc_window_coder *coder, uint64_t first_tile_row, uint64_t tile_rows,
                            const struct hc_window_result *result, struct hc_error *error)
{
    if (fails()) {
        memset(result->codes, 0x55, 16);
        return hc_fail(error, how, "it broke");
    }
    return cpu_table.window_encode(engine, piece, frame, coder, first_tile_row, tile_rows, result, error);
}

static hc_status odd_factors(struct hc_engine *engine, const struct hc_piece *piece,
                             const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                             uint64_t first_row, uint64_t rows, float *factors, struct hc_error *error)
{
    if (fails()) {
        memset(factors, 0x55, sizeof *factors);
        return hc_fail(error, how, "it broke");
    }
    return cpu_table.window_factors(engine, piece, frame, coder, first_row, rows, factors, error);
}

static hc_status odd_search(struct hc_engine *engine, const struct hc_piece *piece, const struct hc_window_frame *frame,
                            const struct hc_window_coder *coder, const struct hc_window_factors *factors,
                            uint64_t first_block, uint64_t blocks, uint8_t *codes, struct hc_error *error)
{
    if (fails()) {
        memset(codes, 0x55, 16);
        return hc_fail(error, how, "it broke");
    }
    return cpu_table.window_search(engine, piece, frame, coder, factors, first_block, blocks, codes, error);
}

static hc_status odd_fit(struct hc_engine *engine, const struct hc_piece *piece, const struct hc_window_frame *frame,
                         const struct hc_window_coder *coder, const struct hc_window_coded *coded, uint64_t first_row,
                         uint64_t rows, const struct hc_window_result *result, struct hc_error *error)
{
    hc_status status = cpu_table.window_fit(engine, piece, frame, coder, coded, first_row, rows, result, error);
    if (!fails())
        return status;
    result->scales[0] ^= 1;
    return hc_fail(error, how, "it broke");
}

static hc_status odd_try(struct hc_engine *engine, const struct hc_piece *piece, uint64_t first, uint64_t count,
                         const struct hc_pair_grid *grids, size_t grid_count, struct hc_search_sum *sums,
                         struct hc_error *error)
{
    hc_status status = cpu_table.pair_try(engine, piece, first, count, grids, grid_count, sums, error);
    return fails() ? hc_fail(error, how, "it broke") : status;
}

/* Where it fails. */
enum step { ENCODE, FACTORS, SEARCH, FIT, TRY };

static const struct hc_engine_table *odd(enum step step, hc_status status, int calls)
{
    struct hc_engine engine;
    cr_assert(hc_engine_cpu(&engine, &kernels, 1, NULL) == HC_OK);
    cpu_table = odd_table = *engine.table;
    engine.table->destroy(&engine);
    if (step == ENCODE)
        odd_table.window_encode = odd_encode;
    else if (step == FACTORS)
        odd_table.window_factors = odd_factors;
    else if (step == SEARCH)
        odd_table.window_search = odd_search;
    else if (step == FIT)
        odd_table.window_fit = odd_fit;
    else
        odd_table.pair_try = odd_try;
    atomic_store(&calls_left, calls);
    how = status;
    return &odd_table;
}

static void count_notice(const char *text, void *user)
{
    int *count = user;
    ++*count;
    cr_assert(strstr(text, "it broke") && strstr(text, "goes on without it"), "%s", text);
}

Test(engine_team, a_member_that_fails_is_left_out)
{
    static const struct {
        const char *method;
        enum step step;
        hc_status status;
        int calls;
    } cases[] = {{"window", ENCODE, HC_ERR_DEVICE, 0},  {"window", ENCODE, HC_ERR_MEMORY, 2},
                 {"window", FACTORS, HC_ERR_MEMORY, 0}, {"window", SEARCH, HC_ERR_DEVICE, 0},
                 {"window", SEARCH, HC_ERR_MEMORY, 1},  {"window", FIT, HC_ERR_DEVICE, 0},
                 {"pair", TRY, HC_ERR_DEVICE, 0},       {"pair", TRY, HC_ERR_MEMORY, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct hc_method *method = hc_method_find(cases[i].method);
        struct hc_engine engine = team_of(4, NULL, odd(cases[i].step, cases[i].status, cases[i].calls));
        struct made one = by_one(method), made;
        struct hc_error error = {""};
        int notices = 0;
        engine.notice = count_notice;
        engine.user = &notices;
        /* Others may do all of its share first. */
        for (int tries = 0; tries < 20 && notices == 0; tries++) {
            cr_assert(make(&engine, method, &made, &error) == HC_OK, "case %zu: %s", i, error.text);
            expect_same(&one, &made);
            made_free(&made);
        }
        cr_expect(notices == 1, "case %zu: %d notices", i, notices);
        cr_assert(make(&engine, method, &made, &error) == HC_OK && notices == 1);
        expect_same(&one, &made);
        made_free(&one);
        made_free(&made);
        engine.table->destroy(&engine);
    }
}

Test(engine_team, when_none_is_left_the_failure_is_told)
{
    struct hc_engine engine = team_of(1, NULL, odd(ENCODE, HC_ERR_DEVICE, 0));
    struct made made;
    struct hc_error error = {""};
    for (int again = 0; again < 2; again++) {
        cr_expect(make(&engine, hc_method_find("window"), &made, &error) == HC_ERR_DEVICE);
        cr_expect(strstr(error.text, "it broke"), "%s", error.text);
        made_free(&made);
    }
    engine.table->destroy(&engine);
}

/* What is wrong with the data is the result, and nobody is left out for it. */
Test(engine_team, faults_of_the_data_are_results)
{
    struct hc_engine engine = team_of(3, NULL, odd(ENCODE, HC_ERR_CORRUPT, 0));
    struct made one = by_one(hc_method_find("window")), made;
    struct hc_error error = {""};
    cr_expect(make(&engine, hc_method_find("window"), &made, &error) == HC_ERR_CORRUPT);
    made_free(&made);
    atomic_store(&calls_left, 1 << 20);
    cr_assert(make(&engine, hc_method_find("window"), &made, &error) == HC_OK, "%s", error.text);
    expect_same(&one, &made);
    made_free(&one);
    made_free(&made);
    engine.table->destroy(&engine);
}

/* ---- What every member does ----------------------------------------------------------------- */

/* All weights, each once; those of a part that failed are another's. */
static void expect_counts(const char *name, size_t count, const struct hc_engine_table *odd_one)
{
    hc_device_report reports[MOST] = {0};
    const struct hc_method *method = hc_method_find(name);
    struct hc_engine engine = counted_team_of(count, NULL, odd_one, reports);
    struct made one = by_one(method), made;
    struct hc_error error = {""};
    double begin = hc_now();
    cr_assert(make(&engine, method, &made, &error) == HC_OK, "%s", error.text);
    double seconds = hc_now() - begin;
    uint64_t weights = 0;
    for (size_t m = 0; m < count; m++) {
        weights += reports[m].weights;
        cr_expect(reports[m].weights == 0 || reports[m].busy > 0);
        cr_expect(reports[m].busy <= seconds, "member %zu was busy for %g of %g seconds", m, reports[m].busy, seconds);
    }
    cr_expect(weights == tensor.weights, "%s, %zu: %llu weights are counted", name, count, (unsigned long long)weights);
    expect_same(&one, &made);
    made_free(&one);
    made_free(&made);
    engine.table->destroy(&engine);
}

Test(engine_team, every_weight_is_counted_once)
{
    for (size_t count = 1; count <= MOST; count++) {
        expect_counts("window", count, NULL);
        expect_counts("pair", count, NULL);
    }
    expect_counts("window", 3, odd(ENCODE, HC_ERR_DEVICE, 0));
    expect_counts("window", 3, odd(ENCODE, HC_ERR_MEMORY, 1));
    expect_counts("window", 3, odd(FIT, HC_ERR_DEVICE, 0));
}

/* A sample is coded to see its error. */
Test(engine_team, samples_are_work_but_count_no_weights)
{
    const struct hc_piece piece = hc_piece_at(&tensor, 0);
    hc_device_report report = {0};
    struct hc_engine engine = counted_team_of(1, NULL, NULL, &report);
    struct hc_window_frame frame;
    struct hc_window_coder coder;
    const char *kept_because;
    struct hc_error error = {""};
    cr_assert(hc_window_frame_fit(&frame, &engine, &piece, HC_COLUMNS_NORM, 1, NULL, &kept_because, &error) == HC_OK);
    cr_assert(hc_window_coder_init(&coder, hc_window_code_find(4, 12), &kernels, &error) == HC_OK);
    double busy = report.busy, residual[HC_TILE] = {0};
    const struct hc_window_result result = {.codes = malloc(frame.tile_columns * hc_window_tile_bytes(&coder)),
                                            .residual = residual};
    cr_assert(engine.table->window_encode(&engine, &piece, &frame, &coder, 0, 1, &result, &error) == HC_OK);
    cr_expect(busy > 0 && report.busy > busy && report.weights == 0);
    free(result.codes);
    hc_window_coder_free(&coder);
    hc_window_frame_free(&frame);
    engine.table->destroy(&engine);
}

/* ---- A member that is slow ------------------------------------------------------------------ */

static hc_status slow_encode(struct hc_engine *engine, const struct hc_piece *piece,
                             const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                             uint64_t first_tile_row, uint64_t tile_rows, const struct hc_window_result *result,
                             struct hc_error *error)
{
    atomic_fetch_add(&own_calls, 1);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    return cpu_table.window_encode(engine, piece, frame, coder, first_tile_row, tile_rows, result, error);
}

Test(engine_team, a_slow_member_does_not_hold_up_the_rest)
{
    const struct hc_engine_table *table = odd(ENCODE, HC_OK, 0);
    odd_table.window_encode = slow_encode;
    struct hc_engine engine = team_of(2, NULL, table);
    struct made one = by_one(hc_method_find("window")), made;
    struct hc_error error = {""};
    cr_assert(make(&engine, hc_method_find("window"), &made, &error) == HC_OK);
    expect_same(&one, &made);
    cr_expect(atomic_load(&own_calls) < 4, "it had all %d parts of its share", atomic_load(&own_calls));
    made_free(&one);
    made_free(&made);
    engine.table->destroy(&engine);
}

/* ---- Ranks ---------------------------------------------------------------------------------- */

struct rank_job {
    struct hc_crew *crew;
    const struct hc_method *method;
    bool teams; /* some ranks have */
    bool told;  /* rank 0 wants to know of all devices */
    struct made made[MOST];
};

static size_t devices_of(const struct rank_job *job, int rank)
{
    return job->teams && rank % 2 ? 2 : 1;
}

static hc_status open_own(const struct rank_job *job, int rank, hc_device_report *reports, struct hc_engine *own,
                          struct hc_error *error)
{
    if (devices_of(job, rank) > 1) {
        *own = counted_team_of(devices_of(job, rank), NULL, NULL, reports);
        return HC_OK;
    }
    hc_status status = hc_engine_cpu(own, &kernels, 1, error);
    return status == HC_OK ? hc_engine_counted(own, reports, error) : status;
}

/* Every rank knows what the devices of all did, or of none. */
static void expect_reports(const struct rank_job *job, int ranks, const struct hc_device_reports *reports)
{
    uint64_t weights = 0;
    size_t at = 0;
    if (!job->told) {
        cr_expect(!reports->all, "devices are told of, and nobody asked");
        return;
    }
    for (int r = 0; r < ranks; r++)
        for (size_t i = 0; i < devices_of(job, r); i++, at++) {
            cr_assert(at < reports->count && reports->all[at].rank == r);
            weights += reports->all[at].weights;
        }
    cr_expect(at == reports->count && weights == tensor.weights, "%zu devices, %llu weights", reports->count,
              (unsigned long long)weights);
}

static hc_status do_rank(void *user, int rank, struct hc_error *error)
{
    struct rank_job *job = user;
    struct hc_engine own, all;
    struct hc_comm *comm = hc_crew_comm(job->crew, rank);
    struct hc_device_reports reports;
    hc_status status = hc_device_reports_create(&reports, devices_of(job, rank), rank, error);
    if (status == HC_OK)
        status = open_own(job, rank, reports.own, &own, error);
    if (status != HC_OK)
        return status;
    hc_device_reports_begin(&reports, job->told && rank == 0);
    status = hc_engine_ranks(&all, &own, comm, (double)devices_of(job, rank), &reports, error);
    if (status == HC_OK) {
        status = make(&all, job->method, &job->made[rank], error);
        expect_reports(job, comm->ranks, &reports);
        all.table->destroy(&all);
    }
    own.table->destroy(&own);
    hc_device_reports_destroy(&reports);
    return status;
}

static void expect_ranks(const char *method, int ranks, bool teams)
{
    struct rank_job job = {.method = hc_method_find(method), .teams = teams, .told = ranks != 2};
    struct made one = by_one(job.method);
    struct hc_error error = {""};
    cr_assert(hc_crew_create(&job.crew, ranks, 60, &error) == HC_OK);
    cr_assert(hc_crew_run(job.crew, do_rank, &job, &error) == HC_OK, "%s", error.text);
    for (int r = 0; r < ranks; r++) {
        expect_same(&one, &job.made[r]);
        made_free(&job.made[r]);
    }
    made_free(&one);
    hc_crew_destroy(job.crew);
}

Test(engine_team, all_ranks_have_what_one_gives)
{
    for (int ranks = 1; ranks <= 4; ranks++)
        for (int teams = 0; teams < 2; teams++) {
            expect_ranks("window", ranks, teams);
            expect_ranks("pair", ranks, teams);
        }
}

Test(engine_team, ranks_share_any_shape)
{
    for (size_t i = 0; i < SHAPES; i++) {
        free_matrix();
        set_matrix(shapes[i][0], shapes[i][1]);
        expect_ranks("window", 3, true);
        expect_ranks("window", MOST, false);
    }
}

/* ---- Rows of tiles that are left over ------------------------------------------------------- */

static atomic_ullong whole_rows, blocks_searched, rows_fitted;

static hc_status count_encode(struct hc_engine *engine, const struct hc_piece *piece,
                              const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                              uint64_t first_tile_row, uint64_t tile_rows, const struct hc_window_result *result,
                              struct hc_error *error)
{
    atomic_fetch_add(&whole_rows, tile_rows);
    return cpu_table.window_encode(engine, piece, frame, coder, first_tile_row, tile_rows, result, error);
}

static hc_status count_search(struct hc_engine *engine, const struct hc_piece *piece,
                              const struct hc_window_frame *frame, const struct hc_window_coder *coder,
                              const struct hc_window_factors *factors, uint64_t first_block, uint64_t blocks,
                              uint8_t *codes, struct hc_error *error)
{
    atomic_fetch_add(&blocks_searched, blocks);
    return cpu_table.window_search(engine, piece, frame, coder, factors, first_block, blocks, codes, error);
}

static hc_status count_fit(struct hc_engine *engine, const struct hc_piece *piece, const struct hc_window_frame *frame,
                           const struct hc_window_coder *coder, const struct hc_window_coded *coded, uint64_t first_row,
                           uint64_t rows, const struct hc_window_result *result, struct hc_error *error)
{
    atomic_fetch_add(&rows_fitted, rows);
    return cpu_table.window_fit(engine, piece, frame, coder, coded, first_row, rows, result, error);
}

static hc_status do_counted_rank(void *user, int rank, struct hc_error *error)
{
    struct rank_job *job = user;
    struct hc_engine own, all;
    struct hc_device_reports none = {0};
    hc_status status = hc_engine_cpu(&own, &kernels, 1, error);
    if (rank == 0)
        own.table = &odd_table;
    HC_TRY(status);
    HC_TRY(hc_engine_ranks(&all, &own, hc_crew_comm(job->crew, rank), 1, &none, error));
    status = make(&all, job->method, &job->made[rank], error);
    all.table->destroy(&all);
done:
    own.table->destroy(&own);
    return status;
}

/* 49 rows of tiles of 19 blocks: of 8 ranks, the first does 6 rows, 3 blocks of the last row, and 2 of its 9 rows of
 * the matrix. */
Test(engine_team, what_is_left_over_is_shared)
{
    struct rank_job job = {.method = hc_method_find("window")};
    struct hc_error error = {""};
    odd(ENCODE, HC_OK, 0);
    odd_table.window_encode = count_encode;
    odd_table.window_search = count_search;
    odd_table.window_fit = count_fit;
    cr_assert(hc_crew_create(&job.crew, MOST, 60, &error) == HC_OK);
    cr_assert(hc_crew_run(job.crew, do_counted_rank, &job, &error) == HC_OK, "%s", error.text);
    cr_expect(atomic_load(&whole_rows) == 6, "%llu rows of tiles", atomic_load(&whole_rows));
    cr_expect(atomic_load(&blocks_searched) == 3, "%llu blocks", atomic_load(&blocks_searched));
    cr_expect(atomic_load(&rows_fitted) == 2, "%llu rows", atomic_load(&rows_fitted));
    for (int r = 0; r < MOST; r++)
        made_free(&job.made[r]);
    hc_crew_destroy(job.crew);
}

/* ---- The partition -------------------------------------------------------------------------- */

Test(engine_team, partition)
{
    enum { DEVICES = 4 };
    static const struct {
        uint64_t all;
        double speeds[DEVICES];
        uint64_t units[DEVICES];
    } cases[] = {{8, {1, 1, 1, 1}, {2, 2, 2, 2}},      {10, {1, 1, 1, 1}, {3, 3, 2, 2}},
                 {1, {1, 1, 100, 1}, {0, 0, 1, 0}},    {50, {1, 1, 100, 0}, {0, 0, 50, 0}},
                 {0, {1, 1, 1, 1}, {0, 0, 0, 0}},      {7, {0, 2, 0, 5}, {0, 2, 0, 5}},
                 {102, {100, 1, 1, 0}, {100, 1, 1, 0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t units[DEVICES];
        hc_partition(cases[i].all, cases[i].speeds, DEVICES, units);
        cr_expect(memcmp(units, cases[i].units, sizeof units) == 0, "case %zu: %d %d %d %d", i, (int)units[0],
                  (int)units[1], (int)units[2], (int)units[3]);
    }
}

/* As many as come out even, unless all of them take no longer than that and the rest. */
Test(engine_team, whole_units)
{
    static const struct {
        uint64_t all, parts;
        double speeds[4];
        uint64_t whole;
    } cases[] = {{8, 32, {1, 1, 1, 1}, 8}, {10, 32, {1, 1, 1, 1}, 8},   {3, 32, {1, 1, 1, 1}, 0},
                 {3, 1, {1, 1, 1, 1}, 3},  {9, 100, {1, 1, 1, 1.9}, 9}, {1, 32, {10, 1, 0, 0}, 0},
                 {1, 8, {10, 1, 0, 0}, 1}, {1, 101, {100, 1, 0, 0}, 1}, {99, 32, {1, 1, 0, 0}, 98},
                 {0, 32, {1, 1, 1, 1}, 0}, {7, 32, {0, 2, 0, 5}, 7},    {5, 32, {0, 3, 0, 0}, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t units[4], whole = hc_partition_whole(cases[i].all, cases[i].parts, cases[i].speeds, 4, units);
        cr_expect(whole == cases[i].whole, "case %zu: %d", i, (int)whole);
    }
}
