/* Writing one shard of a compressed model: room for the header, the coded tensors in the order of the source, part
 * behind part, then the tensors that are kept, wide elements first so that all are aligned; at last the header. */
#include "run.h"

#include "header.h"
#include "json.h"
#include "selection.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COPY_BYTES = 4 << 20,
    READ_WEIGHTS = 8192,
    MAX_HEADER = 100000000,
};

/* One tensor of the shard and what became of it. */
struct outcome {
    const struct hc_tensor *tensor;
    struct hc_description description;
    uint64_t bytes;               /* stored */
    uint64_t parts[HC_MAX_PARTS]; /* if coded: how many of them are those of each part */
    hc_type type;                 /* in the file, if kept */
};

struct shard {
    struct hc_run *run;
    struct hc_writer *writer; /* the run's */
    struct hc_checksum_stream *checksum;
    uint64_t position; /* where the next byte goes */
    size_t count;
    struct outcome *outcomes;
};

/* ---- What the method writes ----------------------------------------------------------------- */

static hc_status append(struct shard *shard, const void *data, size_t bytes, struct hc_error *error)
{
    hc_checksum_add(shard->checksum, data, bytes);
    uint64_t position = shard->position;
    shard->position += bytes;
    return shard->writer ? hc_writer_write(shard->writer, position, data, bytes, error) : HC_OK;
}

/* The first part of a tensor goes to the file as it is made; the others, which are small, wait until it is whole. */
struct part_sink {
    struct hc_sink sink;
    struct shard *shard;
    struct waiting {
        uint8_t *data;
        size_t bytes, room;
    } waiting[HC_MAX_PARTS];
};

static hc_status wait_write(struct waiting *waiting, const void *data, size_t bytes, struct hc_error *error)
{
    if (bytes > waiting->room - waiting->bytes) {
        size_t room = 2 * waiting->room + bytes;
        uint8_t *larger = realloc(waiting->data, room);
        if (!larger)
            return hc_no_memory(error);
        waiting->data = larger;
        waiting->room = room;
    }
    memcpy(waiting->data + waiting->bytes, data, bytes);
    waiting->bytes += bytes;
    return HC_OK;
}

static hc_status part_write(struct hc_sink *base, unsigned part, const void *data, size_t bytes, struct hc_error *error)
{
    struct part_sink *sink = (struct part_sink *)base;
    assert(part < sink->shard->run->method->part_count);
    if (bytes == 0)
        return HC_OK;
    return part == 0 ? append(sink->shard, data, bytes, error) : wait_write(&sink->waiting[part], data, bytes, error);
}

/* Writes what waited, and the padding up to `bytes` from `begin` on. */
static hc_status write_waiting(struct part_sink *sink, uint64_t begin, uint64_t bytes, struct hc_error *error)
{
    static const uint8_t zeros[HC_PART_ALIGNMENT] = {0};
    struct shard *shard = sink->shard;
    hc_status status = HC_OK;
    for (size_t i = 1; i < HC_MAX_PARTS; i++)
        if (sink->waiting[i].bytes)
            HC_TRY(append(shard, sink->waiting[i].data, sink->waiting[i].bytes, error));
    uint64_t written = shard->position - begin;
    assert(written <= bytes && bytes - written < HC_PART_ALIGNMENT); /* encode wrote what size says */
    if (written < bytes)
        HC_TRY(append(shard, zeros, (size_t)(bytes - written), error));
done:
    return status;
}

/* For ranks that do not write: of what is coded they need no more than the lengths, which the description has. */
static hc_status drop_part(struct hc_sink *sink, unsigned part, const void *data, size_t bytes, struct hc_error *error)
{
    (void)sink, (void)part, (void)data, (void)bytes, (void)error;
    return HC_OK;
}

static void free_waiting(struct part_sink *sink)
{
    for (size_t i = 0; i < HC_MAX_PARTS; i++)
        free(sink->waiting[i].data);
}

struct shard_ticker {
    struct hc_ticker ticker;
    struct shard *shard;
    uint64_t before; /* weights of the tensor's earlier pieces */
};

