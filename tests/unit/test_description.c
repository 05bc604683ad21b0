/* Descriptions of tensors: what is written is read again, fits the room set aside for it, and faults are named. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "description.h"

#define SUM "0123456789abcdef0123456789abcdef"
#define PIECE "{\"centre\":[0.0,0.5],\"side\":0.1,\"points\":1600,\"classes\":0,\"farthest\":0.0,\"bits\":11}"
#define ERRORS "\"mean_abs_error\":0.5,\"max_abs_error\":1,\"squared_error\":2,\"squared_weights\":3e4"
#define CODED(shape, pieces)                                                                                           \
    "{\"method\":\"pair\",\"type\":\"F32\",\"shape\":" shape ",\"pieces\":" pieces "," ERRORS ",\"xxh3\":\"" SUM "\"}"

static struct hc_description coded(void)
{
    struct hc_description description = {.method = hc_method_find("pair"),
                                         .checksum = SUM,
                                         .type = HC_TYPE_BF16,
                                         .rank = 3,
                                         .shape = {2, 3, 5},
                                         .weights = 30,
                                         .pieces = json_array(),
                                         .mean_abs_error = 0.1,
                                         .max_abs_error = 1.0 / 3,
                                         .squared_error = 0x1p-1074,
                                         .squared_weights = DBL_MAX,
                                         .published_mean_abs_error = -1};
    json_array_append_new(description.pieces, json_loads(PIECE, 0, NULL));
    json_array_append_new(description.pieces, json_loads(PIECE, 0, NULL));
    return description;
}

static void check_equal(const struct hc_description *a, const struct hc_description *b)
{
    cr_assert_eq(a->method, b->method);
    cr_assert_str_eq(a->checksum, b->checksum);
    cr_assert_eq(a->type, b->type);
    cr_assert_eq(a->rank, b->rank);
    cr_assert_eq(memcmp(a->shape, b->shape, sizeof a->shape), 0);
    cr_assert_eq(a->weights, b->weights);
    cr_assert(json_equal(a->pieces, b->pieces));
    cr_assert(a->mean_abs_error == b->mean_abs_error);
    cr_assert(a->max_abs_error == b->max_abs_error);
    cr_assert(a->squared_error == b->squared_error);
    cr_assert(a->squared_weights == b->squared_weights);
    cr_assert(a->published_mean_abs_error == b->published_mean_abs_error);
}

Test(description, coded_again)
{
    static const double published[] = {-1, 0, 0.1234567890123456789};
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        struct hc_description before = coded(), after;
        struct hc_error error = {""};
        before.published_mean_abs_error = published[i];
        char *text = hc_description_text(&before);
        cr_assert_eq(hc_description_parse(text, &after, &error), HC_OK, "%s", error.text);
        check_equal(&before, &after);
        free(text);
        hc_description_clear(&before);
        hc_description_clear(&after);
    }
}

Test(description, kept_again)
{
    static const char *const reasons[] = {"fewer than \"two\" dimensions", "", NULL};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        struct hc_description before = {.checksum = SUM}, after;
        struct hc_error error = {""};
        before.kept_because = reasons[i] ? strdup(reasons[i]) : NULL;
        char *text = hc_description_text(&before);
        cr_assert_eq(hc_description_parse(text, &after, &error), HC_OK, "%s", error.text);
        cr_assert_null(after.method);
        cr_assert_str_eq(after.checksum, SUM);
        cr_assert_eq(after.kept_because == NULL, reasons[i] == NULL);
        cr_assert(!reasons[i] || strcmp(after.kept_because, reasons[i]) == 0);
        free(text);
        hc_description_clear(&before);
        hc_description_clear(&after);
    }
}

/* Length in the header of a file, where the text is a string: every quote has a backslash. */
static size_t length_as_string(const char *text)
{
    size_t length = strlen(text);
    for (const char *p = text; *p; p++)
        length += *p == '"';
    return length;
}

/* The longest numbers there can be. `room` is what the writer of shards adds. */
static void check_room(const char *method, size_t pieces, json_t *parameters)
{
    const size_t room = 32;
    const double longest = 0x1.199999999999ap-1000; /* 17 digits, exponent of three digits */
    struct hc_tensor tensor = {.rank = 8};
    struct hc_description description = {.method = hc_method_find(method),
                                         .checksum = SUM,
                                         .rank = 8,
                                         .type = HC_TYPE_F8_E4M3,
                                         .pieces = json_array(),
                                         .mean_abs_error = longest,
                                         .max_abs_error = longest,
                                         .squared_error = longest,
                                         .squared_weights = longest,
                                         .published_mean_abs_error = longest};
    hc_compress_options options;
    hc_compress_options_init(&options);
    for (int i = 0; i < 8; i++)
        tensor.shape[i] = description.shape[i] = UINT64_C(1) << 56;
    for (size_t p = 0; p < pieces; p++)
        json_array_append(description.pieces, parameters);
    char *text = hc_description_text(&description);
    size_t most = room + hc_description_max(&tensor, pieces, description.method->parameters_max(&options));
    cr_assert_leq(length_as_string(text), most, "%zu, room for %zu", length_as_string(text), most);
    free(text);
    hc_description_clear(&description);
}

