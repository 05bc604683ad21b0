#include "selection.h"

#include "rate.h"

#include <fnmatch.h>
#include <string.h>

enum { MAX_EXPERTS = 1 << 12 };

static bool matches(const hc_patterns *patterns, const char *name)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (fnmatch(patterns->items[i], name, 0) == 0)
            return true;
    return false;
}

bool hc_matches_any(const struct hc_source *source, const char *pattern)
{
    for (size_t i = 0; i < source->tensor_count; i++)
        if (fnmatch(pattern, source->tensors[i].name, 0) == 0)
            return true;
    return false;
}

/* Options of `window` that keep a tensor. */
static const char *kept_by_rate(const struct hc_tensor *tensor, const hc_compress_options *options)
{
    if (strcmp(options->method, "window") != 0 || hc_rate_fixed(tensor, options) != 0)
        return NULL;
    return hc_tensor_role(tensor->name) == HC_ROLE_HEAD ? "--head-bits keep" : "--embed-bits keep";
}

const char *hc_kept_because(const struct hc_tensor *tensor, const hc_compress_options *options)
{
    if (!hc_type_is_float(tensor->type))
        return "not floating point";
    if (tensor->weights == 0)
        return "empty";
    if (matches(&options->keep, tensor->name))
        return "--keep";
    if (options->only.count && !matches(&options->only, tensor->name))
        return "not in --only";
    if (tensor->rank < 2 && (options->only.count == 0 || strcmp(options->method, "window") == 0))
        return "fewer than two dimensions";
    return kept_by_rate(tensor, options);
}

size_t hc_piece_count(const struct hc_tensor *tensor)
{
    bool named = strstr(tensor->name, "experts") || strstr(tensor->name, "moe");
    bool experts = tensor->rank == 3 && named && tensor->shape[0] <= MAX_EXPERTS;
    return experts ? (size_t)tensor->shape[0] : 1;
}

struct hc_shape hc_piece_shape(int rank, const uint64_t *shape, size_t pieces)
{
    struct hc_shape matrix = {1, 1};
    int first = pieces > 1;
    bool whole = pieces <= 1 || (rank >= 2 && shape[0] == pieces);
    while (whole && rank - first > 2 && shape[first] == 1)
        first++;
    if (whole && rank - first >= 2)
        matrix.rows = shape[first++];
    for (int d = whole ? first : 0; d < rank; d++)
        matrix.columns *= shape[d];
    return whole ? matrix : (struct hc_shape){0, matrix.columns / pieces};
}

struct hc_piece hc_piece_at(const struct hc_tensor *tensor, size_t p)
{
    size_t pieces = hc_piece_count(tensor);
    struct hc_shape shape = hc_piece_shape(tensor->rank, tensor->shape, pieces);
    uint64_t weights = tensor->weights / pieces;
    return (struct hc_piece){tensor, p * weights, weights, shape.rows, shape.columns};
}
