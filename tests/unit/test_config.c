/* quantization_config goes in and comes out, and not a byte of the rest changes. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

static json_t *quantization(void)
{
    return json_pack("{s:s, s:i, s:f, s:[i, i], s:{s:s}}", "quant_method", "hyperc", "format", 1, "side", 0.1, "points",
                     100, 1600, "more", "name", "x");
}

/* What was put in can be read, and all the rest is as before. */
static void check_added(const char *before, const char *after, const json_t *expected)
{
    json_t *old = json_loads(before, 0, NULL), *new = json_loads(after, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(new, "not JSON: %s", after);
    cr_assert(json_equal(json_object_get(new, "quantization_config"), expected), "%s", after);
    json_object_del(new, "quantization_config");
    cr_assert(json_equal(old, new), "%s", after);
    json_decref(old);
    json_decref(new);
}

Test(config, round_trip)
{
    static const char *const texts[] = {
        "{\"a\": 1}",
        "{\"a\": 1}\n",
        "{\n  \"a\": 1,\n  \"b\": [1, 2, {\"c\": \"}\"}]\n}\n",
        "{\r\n\t\"a\": {}\r\n}\r\n",
        " { \"a\" :1.50 , \"b\":\"\\\"quantization_config\\\": {}\" } ",
        "{\"text\": {\"quantization_config\": {\"quant_method\": \"none\"}}, \"b\": null}",
        "{\"\xc3\xbc\": \"}}}\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct hc_error error = {""};
        json_t *expected = quantization();
        char *with = NULL, *without = NULL;
        cr_assert_eq(hc_config_add(texts[i], expected, "config.json", &with, &error), HC_OK, "%s", error.text);
        check_added(texts[i], with, expected);
        cr_assert_eq(hc_config_remove(with, "config.json", &without, &error), HC_OK, "%s", error.text);
        if (strstr(texts[i], "quantization_config")) { /* the same object is promised, no more */
            json_t *old = json_loads(texts[i], 0, NULL), *new = json_loads(without, 0, NULL);
            cr_assert(json_equal(old, new), "%s", without);
            json_decref(old);
            json_decref(new);
        } else {
            cr_assert_str_eq(without, texts[i]);
        }
        free(with);
        free(without);
        json_decref(expected);
    }
}

static void check_empty(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    cr_assert(json_is_object(json) && json_object_size(json) == 0, "%s", text);
    json_decref(json);
}

/* Numbers that Python writes and JSON has not. */
Test(config, not_finite)
{
    static const char *const texts[] = {
        "{\"a\": NaN}",
        "{\"time_step_limit\": [0.0, Infinity], \"b\": [-Infinity,NaN,\n Infinity]}\n",
        "{\"text\": \"a, NaN \\\" : Infinity\",\"b\":-Infinity,\n\"c\":Infinity }",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct hc_error error = {""};
        json_t *expected = quantization();
        char *with = NULL, *without = NULL;
        cr_assert_eq(hc_config_add(texts[i], expected, "config.json", &with, &error), HC_OK, "%s", error.text);
        size_t common = strlen(texts[i]) - 2; /* but for the end, the text is there as it was */
        while (texts[i][common - 1] == ' ' || texts[i][common - 1] == '}')
            common--;
        cr_assert_eq(strncmp(with, texts[i], common), 0, "%s", with);
        cr_assert(strstr(with, "\"quant_method\": \"hyperc\""), "%s", with);
        cr_assert_eq(hc_config_remove(with, "config.json", &without, &error), HC_OK, "%s", error.text);
        cr_assert_str_eq(without, texts[i]);
        free(with);
        free(without);
        json_decref(expected);
    }
}

/* Somebody edited the file; what is not JSON elsewhere in it stays. */
Test(config, edited_not_finite)
{
    static const char *const texts[][2] = {
        {"{\"quantization_config\" : {\"a\": [NaN, \"}\"]} , \"b\": Infinity}", "{ \"b\": Infinity}"},
        {"{\"b\": -Infinity , \"quantization_config\":\t7\n}", "{\"b\": -Infinity \n}"},
        {"{\"b\": {\"quantization_config\": NaN}}", "{\"b\": {\"quantization_config\": NaN}}"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct hc_error error = {""};
        char *out = NULL;
        cr_assert_eq(hc_config_remove(texts[i][0], "config.json", &out, &error), HC_OK, "%s", error.text);
        cr_assert_str_eq(out, texts[i][1]);
        free(out);
    }
}

/* No file before, none after; an empty object stays. */
Test(config, nothing_but_ours)
{
    static const char *const texts[] = {NULL, "{}", "{ }", "{\n\n}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct hc_error error = {""};
        json_t *expected = quantization();
        char *with = NULL, *without = NULL;
        cr_assert_eq(hc_config_add(texts[i], expected, "config.json", &with, &error), HC_OK, "%s", error.text);
        check_added("{}", with, expected);
        cr_assert_eq(hc_config_remove(with, "config.json", &without, &error), HC_OK, "%s", error.text);
        if (texts[i])
            check_empty(without);
        else
            cr_assert_null(without);
        free(with);
        free(without);
        json_decref(expected);
    }
}

/* Somebody wrote the file anew: the layout is theirs, the member goes all the same. */
Test(config, edited)
{
    static const char *const texts[] = {
        "{\"quantization_config\": {\"a\": 1}, \"b\": 2}",
        "{\n  \"b\": 2,\n  \"quantization_config\":{\"a\":\"}\"}}",
        "{\"b\": 2, \"quantization_config\": 7}",
        "{\"b\": 2, \"quantization_config\": \"}\"}",
        "{\"b\": 2}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct hc_error error = {""};
        char *out = NULL;
        cr_assert_eq(hc_config_remove(texts[i], "config.json", &out, &error), HC_OK, "%s", error.text);
        json_t *json = json_loads(out, JSON_REJECT_DUPLICATES, NULL), *expected = json_pack("{s:i}", "b", 2);
        cr_assert(json_equal(json, expected), "%s", out);
        json_decref(json);
        json_decref(expected);
        free(out);
    }
}

Test(config, refused)
{
    static const struct {
        const char *text;
        hc_status status;
        const char *fragment;
    } cases[] = {
        {"", HC_ERR_CORRUPT, "config.json"},
        {"[]", HC_ERR_CORRUPT, "not a JSON object"},
        {"{\"a\": 1", HC_ERR_CORRUPT, "config.json"},
        {"{\"a\": 1, \"a\": 2}", HC_ERR_CORRUPT, "config.json"},
        {"{\"quantization_config\": {\"quant_method\": \"gptq\"}}", HC_ERR_UNSUPPORTED, "quantized already (gptq)"},
        {"{\"a\": NaN5}", HC_ERR_CORRUPT, "config.json"},
        {"{\"a\": 1NaN}", HC_ERR_CORRUPT, "config.json"},
        {"{\"a\": -NaN}", HC_ERR_CORRUPT, "config.json"},
        {"{\"a\": + Infinity}", HC_ERR_CORRUPT, "config.json"},
        {"{NaN: 1}", HC_ERR_CORRUPT, "config.json"},
        {"{\"a\": \"", HC_ERR_CORRUPT, "config.json"},
        {"{\"a\": \"\\", HC_ERR_CORRUPT, "config.json"},
        {"NaN", HC_ERR_CORRUPT, "config.json"},
        {"{\"a\": Infinity, \"quantization_config\": NaN}", HC_ERR_UNSUPPORTED, "quantized already"},
        {"{\"quantization_config\": null}", HC_ERR_UNSUPPORTED, "quantized already"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hc_error error = {""};
        json_t *expected = quantization();
        char *out = NULL;
        hc_status status = hc_config_add(cases[i].text, expected, "config.json", &out, &error);
        cr_assert_eq(status, cases[i].status, "%s: %s", cases[i].text, error.text);
        cr_assert(strstr(error.text, cases[i].fragment), "%s: %s", cases[i].text, error.text);
        cr_assert_null(out);
        if (cases[i].status == HC_ERR_CORRUPT)
            cr_assert_eq(hc_config_remove(cases[i].text, "config.json", &out, &error), HC_ERR_CORRUPT);
        json_decref(expected);
    }
}

/* The same key in other letters: it is not left where it must go. */
Test(config, escaped_key)
{
    struct hc_error error = {""};
    char *out = NULL;
    cr_assert_eq(hc_config_remove("{\"quantization\\u005fconfig\": 1}", "config.json", &out, &error), HC_ERR_CORRUPT);
    cr_assert(strstr(error.text, "quantization_config"), "%s", error.text);
    cr_assert_null(out);
}
