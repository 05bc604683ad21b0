#include "compress_options.h"
#include "report.h"

#include <hyperc/plan.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct plan_state {
    struct compress_request request;
    hc_plan_device devices[MOST_DEVICES];
    size_t device_count, memory_count;
    char names[MOST_LIST]; /* of the devices */
};

static const struct option_spec specs[] = {
    {"devices", "LIST", "cpu, cuda, cuda:N, separated by commas; two of one name are two (cpu)", 0},
    {"speeds", "LIST", "of each device, in cores (cpu: the threads; cuda: 100, which is a bound)", 0},
    {"memory", "LIST", "GB on each device for what it works on at a time; 0: any (0)", 0},
    {"method", "NAME", "this and the following, as of compress: window (default) or pair", 0},
    {"bits", "B", "window: bits per weight", 0},
    {"embed-bits", "K|keep", "window: bits of embeddings", 0},
    {"head-bits", "K|keep", "window: bits of the output matrix", 0},
    {"bits-for", "PATTERN=K", "window: bits of tensors whose name matches", 0},
    {"window", "L", "window: bits of a code", 0},
    {"effort", "NAME", "window: fast, default or best", 0},
    {"side", "S|auto", "pair: side of the inner square", 0},
    {"points", "LIST", "pair: points of the trajectory", 0},
    {"classes", "N", "pair: most classes of outer pairs", 0},
    {"only", "PATTERN", "code only tensors whose name matches", 0},
    {"keep", "PATTERN", "keep tensors whose name matches as they are", 0},
    {NULL, NULL, NULL, 0},
};

static void *begin(void)
{
    struct plan_state *state = calloc(1, sizeof *state);
    if (state)
        compress_request_init(&state->request);
    return state;
}

/* ---- Options -------------------------------------------------------------------------------- */

static bool set_devices(struct plan_state *state, const char *value)
{
    const char *items[MOST_DEVICES];
    state->device_count = split_list(value, state->names, items);
    for (size_t d = 0; d < state->device_count; d++)
        state->devices[d].name = items[d];
    return state->device_count || bad_value("devices", "up to 1024 names", value);
}

static bool set_memory(struct plan_state *state, const char *value)
{
    char room[MOST_LIST];
    const char *items[MOST_DEVICES];
    bool good = (state->memory_count = split_list(value, room, items)) > 0;
    for (size_t d = 0; good && d < state->memory_count; d++) {
        double gigabytes;
        good = parse_real(items[d], 0, &gigabytes) && gigabytes <= 1e9;
        state->devices[d].memory = good ? (uint64_t)(gigabytes * 1e9) : 0;
    }
    return good || bad_value("memory", "gigabytes, 0 for any number", value);
}

static bool set(const char *name, const char *value, void *handle)
{
    struct plan_state *state = handle;
    if (strcmp(name, "devices") == 0)
        return set_devices(state, value);
    if (strcmp(name, "memory") == 0)
        return set_memory(state, value);
    return compress_request_set(&state->request, name, value);
}

/* False, with a message, if the options do not go together. */
static bool check(struct plan_state *state, char *text, size_t size)
{
    if (state->device_count == 0) {
        state->devices[0].name = "cpu";
        state->device_count = 1;
    }
    const struct device_speeds *speeds = &state->request.speeds;
    if (!is_one_each("speeds", speeds->count, state->device_count, text, size) ||
        !is_one_each("memory", state->memory_count, state->device_count, text, size))
        return false;
    for (size_t d = 0; d < speeds->count; d++)
        state->devices[d].speed = speeds->items[d];
    return compress_request_check(&state->request, text, size);
}

/* ---- The table ------------------------------------------------------------------------------ */

static void print_share(const hc_plan_share *share)
{
    char read[32], written[32], most[32];
    printf("%-10s %8.6g %8" PRIu64 " %15" PRIu64 " %10s %10s %10s %10.4g %8.3f %%\n", share->name, share->speed,
           share->parts, share->weights, human_bytes((double)share->read_bytes, read),
           human_bytes((double)share->written_bytes, written), human_bytes((double)share->part_bytes, most),
           share->seconds, 100 * share->share);
}

/* The parts of one piece, from number `at` on. */
struct cut {
    uint64_t at, parts;
};

