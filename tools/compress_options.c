#include "compress_options.h"

#include <string.h>

enum { MAX_BITS = 8 };

const struct option_spec compress_specs[] = {
    {"output", "DIR", "the new folder to write", 'o'},
    {"method", "NAME", "window (default): overlapping codes; pair: one code for two weights, as published", 0},
    {"bits", "B", "window: bits per weight but for embeddings and head, 1 to 6 or 8 (4); a fraction is shared out", 0},
    {"embed-bits", "K|keep", "window: bits of embeddings, or keep them (6)", 0},
    {"head-bits", "K|keep", "window: bits of the output matrix, or keep it (6)", 0},
    {"bits-for", "PATTERN=K", "window: bits of tensors whose name matches (may be repeated, the first counts)", 0},
    {"window", "L", "window: bits of a code, 8 to 16 (12): more is better and slower", 0},
    {"effort", "NAME", "window: fast, default (both --window 12) or best (--window 16)", 0},
    {"columns", "norm|none", "window: scale columns by their norm (norm), or not at all", 0},
    {"moments", "SOURCE", "window: sizes of the inputs, which say where errors do harm: weights, none, self or a FILE",
     0},
    {"side", "S|auto", "pair: side of the inner square (0.1); auto: the best for each tensor", 0},
    {"points", "LIST", "pair: points of the trajectory, tried in this order (1600)", 0},
    {"classes", "N", "pair: most classes of outer pairs, 1 to 15 (3)", 0},
    {"loss-max", "X", "pair: mean abs error above which the next of --points is tried (0.001)", 0},
    {"loss-threshold", "X", "pair: mean abs error that is good enough to stop adding classes (0.001)", 0},
    {"keep-above", "X", "pair: keep tensors whose mean abs error would exceed X", 0},
    {"only", "PATTERN", "code only tensors whose name matches (may be repeated)", 0},
    {"keep", "PATTERN", "keep tensors whose name matches as they are (may be repeated)", 0},
    {"resume", NULL, "finish an interrupted run", 0},
    {"force", NULL, "replace the model at the output, finished or not", 0},
    {"dry-run", NULL, "measure everything, write nothing; -o may be left out", 0},
    {"speeds", "LIST", "of each device, in cores: shares go by it (cpu: its threads; cuda: as it says, an A100 100)",
     0},
    {"progress", "run|devices", "tell of the whole run (run), or also of every device, every 10 seconds and at the end",
     0},
    {NULL, NULL, NULL, 0},
};

void compress_request_init(struct compress_request *request)
{
    memset(request, 0, sizeof *request);
    hc_compress_options_init(&request->options);
    request->options.only.items = request->only;
    request->options.keep.items = request->keep;
    request->options.pair.points = request->points;
    request->options.window.bits_for = request->bits_for;
}

static bool set_pattern(const char *name, const char *value, const char **items, size_t *count)
{
    if (*count == MAX_PATTERNS) {
        fprintf(stderr, "hyperc: more than %d times --%s\n", MAX_PATTERNS, name);
        return false;
    }
    items[(*count)++] = value;
    return true;
}

static bool set_points(const char *value, struct compress_request *request)
{
    hc_pair_options *pair = &request->options.pair;
    pair->point_counts = 0;
    for (const char *item = value; item;) {
        char text[16];
        uint64_t points;
        size_t length = strcspn(item, ",");
        if (length >= sizeof text || pair->point_counts == MAX_POINTS)
            return bad_value("points", "a list of numbers", value);
        memcpy(text, item, length);
        text[length] = 0;
        if (!parse_count(text, UINT32_MAX - 1, &points) || points == 0)
            return bad_value("points", "a list of numbers", value);
        request->points[pair->point_counts++] = (uint32_t)points;
        item = item[length] ? item + length + 1 : NULL;
    }
    return true;
}

static bool set_real(const char *name, const char *value, double *figure)
{
    return parse_real(value, 0, figure) || bad_value(name, "a number that is not negative", value);
}

static bool set_pair(const char *name, const char *value, struct compress_request *request)
{
    hc_pair_options *pair = &request->options.pair;
    uint64_t count;
    if (strcmp(name, "side") == 0) {
        if (strcmp(value, "auto") == 0)
            pair->side = 0;
        else if (!parse_real(value, 0, &pair->side) || pair->side == 0)
            return bad_value(name, "a positive number or auto", value);
    } else if (strcmp(name, "points") == 0) {
        return set_points(value, request);
    } else if (strcmp(name, "classes") == 0) {
        if (!parse_count(value, 15, &count) || count == 0)
            return bad_value(name, "a number from 1 to 15", value);
        pair->classes = (uint32_t)count;
    } else if (strcmp(name, "loss-max") == 0) {
        return set_real(name, value, &pair->loss_max);
    } else if (strcmp(name, "loss-threshold") == 0) {
        return set_real(name, value, &pair->loss_threshold);
    } else {
        return set_real(name, value, &pair->keep_above);
    }
    return true;
}

/* 1 to 6, or 8. */
static bool parse_bits(const char *value, int *bits)
{
    uint64_t count;
    if (!parse_count(value, MAX_BITS, &count) || count == 0 || count == 7)
        return false;
    *bits = (int)count;
    return true;
}

static bool set_bits(const char *value, double *bits)
{
    return (parse_real(value, 1, bits) && *bits <= MAX_BITS && *bits != 7) ||
           bad_value("bits", "1 to 6, 8 or a fraction from 1 to 8", value);
}

/* 0 keeps the tensors. */
static bool set_bits_or_keep(const char *name, const char *value, int *bits)
{
    if (strcmp(value, "keep") == 0)
        *bits = 0;
    else if (!parse_bits(value, bits))
        return bad_value(name, "1 to 6, 8 or keep", value);
    return true;
}

