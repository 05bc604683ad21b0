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

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...)
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

/* Every stored tensor is described: parts under the name of what they code. */
static void check_described(const struct file *file, const json_t *metadata)
{
    const char *stored;
    json_t *value;
    json_object_foreach(file->header, stored, value)
    {
        char *key = join("hyperc.tensor.", stored, "", "");
        char *end = strrchr(key, '.');
        if (strncmp(end, ".hc_", 4) == 0)
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

struct part {
    const char *suffix, *type;
    const uint8_t *bytes; /* NULL: there is none */
    uint64_t size, taken;
};

static void find_part(const struct file *file, const char *name, struct part *part)
{
    char *stored = join(name, part->suffix, "", "");
    const json_t *entry = json_object_get(file->header, stored);
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    free(stored);
    if (!entry)
        return;
    if (!type || strcmp(type, part->type) != 0 || json_array_size(json_object_get(entry, "shape")) != 1)
        fail("%s: %s%s is not a list of %s", file->path, name, part->suffix, part->type);
    json_int_t begin = json_integer_value(json_array_get(offsets, 0));
    json_int_t end = json_integer_value(json_array_get(offsets, 1));
    if (json_array_size(offsets) != 2 || begin < 0 || begin >= end || (uint64_t)end > file->size - file->data)
        fail("%s: %s%s does not lie in the file", file->path, name, part->suffix);
    part->bytes = file->bytes + file->data + begin;
    part->size = (uint64_t)(end - begin);
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
    if (!json_is_string(method))
        fail("%s: the method has no name", name);
    return description;
}

struct shape {
    size_t rank;
    uint64_t sizes[8], weights;
};

static struct shape read_shape(const json_t *description, const char *name)
{
    const json_t *list = json_object_get(description, "shape");
    struct shape shape = {json_array_size(list), {0}, 1};
    if (!json_is_array(list) || shape.rank > 8)
        fail("%s: no shape", name);
    for (size_t i = 0; i < shape.rank; i++) {
        json_int_t dimension = json_integer_value(json_array_get(list, i));
        if (dimension < 1 || (uint64_t)dimension > (UINT64_C(1) << 56) / shape.weights)
            fail("%s: a dimension is out of range", name);
        shape.sizes[i] = (uint64_t)dimension;
        shape.weights *= (uint64_t)dimension;
    }
    return shape;
}

/* ---- 4. The methods ------------------------------------------------------------------------- */

enum { MAX_PARTS = 3 };

/* A piece of a coded tensor. */
struct piece {
    const char *name;
    const json_t *parameters;
    const struct shape *shape; /* of the tensor */
    uint64_t count, weights;   /* of its pieces; of one of them */
    struct part *parts;
};

/* The next bytes of a part. */
static const uint8_t *take(const struct piece *piece, unsigned which, uint64_t bytes)
{
    struct part *part = &piece->parts[which];
    if (bytes > part->size - part->taken)
        fail("%s: too few bytes in %s", piece->name, part->suffix);
    part->taken += bytes;
    return part->bytes ? part->bytes + part->taken - bytes : NULL;
}

static uint64_t multiple_of(uint64_t unit, uint64_t value)
{
    return (value + unit - 1) / unit * unit;
}

/* Every part that is there was needed, and nothing is left but the padding behind the last one. */
static void check_parts(const char *name, const struct part *parts)
{
    uint64_t size = 0, taken = 0;
    for (unsigned i = 0; i < MAX_PARTS; i++) {
        if (parts[i].bytes && (parts[i].taken == 0 || size > taken))
            fail("%s: bytes that stand for nothing before the end of %s", name, parts[i].suffix);
        size += parts[i].size;
        taken += parts[i].taken;
    }
    if (size != multiple_of(64, taken))
        fail("%s: its parts are not padded as they should be", name);
}

/* ---- 4.1 `pair` */

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

static void decode_pair(const struct piece *piece, float *out)
{
    struct pair pair = read_pair(piece->parameters, piece->name);
    uint64_t pairs = piece->weights / 2 + piece->weights % 2, bits = (uint64_t)pair.bits;
    const uint8_t *codes = take(piece, 0, multiple_of(64, (pairs * bits + 7) / 8));
    for (uint64_t i = 0; i < pairs; i++) {
        int64_t code = 0;
        float second;
        for (uint64_t j = 0; j < bits; j++)
            code |= (int64_t)(codes[(i * bits + j) / 8] >> (i * bits + j) % 8 & 1) << j;
        if (code >= (pair.points + 1) * (pair.classes + 1))
            fail("%s: pair %llu: a code that does not exist", piece->name, (unsigned long long)i);
        value_of(&pair, code, &out[2 * i], &second);
        if (2 * i + 1 < piece->weights)
            out[2 * i + 1] = second;
    }
}

/* ---- 4.2 `window` */

struct window {
    uint64_t rows, columns, wide; /* R, C, C' */
    uint64_t k, length, multiplier, block;
    uint32_t seed;
    bool norm;
    int exponent;
};

static struct window read_window(const struct piece *piece)
{
    const json_t *parameters = piece->parameters;
    const char *columns = json_string_value(json_object_get(parameters, "columns")), *name = piece->name;
    struct window window = {
        .rows = 1,
        .k = (uint64_t)integer(parameters, "k", 1, 8, name),
        .length = (uint64_t)integer(parameters, "window", 8, 16, name),
        .multiplier = (uint64_t)integer(parameters, "multiplier", 1, 65535, name),
        .block = (uint64_t)integer(parameters, "block", 16, 128, name),
        .seed = (uint32_t)integer(parameters, "seed", 0, UINT32_MAX, name),
        .norm = columns && strcmp(columns, "norm") == 0,
        .exponent = (int)integer(parameters, "exponent", -126, 127, name),
    };
    size_t skipped = piece->count > 1;
    if (skipped && (piece->shape->rank < 2 || piece->shape->sizes[0] != piece->count))
        fail("%s: the pieces are not its first dimension", name);
    while (piece->shape->rank > skipped + 2 && piece->shape->sizes[skipped] == 1)
        skipped++;
    if (piece->shape->rank > skipped + 1)
        window.rows = piece->shape->sizes[skipped];
    window.columns = piece->weights / window.rows;
    window.wide = multiple_of(16, window.columns);
    if (json_object_size(parameters) != 7 || window.k == 7 || window.multiplier % 2 == 0 ||
        window.multiplier >> window.length != 0 || (window.block & (window.block - 1)) != 0 ||
        window.wide % window.block != 0 || !(window.norm || (columns && strcmp(columns, "none") == 0)) ||
        window.rows > 1 << 24 || window.columns > 1 << 20)
        fail("%s: a parameter is out of range", name);
    return window;
}

/* Rounded to half precision. No value of g is near its largest number. */
static float to_half(float value)
{
    int exponent;
    frexpf(value, &exponent);
    float unit = ldexpf(1, (exponent < -13 ? -13 : exponent) - 11);
    return rintf(value / unit) * unit;
}

/* The values of all codes. */
static float *make_values(const struct window *window)
{
    static const struct {
        uint64_t k, length;
        double c[3];
    } table[] = {
#include <window_table.inc> /* the lines of the text */
    };
    size_t i = 0;
    while (table[i].k != window->k || table[i].length != window->length)
        i++;
    const double *c = table[i].c;
    float *values = allocate(UINT64_C(1) << window->length, sizeof *values);
    for (uint64_t theta = 0; theta < UINT64_C(1) << window->length; theta++) {
        int32_t u = (int32_t)((theta * window->multiplier << (16 - window->length)) % 65536);
        double x = ((u < 32768 ? u : u - 65536) + ldexp(1, 15 - (int)window->length)) / 32768;
        double x2 = x * x, x4 = x2 * x2, x8 = x4 * x4, x16 = x8 * x8, x32 = x16 * x16, x64 = x32 * x32;
        values[theta] = to_half((float)(x * ((c[0] + c[1] * x4) + c[2] * x64)));
    }
    return values;
}

static bool sign_bit(uint32_t seed, uint32_t column)
{
    uint32_t w[4] = {column / 128, 0, 0, 0}, key[2] = {seed, 0};
    for (int round = 0; round < 10; round++) {
        uint64_t p = UINT64_C(0xD2511F53) * w[0], q = UINT64_C(0xCD9E8D57) * w[2];
        w[0] = (uint32_t)(q >> 32) ^ w[1] ^ key[0];
        w[1] = (uint32_t)q;
        w[2] = (uint32_t)(p >> 32) ^ w[3] ^ key[1];
        w[3] = (uint32_t)p;
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
    return w[column / 32 % 4] >> column % 32 & 1;
}

/* The factors of all columns. bytes: NULL without scales. */
static float *make_factors(const struct window *window, const uint8_t *bytes)
{
    static const float steps[8] = {1,
                                   0x1.172b84p+0F,
                                   0x1.306fe0p+0F,
                                   0x1.4bfdaep+0F,
                                   0x1.6a09e6p+0F,
                                   0x1.8ace54p+0F,
                                   0x1.ae89fap+0F,
                                   0x1.d5818ep+0F};
    float *factors = allocate(window->columns, sizeof *factors);
    for (uint64_t j = 0; j < window->columns; j++) {
        double scale = ldexp(1, window->exponent);
        if (window->norm)
            scale = bytes[j] ? ldexp((double)steps[bytes[j] % 8], window->exponent + bytes[j] / 8) : 0;
        factors[j] = to_float(scale);
        if (sign_bit(window->seed, (uint32_t)j))
            factors[j] = -factors[j];
    }
    return factors;
}

/* A row of tiles to 16 rows of values. */
static void decode_tiles(const struct window *window, const float *values, const uint8_t *codes, float *rows)
{
    uint64_t bits = 256 * window->k;
    for (uint64_t tile = 0; tile < window->wide / 16; tile++, codes += bits / 8)
        for (uint64_t t = 0; t < 256; t++) {
            uint64_t theta = 0, r = t / 32 + 8 * (t / 2 % 2), c = 2 * (t / 8 % 4) + t % 2 + 8 * (t / 4 % 2);
            for (uint64_t i = 0; i < window->length; i++) {
                uint64_t bit = (t * window->k + i) % bits;
                theta |= (uint64_t)(codes[bit / 8] >> bit % 8 & 1) << i;
            }
            rows[r * window->wide + 16 * tile + c] = values[theta];
        }
}

static void transform(float *row, uint64_t columns, uint64_t block)
{
    float last = block == 16 ? 0.25F : block == 32 ? 0x1.6a09e6p-3F : block == 64 ? 0.125F : 0x1.6a09e6p-4F;
    for (uint64_t h = 1; h < block; h *= 2)
        for (uint64_t i = 0; i < columns; i++)
            if (i / h % 2 == 0) {
                float p = row[i], q = row[i + h];
                row[i] = p + q;
                row[i + h] = p - q;
            }
    for (uint64_t i = 0; i < columns; i++)
        row[i] = row[i] * last;
}

/* The scale of a row, from its two bytes. */
static float read_scale(const uint8_t *bytes, const char *name)
{
    int bits = bytes[0] | bytes[1] << 8, exponent = bits >> 10, fraction = bits % 1024;
    if (exponent >= 31)
        fail("%s: a scale of a row that is negative or not finite", name);
    return exponent == 0 ? ldexpf((float)fraction, -24) : ldexpf((float)(1024 + fraction), exponent - 25);
}

static float to_weight(float value, float scale, float factor)
{
    float weight = value * scale * factor;
    return fminf(fmaxf(weight, -FLT_MAX), FLT_MAX);
}

static void decode_window(const struct piece *piece, float *out)
{
    struct window window = read_window(piece);
    uint64_t strip = window.wide / 16 * 32 * window.k; /* bytes of a row of tiles */
    const uint8_t *codes = take(piece, 0, multiple_of(64, multiple_of(16, window.rows) / 16 * strip));
    const uint8_t *scales = take(piece, 1, 2 * window.rows);
    float *factors = make_factors(&window, take(piece, 2, window.norm ? window.columns : 0));
    float *values = make_values(&window), *rows = allocate(16 * window.wide, sizeof *rows);
    for (uint64_t r = 0; r < window.rows; r++) {
        if (r % 16 == 0)
            decode_tiles(&window, values, codes + r / 16 * strip, rows);
        float *row = rows + r % 16 * window.wide, scale = read_scale(scales + 2 * r, piece->name);
        transform(row, window.wide, window.block);
        for (uint64_t j = 0; j < window.columns; j++)
            out[r * window.columns + j] = to_weight(row[j], scale, factors[j]);
    }
    free(rows);
    free(values);
    free(factors);
}

/* ---- 4. A tensor of either method */

static void decode_tensor(const struct file *file, const json_t *description, const char *name, FILE *out)
{
    const char *method = json_string_value(json_object_get(description, "method"));
    bool pair = strcmp(method, "pair") == 0;
    struct part parts[MAX_PARTS] = {
        {".hc_codes", "U8", NULL, 0, 0}, {".hc_scales", "F16", NULL, 0, 0}, {".hc_columns", "U8", NULL, 0, 0}};
    const json_t *pieces = json_object_get(description, "pieces");
    struct shape shape = read_shape(description, name);
    struct piece piece = {name, NULL, &shape, json_array_size(pieces), 0, parts};
    if (!pair && strcmp(method, "window") != 0)
        fail("%s: coded by an unknown method", name);
    if (piece.count < 1 || piece.count > 4096 || shape.weights % piece.count != 0)
        fail("%s: %llu pieces", name, (unsigned long long)piece.count);
    for (unsigned i = 0; i < MAX_PARTS; i++)
        find_part(file, name, &parts[i]);
    piece.weights = shape.weights / piece.count;
    float *weights = allocate(piece.weights, sizeof *weights);
    for (size_t p = 0; p < piece.count; p++) {
        piece.parameters = json_array_get(pieces, p);
        (pair ? decode_pair : decode_window)(&piece, weights);
        if (fwrite(weights, sizeof *weights, piece.weights, out) != piece.weights)
            fail("%s: cannot write", name);
    }
    check_parts(name, parts);
    free(weights);
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
