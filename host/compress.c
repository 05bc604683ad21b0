/* hc_compress: one run from an opened source to a folder that appears whole.
 *
 *   OUTPUT.partial/journal   what is done (journal.h)
 *   OUTPUT.partial/model/    the result in the making; moved to OUTPUT by one rename at the very end
 *
 * The journal's last record is that the result is whole, and what folder it is: its number tells whether it was moved.
 */
#include "config.h"
#include "directory.h"
#include "engine_ranks.h"
#include "gguf.h"
#include "gguf_tokenizer.h"
#include "json.h"
#include "manifest.h"
#include "rate.h"
#include "run.h"
#include "selection.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_CONFIG = 64 << 20 };

#define INPUT_TIMES "input time"

struct paths {
    char *output, *work, *journal, *stage;
};

void hc_compress_options_init(hc_compress_options *options)
{
    *options = (hc_compress_options){
        .method = "window",
        .window = {.bits = 4, .embedding_bits = 6, .head_bits = 6, .length = 12, .columns = HC_COLUMNS_NORM},
        .pair = {.side = 0.1, .classes = 3, .loss_max = 0.001, .loss_threshold = 0.001, .keep_above = INFINITY},
    };
}

/* ---- Where things go ------------------------------------------------------------------------ */

static void paths_free(struct paths *paths)
{
    free(paths->output);
    free(paths->work);
    free(paths->journal);
    free(paths->stage);
}

static hc_status paths_make(const char *output, struct paths *paths, struct hc_error *error)
{
    if (output[0] == 0)
        return hc_fail(error, HC_ERR_ARGUMENT, "the output has no name");
    *paths = (struct paths){.output = hc_path_trim(output)};
    paths->work = paths->output ? hc_path_append(paths->output, ".partial") : NULL;
    paths->journal = paths->work ? hc_path_join(paths->work, "journal") : NULL;
    paths->stage = paths->work ? hc_path_join(paths->work, "model") : NULL;
    return paths->journal && paths->stage ? HC_OK : hc_no_memory(error);
}

/* Something is there, and it is not an empty folder. */
static bool is_taken(const char *path)
{
    return hc_path_exists(path) && !hc_path_is_empty_directory(path);
}

/* Decides what may happen to what is there already. */
static hc_status check_present(const struct paths *paths, const hc_compress_options *options, struct hc_error *error)
{
    bool taken = is_taken(paths->output), begun = is_taken(paths->work);
    if (taken && !options->force && !(options->resume && begun))
        return hc_fail(error, HC_ERR_EXISTS, "%s: is there already; --force replaces it", paths->output);
    if (begun && !options->resume && !options->force)
        return hc_fail(error, HC_ERR_EXISTS,
                       "%s: an interrupted run lies there; --resume finishes it, --force starts over", paths->work);
    if (begun && !hc_path_exists(paths->journal))
        return hc_fail(error, HC_ERR_EXISTS, "%s: is in the way, and is no interrupted run", paths->work);
    return options->force ? hc_check_replaceable(paths->output, error) : HC_OK;
}

/* ---- What identifies a run ------------------------------------------------------------------ */