/* The last '=' counts: a pattern may have one too. */
static bool set_bits_for(const char *value, struct compress_request *request)
{
    hc_window_options *window = &request->options.window;
    const char *equals = strrchr(value, '=');
    int bits;
    if (!equals || equals == value || !parse_bits(equals + 1, &bits))
        return bad_value("bits-for", "PATTERN=K with a K of 1 to 6 or 8", value);
    size_t length = (size_t)(equals - value);
    char *pattern = request->pattern_text + request->pattern_text_used;
    if (window->bits_for_count == MAX_PATTERNS || length >= sizeof request->pattern_text - request->pattern_text_used) {
        fprintf(stderr, "hyperc: too much of --bits-for\n");
        return false;
    }
    memcpy(pattern, value, length);
    request->pattern_text_used += length + 1; /* the zero behind it was there from the beginning */
    request->bits_for[window->bits_for_count++] = (hc_bits_for){pattern, bits};
    return true;
}

static bool set_effort(const char *value, int *length)
{
    static const struct {
        const char *name;
        int length;
    } efforts[] = {{"fast", 12}, {"default", 12}, {"best", 16}};
    for (size_t i = 0; i < sizeof efforts / sizeof *efforts; i++)
        if (strcmp(value, efforts[i].name) == 0) {
            *length = efforts[i].length;
            return true;
        }
    return bad_value("effort", "fast, default or best", value);
}

static bool set_length(const char *value, int *length)
{
    uint64_t count;
    if (!parse_count(value, 16, &count) || count < 8)
        return bad_value("window", "a number from 8 to 16", value);
    *length = (int)count;
    return true;
}

static bool set_columns(const char *value, hc_columns *columns)
{
    bool norm = strcmp(value, "norm") == 0;
    *columns = norm ? HC_COLUMNS_NORM : HC_COLUMNS_NONE;
    return norm || strcmp(value, "none") == 0 || bad_value("columns", "norm or none", value);
}

static bool set_moments(const char *value, hc_window_options *window)
{
    window->moments = value;
    return value[0] || bad_value("moments", "weights, none, self or the name of a file", value);
}

static bool set_progress(const char *value, bool *devices)
{
    *devices = strcmp(value, "devices") == 0;
    return *devices || strcmp(value, "run") == 0 || bad_value("progress", "run or devices", value);
}

/* *known is false if it is no option of `window`. */
static bool set_window(const char *name, const char *value, struct compress_request *request, bool *known)
{
    hc_window_options *window = &request->options.window;
    *known = true;
    if (strcmp(name, "bits") == 0)
        return set_bits(value, &window->bits);
    if (strcmp(name, "embed-bits") == 0)
        return set_bits_or_keep(name, value, &window->embedding_bits);
    if (strcmp(name, "head-bits") == 0)
        return set_bits_or_keep(name, value, &window->head_bits);
    if (strcmp(name, "bits-for") == 0)
        return set_bits_for(value, request);
    if (strcmp(name, "effort") == 0)
        return set_effort(value, &request->effort_length);
    if (strcmp(name, "window") == 0)
        return set_length(value, &request->window_length);
    if (strcmp(name, "columns") == 0)
        return set_columns(value, &window->columns);
    if (strcmp(name, "moments") == 0)
        return set_moments(value, window);
    *known = false;
    return true;
}

/* An option of one of the methods; the first of each is kept in mind for compress_request_check. */
static bool set_method_option(const char *name, const char *value, struct compress_request *request)
{
    bool known, good = set_window(name, value, request, &known);
    const char **first = known ? &request->window_option : &request->pair_option;
    if (!*first)
        *first = name;
    return known ? good : set_pair(name, value, request);
}

bool compress_request_set(struct compress_request *request, const char *name, const char *value)
{
    hc_compress_options *options = &request->options;
    if (strcmp(name, "output") == 0)
        request->output = value;
    else if (strcmp(name, "method") == 0)
        options->method = value;
    else if (strcmp(name, "only") == 0)
        return set_pattern(name, value, request->only, &options->only.count);
    else if (strcmp(name, "keep") == 0)
        return set_pattern(name, value, request->keep, &options->keep.count);
    else if (strcmp(name, "resume") == 0)
        options->resume = true;
    else if (strcmp(name, "force") == 0)
        options->force = true;
    else if (strcmp(name, "dry-run") == 0)
        options->dry_run = true;
    else if (strcmp(name, "speeds") == 0)
        return take_speeds(value, &request->speeds);
    else if (strcmp(name, "progress") == 0)
        return set_progress(value, &options->device_reports);
    else
        return set_method_option(name, value, request);
    return true;
}

bool compress_request_check(struct compress_request *request, char *text, size_t size)
{
    hc_compress_options *options = &request->options;
    if (strcmp(options->method, "window") == 0 && request->pair_option) {
        snprintf(text, size, "--%s is an option of --method pair", request->pair_option);
        return false;
    }
    if (strcmp(options->method, "pair") == 0 && request->window_option) {
        snprintf(text, size, "--%s is an option of --method window", request->window_option);
        return false;
    }
    if (options->window.moments && strcmp(options->window.moments, "none") != 0 &&
        options->window.columns == HC_COLUMNS_NONE) {
        snprintf(text, size, "--moments has no use with --columns none");
        return false;
    }
    if (request->effort_length && request->window_length && request->effort_length != request->window_length) {
        snprintf(text, size, "--window %d contradicts --effort, which means --window %d", request->window_length,
                 request->effort_length);
        return false;
    }
    if (request->effort_length || request->window_length)
        options->window.length = request->window_length ? request->window_length : request->effort_length;
    return true;
}
