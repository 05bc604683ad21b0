#include "plan.h"

#include "context.h"
#include "description.h"
#include "partition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct hc_plan {
    char **names; /* of tensors and devices */
    size_t name_count;
    hc_plan_share *shares;
    double *speeds;  /* of the devices */
    double work;     /* of all pieces, nothing done twice: seconds of a device of speed 1 */
    uint64_t *units; /* of the piece at hand: how many each device has */
    hc_plan_part *parts;
    size_t room;
    hc_plan_totals totals;
};

void hc_plan_free(hc_plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->name_count; i++)
        free(plan->names[i]);
    free(plan->names);
    free(plan->shares);
    free(plan->speeds);
    free(plan->units);
    free(plan->parts);
    free(plan);
}

/* NULL if memory is out. */
static const char *take_name(hc_plan *plan, const char *name)
{
    char *copy = strdup(name);
    if (copy)
        plan->names[plan->name_count++] = copy;
    return copy;
}

/* ---- Devices -------------------------------------------------------------------------------- */

static bool is_gpu(const char *name)
{
    return strcmp(name, "cuda") == 0 ||
           (strncmp(name, "cuda:", 5) == 0 && name[5] && strspn(name + 5, "0123456789") == strlen(name + 5));
}

static hc_status take_devices(hc_plan *plan, int threads, const hc_plan_device *devices, size_t count,
                              struct hc_error *error)
{
    if (count == 0)
        return hc_fail(error, HC_ERR_ARGUMENT, "a plan needs a device");
    plan->totals.devices = count;
    for (size_t d = 0; d < count; d++) {
        const hc_plan_device *device = &devices[d];
        bool gpu = is_gpu(device->name);
        if (!gpu && strcmp(device->name, "cpu") != 0)
            return hc_fail(error, HC_ERR_ARGUMENT, "unknown device '%s'", device->name);
        hc_status status = hc_device_speed_check(device->name, device->speed, error);
        if (status != HC_OK)
            return status;
        double speed = device->speed > 0 ? device->speed : hc_device_speed(device->name, threads);
        plan->speeds[d] = speed;
        plan->shares[d] = (hc_plan_share){take_name(plan, device->name), .speed = speed, .memory = device->memory};
        if (!plan->shares[d].name)
            return hc_no_memory(error);
    }
    return HC_OK;
}

/* ---- Parts ---------------------------------------------------------------------------------- */

static hc_status add_part(hc_plan *plan, const hc_plan_part *part, struct hc_error *error)
{
    if (plan->totals.parts == plan->room) {
        size_t room = plan->room ? 2 * plan->room : 256;
        hc_plan_part *parts = realloc(plan->parts, room * sizeof *parts);
        if (!parts)
            return hc_no_memory(error);
        plan->parts = parts;
        plan->room = room;
    }
    plan->parts[plan->totals.parts++] = *part;
    return HC_OK;
}

/* Most weights of a piece that a device's memory holds, whole units; 0: none. */
static uint64_t weights_that_fit(const struct hc_plan_piece *piece, uint64_t memory)
{
    uint64_t unit = piece->unit < piece->weights ? piece->unit : piece->weights;
    uint64_t read = hc_plan_read_bytes(piece, unit), more = hc_plan_written_bytes(piece, unit, unit);
    uint64_t once = hc_plan_written_bytes(piece, 0, unit) - more;
    if (memory == 0 || piece->kind == HC_PLAN_KEPT || unit == 0)
        return piece->weights;
    uint64_t weights = memory < once ? 0 : (memory - once) / (read + more) * unit;
    return weights < piece->weights ? weights : piece->weights;
}

static hc_status too_small(const hc_plan_share *share, const hc_plan_part *which, struct hc_error *error)
{
    return hc_fail(error, HC_ERR_ARGUMENT, "%s: %llu bytes of memory do not hold the least part of %s", share->name,
                   (unsigned long long)share->memory, which->tensor);
}

/* Gives weights of a piece to a device, in as many parts as its memory asks for. */
static hc_status give(hc_plan *plan, const struct hc_plan_piece *piece, const hc_plan_part *which, size_t device,
                      uint64_t first, uint64_t weights, struct hc_error *error)
{
    hc_plan_share *share = &plan->shares[device];
    uint64_t most = weights_that_fit(piece, share->memory), end = first + weights;
    hc_status status = HC_OK;
    if (most < weights && most == 0)
        return too_small(share, which, error);
    do {
        hc_plan_part part = *which;
        part.device = device;
        part.first = first;
        part.weights = end - first < most ? end - first : most;
        part.whole = part.weights == piece->weights;
        part.read_bytes = hc_plan_read_bytes(piece, part.weights);
        part.written_bytes = hc_plan_written_bytes(piece, first, part.weights);
        part.seconds = 1e-9 * hc_plan_nanoseconds(piece, part.weights) / share->speed;
        status = add_part(plan, &part, error);
        first += part.weights;
    } while (status == HC_OK && first < end);
    return status;
}