static hc_status check_writer(const struct shard *shard, struct hc_error *error)
{
    return shard->writer ? hc_writer_check(shard->writer, error) : HC_OK;
}

/* What cannot be written need not be searched for. */
static bool shard_tick(struct hc_ticker *ticker, uint64_t weights)
{
    struct shard_ticker *mine = (struct shard_ticker *)ticker;
    struct shard *shard = mine->shard;
    return hc_meter_report(&shard->run->meter, mine->before + weights, NULL) == HC_OK &&
           check_writer(shard, NULL) == HC_OK;
}

/* ---- Coding --------------------------------------------------------------------------------- */

static hc_status keep(struct outcome *outcome, const char *because, struct hc_error *error)
{
    hc_description_clear(&outcome->description);
    outcome->description.kept_because = strdup(because);
    return outcome->description.kept_because ? HC_OK : hc_no_memory(error);
}

static void record_errors(struct hc_description *description, const struct hc_compare_sum *sum)
{
    description->mean_abs_error = hc_exact_value(&sum->abs_error) / (double)description->weights;
    description->max_abs_error = sum->max_abs_error;
    description->squared_error = hc_exact_value(&sum->squared_error);
    description->squared_weights = hc_exact_value(&sum->squared_weights);
}

/* The parts that the description of a coded tensor speaks of. */
static hc_status lay_out(struct outcome *outcome, struct hc_error *error)
{
    hc_status status = hc_description_layout(&outcome->description, outcome->parts, NULL, error);
    outcome->bytes = 0;
    for (size_t i = 0; i < HC_MAX_PARTS; i++)
        outcome->bytes += outcome->parts[i];
    return status;
}

/* Codes piece after piece until one must be kept: *kept_because tells why. */
static hc_status code_pieces(struct shard *shard, struct outcome *outcome, struct hc_sink *sink,
                             const char **kept_because, struct hc_error *error)
{
    struct hc_run *run = shard->run;
    struct hc_engine *engine = run->engine;
    const struct hc_tensor *tensor = outcome->tensor;
    struct hc_description *description = &outcome->description;
    struct hc_compare_sum total = {0};
    double published = 0;
    size_t pieces = hc_piece_count(tensor);
    unsigned rate = run->rates[tensor - run->source->tensors];
    for (size_t p = 0; p < pieces; p++) {
        struct hc_piece piece = hc_piece_at(tensor, p);
        struct shard_ticker ticker = {{shard_tick}, shard, piece.first};
        struct hc_coded coded = {.published_mean_abs_error = -1};
        engine->table->hold(engine, &piece);
        hc_status status = run->method->encode(engine, &piece, run->options, rate, sink, &ticker.ticker, &coded, error);
        engine->table->let_go(engine);
        if (status == HC_ERR_CANCELLED && check_writer(shard, NULL) != HC_OK)
            return check_writer(shard, error);
        *kept_because = coded.kept_because;
        if (status != HC_OK || coded.kept_because)
            return status;
        if (json_array_append_new(description->pieces, coded.parameters) != 0)
            return hc_no_memory(error);
        hc_compare_add(&total, &coded.compare);
        published += coded.published_mean_abs_error;
    }
    record_errors(description, &total);
    description->published_mean_abs_error = published / (double)pieces;
    return HC_OK;
}

/* Codes a tensor; where a piece must be kept, all of it is. */
static hc_status code_tensor(struct shard *shard, struct outcome *outcome, struct hc_error *error)
{
    const struct hc_tensor *tensor = outcome->tensor;
    struct hc_description *description = &outcome->description;
    bool writes = hc_run_leads(shard->run);
    struct part_sink sink = {.sink = {writes ? part_write : drop_part}, .shard = shard};
    const char *kept_because = NULL;
    uint64_t begin = shard->position;
    hc_status status;
    *description = (struct hc_description){.method = shard->run->method,
                                           .type = tensor->type,
                                           .rank = tensor->rank,
                                           .weights = tensor->weights,
                                           .pieces = json_array()};
    memcpy(description->shape, tensor->shape, sizeof description->shape);
    if (tensor->moments)
        memcpy(description->moments, tensor->moments->label, sizeof description->moments);
    hc_checksum_reset(shard->checksum);
    HC_TRY(code_pieces(shard, outcome, &sink.sink, &kept_because, error));
    if (kept_because) {
        shard->position = begin;
        status = keep(outcome, kept_because, error);
        goto done;
    }
    HC_TRY(lay_out(outcome, error));
    if (!writes) {
        shard->position += outcome->bytes;
        goto done;
    }
    HC_TRY(write_waiting(&sink, begin, outcome->bytes, error));
    hc_checksum_text(shard->checksum, description->checksum);
done:
    free_waiting(&sink);
    hc_tensor_drop(tensor);
    return status;
}