static struct cut cut_at(const hc_plan *plan, uint64_t at)
{
    hc_plan_part part;
    struct cut cut = {at, 0};
    while (hc_plan_part_get(plan, at + cut.parts, &part) == HC_OK &&
           (cut.parts == 0 || part.first > 0 || part.first_tile > 0))
        cut.parts++;
    return cut;
}

/* Whether two pieces are cut alike. */
static bool same_cut(const hc_plan *plan, const struct cut *a, const struct cut *b)
{
    hc_plan_part p, q;
    bool same = a->parts == b->parts;
    for (uint64_t i = 0; same && i < a->parts; i++) {
        hc_plan_part_get(plan, a->at + i, &p);
        hc_plan_part_get(plan, b->at + i, &q);
        same =
            p.device == q.device && p.weights == q.weights && p.tiles == q.tiles && p.written_bytes == q.written_bytes;
    }
    return same;
}

/* Whether a piece before it is cut alike, which has the line then. */
static bool is_printed(const hc_plan *plan, const struct cut *cut)
{
    for (struct cut other = cut_at(plan, 0); other.at < cut->at; other = cut_at(plan, other.at + other.parts))
        if (same_cut(plan, &other, cut))
            return true;
    return false;
}

static uint64_t count_alike(const hc_plan *plan, const struct cut *cut)
{
    uint64_t alike = 0;
    for (struct cut other = *cut; other.parts > 0; other = cut_at(plan, other.at + other.parts))
        alike += same_cut(plan, &other, cut);
    return alike;
}

/* What one device has of a piece, rows or tiles, in parts from number *at on, up to `end`; *at goes behind them. */
static hc_plan_part next_device(const hc_plan *plan, uint64_t *at, uint64_t end, hc_plan_share *share)
{
    hc_plan_part part, next;
    hc_plan_part_get(plan, *at, &part);
    hc_plan_share_get(plan, part.device, share);
    while (++*at < end && hc_plan_part_get(plan, *at, &next) == HC_OK && next.device == part.device &&
           (next.tiles > 0) == (part.tiles > 0)) {
        part.weights += next.weights;
        part.tiles += next.tiles;
    }
    return part;
}

/* ": 4096 weights on cuda:0, cuda:1, 2048 on cpu; 40 tiles on cuda:0, cuda:1, 20 on cpu" */
static void print_parts(const hc_plan *plan, const struct cut *cut)
{
    uint64_t before = 0;
    bool tiles = false;
    for (uint64_t at = cut->at; at < cut->at + cut->parts;) {
        bool begins = at == cut->at;
        hc_plan_share share;
        const hc_plan_part part = next_device(plan, &at, cut->at + cut->parts, &share);
        bool first = begins || (part.tiles > 0) != tiles;
        uint64_t count = part.tiles > 0 ? part.tiles : part.weights;
        tiles = part.tiles > 0;
        if (first)
            printf("%s %" PRIu64 " %s on %s", begins ? ":" : ";", count, tiles ? "tiles" : "weights", share.name);
        else if (count == before)
            printf(", %s", share.name);
        else
            printf(", %" PRIu64 " on %s", count, share.name);
        before = count;
    }
}

/* Whether it is more than one device's. */
static bool is_shared(const hc_plan *plan, const struct cut *cut)
{
    hc_plan_part first, part;
    hc_plan_part_get(plan, cut->at, &first);
    for (uint64_t i = 1; i < cut->parts; i++)
        if (hc_plan_part_get(plan, cut->at + i, &part) == HC_OK && part.device != first.device)
            return true;
    return false;
}

/* One line for all pieces that are cut alike. */
static void print_cuts(const hc_plan *plan)
{
    hc_plan_part part;
    for (struct cut cut = cut_at(plan, 0); cut.parts > 0; cut = cut_at(plan, cut.at + cut.parts)) {
        if (!is_shared(plan, &cut) || is_printed(plan, &cut))
            continue;
        uint64_t alike = count_alike(plan, &cut);
        hc_plan_part_get(plan, cut.at, &part);
        fputs("cut: ", stdout);
        print_text(stdout, part.tensor, 0);
        if (part.pieces > 1)
            printf(" [%" PRIu64 "]", part.piece);
        if (alike > 1)
            printf(" and %" PRIu64 " more", alike - 1);
        print_parts(plan, &cut);
        putchar('\n');
    }
}

