/* Models whose weights were changed: a directory in float32, with the configuration and the tokenizer of the one that
 * was read. */
#ifndef HC_BENCH_DITHER_REWRITE_H
#define HC_BENCH_DITHER_REWRITE_H

#include "files.h"
#include "header.h"
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Changes the weights of tensor number `index` of the source, all of them, in its row-major order. */
typedef void (*rewrite_fn)(void *user, const struct hc_tensor *tensor, size_t index, float *weights);

struct rewrite {
    rewrite_fn change;
    void *user;
    struct hc_kernels kernels;
    struct hc_source *source;
    struct hc_header header;
    struct hc_out out;
    struct hc_error error;
};

/* Everything but the weights, as the library carries it over: all tensors kept, then back to plain numbers. */
static inline hc_status rewrite_surroundings(const char *input, const char *output, struct hc_error *error)
{
    static const char *const everything[] = {"*"};
    hc_compress_options keep;
    hc_decompress_options restore;
    hc_context *context = NULL;
    char kept[4200];
    hc_compress_options_init(&keep);
    hc_decompress_options_init(&restore);
    keep.keep = (hc_patterns){everything, 1};
    keep.force = restore.force = true;
    snprintf(kept, sizeof kept, "%.4096s.kept", output);
    hc_status status = hc_context_create(&context, NULL);
    if (status == HC_OK)
        status = hc_compress(context, input, kept, &keep);
    if (status == HC_OK)
        status = hc_decompress(context, kept, output, &restore);
    if (status != HC_OK)
        hc_fail(error, status, "%s", context ? hc_message(context) : "out of memory");
    hc_context_destroy(context);
    struct hc_error ignored;
    hc_remove_tree(kept, &ignored);
    return status;
}

static inline hc_status rewrite_header(struct rewrite *rewrite, uint64_t *data)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    hc_status status = HC_OK;
    HC_TRY(hc_header_begin(&rewrite->header, &rewrite->error));
    HC_TRY(hc_header_metadata(&rewrite->header, "format", "pt", &rewrite->error));
    for (size_t i = 0; i < rewrite->source->tensor_count; i++) {
        const struct hc_tensor *tensor = &rewrite->source->tensors[i];
        if (!hc_type_is_float(tensor->type)) {
            status = hc_fail(&rewrite->error, HC_ERR_UNSUPPORTED, "%s: not floating point", tensor->name);
            goto done;
        }
        HC_TRY(hc_header_tensor(&rewrite->header, tensor->name, HC_TYPE_F32, tensor->rank, tensor->shape,
                                4 * tensor->weights, &rewrite->error));
    }
    HC_TRY(hc_header_bytes(&rewrite->header, 0, &bytes, &length, &rewrite->error));
    HC_TRY(hc_out_write_at(&rewrite->out, 0, bytes, length, &rewrite->error));
    *data = length;
done:
    free(bytes);
    return status;
}

static inline hc_status rewrite_tensor(struct rewrite *rewrite, size_t index, uint64_t offset)
{
    const struct hc_tensor *tensor = &rewrite->source->tensors[index];
    float *weights = malloc((size_t)tensor->weights * sizeof *weights + 1);
    if (!weights)
        return hc_fail(&rewrite->error, HC_ERR_MEMORY, "%s: out of memory", tensor->name);
    hc_tensor_read(tensor, &rewrite->kernels, 0, tensor->weights, weights);
    rewrite->change(rewrite->user, tensor, index, weights);
    hc_status status =
        hc_out_write_at(&rewrite->out, offset, weights, (size_t)tensor->weights * sizeof *weights, &rewrite->error);
    free(weights);
    return status;
}

static inline hc_status rewrite_weights(struct rewrite *rewrite, const char *input, const char *output)
{
    char path[4200];
    uint64_t offset = 0;
    hc_status status = HC_OK;
    snprintf(path, sizeof path, "%.4096s/model.safetensors", output);
    HC_TRY(hc_source_open(input, &rewrite->source, &rewrite->error));
    if (rewrite->source->file_count != 1 || !hc_path_exists(path)) {
        status =
            hc_fail(&rewrite->error, HC_ERR_UNSUPPORTED, "%s: only models of one weight file are rewritten", input);
        goto done;
    }
    HC_TRY(hc_out_open(&rewrite->out, path, true, &rewrite->error));
    HC_TRY(rewrite_header(rewrite, &offset));
    for (size_t i = 0; i < rewrite->source->tensor_count; i++) {
        HC_TRY(rewrite_tensor(rewrite, i, offset));
        offset += 4 * rewrite->source->tensors[i].weights;
    }
    HC_TRY(hc_out_finish(&rewrite->out, &rewrite->error));
done:
    hc_out_close(&rewrite->out);
    hc_header_end(&rewrite->header);
    hc_source_close(rewrite->source);
    return status;
}

/* Writes the model at `input`, of one weight file, to the new directory `output`. False, and a line on stderr, if that
 * fails. */
static inline bool rewrite_model(const char *program, const char *input, const char *output, rewrite_fn change,
                                 void *user)
{
    struct rewrite rewrite = {.change = change, .user = user, .out = {.fd = -1}};
    hc_kernels_init(&rewrite.kernels, HC_TIER_BEST);
    hc_status status = rewrite_surroundings(input, output, &rewrite.error);
    if (status == HC_OK)
        status = rewrite_weights(&rewrite, input, output);
    if (status != HC_OK)
        fprintf(stderr, "%s: %s\n", program, rewrite.error.text);
    return status == HC_OK;
}

#endif