/* ---- The journal ---------------------------------------------------------------------------- */

static hc_status record(struct shard *shard, const struct outcome *outcome, struct hc_error *error)
{
    char *text = NULL;
    if (!shard->writer)
        return HC_OK;
    if (outcome->description.method && !(text = hc_description_text(&outcome->description)))
        return hc_no_memory(error);
    json_t *json = json_pack("{s:s, s:s}", "tensor", outcome->tensor->name, text ? "description" : "kept",
                             text ? text : outcome->description.kept_because);
    free(text);
    return hc_writer_record(shard->writer, json, error);
}

/* Adds the checksum of a stretch that an earlier run wrote, if it is there. */
static hc_status read_parts(struct shard *shard, uint64_t bytes, struct hc_error *error)
{
    const struct hc_out *out = hc_writer_out(shard->writer);
    uint64_t size = hc_out_size(out);
    if (bytes > size || shard->position > size - bytes)
        return HC_OK;
    char *buffer = malloc(COPY_BYTES);
    hc_status status = buffer ? HC_OK : hc_no_memory(error);
    for (uint64_t at = 0; status == HC_OK && at < bytes; at += COPY_BYTES) {
        size_t part = bytes - at < COPY_BYTES ? bytes - at : COPY_BYTES;
        HC_TRY(hc_meter_report(&shard->run->meter, 0, error));
        HC_TRY(hc_out_read_at(out, shard->position + at, buffer, part, error));
        hc_checksum_add(shard->checksum, buffer, part);
    }
done:
    free(buffer);
    return status;
}

/* The parts of an earlier run must still be what its journal says. */
static hc_status check_parts(struct shard *shard, struct outcome *outcome, struct hc_error *error)
{
    char checksum[HC_CHECKSUM_DIGITS + 1];
    hc_status status = lay_out(outcome, error);
    if (status != HC_OK)
        return status;
    hc_checksum_reset(shard->checksum);
    status = read_parts(shard, outcome->bytes, error);
    hc_checksum_text(shard->checksum, checksum);
    if (status == HC_OK && strcmp(checksum, outcome->description.checksum) != 0)
        status = hc_fail(error, HC_ERR_CORRUPT, "%s: tensor %s is not what the journal says; start over with --force",
                         hc_writer_out(shard->writer)->path, outcome->tensor->name);
    shard->position += outcome->bytes;
    return status;
}

/* Takes over the next record of an earlier run; *taken is false if there is none left. Ranks but the first only know
 * how many there are. */
static hc_status take_record(struct shard *shard, struct outcome *outcome, bool *taken, struct hc_error *error)
{
    struct hc_run *run = shard->run;
    *taken = run->records_taken < run->records_found;
    if (!*taken)
        return HC_OK;
    size_t number = run->records_taken++;
    if (!hc_run_leads(run))
        return HC_OK;
    json_t *json = json_array_get(run->journal.records, number);
    const char *name = json_string_value(json_object_get(json, "tensor"));
    const char *text = json_string_value(json_object_get(json, "description"));
    const char *because = json_string_value(json_object_get(json, "kept"));
    if (!name || strcmp(name, outcome->tensor->name) != 0 || (!text && !because))
        return hc_fail(error, HC_ERR_CORRUPT,
                       "%s: the journal does not fit the input at tensor %s; start over with --force",
                       run->journal.file.path, outcome->tensor->name);
    if (because)
        return keep(outcome, because, error);
    hc_status status = hc_description_parse(text, &outcome->description, error);
    return status == HC_OK ? check_parts(shard, outcome, error) : status;
}

