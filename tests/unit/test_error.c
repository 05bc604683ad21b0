/* Messages: one line of printable UTF-8, whatever the names in it are; and what counts as UTF-8. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "json.h"

Test(error, utf8)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80z"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xc3z",
                                      "\xe0\x9f\xbf",
                                      "\xe2\x82",
                                      "\xe2\x82z",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x9f\x98",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "out\xff",
                                      "\xc3\xbc\xfe"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert(hc_is_utf8(good[i]), "text %zu", i);
        json_t *json = json_string(good[i]); /* Jansson agrees */
        cr_assert_not_null(json, "text %zu", i);
        json_decref(json);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_not(hc_is_utf8(bad[i]), "text %zu", i);
        cr_assert_null(json_string(bad[i]), "text %zu", i);
    }
}

Test(error, replaced)
{
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"a\x1b[31m\n\r\tb\x7f", "a?[31m???b?"},
        {"a\xc2\x9b"
         "31m\xc2\x80\xc2\x9f\xc2\xa0",
         "a??31m????\xc2\xa0"},
        {"out\xff\xc3", "out??"},
        {"\xed\xa0\x80", "???"},
        {"\xe2\x82\xc3\xbc", "??\xc3\xbc"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hc_error error;
        cr_assert_eq(hc_fail(&error, HC_ERR_CORRUPT, "%s", cases[i][0]), HC_ERR_CORRUPT);
        cr_assert_str_eq(error.text, cases[i][1]);
        errno = ENOENT;
        cr_assert_eq(hc_fail_errno(&error, "%s", cases[i][0]), HC_ERR_IO);
        cr_assert_eq(strncmp(error.text, cases[i][1], strlen(cases[i][1])), 0, "%s", error.text);
        cr_assert_str_eq(error.text + strlen(cases[i][1]), ": No such file or directory");
    }
}

/* Wherever a text is cut, by a precision or by the end of the line, a whole one is left. */
Test(error, cut)
{
    char text[2 * sizeof(struct hc_error)];
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = "\xe2\x82\xac"[i % 3];
    text[sizeof text - 1] = 0;
    for (int shift = 0; shift < 3; shift++) {
        struct hc_error error;
        hc_fail(&error, HC_ERR_CORRUPT, "%.*s%s", shift, "abc", text);
        cr_assert_eq(strlen(error.text), sizeof error.text - 1);
        cr_assert(hc_is_utf8(error.text));
        hc_fail(&error, HC_ERR_CORRUPT, "%.*s.", 200 + shift, text);
        cr_assert(hc_is_utf8(error.text));
        errno = EIO;
        hc_fail_errno(&error, "%.*s%s", shift, "abc", text);
        cr_assert(hc_is_utf8(error.text));
    }
}
