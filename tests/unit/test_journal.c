/* The journal: what is committed is found again, what is torn is cut off, another run is kept out; and what a run that
 * goes on with it reports. */
#include "scratch.h"

#include <math.h>

#include "journal.h"

static json_t *identity(int number)
{
    return json_pack("{s:s, s:{s:i}}", "method", "pair", "options", "classes", number);
}

static hc_status open_journal(struct scratch *scratch, struct hc_journal *journal, bool fresh, int number,
                              struct hc_error *error)
{
    json_t *mine = identity(number);
    hc_status status = hc_journal_open(journal, scratch_at(scratch, "journal"), fresh, mine, error);
    json_decref(mine);
    return status;
}

static void sound_journal(struct scratch *scratch, struct hc_journal *journal)
{
    struct hc_error error = {""};
    cr_assert_eq(open_journal(scratch, journal, false, 3, &error), HC_OK, "%s", error.text);
}

static void add(struct hc_journal *journal, int first, int count)
{
    struct hc_error error = {""};
    for (int i = first; i < first + count; i++)
        cr_assert_eq(hc_journal_add(journal, json_pack("{s:i, s:s}", "n", i, "text", "a\nb\"\xc3\xbc"), &error), HC_OK);
}

static void commit(struct hc_journal *journal)
{
    struct hc_error error = {""};
    cr_assert_eq(hc_journal_commit(journal, &error), HC_OK, "%s", error.text);
}

/* Records 0 .. count - 1, in order. */
static void expect_records(struct scratch *scratch, size_t count)
{
    struct hc_journal journal;
    sound_journal(scratch, &journal);
    cr_assert_eq(json_array_size(journal.records), count, "%zu records, not %zu", json_array_size(journal.records),
                 count);
    for (size_t i = 0; i < count; i++) {
        const json_t *record = json_array_get(journal.records, i);
        cr_assert_eq(json_integer_value(json_object_get(record, "n")), (json_int_t)i);
        cr_assert_str_eq(json_string_value(json_object_get(record, "text")), "a\nb\"\xc3\xbc");
    }
    hc_journal_close(&journal);
}

static void make_journal(struct scratch *scratch, int records)
{
    struct hc_journal journal;
    scratch_make(scratch);
    sound_journal(scratch, &journal);
    add(&journal, 0, records);
    commit(&journal);
    hc_journal_close(&journal);
}

static long size_of(struct scratch *scratch)
{
    struct stat info;
    cr_assert_eq(stat(scratch_at(scratch, "journal"), &info), 0);
    return (long)info.st_size;
}

Test(journal, committed_only)
{
    struct scratch scratch;
    struct hc_journal journal;
    make_journal(&scratch, 3);
    sound_journal(&scratch, &journal);
    add(&journal, 3, 2);
    commit(&journal);
    add(&journal, 5, 2); /* never committed */
    hc_journal_close(&journal);
    expect_records(&scratch, 5);

    sound_journal(&scratch, &journal);
    add(&journal, 100, 2);
    hc_journal_drop(&journal);
    add(&journal, 5, 1);
    commit(&journal);
    hc_journal_close(&journal);
    expect_records(&scratch, 6);
    scratch_remove(&scratch);
}

/* Cut anywhere: whole lines stay, and the run goes on behind them. */
Test(journal, torn)
{
    struct scratch scratch;
    struct hc_journal journal;
    make_journal(&scratch, 2);
    long whole = size_of(&scratch);
    sound_journal(&scratch, &journal);
    add(&journal, 2, 1);
    commit(&journal);
    hc_journal_close(&journal);
    long end = size_of(&scratch);
    for (long cut = end - 1; cut >= whole; cut -= cut - whole > 20 ? 7 : 1) {
        cr_assert_eq(truncate(scratch_at(&scratch, "journal"), cut), 0);
        expect_records(&scratch, 2);
        cr_assert_eq(size_of(&scratch), whole);
        sound_journal(&scratch, &journal);
        add(&journal, 2, 1);
        commit(&journal);
        hc_journal_close(&journal);
        expect_records(&scratch, 3);
    }
    scratch_remove(&scratch);
}

/* A line that fails its checksum ends what can be trusted; if it is the first, nothing can. */
Test(journal, damaged)
{
    static const size_t records[] = {0, 1, 2};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct scratch scratch;
        make_journal(&scratch, 2);
        char *text;
        size_t bytes, line = 0, at = 0;
        struct hc_error error = {""};
        cr_assert_eq(hc_read_file(scratch_at(&scratch, "journal"), 1 << 20, &text, &bytes, &error), HC_OK);
        for (; line <= records[i] && at < bytes; at++)
            line += text[at] == '\n';
        if (at < bytes)
            text[at + 50] ^= 1;
        scratch_write(&scratch, "journal", text, bytes);
        expect_records(&scratch, records[i]);
        free(text);
        scratch_remove(&scratch);
    }
    struct scratch scratch;
    scratch_make(&scratch);
    scratch_text(&scratch, "journal", "this is\nno journal\n");
    expect_records(&scratch, 0);
    scratch_remove(&scratch);
}