/* ---- Tensors that are kept ------------------------------------------------------------------ */

/* A tensor on its way into the file. */
struct copy {
    struct shard *shard;
    const struct hc_tensor *tensor;
    unsigned width;  /* bytes of a weight */
    uint64_t begin;  /* where in the file it begins */
    uint64_t ticked; /* up to where progress was reported */
};

static hc_status kept_write(struct copy *copy, const void *data, size_t bytes, struct hc_error *error)
{
    struct shard *shard = copy->shard;
    hc_status status = append(shard, data, bytes, error);
    if (status != HC_OK || shard->position - copy->ticked < COPY_BYTES)
        return status;
    copy->ticked = shard->position;
    return hc_meter_report(&shard->run->meter, (shard->position - copy->begin) / copy->width, error);
}

static hc_status copy_bytes(struct copy *copy, struct hc_error *error)
{
    const struct hc_tensor *tensor = copy->tensor;
    hc_status status = HC_OK;
    for (uint64_t at = 0; status == HC_OK && at < tensor->bytes; at += COPY_BYTES) {
        uint64_t rest = tensor->bytes - at;
        status = kept_write(copy, tensor->data + at, rest < COPY_BYTES ? rest : COPY_BYTES, error);
    }
    return status;
}

/* Rows that the source has in another order. */
static hc_status copy_rows(struct copy *copy, struct hc_error *error)
{
    const struct hc_tensor *tensor = copy->tensor;
    hc_status status = HC_OK;
    uint64_t row_bytes = tensor->bytes / tensor->shape[0];
    for (uint64_t row = 0; status == HC_OK && row < tensor->shape[0]; row++)
        status = kept_write(copy, tensor->data + hc_tensor_stored_row(tensor, row) * row_bytes, row_bytes, error);
    return status;
}

/* Block types have no place in safetensors: half precision takes theirs. */
static hc_status copy_blocks(struct copy *copy, struct hc_error *error)
{
    const struct hc_kernels *kernels = &copy->shard->run->context->kernels;
    const struct hc_tensor *tensor = copy->tensor;
    float weights[READ_WEIGHTS];
    uint16_t halves[READ_WEIGHTS];
    hc_status status = HC_OK;
    for (uint64_t at = 0; status == HC_OK && at < tensor->weights; at += READ_WEIGHTS) {
        uint64_t rest = tensor->weights - at;
        size_t n = rest < READ_WEIGHTS ? rest : READ_WEIGHTS;
        hc_tensor_read(tensor, kernels, at, n, weights);
        kernels->convert.f32_to_f16(weights, n, halves);
        status = kept_write(copy, halves, 2 * n, error);
    }
    return status;
}

static hc_status write_kept(struct shard *shard, struct outcome *outcome, struct hc_error *error)
{
    const struct hc_tensor *tensor = outcome->tensor;
    struct copy copy = {shard, tensor, hc_type_block_bytes(outcome->type), shard->position, shard->position};
    hc_checksum_reset(shard->checksum);
    hc_status status = hc_type_is_block(tensor->type) ? copy_blocks(&copy, error)
                       : tensor->permuted_heads       ? copy_rows(&copy, error)
                                                      : copy_bytes(&copy, error);
    hc_checksum_text(shard->checksum, outcome->description.checksum);
    outcome->bytes = shard->position - copy.begin;
    hc_tensor_drop(tensor);
    return status;
}

/* ---- The shard ------------------------------------------------------------------------------ */

static void tell(struct shard *shard, const struct outcome *outcome)
{
    struct hc_run *run = shard->run;
    char parameters[128] = "";
    hc_tensor_info info = {.name = outcome->tensor->name,
                           .type = outcome->tensor->type,
                           .rank = outcome->tensor->rank,
                           .weights = outcome->tensor->weights,
                           .stored_bytes = outcome->bytes};
    memcpy(info.shape, outcome->tensor->shape, sizeof info.shape);
    hc_description_info(&outcome->description, &info);
    if (outcome->description.method)
        run->method->describe(json_array_get(outcome->description.pieces, 0), parameters, sizeof parameters);
    info.parameters = parameters;
    hc_meter_advance(&run->meter, outcome->tensor->weights);
    if (run->options->tensor_done)
        run->options->tensor_done(&info, run->options->user);
}

