/* An independent decoder: written from docs/FORMAT.md alone, in the order of its sections, for clarity and not for
 * speed. It shares nothing with the library, and reads neither checksums nor kept tensors.
 *
 *   decode MODEL NAME         writes the coded tensor NAME of a directory or a weight file to stdout, as raw float32
 *   decode MODEL -o FOLDER    writes every coded tensor to FOLDER/NAME.f32
 */
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("decode: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void *allocate(uint64_t count, size_t size)
{
    void *memory = count <= SIZE_MAX ? calloc(count ? (size_t)count : 1, size) : NULL;
    if (!memory)
        fail("out of memory");
    return memory;
}

static char *join(const char *a, const char *b, const char *c, const char *d)
{
    char *text = allocate(strlen(a) + strlen(b) + strlen(c) + strlen(d) + 1, 1);
    sprintf(text, "%s%s%s%s", a, b, c, d);
    return text;
}

static json_t *parse(const char *text, size_t size, const char *what)
{
    json_error_t where;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(json))
        fail("%s: not a JSON object: %s", what, json ? "something else" : where.text);
    return json;
}

static int64_t integer(const json_t *object, const char *key, int64_t least, int64_t most, const char *what)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < least || json_integer_value(value) > most)
        fail("%s: '%s' is missing or out of range", what, key);
    return json_integer_value(value);
}

static double number(const json_t *value, const char *what)
{
    if (!json_is_number(value))
        fail("%s: a number is missing", what);
    return json_number_value(value);
}

/* ---- 2. A weight file ----------------------------------------------------------------------- */

struct file {
    const char *path;
    uint8_t *bytes;
    uint64_t size, data; /* where the data begin */
    json_t *header;
};

static struct file file_read(const char *path)
{
    struct file file = {.path = path};
    FILE *in = fopen(path, "rb");
    long size = in && fseek(in, 0, SEEK_END) == 0 ? ftell(in) : -1;
    if (size < 0)
        fail("%s: cannot read", path);
    file.size = (uint64_t)size;
    file.bytes = allocate(file.size, 1);
    rewind(in);
    if (fread(file.bytes, 1, file.size, in) != file.size)
        fail("%s: cannot read", path);
    fclose(in);
    return file;
}

/* Every stored tensor is described: codes under the name of what they code. */
static void check_described(const struct file *file, const json_t *metadata)
{
    const char *stored, *suffix = ".hc_codes";
    json_t *value;
    json_object_foreach(file->header, stored, value)
    {
        char *key = join("hyperc.tensor.", stored, "", "");
        char *end = strlen(key) > strlen(suffix) ? key + strlen(key) - strlen(suffix) : NULL;
        if (end && strcmp(end, suffix) == 0)
            *end = 0;
        if (strcmp(stored, "__metadata__") != 0 && !json_object_get(metadata, key))
            fail("%s: %s is not described", file->path, stored);
        free(key);
    }
}

static void file_parse(struct file *file)
{
    uint64_t length = 0;
    for (int i = 7; i >= 0 && file->size >= 8; i--)
        length = length << 8 | file->bytes[i];
    if (file->size < 8 || length > 100000000 || length > file->size - 8)
        fail("%s: no safetensors header", file->path);
    file->data = 8 + length;
    file->header = parse((const char *)file->bytes + 8, length, file->path);
    const json_t *metadata = json_object_get(file->header, "__metadata__");
    const char *version = json_string_value(json_object_get(metadata, "hyperc.version"));
    if (!version)
        fail("%s: not compressed by hyperc", file->path);
    if (strcmp(version, "1") != 0)
        fail("%s: version %s of the format", file->path, version);
    check_described(file, metadata);
}

static void file_free(struct file *file)
{
    free(file->bytes);
    json_decref(file->header);
}

/* The codes of the tensor `name`. */
static const uint8_t *find_codes(const struct file *file, const char *name, uint64_t *bytes)
{
    char *stored = join(name, ".hc_codes", "", "");
    const json_t *entry = json_object_get(file->header, stored);
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    free(stored);
    if (!type || strcmp(type, "U8") != 0 || json_array_size(offsets) != 2)
        fail("%s: %s: there are no codes of type U8", file->path, name);
    json_int_t begin = json_integer_value(json_array_get(offsets, 0));
    json_int_t end = json_integer_value(json_array_get(offsets, 1));
    if (begin < 0 || begin > end || (uint64_t)end > file->size - file->data)
        fail("%s: %s: the codes do not lie in the file", file->path, name);
    *bytes = (uint64_t)(end - begin);
    return file->bytes + file->data + begin;
}

