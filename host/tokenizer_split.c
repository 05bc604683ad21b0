#include "tokenizer_split.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 32 };

enum step_kind { STEP_SPLIT, STEP_PREFIX, STEP_BYTES, STEP_METASPACE };
enum behaviour { ISOLATED, REMOVED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS };
enum prepend { PREPEND_NEVER, PREPEND_FIRST, PREPEND_ALWAYS };

struct step {
    enum step_kind kind;
    struct hc_regex *regex; /* split; metaspace: what cuts, NULL if nothing does */
    enum behaviour behaviour;
    bool invert;          /* what lies between matches counts as matches */
    enum prepend prepend; /* metaspace */
    char *replacement;    /* metaspace: what stands for a space */
};

struct hc_splitter {
    size_t count;
    struct step steps[MAX_STEPS];
};

/* ---- Bytes as characters -------------------------------------------------------------------- */

/* Bytes that Latin-1 can print stand for themselves, the others for U+0100 and up, in their order. */
static bool stands_for_itself(uint32_t byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

uint32_t hc_character_of_byte(uint8_t byte)
{
    /* before 0x21 all 33 are others; then come 0x7f to 0xa0, and 0xad */
    if (stands_for_itself(byte))
        return byte;
    return 0x100u + (byte < 0x21 ? byte : byte <= 0xa0 ? byte - 0x7fu + 0x21 : 0x43u);
}

int hc_byte_of_character(uint32_t character)
{
    if (character < 0x100)
        return stands_for_itself(character) ? (int)character : -1;
    uint32_t number = character - 0x100;
    return number < 0x21 ? (int)number : number < 0x43 ? (int)(number - 0x21 + 0x7f) : number == 0x43 ? 0xad : -1;
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* GPT-2's words. */
#define WORDS "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define PUNCTUATION "[\\p{P}!-\\/:-@\\[-`{-~]"

static hc_status next_step(struct hc_splitter *splitter, const char *path, enum step_kind kind, struct step **step,
                           struct hc_error *error)
{
    if (splitter->count == MAX_STEPS)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: more than %d pre-tokenizers", path, MAX_STEPS);
    *step = &splitter->steps[splitter->count++];
    (*step)->kind = kind;
    return HC_OK;
}

/* A truth value that may be left out. */
static bool flag_of(const json_t *json, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(json, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static hc_status read_behaviour(const json_t *json, const char *path, enum behaviour *behaviour, struct hc_error *error)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const char *name = json_string_value(json_object_get(json, "behavior"));
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *behaviour = (enum behaviour)i;
            return HC_OK;
        }
    return hc_fail(error, HC_ERR_CORRUPT, "%s: the behavior '%.100s' of a pre-tokenizer is not known", path,
                   name ? name : "");
}

/* Cuts out every match of a pattern of our own. */
static hc_status add_pattern(struct hc_splitter *splitter, const char *path, const char *pattern,
                             struct hc_error *error)
{
    struct step *step = NULL;
    hc_status status = next_step(splitter, path, STEP_SPLIT, &step, error);
    return status == HC_OK ? hc_regex_compile(pattern, false, path, &step->regex, error) : status;
}

static hc_status read_split(const json_t *json, const char *path, struct hc_splitter *splitter, struct hc_error *error)
{
    struct step *step = NULL;
    hc_status status;
    HC_TRY(next_step(splitter, path, STEP_SPLIT, &step, error));
    HC_TRY(read_behaviour(json, path, &step->behaviour, error));
    step->invert = flag_of(json, "invert", false);
    HC_TRY(hc_regex_read(json_object_get(json, "pattern"), path, &step->regex, error));
done:
    return status;
}

static hc_status read_bytes(const json_t *json, const char *path, struct hc_splitter *splitter, struct hc_error *error)
{
    struct step *step = NULL;
    hc_status status = HC_OK;
    if (flag_of(json, "add_prefix_space", true))
        HC_TRY(next_step(splitter, path, STEP_PREFIX, &step, error));
    if (flag_of(json, "use_regex", true))
        HC_TRY(add_pattern(splitter, path, WORDS, error));
    HC_TRY(next_step(splitter, path, STEP_BYTES, &step, error));
done:
    return status;
}

static hc_status read_digits(const json_t *json, const char *path, struct hc_splitter *splitter, struct hc_error *error)
{
    return add_pattern(splitter, path, flag_of(json, "individual_digits", false) ? "\\p{N}" : "\\p{N}+", error);
}

static hc_status read_punctuation(const json_t *json, const char *path, struct hc_splitter *splitter,
                                  struct hc_error *error)
{
    hc_status status = add_pattern(splitter, path, PUNCTUATION, error);
    if (status != HC_OK || !json_object_get(json, "behavior"))
        return status;
    return read_behaviour(json, path, &splitter->steps[splitter->count - 1].behaviour, error);
}

static hc_status read_prepend(const json_t *json, const char *path, enum prepend *prepend, struct hc_error *error)
{
    static const char *const names[] = {"never", "first", "always"};
    const json_t *scheme = json_object_get(json, "prepend_scheme");
    *prepend = flag_of(json, "add_prefix_space", true) ? PREPEND_ALWAYS : PREPEND_NEVER; /* as older files tell it */
    if (!scheme)
        return HC_OK;
    for (size_t i = 0; json_is_string(scheme) && i < sizeof names / sizeof *names; i++)
        if (strcmp(json_string_value(scheme), names[i]) == 0) {
            *prepend = (enum prepend)i;
            return HC_OK;
        }
    return hc_fail(error, HC_ERR_CORRUPT, "%s: the prepend_scheme of a pre-tokenizer is not known", path);
}

static hc_status read_metaspace(const json_t *json, const char *path, struct hc_splitter *splitter,
                                struct hc_error *error)
{
    const char *replacement = json_string_value(json_object_get(json, "replacement"));
    struct step *step = NULL;
    hc_status status;
    if (!replacement || !*replacement)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: the pre-tokenizer Metaspace has no replacement", path);
    HC_TRY(next_step(splitter, path, STEP_METASPACE, &step, error));
    HC_TRY(read_prepend(json, path, &step->prepend, error));
    step->replacement = strdup(replacement);
    if (!step->replacement)
        return hc_no_memory(error);
    if (flag_of(json, "split", true)) {
        HC_TRY(next_step(splitter, path, STEP_SPLIT, &step, error));
        step->behaviour = MERGED_WITH_NEXT;
        HC_TRY(hc_regex_compile(replacement, true, path, &step->regex, error));
    }
done:
    return status;
}

static hc_status read_steps(const json_t *json, const char *path, struct hc_splitter *splitter, struct hc_error *error);

static hc_status read_sequence(const json_t *json, const char *path, struct hc_splitter *splitter,
                               struct hc_error *error)
{
    const json_t *list = json_object_get(json, "pretokenizers");
    hc_status status = HC_OK;
    if (!json_is_array(list))
        return hc_fail(error, HC_ERR_CORRUPT, "%s: a Sequence of pre-tokenizers has no list", path);
    for (size_t i = 0; status == HC_OK && i < json_array_size(list); i++)
        status = read_steps(json_array_get(list, i), path, splitter, error);
    return status;
}

/* One pre-tokenizer; a Sequence goes as deep as the JSON reader lets it. */
static hc_status read_steps(const json_t *json, const char *path, struct hc_splitter *splitter, struct hc_error *error)
{
    static const struct {
        const char *type;
        hc_status (*read)(const json_t *json, const char *path, struct hc_splitter *splitter, struct hc_error *error);
    } readers[] = {
        {"Sequence", read_sequence},       {"Split", read_split},
        {"ByteLevel", read_bytes},         {"Digits", read_digits},
        {"Punctuation", read_punctuation}, {"Metaspace", read_metaspace},
    };
    const char *type = json_string_value(json_object_get(json, "type"));
    if (!type)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: a pre-tokenizer has no type", path);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (strcmp(type, readers[i].type) == 0)
            return readers[i].read(json, path, splitter, error);
    return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the pre-tokenizer '%.100s' is not known", path, type);
}

hc_status hc_splitter_read(const json_t *json, const char *path, struct hc_splitter **result, struct hc_error *error)
{
    struct hc_splitter *splitter = calloc(1, sizeof *splitter);
    *result = NULL;
    if (!splitter)
        return hc_no_memory(error);
    hc_status status = json && !json_is_null(json) ? read_steps(json, path, splitter, error) : HC_OK;
    if (status != HC_OK)
        hc_splitter_free(splitter);
    else
        *result = splitter;
    return status;
}

void hc_splitter_free(struct hc_splitter *splitter)
{
    for (size_t i = 0; splitter && i < splitter->count; i++) {
        hc_regex_free(splitter->steps[i].regex);
        free(splitter->steps[i].replacement);
    }
    free(splitter);
}

/* ---- Cutting -------------------------------------------------------------------------------- */

/* A piece on its way into parts: stretches that match and stretches that do not, one behind the other. */
struct parts {
    const struct step *step;
    struct hc_pieces *out;
    bool before; /* whether the last stretch was a match */
};

/* Whether a stretch begins a part of its own. The first one has nothing to join. */
static bool begins_part(const struct parts *parts, bool match)
{
    switch (parts->step->behaviour) {
    case MERGED_WITH_PREVIOUS:
        return !match || parts->before;
    case MERGED_WITH_NEXT:
        return match || !parts->before;
    case CONTIGUOUS:
        return match != parts->before;
    default:
        return true;
    }
}

static bool add_stretch(struct parts *parts, const char *text, size_t bytes, bool match)
{
    match = match != parts->step->invert;
    bool cut = !begins_part(parts, match) || hc_pieces_cut(parts->out);
    parts->before = match;
    if (match && parts->step->behaviour == REMOVED)
        return cut;
    return cut && hc_text_add(&parts->out->text, text, bytes);
}

/* Looks for matches in one piece, a text of its own: nothing is seen of those beside it. */
static hc_status split_piece(const struct step *step, struct hc_matcher *matcher, const char *text, size_t bytes,
                             struct hc_pieces *out, struct hc_error *error)
{
    struct parts parts = {step, out, false};
    size_t done = 0, from = 0, begin, end, length;
    bool found = true;
    while (from <= bytes) {
        hc_status status = hc_regex_find(step->regex, matcher, text, bytes, from, &begin, &end, &found, error);
        if (status != HC_OK)
            return status;
        if (!found)
            break;
        if ((begin > done && !add_stretch(&parts, text + done, begin - done, false)) ||
            (end > begin && !add_stretch(&parts, text + begin, end - begin, true)))
            return hc_no_memory(error);
        done = from = end;
        if (begin == end) { /* go on behind the next character */
            if (from == bytes)
                break;
            hc_character_at(text + end, &length);
            from += length;
        }
    }
    bool added = (done == bytes || add_stretch(&parts, text + done, bytes - done, false)) && hc_pieces_cut(out);
    return added ? HC_OK : hc_no_memory(error);
}

static bool add_bytes(const char *text, size_t bytes, struct hc_pieces *out)
{
    for (size_t i = 0; i < bytes; i++)
        if (!hc_text_add_character(&out->text, hc_character_of_byte((uint8_t)text[i])))
            return false;
    return hc_pieces_cut(out);
}

static bool add_prefixed(const char *text, size_t bytes, struct hc_pieces *out)
{
    return (text[0] == ' ' || hc_text_add(&out->text, " ", 1)) && hc_text_add(&out->text, text, bytes) &&
           hc_pieces_cut(out);
}

static bool add_metaspace(const struct step *step, bool first, const char *text, size_t bytes, struct hc_pieces *out)
{
    size_t length = strlen(step->replacement);
    bool begins = text[0] == ' ' || (bytes >= length && memcmp(text, step->replacement, length) == 0);
    bool prepend = step->prepend == PREPEND_ALWAYS || (step->prepend == PREPEND_FIRST && first);
    if (prepend && !begins && !hc_text_add(&out->text, step->replacement, length))
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (text[i] == ' ' ? !hc_text_add(&out->text, step->replacement, length)
                           : !hc_text_add(&out->text, text + i, 1))
            return false;
    return hc_pieces_cut(out);
}

static hc_status apply(const struct step *step, struct hc_matcher *matcher, bool first, const char *text, size_t bytes,
                       struct hc_pieces *out, struct hc_error *error)
{
    bool done = false;
    switch (step->kind) {
    case STEP_SPLIT:
        return split_piece(step, matcher, text, bytes, out, error);
    case STEP_PREFIX:
        done = add_prefixed(text, bytes, out);
        break;
    case STEP_BYTES:
        done = add_bytes(text, bytes, out);
        break;
    case STEP_METASPACE:
        done = add_metaspace(step, first, text, bytes, out);
        break;
    }
    return done ? HC_OK : hc_no_memory(error);
}

hc_status hc_split_text(const struct hc_splitter *splitter, struct hc_matcher *matcher, bool first,
                        struct hc_pieces *pieces, struct hc_pieces *spare, struct hc_error *error)
{
    for (size_t s = 0; s < splitter->count; s++) {
        hc_pieces_clear(spare);
        for (size_t i = 0; i < pieces->count; i++) {
            size_t begin = hc_piece_begin(pieces, i);
            hc_status status = apply(&splitter->steps[s], matcher, first && i == 0, pieces->text.bytes + begin,
                                     pieces->ends[i] - begin, spare, error);
            if (status != HC_OK)
                return status;
        }
        struct hc_pieces swap = *pieces;
        *pieces = *spare;
        *spare = swap;
    }
    return HC_OK;
}