/* The next tensor that will be coded, in this shard or another; a rank wants about its share of it. */
static void prefetch_next(const struct hc_run *run, const struct hc_tensor *tensor)
{
    const struct hc_tensor *end = run->source->tensors + run->source->tensor_count, *next = tensor + 1;
    const struct hc_comm *comm = &run->context->comm;
    while (next < end && hc_kept_because(next, run->options))
        next++;
    if (next == end)
        return;
    uint64_t share = next->weights / (uint64_t)comm->ranks;
    hc_tensor_prefetch(next, (uint64_t)comm->rank * share, share);
}

static hc_status code_all(struct shard *shard, struct hc_error *error)
{
    struct hc_run *run = shard->run;
    hc_status status = HC_OK;
    for (size_t i = 0; i < shard->count; i++) {
        struct outcome *outcome = &shard->outcomes[i];
        const char *because = hc_kept_because(outcome->tensor, run->options);
        if (because) {
            HC_TRY(keep(outcome, because, error));
            continue;
        }
        run->meter.progress.tensor = outcome->tensor->name;
        bool taken;
        HC_TRY(hc_meter_report(&run->meter, 0, error));
        HC_TRY(take_record(shard, outcome, &taken, error));
        if (!taken) {
            prefetch_next(run, outcome->tensor);
            HC_TRY(code_tensor(shard, outcome, error));
            HC_TRY(record(shard, outcome, error));
        }
        if (!outcome->description.method)
            continue; /* keep_all does the rest */
        if (taken)
            run->meter.progress.weights_resumed += outcome->tensor->weights;
        tell(shard, outcome);
    }
done:
    return status;
}

static hc_status keep_all(struct shard *shard, struct hc_error *error)
{
    static const unsigned widths[] = {8, 4, 2, 1};
    hc_status status = HC_OK;
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (size_t i = 0; i < shard->count; i++) {
            struct outcome *outcome = &shard->outcomes[i];
            if (outcome->description.method || hc_type_block_bytes(outcome->type) != widths[w])
                continue;
            shard->run->meter.progress.tensor = outcome->tensor->name;
            HC_TRY(hc_meter_report(&shard->run->meter, 0, error));
            HC_TRY(write_kept(shard, outcome, error));
            tell(shard, outcome);
        }
done:
    return status;
}

/* ---- The header ----------------------------------------------------------------------------- */

static size_t digits(uint64_t number)
{
    return (size_t)snprintf(NULL, 0, "%llu", (unsigned long long)number);
}

/* Length of a string as JSON text, quotes included; 0 if memory is out. */
static size_t json_length(const char *string)
{
    json_t *json = json_string(string);
    char *text = hc_json_text(json, JSON_ENCODE_ANY | JSON_COMPACT);
    size_t length = text ? strlen(text) : 0;
    free(text);
    json_decref(json);
    return length;
}

/* Digits of a size or an offset in the shard at most: one part does not grow beyond 8 bytes a weight and its alignment,
 * several may. */
static size_t number_length(const struct shard *shard)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < shard->count; i++)
        largest += 8 * shard->outcomes[i].tensor->weights + 64 * hc_piece_count(shard->outcomes[i].tensor);
    return digits(shard->run->method->part_count > 1 ? INT64_MAX : largest);
}

/* What the header can need for a tensor at most; `name` is the length of its name as JSON text. */
static uint64_t tensor_room(const struct hc_run *run, const struct hc_tensor *tensor, size_t name, size_t number)
{
    /* "NAME.hc_codes":{"dtype":"F8_E4M3","shape":[],"data_offsets":[,]},"hyperc.tensor.NAME":"{...}", */
    uint64_t room = 2 * name + 96 + 3 * number;
    for (int d = 0; d < tensor->rank; d++)
        room += digits(tensor->shape[d]) + 1;
    if (hc_kept_because(tensor, run->options))
        return room + 128;
    for (size_t i = 1; i < run->method->part_count; i++)
        room += name + strlen(run->method->parts[i].suffix) + 64 + 3 * number;
    return room + 32 + hc_description_max(tensor, hc_piece_count(tensor), run->method->parameters_max(run->options));
}