/* ---- 3. Descriptions ------------------------------------------------------------------------ */

/* The description of a coded tensor; NULL if it is kept. */
static json_t *describe(const char *text, const char *name)
{
    json_t *description = parse(text ? text : "", text ? strlen(text) : 0, name);
    const json_t *method = json_object_get(description, "method");
    if (!method) {
        json_decref(description);
        return NULL;
    }
    if (!json_is_string(method) || strcmp(json_string_value(method), "pair") != 0)
        fail("%s: coded by an unknown method", name);
    return description;
}

static uint64_t count_weights(const json_t *description, const char *name)
{
    const json_t *shape = json_object_get(description, "shape");
    uint64_t weights = 1;
    if (!json_is_array(shape) || json_array_size(shape) > 8)
        fail("%s: no shape", name);
    for (size_t i = 0; i < json_array_size(shape); i++) {
        json_int_t dimension = json_integer_value(json_array_get(shape, i));
        if (dimension < 1 || (uint64_t)dimension > (UINT64_C(1) << 56) / weights)
            fail("%s: a dimension is out of range", name);
        weights *= (uint64_t)dimension;
    }
    return weights;
}

/* ---- 4. The method `pair` ------------------------------------------------------------------- */

struct pair {
    double cx, cy, side, farthest;
    int64_t points, classes, bits, m;
};

static struct pair read_pair(const json_t *piece, const char *name)
{
    const json_t *centre = json_object_get(piece, "centre");
    struct pair pair = {
        .cx = number(json_array_get(centre, 0), name),
        .cy = number(json_array_get(centre, 1), name),
        .side = number(json_object_get(piece, "side"), name),
        .farthest = number(json_object_get(piece, "farthest"), name),
        .points = integer(piece, "points", 1, 1 << 22, name),
        .classes = integer(piece, "classes", 0, 15, name),
        .bits = integer(piece, "bits", 1, 24, name),
        .m = 1,
    };
    if (!(fabs(pair.cx) <= (double)FLT_MAX && (double)(float)pair.cx == pair.cx) ||
        !(fabs(pair.cy) <= (double)FLT_MAX && (double)(float)pair.cy == pair.cy))
        fail("%s: the centre is not of float32 values", name);
    if (json_array_size(centre) != 2 || json_object_size(piece) != 6 ||
        (pair.points + 1) * (pair.classes + 1) > 1 << 24 ||
        !(pair.side >= (double)FLT_MIN && pair.side <= (double)FLT_MAX) ||
        (pair.classes > 0 && !(pair.farthest >= pair.side / 2 && pair.farthest <= 4 * (double)FLT_MAX)))
        fail("%s: a parameter is out of range", name);
    while (pair.m * pair.m < pair.points)
        pair.m++;
    return pair;
}

static float to_float(double value)
{
    return (float)fmin(fmax(value, -(double)FLT_MAX), (double)FLT_MAX);
}

static void value_of(const struct pair *pair, int64_t code, float *x, float *y)
{
    int64_t index = code % (pair->points + 1), class = code / (pair->points + 1);
    double m = (double)pair->m, half = pair->side / 2, unit = pair->side / m;
    if (class > 0) {
        double reach = half + ((double)class * (pair->farthest - half)) / (double)pair->classes;
        unit = (reach / half) * (pair->side / m);
    }
    int64_t t = index - 1;
    *x = to_float(index ? pair->cx + ((double)t / m - m / 2) * unit : pair->cx);
    *y = to_float(index ? pair->cy + ((double)(t % pair->m) - m / 2) * unit : pair->cy);
}

/* Decodes a piece of n weights; returns how many bytes its codes take. */
static uint64_t decode_piece(const json_t *piece, const char *name, const uint8_t *codes, uint64_t left, uint64_t n,
                             float *out)
{
    struct pair pair = read_pair(piece, name);
    uint64_t pairs = n / 2 + n % 2, bits = (uint64_t)pair.bits;
    uint64_t bytes = ((pairs * bits + 7) / 8 + 63) / 64 * 64;
    if (bytes > left)
        fail("%s: too few bytes of codes", name);
    for (uint64_t i = 0; i < pairs; i++) {
        int64_t code = 0;
        float second;
        for (uint64_t j = 0; j < bits; j++)
            code |= (int64_t)(codes[(i * bits + j) / 8] >> (i * bits + j) % 8 & 1) << j;
        if (code >= (pair.points + 1) * (pair.classes + 1))
            fail("%s: pair %llu: a code that does not exist", name, (unsigned long long)i);
        value_of(&pair, code, &out[2 * i], &second);
        if (2 * i + 1 < n)
            out[2 * i + 1] = second;
    }
    return bytes;
}