/* Rows of tiles that come after those that are given away whole, up to the end of the piece. */
struct shared {
    const hc_plan_part *which;
    uint64_t first_tile_row, tile_rows;
};

/* Tiles from number `first` of them on. Scales and what else there is once count to the first of all. */
static hc_plan_part part_of_tiles(const struct hc_plan_piece *piece, const struct shared *shared, uint64_t first,
                                  uint64_t tiles)
{
    hc_plan_part part = *shared->which;
    uint64_t before = shared->first_tile_row * piece->unit, rest = piece->weights - before;
    part.first = before;
    part.first_tile = first;
    part.tiles = tiles;
    part.weights = hc_plan_weights_of_tiles(piece, shared->first_tile_row * piece->tile_columns + first, tiles);
    part.whole = part.weights == piece->weights;
    part.read_bytes = hc_plan_read_bytes(piece, part.weights);
    part.written_bytes = tiles * (HC_TILE_WEIGHTS / 8) * piece->bits;
    if (first == 0)
        part.written_bytes += hc_plan_written_bytes(piece, before, rest) -
                              shared->tile_rows * piece->tile_columns * (HC_TILE_WEIGHTS / 8) * piece->bits;
    return part;
}

/* Gives tiles to a device, as `give` does. */
static hc_status give_tiles(hc_plan *plan, const struct hc_plan_piece *piece, const struct shared *shared,
                            size_t device, uint64_t first, uint64_t tiles, struct hc_error *error)
{
    const hc_plan_share *share = &plan->shares[device];
    hc_status status = HC_OK;
    for (uint64_t end = first + tiles; status == HC_OK && first < end;) {
        uint64_t count = end - first;
        hc_plan_part part = part_of_tiles(piece, shared, first, count);
        while (share->memory > 0 && part.read_bytes + part.written_bytes > share->memory && count > 0) {
            count -= piece->block_tiles;
            part = part_of_tiles(piece, shared, first, count);
        }
        if (count == 0)
            return too_small(share, shared->which, error);
        part.device = device;
        part.seconds = 1e-9 * hc_plan_search_cost(piece, count) / share->speed;
        status = add_part(plan, &part, error);
        first += count;
    }
    return status;
}

/* ---- Cutting -------------------------------------------------------------------------------- */

/* Whole units; what is kept, or has no weights, is the first device's. */
static void share_out(hc_plan *plan, const struct hc_plan_piece *piece, uint64_t units)
{
    if (piece->kind != HC_PLAN_KEPT && piece->weights > 0) {
        hc_partition(units, plan->speeds, plan->totals.devices, plan->units);
        return;
    }
    memset(plan->units, 0, plan->totals.devices * sizeof *plan->units);
    plan->units[0] = units > 0 ? units : 1;
}

/* Gives the first units of a piece away, whole. */
static hc_status lay_whole(hc_plan *plan, const struct hc_plan_piece *piece, const hc_plan_part *which, uint64_t units,
                           struct hc_error *error)
{
    hc_status status = HC_OK;
    uint64_t first = 0;
    double slowest = 0;
    share_out(plan, piece, units);
    for (size_t d = 0; status == HC_OK && d < plan->totals.devices; d++) {
        uint64_t rest = piece->weights - first, weights = plan->units[d] * piece->unit;
        weights = weights < rest ? weights : rest;
        if (plan->units[d] == 0)
            continue;
        status = give(plan, piece, which, d, first, weights, error);
        first += weights;
        slowest = fmax(slowest, 1e-9 * hc_plan_nanoseconds(piece, weights) / plan->speeds[d]);
    }
    plan->totals.seconds += slowest;
    return status;
}

/* Gives the tiles of shared rows of tiles away, in blocks. */
static hc_status lay_tiles(hc_plan *plan, const struct hc_plan_piece *piece, const struct shared *shared,
                           struct hc_error *error)
{
    hc_status status = HC_OK;
    uint64_t at = 0, blocks = shared->tile_rows * hc_plan_row_blocks(piece);
    double slowest = 0;
    hc_partition(blocks, plan->speeds, plan->totals.devices, plan->units);
    for (size_t d = 0; status == HC_OK && d < plan->totals.devices; d++) {
        uint64_t tiles = plan->units[d] * piece->block_tiles;
        if (tiles == 0)
            continue;
        status = give_tiles(plan, piece, shared, d, at, tiles, error);
        at += tiles;
        slowest = fmax(slowest, 1e-9 * hc_plan_search_cost(piece, tiles) / plan->speeds[d]);
    }
    plan->totals.seconds += slowest;
    return status;
}