/* Room for the header, known before the first tensor is coded: the sum of what each tensor can need at most. */
static hc_status reserve_header(const struct shard *shard, const struct hc_file *file, uint64_t *reserve,
                                struct hc_error *error)
{
    size_t number = number_length(shard);
    uint64_t total = 256;
    for (size_t i = 0; i < shard->count; i++) {
        const struct hc_tensor *tensor = shard->outcomes[i].tensor;
        size_t name = json_length(tensor->name);
        if (name == 0)
            return hc_no_memory(error);
        total += tensor_room(shard->run, tensor, name, number);
    }
    for (size_t i = 0; i < file->metadata_count; i++)
        total += json_length(file->metadata_keys[i]) + json_length(file->metadata_values[i]) + 2;
    *reserve = (total + 63) / 64 * 64;
    return *reserve <= MAX_HEADER ? HC_OK
                                  : hc_fail(error, HC_ERR_UNSUPPORTED, "%s: too many tensors for one file", file->path);
}

static hc_status add_metadata(const struct shard *shard, const struct hc_file *file, struct hc_header *header,
                              struct hc_error *error)
{
    hc_status status = HC_OK;
    char *key = NULL, *text = NULL, version[16];
    if (shard->run->source->kind == HC_SOURCE_GGUF)
        HC_TRY(hc_header_metadata(header, "format", "pt", error));
    for (size_t i = 0; i < file->metadata_count; i++)
        HC_TRY(hc_header_metadata(header, file->metadata_keys[i], file->metadata_values[i], error));
    snprintf(version, sizeof version, "%d", HC_FORMAT_VERSION);
    HC_TRY(hc_header_metadata(header, HC_VERSION_KEY, version, error));
    for (size_t i = 0; i < shard->count; i++) {
        key = hc_path_append(HC_TENSOR_KEY, shard->outcomes[i].tensor->name);
        text = hc_description_text(&shard->outcomes[i].description);
        if (!key || !text) {
            status = hc_no_memory(error);
            goto done;
        }
        HC_TRY(hc_header_metadata(header, key, text, error));
        free(key);
        free(text);
        key = text = NULL;
    }
done:
    free(key);
    free(text);
    return status;
}

/* Adds what is stored as NAME + suffix. */
static hc_status add_stored(struct hc_header *header, struct hc_shard_summary *summary, const char *tensor_name,
                            const char *suffix, hc_type type, int rank, const uint64_t *shape, uint64_t bytes,
                            struct hc_error *error)
{
    char *name = hc_path_append(tensor_name, suffix);
    hc_status status = name && json_array_append_new(summary->tensors, json_string(name)) == 0
                           ? hc_header_tensor(header, name, type, rank, shape, bytes, error)
                           : hc_no_memory(error);
    free(name);
    return status;
}

static hc_status add_parts(const struct outcome *outcome, struct hc_header *header, struct hc_shard_summary *summary,
                           struct hc_error *error)
{
    const struct hc_method *method = outcome->description.method;
    hc_status status = HC_OK;
    for (size_t i = 0; status == HC_OK && i < method->part_count; i++) {
        const struct hc_part *part = &method->parts[i];
        uint64_t elements = outcome->parts[i] / hc_type_block_bytes(part->type);
        if (elements)
            status = add_stored(header, summary, outcome->tensor->name, part->suffix, part->type, 1, &elements,
                                outcome->parts[i], error);
    }
    return status;
}

