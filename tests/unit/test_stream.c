/* Text on its way out: whole characters only, nothing of a stop string. What was let out is what `shown` counts. */
#include <criterion/criterion.h>
#include <string.h>

#include "../../tools/stream.h"

/* Adds a piece; then this much of the text is out. */
static void expect_shown(struct stream *stream, const char *piece, const char *shown)
{
    cr_assert(stream_add(stream, piece, strlen(piece)));
    cr_expect(stream->shown == strlen(shown) && (!stream->shown || memcmp(stream->text, shown, stream->shown) == 0),
              "after '%s': %zu bytes of '%s'", piece, stream->shown, stream->text);
}

static void expect_end(struct stream *stream, const char *text)
{
    cr_assert(stream_end(stream));
    cr_expect_str_eq(stream->text, text);
    cr_expect_eq(stream->shown, strlen(text));
    stream_free(stream);
}

/* ---- Characters ----------------------------------------------------------------------------- */

Test(stream, characters_in_pieces)
{
    struct stream stream = {0};
    expect_shown(&stream, "a\xc3", "a");
    expect_shown(&stream, "\xa9", "a\xc3\xa9");
    expect_shown(&stream, "\xe2", "a\xc3\xa9");
    expect_shown(&stream, "\x82", "a\xc3\xa9");
    expect_shown(&stream, "\xac\xf0\x9f", "a\xc3\xa9\xe2\x82\xac");
    expect_shown(&stream, "\x98", "a\xc3\xa9\xe2\x82\xac");
    expect_shown(&stream, "\x80.", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80.");
    expect_end(&stream, "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80.");
}

#define MARK "\xef\xbf\xbd"

/* One mark for as much as is the beginning of a character, as the Unicode standard advises. */
Test(stream, no_characters)
{
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"\xff", MARK},
        {"a\x80z", "a" MARK "z"},
        {"\xc3z", MARK "z"},
        {"\xe2\x82z", MARK "z"},
        {"\xe2\xc3\xa9", MARK "\xc3\xa9"},
        {"\xf0\x9f\x98\xf0\x9f\x98\x80", MARK "\xf0\x9f\x98\x80"},
        {"\xc0\xaf", MARK MARK},                   /* too long a form */
        {"\xe0\x80\xaf", MARK MARK MARK},          /* the same */
        {"\xed\xa0\x80", MARK MARK MARK},          /* half of a surrogate pair */
        {"\xf4\x90\x80\x80", MARK MARK MARK MARK}, /* beyond U+10FFFF */
        {"\xed\x9f\xbf\xf4\x8f\xbf\xbf", "\xed\x9f\xbf\xf4\x8f\xbf\xbf"},
        {"\xe2\x82", MARK}, /* the text ends in it */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stream whole = {0}, pieces = {0};
        cr_assert(stream_add(&whole, cases[i].bytes, strlen(cases[i].bytes)));
        for (const char *c = cases[i].bytes; *c; c++)
            cr_assert(stream_add(&pieces, c, 1));
        expect_end(&whole, cases[i].text);
        expect_end(&pieces, cases[i].text);
    }
}

Test(stream, zero_byte)
{
    struct stream stream = {0};
    cr_assert(stream_add(&stream, "a\0b", 3));
    expect_end(&stream, "a" MARK "b");
}

Test(stream, nothing)
{
    struct stream stream = {0};
    cr_assert(stream_add(&stream, "", 0));
    cr_assert(stream_end(&stream));
    cr_expect(stream.count == 0 && !stream.stopped);
    stream_free(&stream);
}

/* ---- Stop strings --------------------------------------------------------------------------- */

static const char *const stops[] = {"</s>", "###", "\n\nUser:"};

Test(stream, beginnings_are_held_back)
{
    struct stream stream = {.stops = stops, .stop_count = 3};
    expect_shown(&stream, "a <", "a ");
    expect_shown(&stream, "/", "a ");
    expect_shown(&stream, "s", "a ");
    expect_shown(&stream, "t> #", "a </st> ");
    expect_shown(&stream, "# \n", "a </st> ## ");
    expect_shown(&stream, "\nUse", "a </st> ## ");
    expect_shown(&stream, "less\n", "a </st> ## \n\nUseless");
    expect_end(&stream, "a </st> ## \n\nUseless\n");
}

Test(stream, text_ends_before_a_stop_string)
{
    struct stream stream = {.stops = stops, .stop_count = 3};
    expect_shown(&stream, "one#", "one");
    expect_shown(&stream, "##", "one");
    cr_expect(stream.stopped);
    expect_end(&stream, "one");
}

Test(stream, the_first_of_two)
{
    struct stream stream = {.stops = stops, .stop_count = 3};
    expect_shown(&stream, "one \n\nUser: </s> ###", "one ");
    cr_expect(stream.stopped);
    expect_end(&stream, "one ");
}

/* aab in aaab: the beginning that is held back moves on. */
Test(stream, a_beginning_within_a_beginning)
{
    static const char *const own[] = {"aab"};
    struct stream stream = {.stops = own, .stop_count = 1};
    expect_shown(&stream, "aa", "");
    expect_shown(&stream, "a", "a");
    expect_shown(&stream, "b", "a");
    cr_expect(stream.stopped);
    expect_end(&stream, "a");
}

Test(stream, a_character_broken_off_by_the_end_is_no_part_of_a_stop)
{
    static const char *const own[] = {"\xc3\xa9"};
    struct stream stream = {.stops = own, .stop_count = 1};
    expect_shown(&stream, "a\xc3", "a");
    expect_shown(&stream, "\xa9z", "a");
    cr_expect(stream.stopped);
    expect_end(&stream, "a");
}

Test(stream, another_text)
{
    struct stream stream = {.stops = stops, .stop_count = 3};
    expect_shown(&stream, "one###", "one");
    stream_clear(&stream);
    cr_expect_not(stream.stopped);
    expect_shown(&stream, "two", "two");
    expect_end(&stream, "two");
}