Test(description, fits_its_room)
{
    const double longest = -0x1.199999999999ap-1000;
    json_t *pair = json_pack("{s:[f,f], s:f, s:i, s:i, s:f, s:i}", "centre", (double)-FLT_MIN / 3, (double)-FLT_MIN / 3,
                             "side", longest, "points", 1 << 22, "classes", 15, "farthest", longest, "bits", 24);
    json_t *window = json_pack("{s:i, s:i, s:i, s:I, s:i, s:s, s:i}", "k", 8, "window", 16, "multiplier", 65535, "seed",
                               (json_int_t)UINT32_MAX, "block", 128, "columns", "norm", "exponent", -126);
    for (size_t pieces = 1; pieces <= 4096; pieces *= 8) {
        check_room("pair", pieces, pair);
        check_room("window", pieces, window);
    }
    json_decref(pair);
    json_decref(window);
}

/* ---- What the parts take -------------------------------------------------------------------- */

#define WINDOW(columns)                                                                                                \
    "{\"k\":3,\"window\":12,\"multiplier\":1,\"seed\":0,\"block\":16,\"columns\":\"" columns "\",\"exponent\":0}"

static const struct {
    const char *method;
    uint64_t shape[3]; /* 0: no more dimensions */
    const char *pieces;
    hc_status status;
    uint64_t bytes[HC_MAX_PARTS];
    uint64_t second[HC_MAX_PARTS]; /* where the second piece begins */
} layouts[] = {
    {"pair", {93}, "[" PIECE "]", HC_OK, {128}, {0}},           /* 47 codes of 11 bits: 65 bytes */
    {"pair", {6}, "[" PIECE "," PIECE "]", HC_OK, {128}, {64}}, /* pair cuts a tensor anywhere */
    {"pair", {2, 3, 7}, "[" PIECE "," PIECE "]", HC_OK, {128}, {64}},
    {"window", {5}, "[" WINDOW("norm") "]", HC_OK, {128, 2, 5 + 57}, {0}}, /* padding comes last, */
    {"window", {5}, "[" WINDOW("none") "]", HC_OK, {128, 2 + 62, 0}, {0}}, /* of what is there */
    {"window", {4, 16}, "[" WINDOW("none") "]", HC_OK, {128, 8 + 56, 0}, {0}},
    {"window", {32, 64}, "[" WINDOW("norm") "]", HC_OK, {768, 64, 64}, {0}}, /* nothing to pad */
    {"window", {2, 3, 7}, "[" WINDOW("norm") "," WINDOW("none") "]", HC_OK, {256, 12, 7 + 45}, {128, 6, 7}},
    {"window", {2, 7}, "[" WINDOW("norm") "," WINDOW("norm") "]", HC_OK, {256, 4, 14 + 46}, {128, 2, 7}},
    {"window", {6}, "[" WINDOW("norm") "," WINDOW("norm") "]", HC_ERR_CORRUPT, {0}, {0}},
    {"window", {4, 3}, "[" WINDOW("norm") "," WINDOW("norm") "]", HC_ERR_CORRUPT, {0}, {0}},
    {"window", {4, 16}, "[" PIECE "]", HC_ERR_CORRUPT, {0}, {0}},
    {"pair", {4, 16}, "[" WINDOW("norm") "]", HC_ERR_CORRUPT, {0}, {0}},
};

Test(description, layout)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        struct hc_description description = {.method = hc_method_find(layouts[i].method),
                                             .weights = 1,
                                             .pieces = json_loads(layouts[i].pieces, 0, NULL)};
        struct hc_error error = {""};
        uint64_t bytes[HC_MAX_PARTS], offsets[2][HC_MAX_PARTS] = {{0}};
        for (; description.rank < 3 && layouts[i].shape[description.rank]; description.rank++)
            description.weights *= description.shape[description.rank] = layouts[i].shape[description.rank];
        hc_status status = hc_description_layout(&description, bytes, offsets, &error);
        cr_assert_eq(status, layouts[i].status, "case %zu: %s", i, error.text);
        for (size_t part = 0; status == HC_OK && part < HC_MAX_PARTS; part++) {
            cr_assert_eq(bytes[part], layouts[i].bytes[part], "case %zu: %llu bytes of part %zu", i,
                         (unsigned long long)bytes[part], part);
            cr_assert_eq(offsets[0][part], 0);
            cr_assert_eq(offsets[1][part], layouts[i].second[part], "case %zu: part %zu", i, part);
        }
        hc_description_clear(&description);
    }
}