Test(journal, other_runs)
{
    struct scratch scratch;
    struct hc_journal first, second;
    struct hc_error error = {""};
    make_journal(&scratch, 2);
    sound_journal(&scratch, &first);
    cr_assert_eq(open_journal(&scratch, &second, false, 3, &error), HC_ERR_EXISTS);
    cr_assert(strstr(error.text, "another run is at work"), "%s", error.text);
    hc_journal_close(&second);
    cr_assert_eq(open_journal(&scratch, &second, true, 3, &error), HC_ERR_EXISTS); /* --force does not help */
    hc_journal_close(&second);
    hc_journal_close(&first);

    cr_assert_eq(open_journal(&scratch, &second, false, 4, &error), HC_ERR_EXISTS);
    cr_assert(strstr(error.text, "another options"), "%s", error.text);
    hc_journal_close(&second);
    expect_records(&scratch, 2);

    cr_assert_eq(open_journal(&scratch, &second, true, 4, &error), HC_OK, "%s", error.text);
    cr_assert_eq(second.size, 0);
    cr_assert_eq(json_array_size(second.records), 0);
    commit(&second);
    hc_journal_close(&second);
    cr_assert_eq(open_journal(&scratch, &second, false, 3, &error), HC_ERR_EXISTS);
    hc_journal_close(&second);
    scratch_remove(&scratch);
}

/* ---- Runs ----------------------------------------------------------------------------------- */

enum { CODED = 64 * 64, KEPT = 3 << 20 };

/* A tensor that is kept for what is in it, one that is coded, and a large one that is kept for its shape. */
static void write_model(struct scratch *scratch)
{
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[64,64],\"data_offsets\":[0,16384]},"
                                 "\"b\":{\"dtype\":\"F32\",\"shape\":[64,64],\"data_offsets\":[16384,32768]},"
                                 "\"large\":{\"dtype\":\"F32\",\"shape\":[3145728],\"data_offsets\":[32768,12615680]}}";
    size_t count = 2 * CODED + KEPT, before = 8 + sizeof header - 1;
    uint64_t length = sizeof header - 1;
    uint8_t *bytes = malloc(before + 4 * count);
    cr_assert_not_null(bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, sizeof header - 1);
    for (size_t i = 0; i < count; i++) {
        float weight = i == 0 ? INFINITY : (float)(i % 251) / 4000 - 0.03f;
        memcpy(bytes + before + 4 * i, &weight, 4);
    }
    scratch_write(scratch, "in.safetensors", bytes, before + 4 * count);
    free(bytes);
}

struct watch {
    unsigned large_reports; /* within the large tensor */
    unsigned stop_after;    /* so many of them; 0: never */
    bool overtaken;         /* more was resumed than done */
    uint64_t resumed;
};

static bool on_progress(const hc_progress *progress, void *user)
{
    struct watch *watch = user;
    uint64_t before = 2 * CODED;
    watch->resumed = progress->weights_resumed;
    if (progress->weights_resumed > progress->weights_done)
        watch->overtaken = true;
    if (progress->tensor && strcmp(progress->tensor, "large") == 0 && progress->weights_done > before &&
        progress->weights_done <= before + KEPT)
        watch->large_reports++;
    return watch->stop_after == 0 || watch->large_reports < watch->stop_after;
}

static hc_status run(struct scratch *scratch, struct watch *watch, bool resume)
{
    char in[600];
    hc_context *context;
    hc_context_options settings = {.threads = 1, .tier = HC_TIER_BEST, .progress = on_progress, .user = watch};
    hc_compress_options options;
    hc_compress_options_init(&options);
    options.resume = resume;
    snprintf(in, sizeof in, "%s", scratch_at(scratch, "in.safetensors"));
    cr_assert_eq(hc_context_create(&context, &settings), HC_OK);
    hc_status status = hc_compress(context, in, scratch_at(scratch, "out"), &options);
    hc_context_destroy(context);
    return status;
}

/* A long copy can be stopped, and what an earlier run did is never more than what is done. */
Test(journal, progress)
{
    struct scratch scratch;
    struct watch stopped = {.stop_after = 2}, resumed = {0};
    scratch_make(&scratch);
    write_model(&scratch);
    cr_assert_eq(run(&scratch, &stopped, false), HC_ERR_CANCELLED);
    cr_assert_eq(run(&scratch, &resumed, true), HC_OK);
    cr_assert(resumed.large_reports >= 3, "%u reports in 12 MiB", resumed.large_reports);
    cr_assert_not(resumed.overtaken, "more weights were resumed than done");
    cr_assert_eq(resumed.resumed, CODED);
    scratch_remove(&scratch);
}
