#include "selection.h"

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

const char *hc_kept_because(const struct hc_tensor *tensor, const hc_compress_options *options)
{
    if (!hc_type_is_float(tensor->type))
        return "not floating point";
    if (tensor->weights == 0)
        return "empty";
    if (matches(&options->keep, tensor->name))
        return "--keep";
    if (options->only.count)
        return matches(&options->only, tensor->name) ? NULL : "not in --only";
    return tensor->rank < 2 ? "fewer than two dimensions" : NULL;
}

size_t hc_piece_count(const struct hc_tensor *tensor)
{
    bool experts = tensor->rank == 3 && strstr(tensor->name, "experts") && tensor->shape[0] <= MAX_EXPERTS;
    return experts ? (size_t)tensor->shape[0] : 1;
}