/* What is done twice: the rows of shared rows of tiles go by two steps more, which all devices share. */
static void lay_rows(hc_plan *plan, const struct hc_plan_piece *piece, const struct shared *shared)
{
    uint64_t first = shared->first_tile_row * HC_TILE, all = piece->weights / piece->columns - first;
    double factors = 0, fit = 0;
    hc_partition(all, plan->speeds, plan->totals.devices, plan->units);
    for (size_t d = 0; d < plan->totals.devices; d++) {
        uint64_t rows = plan->units[d];
        double mine = 1e-9 * hc_plan_factors_cost(piece, rows) / plan->speeds[d];
        double my_fit = 1e-9 * hc_plan_fit_cost(piece, first, rows) / plan->speeds[d];
        plan->shares[d].seconds += mine + my_fit;
        factors = fmax(factors, mine);
        fit = fmax(fit, my_fit);
        first += rows;
    }
    plan->totals.seconds += factors + fit;
}

/* Whether more than one device has parts from number `first` on. */
static bool is_cut(const hc_plan *plan, uint64_t first)
{
    for (uint64_t i = first; i < plan->totals.parts; i++)
        if (plan->parts[i].device != plan->parts[first].device)
            return true;
    return false;
}

/* Gives a piece away. The next one begins when the slowest device is done with its part, and so does every step. */
static hc_status lay(hc_plan *plan, const struct hc_plan_piece *piece, const hc_plan_part *which,
                     struct hc_error *error)
{
    uint64_t units = (piece->weights + piece->unit - 1) / piece->unit, whole = units, begin = plan->totals.parts;
    hc_status status = HC_OK;
    if (piece->kind == HC_PLAN_WINDOW && units > 0)
        whole = hc_partition_whole(units, hc_plan_row_blocks(piece), plan->speeds, plan->totals.devices, plan->units);
    const struct shared shared = {which, whole, units - whole};
    if (whole > 0 || units == 0)
        HC_TRY(lay_whole(plan, piece, which, whole, error));
    if (whole < units) {
        HC_TRY(lay_tiles(plan, piece, &shared, error));
        lay_rows(plan, piece, &shared);
    }
    plan->work += 1e-9 * hc_plan_nanoseconds(piece, piece->weights);
    plan->totals.pieces++;
    plan->totals.cut_pieces += is_cut(plan, begin);
done:
    return status;
}

/* ---- The whole ------------------------------------------------------------------------------ */

static hc_status lay_all(hc_plan *plan, const struct hc_tensor *tensors, size_t count,
                         const hc_compress_options *options, struct hc_error *error)
{
    hc_status status = HC_OK;
    plan->totals.tensors = count;
    for (size_t i = 0; i < count; i++) {
        struct hc_plan_piece piece = hc_plan_piece_of(&tensors[i], options);
        hc_plan_part which = {
            .tensor = take_name(plan, tensors[i].name), .pieces = piece.pieces, .kept = piece.kind == HC_PLAN_KEPT};
        HC_TRY(which.tensor ? HC_OK : hc_no_memory(error));
        for (which.piece = 0; which.piece < which.pieces; which.piece++)
            HC_TRY(lay(plan, &piece, &which, error));
    }
done:
    return status;
}

static void add_up(hc_plan *plan)
{
    hc_plan_totals *totals = &plan->totals;
    double busy = 0, speeds = 0;
    for (uint64_t i = 0; i < totals->parts; i++) {
        const hc_plan_part *part = &plan->parts[i];
        hc_plan_share *share = &plan->shares[part->device];
        uint64_t bytes = part->kept ? 0 : part->read_bytes + part->written_bytes;
        share->parts++;
        share->weights += part->weights;
        share->read_bytes += part->read_bytes;
        share->written_bytes += part->written_bytes;
        share->part_bytes = bytes > share->part_bytes ? bytes : share->part_bytes;
        share->seconds += part->seconds;
        totals->weights += part->weights;
    }
    for (uint64_t d = 0; d < totals->devices; d++) {
        const hc_plan_share *share = &plan->shares[d];
        busy += share->seconds * share->speed;
        speeds += share->speed;
    }
    for (uint64_t d = 0; d < totals->devices && busy > 0; d++)
        plan->shares[d].share = plan->shares[d].seconds * plan->shares[d].speed / busy;
    totals->imbalance = plan->work > 0 ? fmax(0, totals->seconds / (plan->work / speeds) - 1) : 0;
}