static json_t *patterns_json(const hc_patterns *patterns)
{
    json_t *list = json_array();
    for (size_t i = 0; i < patterns->count; i++)
        if (json_array_append_new(list, json_string(patterns->items[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *input_json(const struct hc_file *file)
{
    char checksum[HC_CHECKSUM_DIGITS + 1];
    struct hc_checksum_stream *stream = hc_checksum_create();
    if (!stream)
        return NULL;
    hc_file_sample(file, stream);
    hc_checksum_text(stream, checksum);
    hc_checksum_destroy(stream);
    return json_pack("{s:s, s:I, s:s}", "name", file->name, "bytes", (json_int_t)file->size, "sample_xxh3", checksum);
}

static json_t *time_json(const struct hc_file *file)
{
    struct stat info = {0};
    stat(file->path, &info);
    return json_pack("[I, I]", (json_int_t)info.st_mtim.tv_sec, (json_int_t)info.st_mtim.tv_nsec);
}

static json_t *each_file(const struct hc_source *source, json_t *(*make)(const struct hc_file *file))
{
    json_t *list = json_array();
    for (size_t i = 0; i < source->file_count; i++)
        if (json_array_append_new(list, make(&source->files[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* What the result depends on; NULL if memory is out. All but the times goes into the manifest, and all of it into the
 * journal: a changed input must not be mixed with what is done. */
static json_t *identity_json(const struct hc_run *run, json_t *method_options)
{
    return json_pack("{s:i, s:s, s:s, s:O, s:o, s:o, s:o, s:o}", "format", HC_FORMAT_VERSION, "version", hc_version(),
                     "method", run->method->name, "options", method_options, "only", patterns_json(&run->options->only),
                     "keep", patterns_json(&run->options->keep), "input", each_file(run->source, input_json),
                     INPUT_TIMES, each_file(run->source, time_json));
}

/* ---- The files beside the shards ------------------------------------------------------------ */

static hc_status write_text(struct hc_run *run, const struct paths *paths, const char *name, const char *text,
                            json_t *manifest, struct hc_error *error)
{
    char checksum[HC_CHECKSUM_DIGITS + 1];
    char *path = hc_path_join(paths->stage, name);
    if (!path)
        return hc_no_memory(error);
    hc_checksum(text, strlen(text), checksum);
    hc_status status = hc_meter_attend(&run->meter, error);
    if (status == HC_OK)
        status = hc_write_file(path, text, strlen(text), error);
    if (status == HC_OK && manifest)
        status = hc_manifest_add_file(manifest, name, strlen(text), checksum, error);
    free(path);
    return status;
}

/* Writes a JSON object (stolen) with a newline behind it. */
static hc_status write_json(struct hc_run *run, const struct paths *paths, const char *name, json_t *json,
                            json_t *manifest, struct hc_error *error)
{
    char *text = hc_json_text(json, JSON_INDENT(2));
    char *line = text ? hc_path_append(text, "\n") : NULL;
    hc_status status = line ? write_text(run, paths, name, line, manifest, error) : hc_no_memory(error);
    json_decref(json);
    free(text);
    free(line);
    return status;
}

/* Decides where second moments are from, for a method that has a use for them, and adds that to its options.
 * `said`: why there is no config, or none to run with, if that was said; else "". */
static hc_status choose_moments(struct hc_run *run, const char *config, const char *said, json_t *method_options,
                                struct hc_error *error)
{
    struct hc_error why_not = {""};
    if (!run->method->moments)
        return HC_OK;
    const char *asked = run->method->moments(run->options);
    hc_status status = hc_moments_choose(&run->moments, asked, config, said, run->source, &why_not, error);
    if (status != HC_OK)
        return status;
    if (asked && why_not.text[0] && strcmp(why_not.text, said) != 0 && run->options->notice)
        run->options->notice(why_not.text, run->options->user);
    json_t *identity = json_string(run->moments.identity);
    return json_object_set_new(method_options, "moments", identity) == 0 ? HC_OK : hc_no_memory(error);
}

/* Such a model can be compressed, but what comes of it cannot be run. */
static void tell_fault(const struct hc_run *run, const char *fault, const struct hc_error *why)
{
    char text[sizeof why->text + 128];
    snprintf(text, sizeof text, "%s, so the result cannot be run: %s", fault, why->text);
    if (run->options->notice)
        run->options->notice(text, run->options->user);
}

/* What `generate` would refuse a network for is said now, whatever moments are used; *fault stays "" if there is
 * nothing. A network that is not known may be run by others. */
static hc_status check_network(const struct hc_run *run, const char *config, struct hc_error *fault,
                               struct hc_error *error)
{
    const struct hc_architecture *architecture;
    struct hc_decoder decoder;
    struct hc_error why = {""};
    hc_status status = hc_architecture_recognise(config, run->source, &architecture, &decoder, &why);
    if (status == HC_ERR_MEMORY)
        return hc_no_memory(error);
    if (status != HC_ERR_CORRUPT)
        return HC_OK;
    *fault = why;
    tell_fault(run, "the configuration does not fit the model", fault);
    return HC_OK;
}

/* Comes first of all: hours of work must not end in a config.json that cannot be used. */
static hc_status make_config(struct hc_run *run, json_t *method_options, struct hc_error *error)
{
    char *path = hc_path_join(run->source->path, HC_CONFIG_NAME), *text = NULL;
    json_t *made = NULL, *quantization = NULL;
    struct hc_error fault = {""};
    size_t bytes;
    hc_status status = path ? HC_OK : hc_no_memory(error);
    if (status == HC_OK && run->source->kind == HC_SOURCE_GGUF)
        status = hc_gguf_config(run->source, &made, &fault) == HC_ERR_MEMORY ? hc_no_memory(error) : HC_OK;
    if (status == HC_OK && !made && run->source->kind != HC_SOURCE_FILE && hc_path_exists(path))
        status = hc_read_file(path, MAX_CONFIG, &text, &bytes, error);
    if (status != HC_OK)
        goto done;
    if (made && !(text = hc_json_text(made, JSON_INDENT(2) | JSON_REAL_PRECISION(15)))) {
        status = hc_no_memory(error);
        goto done;
    }
    if (!text && fault.text[0])
        tell_fault(run, "no configuration of the network can be made", &fault);
    if (text)
        HC_TRY(check_network(run, text, &fault, error));
    HC_TRY(choose_moments(run, text, fault.text, method_options, error));
    quantization = json_pack("{s:s, s:i, s:s}", "quant_method", "hyperc", "format", HC_FORMAT_VERSION, "method",
                             run->method->name);
    if (json_object_update(quantization, method_options) != 0) {
        status = hc_no_memory(error);
        goto done;
    }
    HC_TRY(hc_config_add(text, quantization, path, &run->config, error));
done:
    json_decref(made);
    json_decref(quantization);
    free(path);
    free(text);
    return status;
}

static hc_status copy_one(struct hc_run *run, const struct paths *paths, const char *name, json_t *manifest,
                          struct hc_error *error)
{
    char *from = hc_path_join(run->source->path, name), *to = hc_path_join(paths->stage, name);
    char checksum[HC_CHECKSUM_DIGITS + 1];
    uint64_t bytes = 0;
    hc_status status = from && to ? hc_meter_attend(&run->meter, error) : hc_no_memory(error);
    if (status == HC_OK)
        status = hc_make_parents(to, error);
    if (status == HC_OK)
        status = hc_copy_file(from, to, checksum, &bytes, error);
    if (status == HC_OK)
        status = hc_manifest_add_file(manifest, name, bytes, checksum, error);
    free(from);
    free(to);
    return status;
}

/* Files that are not copied do not go unsaid. */
static void tell_left_out(const struct hc_run *run)
{
    const hc_compress_options *options = run->options;
    if (!options->notice)
        return;
    for (size_t i = 0; i < run->source->left_out_count; i++)
        options->notice(run->source->left_out[i], options->user);
}

static bool is_copied(const struct hc_source *source, const char *name)
{
    for (size_t i = 0; i < source->copy_count; i++)
        if (strcmp(source->copies[i], name) == 0)
            return true;
    return false;
}

static void tell_no_tokenizer(const struct hc_run *run, const struct hc_error *why)
{
    char text[sizeof why->text + 128];
    snprintf(text, sizeof text, "the tokenizer inside of the GGUF file is not carried over: %s", why->text);
    if (run->options->notice)
        run->options->notice(text, run->options->user);
}

/* What is inside of a GGUF file, as files, but for those that lie beside it. A tokenizer that is not known is no reason
 * not to compress. */
static hc_status write_tokenizer(struct hc_run *run, const struct paths *paths, json_t *manifest,
                                 struct hc_error *error)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "generation_config.json"};
    struct hc_tokenizer_files files = {0};
    struct hc_error why = {""};
    hc_status status = run->source->kind == HC_SOURCE_GGUF ? hc_gguf_tokenizer(run->source, &files, &why) : HC_OK;
    json_t *const contents[] = {files.tokenizer, files.config, files.generation};
    if (status == HC_ERR_MEMORY)
        return hc_no_memory(error);
    if (status != HC_OK) {
        tell_no_tokenizer(run, &why);
        return HC_OK;
    }
    for (size_t i = 0; i < 3 && status == HC_OK; i++)
        if (contents[i] && !is_copied(run->source, names[i]))
            status = write_json(run, paths, names[i], json_incref(contents[i]), manifest, error);
    hc_tokenizer_files_free(&files);
    return status;
}

static void tell_unmatched(const struct hc_run *run, const char *option, const hc_patterns *patterns)
{
    for (size_t i = 0; run->options->notice && i < patterns->count; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s %.200s: matches no tensor", option, patterns->items[i]);
        if (!hc_matches_any(run->source, patterns->items[i]))
            run->options->notice(text, run->options->user);
    }
}

static hc_status copy_files(struct hc_run *run, const struct paths *paths, json_t *manifest, struct hc_error *error)
{
    hc_status status = HC_OK;
    tell_left_out(run);
    for (size_t i = 0; status == HC_OK && i < run->source->copy_count; i++) {
        const char *name = run->source->copies[i];
        if (strcmp(name, HC_CONFIG_NAME) != 0 && strcmp(name, HC_MANIFEST) != 0)
            status = copy_one(run, paths, name, manifest, error);
    }
    return status;
}

/* ---- Shards --------------------------------------------------------------------------------- */

static const char *shard_name(const struct hc_source *source, size_t file)
{
    return source->kind == HC_SOURCE_DIRECTORY ? source->files[file].name : HC_WEIGHTS_NAME;
}

static hc_status note_shard(const char *name, const struct hc_shard_summary *summary, json_t *weight_map,
                            uint64_t *tensor_bytes, json_t *manifest, struct hc_error *error)
{
    size_t i;
    json_t *tensor;
    json_array_foreach(summary->tensors, i,
                       tensor) if (json_object_set_new(weight_map, json_string_value(tensor), json_string(name)) !=
                                   0) return hc_no_memory(error);
    *tensor_bytes += summary->file_bytes - summary->header_bytes;
    return hc_manifest_add_shard(manifest, name, summary->file_bytes, summary->header_bytes, summary->header_checksum,
                                 error);
}

static hc_status write_shard_files(struct hc_run *run, const struct paths *paths, json_t *manifest, json_t *weight_map,
                                   uint64_t *tensor_bytes, struct hc_error *error)
{
    hc_status status = HC_OK;
    for (size_t file = 0; status == HC_OK && file < run->source->file_count; file++) {
        const char *name = shard_name(run->source, file);
        struct hc_shard_summary summary = {0};
        char *path = paths ? hc_path_join(paths->stage, name) : NULL;
        status = paths && !path ? hc_no_memory(error) : hc_shard_write(run, file, path, &summary, error);
        if (status == HC_OK)
            status = note_shard(name, &summary, weight_map, tensor_bytes, manifest, error);
        json_decref(summary.tensors);
        free(path);
    }
    return status;
}

/* While the disk is waited for. */
static hc_status attend(void *user, struct hc_error *error)
{
    return hc_meter_attend(user, error);
}

/* All shards, and their index. Whatever is whole when something fails stays, and the first failure is reported. */
static hc_status write_shards(struct hc_run *run, const struct paths *paths, json_t *manifest, struct hc_error *error)
{
    json_t *weight_map = json_object();
    uint64_t tensor_bytes = 0;
    hc_status status = paths ? hc_writer_begin(&run->writer, &run->journal, attend, &run->meter, error) : HC_OK;
    if (status == HC_OK)
        status = write_shard_files(run, paths, manifest, weight_map, &tensor_bytes, error);
    if (status == HC_OK && run->writer)
        status = hc_writer_wait(run->writer, error);
    if (status != HC_OK)
        hc_comm_abort(&run->context->comm, error->text); /* before what waits is written, which may take long */
    hc_status ended = hc_writer_end(run->writer, status == HC_OK ? error : NULL);
    status = status == HC_OK ? ended : status;
    run->writer = NULL;
    if (status == HC_OK && paths && hc_source_needs_index(run->source))
        status = write_json(
            run, paths, HC_INDEX_NAME,
            json_pack("{s:{s:I}, s:O}", "metadata", "total_size", (json_int_t)tensor_bytes, "weight_map", weight_map),
            manifest, error);
    json_decref(weight_map);
    return status;
}

/* ---- The run -------------------------------------------------------------------------------- */

static json_t *manifest_begin(const json_t *identity)
{
    json_t *manifest = json_object();
    if (json_object_update(manifest, (json_t *)identity) == 0 &&
        json_object_set_new(manifest, "shards", json_array()) == 0 &&
        json_object_set_new(manifest, "files", json_array()) == 0) {
        json_object_del(manifest, INPUT_TIMES); /* the same input must give the same bytes */
        return manifest;
    }
    json_decref(manifest);
    return NULL;
}

/* What the first rank finds, the others must know before they begin. */
static hc_status agree_on_work(struct hc_run *run, bool *needed, struct hc_error *error)
{
    uint64_t words[2] = {*needed, run->records_found};
    hc_status status = hc_comm_broadcast(&run->context->comm, 0, words, sizeof words, "what there is to do", error);
    *needed = words[0];
    run->records_found = words[1];
    return status;
}

struct plan_ticker {
    struct hc_ticker ticker;
    struct hc_run *run;
};

/* Only asks whether to go on: plans are no part of the weights that are done. */
static bool plan_tick(struct hc_ticker *ticker, uint64_t weights)
{
    (void)weights;
    return hc_meter_report(&((struct plan_ticker *)ticker)->run->meter, 0, NULL) == HC_OK;
}

/* Matrices that the moments do not know, and moments of what is not there, do not go unsaid. */
static void tell_moments(const struct hc_run *run)
{
    const struct hc_source *source = run->source;
    const char *first = NULL;
    size_t without = 0, known = 0;
    char text[320];
    for (size_t i = 0; i < source->tensor_count; i++) {
        const struct hc_tensor *tensor = &source->tensors[i];
        known += tensor->moments != NULL;
        if (tensor->moments || hc_kept_because(tensor, run->options) ||
            hc_tensor_role(tensor->name) == HC_ROLE_EMBEDDING)
            continue;
        first = first ? first : tensor->name;
        without++;
    }
    if (without) {
        snprintf(text, sizeof text, "--moments: %zu matrices go without, %.200s first", without, first);
        run->options->notice(text, run->options->user);
    }
    if (known < run->moments.moments->count) {
        snprintf(text, sizeof text, "--moments: %zu vectors belong to no tensor", run->moments.moments->count - known);
        run->options->notice(text, run->options->user);
    }
}

/* The same source and options give the same moments too. */
static hc_status make_moments(struct hc_run *run, struct hc_error *error)
{
    struct plan_ticker ticker = {{plan_tick}, run};
    hc_status status = hc_moments_make(&run->moments, run->context, run->source, &ticker.ticker, error);
    if (status != HC_OK)
        return status;
    hc_moments_attach(&run->moments, run->source);
    if (run->moments.kind == HC_MOMENTS_FILE && run->options->notice)
        tell_moments(run);
    return HC_OK;
}

/* The same source and options give the same rates, in a run that goes on with another too. */
static hc_status share_rates(struct hc_run *run, struct hc_error *error)
{
    struct plan_ticker ticker = {{plan_tick}, run};
    run->rates = calloc(run->source->tensor_count + 1, sizeof *run->rates);
    if (!run->rates)
        return hc_no_memory(error);
    return run->method->share
               ? run->method->share(run->engine, run->source, run->options, &ticker.ticker, run->rates, error)
               : HC_OK;
}

/* Everything into the stage. */
static hc_status make_model(struct hc_run *run, const struct paths *paths, const json_t *identity,
                            struct hc_error *error)
{
    json_t *manifest = manifest_begin(identity);
    hc_status status = manifest ? make_moments(run, error) : hc_no_memory(error);
    if (status == HC_OK)
        status = share_rates(run, error);
    if (status == HC_OK)
        status = write_shards(run, paths, manifest, error);
    run->meter.progress.tensor = NULL;
    if (status == HC_OK && paths) {
        HC_TRY(write_text(run, paths, HC_CONFIG_NAME, run->config, manifest, error));
        HC_TRY(write_tokenizer(run, paths, manifest, error));
        HC_TRY(copy_files(run, paths, manifest, error));
        HC_TRY(write_json(run, paths, HC_MANIFEST, json_incref(manifest), NULL, error));
        HC_TRY(hc_sync_directory(paths->stage, error));
    }
done:
    json_decref(manifest);
    return status;
}

/* *finished: an earlier run moved its result into place and was stopped before it could tidy up. */
static hc_status was_finished(const struct hc_run *run, const struct paths *paths, bool *finished,
                              struct hc_error *error)
{
    char *path = hc_path_join(paths->output, HC_MANIFEST), checksum[HC_CHECKSUM_DIGITS + 1] = "";
    json_int_t folder = (json_int_t)hc_path_inode(paths->output);
    hc_status status = path ? HC_OK : hc_no_memory(error);
    if (status == HC_OK && hc_path_exists(path))
        status = hc_checksum_file(path, checksum, NULL, error);
    *finished = false;
    for (size_t i = json_array_size(run->journal.records); i-- > 0;) {
        const json_t *record = json_array_get(run->journal.records, i);
        const char *made = json_string_value(json_object_get(record, "finished"));
        if (!made)
            break;
        /* An older result may have the same manifest, but is another folder; later, another folder its number. */
        *finished = *finished ||
                    (json_integer_value(json_object_get(record, "folder")) == folder && strcmp(made, checksum) == 0);
        json_array_remove(run->journal.records, i); /* not a tensor */
    }
    free(path);
    return status;
}

/* The journal goes last: as long as anything is left, it tells what. */
static hc_status tidy_up(const struct paths *paths, struct hc_error *error)
{
    hc_status status = hc_remove_tree(paths->stage, error);
    if (status == HC_OK)
        status = hc_remove_tree(paths->work, error);
    return status;
}

/* The last steps: the journal learns that the stage is whole, the stage becomes the output, the rest goes. */
static hc_status publish(struct hc_run *run, const struct paths *paths, struct hc_error *error)
{
    char *manifest = hc_path_join(paths->stage, HC_MANIFEST), checksum[HC_CHECKSUM_DIGITS + 1];
    hc_status status = manifest ? HC_OK : hc_no_memory(error);
    if (status != HC_OK)
        return status;
    HC_TRY(hc_checksum_file(manifest, checksum, NULL, error));
    HC_TRY(hc_meter_attend(&run->meter, error));
    HC_TRY(hc_journal_add(
        &run->journal, json_pack("{s:s, s:I}", "finished", checksum, "folder", (json_int_t)hc_path_inode(paths->stage)),
        error));
    HC_TRY(hc_journal_commit(&run->journal, error));
    HC_TRY(hc_meter_attend(&run->meter, error));
    status = hc_move_into_place(paths->stage, paths->output, run->options->force, error);
    if (status == HC_ERR_UNSUPPORTED)
        status = hc_fail(error, status,
                         "%s: this file system cannot replace it in one step; the finished result lies in %s: "
                         "move the old one away, then --resume",
                         paths->output, paths->stage);
    if (status == HC_OK) {
        hc_meter_attend(&run->meter, NULL); /* cannot stop what is done */
        status = tidy_up(paths, error);
    }
done:
    free(manifest);
    return status;
}

/* Opens the journal in the work folder: an earlier run's to go on with, or a new one. Its lock comes first: --force
 * must not take the folder from a run that is at work. */
static hc_status open_work(struct hc_run *run, const struct paths *paths, const json_t *identity,
                           struct hc_error *error)
{
    bool fresh = run->options->force && !run->options->resume;
    hc_status status;
    HC_TRY(hc_make_parents(paths->work, error));
    HC_TRY(hc_make_directory(paths->work, error));
    HC_TRY(hc_journal_open(&run->journal, paths->journal, fresh, identity, error));
done:
    return status;
}

/* True also if that cannot be told. */
static bool is_newer(const char *path, const struct timespec *time)
{
    struct stat info;
    return !path || stat(path, &info) != 0 || info.st_mtim.tv_sec > time->tv_sec ||
           (info.st_mtim.tv_sec == time->tv_sec && info.st_mtim.tv_nsec > time->tv_nsec);
}

/* True if a file of the input was written to after the output's manifest. */
static bool has_newer_input(const struct hc_source *source, const struct paths *paths)
{
    char *manifest = hc_path_join(paths->output, HC_MANIFEST);
    struct stat info;
    bool newer = !manifest || stat(manifest, &info) != 0;
    for (size_t i = 0; !newer && i < source->file_count; i++)
        newer = is_newer(source->files[i].path, &info.st_mtim);
    for (size_t i = 0; !newer && i < source->copy_count; i++) {
        char *copy = hc_path_join(source->path, source->copies[i]);
        newer = is_newer(copy, &info.st_mtim);
        free(copy);
    }
    free(manifest);
    return newer;
}

/* --resume where nothing is left to do: the output is there, a run of the same identity made it, and the input has not
 * changed since: its checksum is one of samples. With --force nothing at the output is taken for granted. */
static bool is_complete(const struct hc_run *run, const struct paths *paths, const json_t *identity)
{
    json_t *manifest = NULL, *value;
    const char *key;
    if (!run->options->resume || run->options->force || is_taken(paths->work) || !is_taken(paths->output) ||
        has_newer_input(run->source, paths) || hc_manifest_read(paths->output, &manifest, NULL) != HC_OK)
        return false;
    bool same = true;
    json_object_foreach((json_t *)identity, key, value) same =
        same && (strcmp(key, INPUT_TIMES) == 0 || json_equal(json_object_get(manifest, key), value));
    json_decref(manifest);
    return same;
}

/* Nothing is left to do but to tidy up. */
static hc_status end_early(struct hc_run *run, const struct paths *paths, struct hc_error *error)
{
    bool needed = false;
    hc_status status = tidy_up(paths, error);
    return status == HC_OK ? agree_on_work(run, &needed, error) : status;
}

/* Once the journal is open. */
static hc_status do_work(struct hc_run *run, const struct paths *paths, const json_t *identity, struct hc_error *error)
{
    bool finished;
    hc_status status;
    if (run->journal.size == 0) {
        HC_TRY(hc_remove_tree(paths->stage, error)); /* what no journal tells of */
        HC_TRY(hc_journal_commit(&run->journal, error));
    }
    HC_TRY(hc_make_directory(paths->stage, error));
    HC_TRY(hc_sync_directory(paths->work, error));
    HC_TRY(was_finished(run, paths, &finished, error));
    if (finished) {
        status = end_early(run, paths, error);
        goto done;
    }
    if (is_taken(paths->output) && !run->options->force) {
        status =
            hc_fail(error, HC_ERR_EXISTS, "%s: is there already; --resume with --force replaces it", paths->output);
        goto done;
    }
    run->records_found = json_array_size(run->journal.records);
    bool needed = true;
    HC_TRY(agree_on_work(run, &needed, error));
    HC_TRY(make_model(run, paths, identity, error));
    HC_TRY(publish(run, paths, error));
done:
    return status;
}

static hc_status run_on_disk(struct hc_run *run, const char *output, const json_t *identity, struct hc_error *error)
{
    struct paths paths = {0};
    hc_status status;
    HC_TRY(paths_make(output, &paths, error));
    HC_TRY(hc_source_check_apart(run->source, paths.output, error));
    HC_TRY(hc_source_check_apart(run->source, paths.work, error));
    if (is_complete(run, &paths, identity)) {
        status = end_early(run, &paths, error); /* an empty work folder may be left */
        goto done;
    }
    HC_TRY(check_present(&paths, run->options, error));
    HC_TRY(open_work(run, &paths, identity, error));
    bool begun_here = run->journal.size == 0;
    status = do_work(run, &paths, identity, error);
    if (status != HC_OK && begun_here && json_array_size(run->journal.records) == 0)
        tidy_up(&paths, NULL); /* nothing was coded: nothing to go on with, and nothing should be in the way */
done:
    hc_journal_close(&run->journal);
    paths_free(&paths);
    return status;
}

/* The format needs some names for itself: those of parts, and that of the metadata. */
static bool is_reserved(const char *name)
{
    return hc_is_part(name) || strcmp(name, "__metadata__") == 0;
}

/* Names and patterns go into journal and manifest, which are JSON. */
static hc_status check_names(const struct hc_source *source, struct hc_error *error)
{
    for (size_t i = 0; i < source->file_count; i++)
        if (!hc_is_utf8(source->files[i].name))
            return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: its name is not UTF-8", source->files[i].path);
    for (size_t i = 0; i < source->copy_count; i++)
        if (!hc_is_utf8(source->copies[i]))
            return hc_fail(error, HC_ERR_UNSUPPORTED, "%s/%s: its name is not UTF-8", source->path, source->copies[i]);
    return HC_OK;
}

static hc_status check_patterns(const hc_patterns *patterns, struct hc_error *error)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (!hc_is_utf8(patterns->items[i]))
            return hc_fail(error, HC_ERR_ARGUMENT, "the pattern '%s' is not UTF-8", patterns->items[i]);
    return HC_OK;
}

/* A model that hyperc made is not compressed twice. */
static hc_status check_source(const struct hc_source *source, struct hc_error *error)
{
    for (size_t f = 0; f < source->file_count; f++)
        for (size_t i = 0; i < source->files[f].metadata_count; i++)
            if (strcmp(source->files[f].metadata_keys[i], HC_VERSION_KEY) == 0)
                return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: is compressed already", source->files[f].path);
    for (size_t i = 0; i < source->tensor_count; i++)
        if (is_reserved(source->tensors[i].name))
            return hc_fail(error, HC_ERR_UNSUPPORTED,
                           "%s: tensor %s: a name that compressed models need for themselves",
                           source->files[source->tensors[i].file].path, source->tensors[i].name);
    return HC_OK;
}

/* ---- Ranks ---------------------------------------------------------------------------------- */

/* All ranks must be about to do the same; only the times of files may differ from machine to machine. */
static hc_status agree_on_run(const struct hc_run *run, const json_t *identity, struct hc_error *error)
{
    struct hc_comm *comm = &run->context->comm;
    json_t *rest = json_copy((json_t *)identity);
    char *input = hc_json_text(json_object_get(identity, "input"), JSON_COMPACT);
    json_object_del(rest, "input");
    json_object_del(rest, INPUT_TIMES);
    char *options = hc_json_text(rest, JSON_COMPACT | JSON_SORT_KEYS);
    hc_status status = input && options ? HC_OK : hc_no_memory(error);
    if (status != HC_OK)
        goto done;
    HC_TRY(hc_comm_agree(comm, input, "the input", error));
    HC_TRY(hc_comm_agree(comm, options, "the options", error));
    HC_TRY(hc_comm_agree(comm, run->config ? run->config : "", "the config.json of the input", error));
    HC_TRY(hc_source_agree(run->source, comm, error)); /* last: it may take long */
done:
    json_decref(rest);
    free(input);
    free(options);
    return status;
}

/* Without a place to write to: in a dry run, and on all ranks but the first. */
static hc_status run_in_memory(struct hc_run *run, const json_t *identity, struct hc_error *error)
{
    bool needed = true;
    hc_status status = agree_on_work(run, &needed, error);
    return status == HC_OK && needed ? make_model(run, NULL, identity, error) : status;
}

/* The others wait for the result to be in place. That they did not hear of it is no failure of the first rank. */
static hc_status tell_the_end(const struct hc_run *run, struct hc_error *error)
{
    uint8_t done = 1;
    hc_status status = hc_comm_broadcast(&run->context->comm, 0, &done, 1, "the end of the run", error);
    return hc_run_leads(run) ? HC_OK : status;
}

/* The engine of this rank's devices, or of those of all ranks. */
static hc_status open_engine(struct hc_run *run, struct hc_engine *all, struct hc_error *error)
{
    hc_context *context = run->context;
    hc_status status = hc_context_need_engine(context);
    run->engine = &context->engine;
    hc_device_reports_begin(&context->reports, run->options->device_reports);
    if (status == HC_OK && context->comm.ranks > 1) {
        status = hc_engine_ranks(all, &context->engine, &context->comm, context->speed, &context->reports, error);
        run->engine = all;
    }
    run->engine->notice = run->options->notice;
    run->engine->user = run->options->user;
    return status;
}

static void close_engine(struct hc_run *run, struct hc_engine *all)
{
    if (all->table)
        all->table->destroy(all);
    run->context->engine.notice = NULL;
}

/* ---- From beginning to end ------------------------------------------------------------------ */

static void count_weights(struct hc_run *run)
{
    uint64_t weights = 0;
    for (size_t i = 0; i < run->source->tensor_count; i++)
        weights += run->source->tensors[i].weights;
    hc_meter_begin(&run->meter, run->context, run->source->tensor_count, weights);
}

/* Once the engine is open, and the source, which is checked. */
static hc_status compress(struct hc_run *run, const char *output, json_t *method_options, struct hc_error *error)
{
    json_t *identity = NULL;
    hc_status status;
    tell_unmatched(run, "--only", &run->options->only);
    tell_unmatched(run, "--keep", &run->options->keep);
    HC_TRY(make_config(run, method_options, error));
    count_weights(run);
    identity = identity_json(run, method_options);
    if (!identity) {
        status = hc_no_memory(error);
        goto done;
    }
    HC_TRY(agree_on_run(run, identity, error));
    HC_TRY(hc_run_leads(run) && !run->options->dry_run ? run_on_disk(run, output, identity, error)
                                                       : run_in_memory(run, identity, error));
    HC_TRY(tell_the_end(run, error));
    hc_meter_report(&run->meter, 0, NULL); /* cannot stop what is done */
done:
    json_decref(identity);
    return status;
}

static hc_status check_options(const struct hc_run *run, json_t **method_options, struct hc_error *error)
{
    hc_status status;
    if (!run->method)
        return hc_fail(error, HC_ERR_ARGUMENT, "unknown method '%s'", run->options->method);
    HC_TRY(run->method->options(run->options, method_options, error));
    HC_TRY(check_patterns(&run->options->only, error));
    HC_TRY(check_patterns(&run->options->keep, error));
done:
    return status;
}

hc_status hc_compress(hc_context *context, const char *input, const char *output, const hc_compress_options *options)
{
    struct hc_error *error = &context->error;
    struct hc_engine all = {0};
    json_t *method_options = NULL;
    hc_compress_options quiet = *options;
    struct hc_run run = {.context = context, .options = options, .journal = {.file = {.fd = -1}}};
    hc_status status;
    quiet.tensor_done = NULL;
    quiet.notice = NULL;
    run.method = hc_method_find(options->method);
    HC_TRY(check_options(&run, &method_options, error));
    HC_TRY(open_engine(&run, &all, error));
    if (!hc_run_leads(&run))
        run.options = &quiet; /* but devices that fail there do not go unsaid */
    HC_TRY(hc_source_open(input, &run.source, error));
    HC_TRY(check_names(run.source, error));
    HC_TRY(check_source(run.source, error));
    HC_TRY(compress(&run, output, method_options, error));
done:
    if (status != HC_OK)
        hc_comm_abort(&context->comm, error->text);
    close_engine(&run, &all);
    hc_meter_end(&run.meter);
    hc_source_close(run.source);
    free(run.config);
    free(run.rates);
    hc_moments_choice_clear(&run.moments);
    json_decref(method_options);
    return status;
}