Test(description, refused)
{
    static const struct {
        const char *text;
        hc_status status;
        const char *fragment;
    } cases[] = {
        {"", HC_ERR_CORRUPT, "JSON"},
        {"[]", HC_ERR_CORRUPT, "JSON"},
        {"{", HC_ERR_CORRUPT, "JSON"},
        {"{}", HC_ERR_CORRUPT, "xxh3"},
        {"{\"xxh3\":\"" SUM "\",\"xxh3\":\"" SUM "\"}", HC_ERR_CORRUPT, "uplicate"},
        {"{\"xxh3\":7}", HC_ERR_CORRUPT, "xxh3"},
        {"{\"xxh3\":\"" SUM "0\"}", HC_ERR_CORRUPT, "xxh3"},
        {"{\"xxh3\":\"\"}", HC_ERR_CORRUPT, "xxh3"},
        {"{\"method\":\"winding\",\"xxh3\":\"" SUM "\"}", HC_ERR_UNSUPPORTED, "the method 'winding'"},
        {"{\"method\":\"pair\",\"xxh3\":\"" SUM "\"}", HC_ERR_CORRUPT, "type"},
        {"{\"method\":\"pair\",\"type\":\"I64\",\"xxh3\":\"" SUM "\"}", HC_ERR_CORRUPT, "type"},
        {"{\"method\":\"pair\",\"type\":\"F32\",\"xxh3\":\"" SUM "\"}", HC_ERR_CORRUPT, "shape"},
        {CODED("[0]", "[" PIECE "]"), HC_ERR_CORRUPT, "shape"},
        {CODED("[-4,-4]", "[" PIECE "]"), HC_ERR_CORRUPT, "shape"},
        {CODED("[4.0]", "[" PIECE "]"), HC_ERR_CORRUPT, "shape"},
        {CODED("[1,1,1,1,1,1,1,1,10]", "[" PIECE "]"), HC_ERR_CORRUPT, "shape"},
        {CODED("[4294967296,4294967296]", "[" PIECE "]"), HC_ERR_CORRUPT, "product"},
        {CODED("[9223372036854775807,2]", "[" PIECE "]"), HC_ERR_CORRUPT, "product"},
        {CODED("[16]", "[]"), HC_ERR_CORRUPT, "pieces"},
        {CODED("[16]", "{}"), HC_ERR_CORRUPT, "pieces"},
        {CODED("[16]", "[1,2,3]"), HC_ERR_CORRUPT, "pieces"},
        {"{\"method\":\"pair\",\"type\":\"F32\",\"shape\":[16],\"pieces\":[" PIECE "],\"xxh3\":\"" SUM "\"}",
         HC_ERR_CORRUPT, "errors"},
        {"{\"method\":\"pair\",\"type\":\"F32\",\"shape\":[16],\"pieces\":[" PIECE "],\"mean_abs_error\":-1,"
         "\"max_abs_error\":1,\"squared_error\":2,\"squared_weights\":3,\"xxh3\":\"" SUM "\"}",
         HC_ERR_CORRUPT, "errors"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hc_description description;
        struct hc_error error = {""};
        hc_status status = hc_description_parse(cases[i].text, &description, &error);
        cr_assert_eq(status, cases[i].status, "%s: status %d: %s", cases[i].text, (int)status, error.text);
        cr_assert(strstr(error.text, cases[i].fragment), "%s: '%s'", cases[i].text, error.text);
    }
}

/* Keys of later versions are skipped; whole numbers are numbers. */
Test(description, taken)
{
    static const char *const texts[] = {
        CODED("[16]", "[" PIECE "," PIECE "]"),
        CODED("[]", "[" PIECE "]"),
        "{\"later\":{\"x\":[1]},\"xxh3\":\"" SUM "\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct hc_description description;
        struct hc_error error = {""};
        cr_assert_eq(hc_description_parse(texts[i], &description, &error), HC_OK, "%s: %s", texts[i], error.text);
        hc_description_clear(&description);
    }
}

/* The stored text form, of known values of XXH3-128. */
Test(description, checksums)
{
    char text[HC_CHECKSUM_DIGITS + 1];
    hc_checksum("", 0, text);
    cr_assert_str_eq(text, "99aa06d3014798d86001c324468d497f");
    hc_checksum("a", 1, text);
    cr_assert_str_eq(text, "a96faf705af16834e6c632b61e964e1f");
}

Test(description, signal_to_noise)
{
    cr_assert(fabs(hc_signal_to_noise(100, 1) - 20) <= 1e-12);
    cr_assert(isinf(hc_signal_to_noise(1, 0)));
    cr_assert(isinf(hc_signal_to_noise(0, 0)));
}