static hc_status allocate(hc_plan *plan, size_t tensors, size_t devices, struct hc_error *error)
{
    plan->names = malloc((tensors + devices + 1) * sizeof *plan->names);
    plan->shares = calloc(devices + 1, sizeof *plan->shares);
    plan->speeds = calloc(devices + 1, sizeof *plan->speeds);
    plan->units = calloc(devices + 1, sizeof *plan->units);
    return plan->names && plan->shares && plan->speeds && plan->units ? HC_OK : hc_no_memory(error);
}

static hc_status make(hc_context *context, const struct hc_tensor *tensors, size_t count,
                      const hc_compress_options *options, const hc_plan_device *devices, size_t device_count,
                      hc_plan **out)
{
    struct hc_error *error = &context->error;
    const struct hc_method *method = hc_method_find(options->method);
    hc_plan *plan = calloc(1, sizeof *plan);
    json_t *checked = NULL;
    hc_status status = plan ? HC_OK : hc_no_memory(error);
    if (!method)
        status = hc_fail(error, HC_ERR_ARGUMENT, "unknown method '%s'", options->method);
    if (status != HC_OK)
        goto done;
    HC_TRY(method->options(options, &checked, error));
    HC_TRY(allocate(plan, count, device_count, error));
    HC_TRY(take_devices(plan, context->threads, devices, device_count, error));
    HC_TRY(lay_all(plan, tensors, count, options, error));
    add_up(plan);
    *out = plan;
    plan = NULL;
done:
    hc_plan_free(plan);
    json_decref(checked);
    return status;
}

hc_status hc_plan_model(hc_context *context, const char *input, const hc_compress_options *options,
                        const hc_plan_device *devices, size_t count, hc_plan **plan)
{
    struct hc_source *source = NULL;
    hc_status status;
    *plan = NULL;
    HC_TRY(hc_source_open(input, &source, &context->error));
    for (size_t i = 0; i < source->tensor_count; i++)
        if (hc_is_part(source->tensors[i].name)) {
            status = hc_fail(&context->error, HC_ERR_UNSUPPORTED, "%s: is compressed already", input);
            goto done;
        }
    HC_TRY(make(context, source->tensors, source->tensor_count, options, devices, count, plan));
done:
    hc_source_close(source);
    return status;
}

/* False if the shape is none, or of more weights than can be counted. */
static bool take_shape(struct hc_tensor *tensor, const hc_tensor_info *info)
{
    const uint64_t most = UINT64_C(1) << 56; /* their bytes and bits can be counted too */
    uint64_t product = 1;
    if (info->rank < 0 || info->rank > HC_MAX_RANK || (unsigned)info->type >= HC_TYPE_COUNT)
        return false;
    *tensor = (struct hc_tensor){.name = (char *)info->name, .type = info->type, .rank = info->rank};
    tensor->weights = 1;
    for (int d = 0; d < info->rank; d++) {
        uint64_t size = info->shape[d];
        if (size > 0 && product > most / size)
            return false;
        product *= size > 0 ? size : 1;
        tensor->shape[d] = size;
        tensor->weights *= size;
    }
    return true;
}

hc_status hc_plan_tensors(hc_context *context, const hc_tensor_info *tensors, size_t tensor_count,
                          const hc_compress_options *options, const hc_plan_device *devices, size_t count,
                          hc_plan **plan)
{
    struct hc_tensor *taken = calloc(tensor_count + 1, sizeof *taken);
    hc_status status = taken ? HC_OK : hc_no_memory(&context->error);
    *plan = NULL;
    for (size_t i = 0; status == HC_OK && i < tensor_count; i++)
        if (!take_shape(&taken[i], &tensors[i]))
            status = hc_fail(&context->error, HC_ERR_ARGUMENT, "%s: there is no such shape", tensors[i].name);
    if (status == HC_OK)
        status = make(context, taken, tensor_count, options, devices, count, plan);
    free(taken);
    return status;
}

void hc_plan_totals_get(const hc_plan *plan, hc_plan_totals *totals)
{
    *totals = plan->totals;
}

hc_status hc_plan_share_get(const hc_plan *plan, uint64_t device, hc_plan_share *share)
{
    if (device >= plan->totals.devices)
        return HC_ERR_ARGUMENT;
    *share = plan->shares[device];
    return HC_OK;
}

hc_status hc_plan_part_get(const hc_plan *plan, uint64_t index, hc_plan_part *part)
{
    if (index >= plan->totals.parts)
        return HC_ERR_ARGUMENT;
    *part = plan->parts[index];
    return HC_OK;
}