static int print_plan(const hc_plan *plan)
{
    hc_plan_totals totals;
    hc_plan_share share;
    hc_plan_totals_get(plan, &totals);
    printf("%-10s %8s %8s %15s %10s %10s %10s %10s %10s\n", "device", "cores", "parts", "weights", "read", "written",
           "at a time", "seconds", "share");
    for (uint64_t d = 0; hc_plan_share_get(plan, d, &share) == HC_OK; d++)
        print_share(&share);
    print_cuts(plan);
    printf("%" PRIu64 " tensors, %" PRIu64 " weights, %" PRIu64 " of %" PRIu64 " pieces cut between devices\n",
           totals.tensors, totals.weights, totals.cut_pieces, totals.pieces);
    printf("predicted to search %.4g s, which is %.3f %% more than an even share of the work\n", totals.seconds,
           100 * totals.imbalance);
    return finish_output(EXIT_DONE);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *share_json(const hc_plan_share *share)
{
    return json_pack("{s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "device", share->name, "cores", share->speed,
                     "memory", (json_int_t)share->memory, "parts", (json_int_t)share->parts, "weights",
                     (json_int_t)share->weights, "read_bytes", (json_int_t)share->read_bytes, "written_bytes",
                     (json_int_t)share->written_bytes, "part_bytes", (json_int_t)share->part_bytes, "seconds",
                     share->seconds, "share", share->share);
}

static json_t *part_json(const hc_plan_part *part)
{
    return json_pack("{s:o, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:f}", "tensor", json_text(part->tensor),
                     "piece", (json_int_t)part->piece, "whole", (int)part->whole, "first", (json_int_t)part->first,
                     "first_tile", (json_int_t)part->first_tile, "tiles", (json_int_t)part->tiles, "weights",
                     (json_int_t)part->weights, "device", (json_int_t)part->device, "kept", (int)part->kept,
                     "read_bytes", (json_int_t)part->read_bytes, "written_bytes", (json_int_t)part->written_bytes,
                     "seconds", part->seconds);
}

static int print_plan_json(const hc_plan *plan)
{
    hc_plan_totals totals;
    hc_plan_share share;
    hc_plan_part part;
    json_t *devices = json_array(), *parts = json_array();
    hc_plan_totals_get(plan, &totals);
    for (uint64_t d = 0; hc_plan_share_get(plan, d, &share) == HC_OK; d++)
        json_append(&devices, share_json(&share));
    for (uint64_t i = 0; hc_plan_part_get(plan, i, &part) == HC_OK; i++)
        json_append(&parts, part_json(&part));
    return print_json(json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:f, s:f}", "devices", devices, "parts", parts,
                                "tensors", (json_int_t)totals.tensors, "pieces", (json_int_t)totals.pieces,
                                "cut_pieces", (json_int_t)totals.cut_pieces, "weights", (json_int_t)totals.weights,
                                "seconds", totals.seconds, "imbalance", totals.imbalance));
}

static int run(const struct common_options *common, int count, char **operands, void *handle)
{
    struct plan_state *state = handle;
    char text[128];
    (void)count;
    if (!check(state, text, sizeof text))
        return report_failure(common, HC_ERR_ARGUMENT, text);
    hc_context *context = NULL;
    hc_plan *plan = NULL;
    hc_status status = open_plain_context(common, &context);
    if (status == HC_OK)
        status =
            hc_plan_model(context, operands[0], &state->request.options, state->devices, state->device_count, &plan);
    int code = status != HC_OK ? report_failure(common, status, hc_message(context))
               : common->json  ? print_plan_json(plan)
                               : print_plan(plan);
    hc_plan_free(plan);
    hc_context_destroy(context);
    return code;
}

const struct command command_plan = {
    .name = "plan",
    .operands = "INPUT --devices LIST",
    .summary = "Tell which device would compress what, and how evenly",
    .options = specs,
    .least_operands = 1,
    .most_operands = 1,
    .begin = begin,
    .set = set,
    .run = run,
};