static void decode_tensor(const struct file *file, const json_t *description, const char *name, FILE *out)
{
    uint64_t weights = count_weights(description, name), bytes, at = 0;
    const uint8_t *codes = find_codes(file, name, &bytes);
    const json_t *pieces = json_object_get(description, "pieces");
    size_t count = json_array_size(pieces);
    if (count < 1 || count > 4096 || weights % count != 0)
        fail("%s: %zu pieces", name, count);
    float *piece = allocate(weights / count, sizeof *piece);
    for (size_t p = 0; p < count; p++) {
        at += decode_piece(json_array_get(pieces, p), name, codes + at, bytes - at, weights / count, piece);
        if (fwrite(piece, sizeof *piece, weights / count, out) != weights / count)
            fail("%s: cannot write", name);
    }
    if (at != bytes)
        fail("%s: bytes behind the codes", name);
    free(piece);
}

/* ---- 1. The directory ----------------------------------------------------------------------- */

struct job {
    const char *model;
    const char *wanted; /* NULL: every coded tensor, */
    const char *folder; /* into this folder */
    unsigned decoded;
};

static void write_tensor(struct job *job, const struct file *file, const json_t *description, const char *name)
{
    FILE *out = stdout;
    if (job->folder) {
        char *path = join(job->folder, "/", name, ".f32");
        if (strchr(name, '/') || !(out = fopen(path, "wb")))
            fail("%s: cannot write", path);
        free(path);
    }
    decode_tensor(file, description, name, out);
    if (job->folder ? fclose(out) != 0 : fflush(out) != 0)
        fail("%s: cannot write", name);
    job->decoded++;
}

static void read_weights(struct job *job, const char *path)
{
    struct file file = file_read(path);
    const size_t prefix = strlen("hyperc.tensor.");
    const char *key;
    json_t *value;
    file_parse(&file);
    json_object_foreach(json_object_get(file.header, "__metadata__"), key, value)
    {
        if (strncmp(key, "hyperc.tensor.", prefix) != 0 || (job->wanted && strcmp(key + prefix, job->wanted) != 0))
            continue;
        json_t *description = describe(json_string_value(value), key + prefix);
        if (description)
            write_tensor(job, &file, description, key + prefix);
        else if (job->wanted)
            fail("%s: is kept as it is", job->wanted);
        json_decref(description);
    }
    file_free(&file);
}

/* The weight files of a directory with an index: each once. */
static void read_indexed(struct job *job, const char *path)
{
    struct file index = file_read(path);
    json_t *names = json_object(), *value;
    const char *key;
    index.header = parse((const char *)index.bytes, index.size, path);
    json_object_foreach(json_object_get(index.header, "weight_map"), key, value)
    {
        if (json_is_string(value))
            json_object_set_new(names, json_string_value(value), json_true());
    }
    json_object_foreach(names, key, value)
    {
        char *weights = join(job->model, "/", key, "");
        read_weights(job, weights);
        free(weights);
    }
    json_decref(names);
    file_free(&index);
}

static bool exists(const char *path)
{
    FILE *file = fopen(path, "rb");
    return file && fclose(file) == 0;
}

int main(int count, char **arguments)
{
    bool all = count == 4 && strcmp(arguments[2], "-o") == 0;
    if (count != 3 && !all)
        fail("usage: decode MODEL NAME, or decode MODEL -o FOLDER");
    struct job job = {arguments[1], all ? NULL : arguments[2], all ? arguments[3] : NULL, 0};
    char *index = join(job.model, "/", "model.safetensors.index.json", "");
    char *single = join(job.model, "/", "model.safetensors", "");
    if (exists(index))
        read_indexed(&job, index);
    else
        read_weights(&job, exists(single) ? single : job.model);
    if (job.decoded == 0)
        fail("%s: there is no such tensor", job.wanted ? job.wanted : "a coded one");
    free(index);
    free(single);
    return 0;
}
