#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static double bits_per_weight(const hc_tensor_info *info)
{
    return info->weights ? 8 * (double)info->stored_bytes / (double)info->weights : 0;
}

void print_text(FILE *out, const char *text, int width)
{
    for (; *text; width--) {
        const unsigned char *c = (const unsigned char *)text;
        size_t bytes = character_bytes(text);
        bool control = c[0] < 0x20 || c[0] == 0x7f || (bytes == 2 && c[0] == 0xc2 && c[1] < 0xa0);
        if (bytes == 0 || control)
            putc('?', out);
        else
            fwrite(text, 1, bytes, out);
        text += bytes ? bytes : 1;
    }
    fprintf(out, "%*s", width > 0 ? width : 0, "");
}

json_t *tensor_json(const hc_tensor_info *info)
{
    json_t *shape = json_array();
    for (int i = 0; i < info->rank; i++)
        json_append(&shape, json_integer((json_int_t)info->shape[i]));
    json_t *json = json_pack("{s:o, s:s, s:o, s:I, s:I, s:o}", "name", json_text(info->name), "type",
                             hc_type_name(info->type), "shape", shape, "weights", (json_int_t)info->weights, "bytes",
                             (json_int_t)info->stored_bytes, "bits_per_weight", json_figure(bits_per_weight(info)));
    if (info->method) {
        json_put(&json, "method", json_string(info->method));
        json_put(&json, "parameters", json_string(info->parameters));
        json_put(&json, "mean_abs_error", json_figure(info->mean_abs_error));
        json_put(&json, "max_abs_error", json_figure(info->max_abs_error));
        json_put(&json, "signal_to_noise", json_figure(info->signal_to_noise));
        if (info->published_mean_abs_error >= 0)
            json_put(&json, "published_mean_abs_error", json_figure(info->published_mean_abs_error));
    } else if (info->kept_because && info->kept_because[0]) {
        json_put(&json, "kept_because", json_text(info->kept_because));
    }
    return json;
}

json_t *totals_json(const hc_model_totals *totals)
{
    json_t *json =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "tensors", (json_int_t)totals->tensors, "coded_tensors",
                  (json_int_t)totals->coded_tensors, "weights", (json_int_t)totals->weights, "coded_weights",
                  (json_int_t)totals->coded_weights, "stored_bytes", (json_int_t)totals->stored_bytes, "coded_bytes",
                  (json_int_t)totals->coded_bytes, "file_bytes", (json_int_t)totals->file_bytes, "bits_per_weight",
                  json_figure(totals->bits_per_weight));
    if (totals->coded_weights) {
        json_put(&json, "coded_bits_per_weight", json_figure(totals->coded_bits_per_weight));
        json_put(&json, "mean_abs_error", json_figure(totals->mean_abs_error));
        json_put(&json, "signal_to_noise", json_figure(totals->signal_to_noise));
    }
    return json;
}

void print_table_head(int name_width)
{
    printf("%-*s  %-14s %-7s %-6s %8s %7s %10s  %s\n", name_width, "tensor", "shape", "type", "method", "bits/w",
           "SNR dB", "mean |err|", "parameters");
}

static void format_shape(const hc_tensor_info *info, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < info->rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRIu64, i ? " x " : "", info->shape[i]);
    if (info->rank == 0)
        snprintf(text, size, "scalar");
}

static void print_kept(const char *because)
{
    printf("%7s %10s  %s", "-", "-", because[0] ? "kept: " : "");
    print_text(stdout, because, 0);
    putchar('\n');
}

void print_table_row(const hc_tensor_info *info, int name_width)
{
    char shape[192];
    format_shape(info, shape, sizeof shape);
    print_text(stdout, info->name, name_width);
    printf("  %-14s %-7s %-6s %8.4f ", shape, hc_type_name(info->type), info->method ? info->method : "-",
           bits_per_weight(info));
    if (info->method && isfinite(info->signal_to_noise))
        printf("%7.2f %10.3e  %s\n", info->signal_to_noise, info->mean_abs_error, info->parameters);
    else if (info->method)
        printf("%7s %10.3e  %s\n", "inf", info->mean_abs_error, info->parameters);
    else
        print_kept(info->kept_because ? info->kept_because : "");
}

void print_totals(const hc_model_totals *totals)
{
    char a[32], b[32];
    uint64_t kept = totals->weights - totals->coded_weights, kept_bytes = totals->stored_bytes - totals->coded_bytes;
    if (totals->coded_weights)
        printf("coded: %" PRIu64 " tensors, %" PRIu64 " weights, %s: %.4f bits per weight, mean abs error %.4e, "
               "signal to noise %.2f dB\n",
               totals->coded_tensors, totals->coded_weights, human_bytes((double)totals->coded_bytes, a),
               totals->coded_bits_per_weight, totals->mean_abs_error, totals->signal_to_noise);
    printf("%s: %" PRIu64 " tensors, %" PRIu64 " weights, %s\n", totals->coded_weights ? "kept" : "as they are",
           totals->tensors - totals->coded_tensors, kept, human_bytes((double)kept_bytes, b));
    printf("files: %s, headers included, over all %" PRIu64 " weights: %.4f bits per weight; left out: configuration "
           "and tokenizer\n",
           human_bytes((double)totals->file_bytes, a), totals->weights, totals->bits_per_weight);
}

void side_gain_add(struct side_gain *gain, const hc_tensor_info *info)
{
    if (!info->method || info->published_mean_abs_error < 0)
        return;
    gain->weights += (double)info->weights;
    gain->error += info->mean_abs_error * (double)info->weights;
    gain->published += info->published_mean_abs_error * (double)info->weights;
}

void side_gain_print(const struct side_gain *gain)
{
    if (gain->weights > 0)
        printf("side auto: mean abs error %.4e, where side 0.1 gives %.4e: %.1f %% less\n", gain->error / gain->weights,
               gain->published / gain->weights, 100 * (1 - gain->error / gain->published));
}

json_t *side_gain_json(const struct side_gain *gain)
{
    if (!(gain->weights > 0))
        return NULL;
    return json_pack("{s:o, s:o}", "mean_abs_error", json_figure(gain->error / gain->weights),
                     "published_mean_abs_error", json_figure(gain->published / gain->weights));
}