/* Tensors in the order of their bytes: coded ones, then kept ones by width. */
static hc_status add_tensors(const struct shard *shard, struct hc_header *header, struct hc_shard_summary *summary,
                             struct hc_error *error)
{
    static const unsigned widths[] = {0, 8, 4, 2, 1}; /* 0: coded */
    hc_status status = HC_OK;
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (size_t i = 0; status == HC_OK && i < shard->count; i++) {
            const struct outcome *outcome = &shard->outcomes[i];
            const struct hc_tensor *tensor = outcome->tensor;
            bool coded = outcome->description.method != NULL;
            if (widths[w] != (coded ? 0 : hc_type_block_bytes(outcome->type)))
                continue;
            status = coded ? add_parts(outcome, header, summary, error)
                           : add_stored(header, summary, tensor->name, "", outcome->type, tensor->rank, tensor->shape,
                                        outcome->bytes, error);
        }
    return status;
}

static hc_status write_header(struct shard *shard, const struct hc_file *file, uint64_t reserve,
                              struct hc_shard_summary *summary, struct hc_error *error)
{
    struct hc_header header;
    uint8_t *bytes = NULL;
    size_t length = 0;
    hc_status status = hc_header_begin(&header, error);
    if (status != HC_OK)
        return status;
    HC_TRY(add_metadata(shard, file, &header, error));
    HC_TRY(add_tensors(shard, &header, summary, error));
    HC_TRY(hc_header_bytes(&header, reserve, &bytes, &length, error));
    hc_checksum(bytes, length, summary->header_checksum);
    summary->header_bytes = length;
    summary->file_bytes = length + header.offset;
    if (shard->writer)
        HC_TRY(hc_writer_write(shard->writer, 0, bytes, length, error));
done:
    free(bytes);
    hc_header_end(&header);
    return status;
}

static hc_status shard_begin(struct shard *shard, size_t file, struct hc_error *error)
{
    const struct hc_source *source = shard->run->source;
    for (size_t i = 0; i < source->tensor_count; i++)
        shard->count += source->tensors[i].file == file;
    shard->outcomes = calloc(shard->count ? shard->count : 1, sizeof *shard->outcomes);
    shard->checksum = hc_checksum_create();
    if (!shard->outcomes || !shard->checksum)
        return hc_no_memory(error);
    size_t n = 0;
    for (size_t i = 0; i < source->tensor_count; i++)
        if (source->tensors[i].file == file) {
            hc_type type = source->tensors[i].type;
            shard->outcomes[n++] =
                (struct outcome){.tensor = &source->tensors[i], .type = hc_type_is_block(type) ? HC_TYPE_F16 : type};
        }
    return HC_OK;
}

/* What an earlier run left of it is read before anything is written. */
static hc_status open_file(const struct shard *shard, const char *path, struct hc_error *error)
{
    bool resumed = shard->run->records_taken < shard->run->records_found;
    hc_status status = hc_writer_open(shard->writer, path, !resumed, error);
    return status == HC_OK && resumed ? hc_writer_wait(shard->writer, error) : status;
}

hc_status hc_shard_write(struct hc_run *run, size_t file, const char *path, struct hc_shard_summary *summary,
                         struct hc_error *error)
{
    struct shard shard = {.run = run, .writer = run->writer};
    uint64_t reserve = 0;
    hc_status status;
    *summary = (struct hc_shard_summary){.tensors = json_array()};
    HC_TRY(shard_begin(&shard, file, error));
    HC_TRY(reserve_header(&shard, &run->source->files[file], &reserve, error));
    if (shard.writer)
        HC_TRY(open_file(&shard, path, error));
    shard.position = reserve;
    HC_TRY(code_all(&shard, error));
    if (!hc_run_leads(run))
        goto done;
    if (shard.writer)
        HC_TRY(hc_writer_commit(shard.writer, error));
    HC_TRY(keep_all(&shard, error));
    HC_TRY(write_header(&shard, &run->source->files[file], reserve, summary, error));
    if (shard.writer)
        HC_TRY(hc_writer_finish(shard.writer, summary->file_bytes, error));
done:
    for (size_t i = 0; shard.outcomes && i < shard.count; i++)
        hc_description_clear(&shard.outcomes[i].description);
    free(shard.outcomes);
    hc_checksum_destroy(shard.checksum);
    return status;
}
