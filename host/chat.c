#include "chat.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "tokenizer_text.h"

/* ---- Templates, squeezed --------------------------------------------------------------------
 *
 * So that an expression can be looked for however it is written. Within tags: no spaces, 'text' for "text", escapes
 * resolved, 'a'+'b' joined, x.key for x['key'], no minus signs at the ends. An apostrophe in a text is APOSTROPHE, so
 * that each ' is the end of one. */
enum { APOSTROPHE = 1 };

/* Bytes of what strftime is given, and of what it makes of it. */
enum { MOST_DAY_FORMAT = 40, MOST_DAY = 512 };

/* Copies the string literal at `at`, quotes included; returns what is behind it. */
static const char *squeeze_literal(const char *at, struct hc_text *out, bool *fits)
{
    char quote = *at++;
    if (out->used >= 2 && memcmp(out->bytes + out->used - 2, "'+", 2) == 0)
        out->used -= 2; /* goes on with the literal before it */
    else
        *fits = *fits && hc_text_add(out, "'", 1);
    for (; *at && *at != quote; at++) {
        char c = *at;
        if (c == '\\' && at[1])
            c = *++at == 'n' ? '\n' : *at;
        if (c == '\'')
            c = APOSTROPHE;
        *fits = *fits && hc_text_add(out, &c, 1);
    }
    *fits = *fits && hc_text_add(out, "'", 1);
    return *at ? at + 1 : at;
}

/* x['key'] becomes x.key, if that is what the squeezed text ends with. */
static void squeeze_key(struct hc_text *out)
{
    size_t at = out->used - 2; /* the quote before the bracket that closes */
    if (out->used < 4 || memcmp(out->bytes + at, "']", 2) != 0)
        return;
    size_t begin = at;
    while (begin > 0 && strchr("abcdefghijklmnopqrstuvwxyz_", out->bytes[begin - 1]))
        begin--;
    if (begin < 2 || begin == at || memcmp(out->bytes + begin - 2, "['", 2) != 0)
        return;
    out->bytes[begin - 2] = '.';
    memmove(out->bytes + begin - 1, out->bytes + begin, at - begin);
    out->used = at - 1;
    out->bytes[out->used] = 0;
}

/* Copies the inside of a tag that ends with `end`, "}}" or "%}"; returns where that stands. */
static const char *squeeze_tag(const char *at, const char *end, struct hc_text *out, bool *fits)
{
    at += *at == '-';
    while (*at && strncmp(at, end, 2) != 0 && *fits) {
        if (*at == '\'' || *at == '"') {
            at = squeeze_literal(at, out, fits);
            continue;
        }
        bool dropped = strchr(" \t\r\n", *at) || (*at == '-' && strncmp(at + 1, end, 2) == 0);
        if (!dropped)
            *fits = hc_text_add(out, at, 1);
        if (*at == ']' && *fits)
            squeeze_key(out);
        at++;
    }
    return at;
}

static bool squeeze(const char *at, struct hc_text *out)
{
    bool fits = hc_text_add(out, "", 0);
    while (*at && fits) {
        const char *end = strncmp(at, "{{", 2) == 0 ? "}}" : strncmp(at, "{%", 2) == 0 ? "%}" : NULL;
        if (strncmp(at, "{#", 2) == 0) {
            const char *behind = strstr(at, "#}");
            if (!behind)
                return hc_text_add(out, "{%", 2); /* as a tag without an end, which nobody renders */
            at = behind + 2;
            continue;
        }
        fits = hc_text_add(out, at, end ? 2 : 1);
        at += end ? 2 : 1;
        if (end && fits)
            at = squeeze_tag(at, end, out, &fits);
    }
    return fits;
}

/* ---- Recognising ---------------------------------------------------------------------------- */

static bool has(const char *squeezed, const char *expression)
{
    return strstr(squeezed, expression) != NULL;
}

/* A copy of [begin, end), a part of a literal; *fits becomes false if memory is out. */
static char *copy(const char *begin, const char *end, bool *fits)
{
    char *text = strndup(begin, (size_t)(end - begin));
    for (char *at = text; at && (at = strchr(at, APOSTROPHE)) != NULL;)
        *at = '\'';
    *fits = *fits && text;
    return text;
}

/* Whether `tag` stands before `at`, with nothing but spaces between. */
static bool comes_after(const char *squeezed, const char *at, const char *tag)
{
    size_t length = strlen(tag);
    while (at > squeezed && strchr(" \t\r\n", at[-1]))
        at--;
    return (size_t)(at - squeezed) >= length && memcmp(at - length, tag, length) == 0;
}

/* What the answer begins with, [*begin, *end): the last expression of the template, and on no other condition than that
 * it is asked for. A setting of thoughts may follow that does nothing where it is not set. */
static bool find_answer(const char *squeezed, const char **begin, const char **end)
{
    static const char expression[] = "{{'<|im_start|>assistant\n";
    const char *last = NULL;
    for (const char *at = strstr(squeezed, expression); at; at = strstr(at + 1, expression))
        last = at;
    if (!last || !(comes_after(squeezed, last, "add_generation_prompt%}") || comes_after(squeezed, last, "{%endfor%}")))
        return false;
    *begin = last + 3;
    *end = *begin + strcspn(*begin, "'");
    if (strncmp(*end, "'}}", 3) != 0)
        return false;
    const char *rest = *end + 3 + strspn(*end + 3, " \t\r\n");
    bool thoughts = strncmp(rest, "{%ifenable_thinkingisdefined", 28) == 0 && !strstr(rest, "{%else%}");
    return *rest == 0 || strncmp(rest, "{%endif%}", 9) == 0 || thoughts;
}

/* Whether a system prompt begins that is neither the conversation's nor a whole one: that of tools apart. */
static bool has_other_system(const char *squeezed)
{
    static const char expression[] = "{{'<|im_start|>system\n'}}";
    for (const char *at = strstr(squeezed, expression); at; at = strstr(at + 1, expression))
        if (!comes_after(squeezed, at, "{%iftools%}"))
            return true;
    return false;
}

/* The system prompt that the template puts where there is none: up to the end of its literal. */
static bool find_system(const char *squeezed, struct hc_chat *chat)
{
    static const char begin[] = "'<|im_start|>system\n", end[] = "<|im_end|>\n";
    bool fits = true;
    for (const char *at = strstr(squeezed, begin); at && !chat->system; at = strstr(at + 1, begin)) {
        const char *text = at + strlen(begin);
        size_t bytes = strcspn(text, "'"), last = strlen(end);
        if (text[bytes] && bytes >= last && memcmp(text + bytes - last, end, last) == 0)
            chat->system = copy(text, text + bytes - last, &fits);
    }
    return fits;
}

static bool read_chatml(const char *squeezed, struct hc_chat *chat)
{
    const char *begin, *end;
    bool fits = true;
    bool said = has(squeezed, "'<|im_start|>'+message.role+'\n'+message.content+'<|im_end|>\n'") ||
                has(squeezed, "'<|im_start|>'+message.role+'\n'+content+'<|im_end|>\n'");
    if (!said || has_other_system(squeezed) || !find_answer(squeezed, &begin, &end))
        return true;
    chat->kind = HC_CHAT_CHATML;
    chat->drops_thoughts = has(squeezed, ".split('</think>')[-1].lstrip('\n')");
    chat->trims_always = chat->drops_thoughts && !has(squeezed, "'</think>'in");
    chat->answer = copy(begin, end, &fits);
    return find_system(squeezed, chat) && fits;
}

/* The system prompt that the template puts where there is none, as Meta's own templates say it: switched on, or off by
 * `false == true`. *known: it is said so, or there is none. False if memory is out. */
static bool find_llama2_system(const char *squeezed, struct hc_chat *chat, bool *known)
{
    static const char set[] = "{%setsystem_message='", rest[] = "=trueandnot'<<SYS>>'inmessages[0].content%}"
                                                                "{%setloop_messages=messages%}";
    const char *at = strstr(squeezed, set);
    bool fits = true;
    *known = !at;
    if (!at || strstr(at + 1, set))
        return true;
    const char *text = at + strlen(set), *end = text + strcspn(text, "'");
    if (strncmp(end, "'%}", 3) != 0 || !comes_after(squeezed, at, rest))
        return true;
    const char *condition = at - strlen(rest);
    const bool on = comes_after(squeezed, condition, "{%eliftrue=");
    *known = on || comes_after(squeezed, condition, "{%eliffalse=");
    if (on)
        chat->system = copy(text, end, &fits);
    return fits;
}

static bool read_llama2(const char *squeezed, struct hc_chat *chat)
{
    bool known;
    bool trims = has(squeezed, "bos_token+'[INST] '+content.strip()+' [/INST]'") &&
                 has(squeezed, "' '+content.strip()+' '+eos_token");
    bool pipes =
        has(squeezed, "bos_token+'[INST] '+content|trim+' [/INST]'") && has(squeezed, "' '+content|trim+' '+eos_token");
    bool told = has(squeezed, "'<<SYS>>\n'+system_message+'\n<</SYS>>\n\n'+message.content");
    if ((!trims && !pipes) || !told)
        return true;
    if (!find_llama2_system(squeezed, chat, &known))
        return false;
    if (known)
        chat->kind = HC_CHAT_LLAMA2;
    return true;
}

/* Whether strftime writes [format, end) as Python does, and no more of the time than the date. */
static bool is_date_format(const char *format, const char *end)
{
    if (format == end || end - format > MOST_DAY_FORMAT)
        return false;
    for (const char *at = format; at < end; at++)
        if (*at == '%' && (++at == end || !strchr("aAbBdejmyY%", *at)))
            return false;
    return true;
}

/* The day that a template tells: today where it asks for that, once, and knows how to; else the one that it has. None
 * if it is not known. False if memory is out. */
static bool find_day(const char *squeezed, struct hc_chat *chat)
{
    static const char set[] = "{%setdate_string=strftime_now('", literal[] = "date_string='";
    const char *call = strstr(squeezed, "strftime_now("), *at = strstr(squeezed, call ? set : literal);
    bool fits = true;
    if (!at)
        return true;
    const char *text = at + strlen(call ? set : literal), *end = text + strcspn(text, "'");
    bool when = comes_after(squeezed, at, "{%ifstrftime_nowisdefined%}") ||
                comes_after(squeezed, at, "{%ifnotdate_stringisdefined%}");
    chat->asks_day =
        call && when && is_date_format(text, end) && strncmp(end, "')%}", 4) == 0 && !strstr(call + 1, "strftime_now(");
    if (chat->asks_day || !call)
        chat->day = copy(text, end, &fits);
    return fits;
}

/* LLaMA 3.1 and later put dates before the system prompt, and always have one. */
static bool read_llama3(const char *squeezed, struct hc_chat *chat)
{
    static const char cut[] = "'Cutting Knowledge Date: ";
    const char *dates = strstr(squeezed, cut);
    if (!dates) {
        chat->kind = HC_CHAT_LLAMA3;
        return true;
    }
    if (!find_day(squeezed, chat))
        return false;
    if (!chat->day || !has(squeezed, "'Today Date: '+date_string+'\n\n'"))
        return true;
    struct hc_text text = {0};
    dates++;
    bool fits = hc_text_add(&text, dates, strcspn(dates, "'")) && hc_text_add_string(&text, "Today Date: ");
    chat->system = text.bytes;
    chat->kind = HC_CHAT_LLAMA3;
    return fits;
}

/* What the user says, between [INST] and [/INST] with one of these spacings. */
static bool read_mistral_user(const char *squeezed, struct hc_chat *chat)
{
    static const char *const opens[] = {" [INST] ", "[INST] ", "[INST]"}, *const closes[] = {" [/INST]", "[/INST]"};
    bool fits = true;
    for (size_t i = 0; i < 6; i++) {
        const char *open = opens[i / 2], *close = closes[i % 2];
        struct hc_text said = {0}, told = {0};
        fits = fits && hc_text_add_string(&said, "'") && hc_text_add_string(&said, open) &&
               hc_text_add_string(&said, "'+message.content+'") && hc_text_add_string(&said, close) &&
               hc_text_add_string(&said, "'") && hc_text_add_string(&told, "'") && hc_text_add_string(&told, open) &&
               hc_text_add_string(&told, "'+system_message+'\n\n'+message.content+'");
        if (fits && !chat->open && has(squeezed, said.bytes)) {
            chat->open = copy(open, open + strlen(open), &fits);
            chat->close = copy(close, close + strlen(close), &fits);
            chat->takes_system = has(squeezed, told.bytes);
        }
        hc_text_free(&said);
        hc_text_free(&told);
    }
    return fits;
}

static bool read_mistral(const char *squeezed, struct hc_chat *chat)
{
    chat->answer_trimmed = has(squeezed, "message.content|trim+eos_token");
    if ((!chat->answer_trimmed && !has(squeezed, "message.content+eos_token")) || has(squeezed, "[SYSTEM_PROMPT]"))
        return true;
    chat->answer_spaced =
        has(squeezed, "' '+message.content+eos_token") || has(squeezed, "' '+message.content|trim+eos_token");
    chat->space_after_answer = has(squeezed, "+eos_token+' '");
    chat->system_last = has(squeezed, "loop.lastandsystem_message");
    if (!read_mistral_user(squeezed, chat))
        return false;
    if (chat->open)
        chat->kind = HC_CHAT_MISTRAL;
    return true;
}

static bool read_zephyr(const char *squeezed, struct hc_chat *chat)
{
    bool said = has(squeezed, "'<|user|>\n'+message.content+eos_token}}\n") &&
                has(squeezed, "'<|system|>\n'+message.content+eos_token}}\n") &&
                has(squeezed, "'<|assistant|>\n'+message.content+eos_token}}\n");
    if (said && has(squeezed, "{{'<|assistant|>'}}\n"))
        chat->kind = HC_CHAT_ZEPHYR;
    return true;
}

/* False if memory is out. */
static bool read_kind(const char *squeezed, struct hc_chat *chat)
{
    if (has(squeezed, "<|im_start|>"))
        return read_chatml(squeezed, chat);
    if (has(squeezed, "<|start_header_id|>"))
        return read_llama3(squeezed, chat);
    if (has(squeezed, "<<SYS>>"))
        return read_llama2(squeezed, chat);
    return has(squeezed, "[INST]") ? read_mistral(squeezed, chat) : read_zephyr(squeezed, chat);
}

/* ---- Holding a template to its kind ---------------------------------------------------------
 *
 * The expressions that tell a kind may stand among others that change the text. What matters is seen in the bare
 * template: the squeezed one's tags, without the spaces between them and without what is for tools, which are never
 * given. */
enum { MOST_DEPTH = 32 };

/* A bare template in the making. */
struct baring {
    struct hc_text *out;
    bool dropped; /* the branch at hand is for tools */
    size_t depth; /* of conditions and loops */
    struct {
        bool outer;   /* `dropped` around it */
        bool written; /* its first tag is there */
    } levels[MOST_DEPTH];
};

static bool begins(const char *at, const char *text)
{
    return strncmp(at, text, strlen(text)) == 0;
}

/* Steps over `text`, if it is there. */
static bool skip(const char **at, const char *text)
{
    bool there = begins(*at, text);
    *at += there ? strlen(text) : 0;
    return there;
}

/* What is behind the tag at `at`; NULL: it is none, or has no end. */
static const char *behind_tag(const char *at)
{
    const char *close = begins(at, "{{") ? "}}" : "%}";
    if (!begins(at, "{{") && !begins(at, "{%"))
        return NULL;
    for (at += 2; at && *at; at++) {
        if (begins(at, close))
            return at + 2;
        if (*at == '\'' && !(at = strchr(at + 1, '\'')))
            return NULL;
    }
    return NULL;
}

/* Whether a condition never holds without tools. */
static bool is_for_tools(const char *condition)
{
    static const char *const conditions[] = {"tools%}",
                                             "custom_toolsisdefined%}",
                                             "builtin_toolsisdefined%}",
                                             "builtin_toolsisdefinedortoolsisnotnone%}",
                                             "toolsisnotnone%}",
                                             "toolsisnotnoneandnottools_in_user_message%}",
                                             "tools_in_user_messageandnottoolsisnone%}",
                                             "toolsisiterableandtools|length>0%}",
                                             "'tool_calls'inmessage%}",
                                             "message.tool_calls%}",
                                             "message.role=='tool'%}",
                                             "message.role=='tool'ormessage.role=='ipython'%}"};
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        if (begins(condition, conditions[i]))
            return true;
    return false;
}

/* Adds the tag [tag, end). *sound becomes false where branches do not fit together. False if memory is out. */
static bool add_bare(struct baring *bare, const char *tag, const char *end, bool *sound)
{
    bool opens = begins(tag, "{%if") || begins(tag, "{%for"), other = begins(tag, "{%elif");
    bool rest = begins(tag, "{%else%}"), closes = begins(tag, "{%endif%}") || begins(tag, "{%endfor%}");
    if (!opens && !other && !rest && !closes)
        return bare->dropped || hc_text_add(bare->out, tag, (size_t)(end - tag));
    *sound = opens ? bare->depth < MOST_DEPTH : bare->depth > 0;
    if (!*sound)
        return true;
    if (opens) {
        bare->levels[bare->depth].written = false;
        bare->levels[bare->depth++].outer = bare->dropped;
    }
    const bool outer = bare->levels[bare->depth - 1].outer;
    bool *written = &bare->levels[bare->depth - 1].written, fits = true;
    bare->dropped = outer || (begins(tag, "{%if") && is_for_tools(tag + 4)) || (other && is_for_tools(tag + 6));
    if (other && !*written && !bare->dropped) { /* the first that is left */
        fits = hc_text_add_string(bare->out, "{%");
        tag += 4;
    }
    if (opens || other)
        *written = *written || !bare->dropped;
    bare->depth -= closes;
    return fits && (!*written || bare->dropped || hc_text_add(bare->out, tag, (size_t)(end - tag)));
}

/* *sound: the tags are whole, and there is nothing but spaces between them. False if memory is out. */
static bool make_bare(const char *squeezed, struct hc_text *out, bool *sound)
{
    struct baring bare = {.out = out};
    bool fits = hc_text_add(out, "", 0);
    *sound = !has(squeezed, "{%raw");
    for (const char *at = squeezed, *end; *sound && fits && *at; at = end) {
        end = strchr(" \t\r\n", *at) ? at + 1 : behind_tag(at);
        *sound = end != NULL;
        if (end && *at == '{')
            fits = add_bare(&bare, at, end, sound);
    }
    *sound = *sound && bare.depth == 0;
    return fits;
}

static size_t count_of(const char *bare, const char *expression)
{
    size_t count = 0;
    for (const char *at = bare; (at = strstr(at, expression)) != NULL; at++)
        count++;
    return count;
}

/* The first tag from `bare` on that begins so: what a literal holds is none. */
static const char *find_tag(const char *bare, const char *text)
{
    for (const char *at = bare; *at; at = behind_tag(at))
        if (begins(at, text))
            return at;
    return NULL;
}

static bool is_output(const char *tag)
{
    return begins(tag, "{{") && !begins(tag, "{{raise_exception(");
}

/* Outputs before `end`. */
static size_t count_outputs(const char *bare, const char *end)
{
    size_t count = 0;
    for (const char *at = bare; at < end; at = behind_tag(at))
        count += is_output(at);
    return count;
}

/* Whether `place` is on no condition, and in no loop. */
static bool is_outermost(const char *bare, const char *place)
{
    size_t depth = 0;
    for (const char *at = bare; at < place; at = behind_tag(at)) {
        depth += begins(at, "{%if") || begins(at, "{%for");
        depth -= begins(at, "{%endif%}") || begins(at, "{%endfor%}");
    }
    return depth == 0;
}

/* Whether the beginning of a text, where it is said by itself, is said before all else and always. */
static bool is_bos_first(const char *bare)
{
    static const char expression[] = "{{bos_token}}";
    const char *at = find_tag(bare, expression);
    return !at || (is_outermost(bare, at) && count_outputs(bare, at) == 0 && !has(at + 1, expression));
}

/* A system prompt of the template's own has to be there where there is no other, and only there. */
static bool is_chatml_system(const char *output)
{
    static const char begin[] = "{{'<|im_start|>system\n", end[] = "<|im_end|>\n'}}";
    return begins(output, begin) && comes_after(output, behind_tag(output), end);
}

static bool is_chatml_default(const char *bare, const char *output)
{
    const char *literal = output + 3, *end = strchr(literal, '\'');
    return !begins(end, "'}}") || comes_after(bare, output, "{%else%}") || comes_after(bare, output, "!='system'%}");
}

/* Only what the user says is said, thoughts apart. */
static bool is_chatml_content(const char *bare)
{
    static const char set[] = "{%setcontent=";
    for (const char *at = strstr(bare, set); at; at = strstr(at, set)) {
        at += strlen(set);
        bool whole = begins(at, "message.content%}") || begins(at, "''%}");
        skip(&at, "message.");
        if (!whole && !begins(at, "content.split('</think>')[-1].lstrip('\n')%}"))
            return false;
    }
    return true;
}

/* Whether roles are called what they are. */
static bool is_chatml_roles(const char *bare)
{
    static const char begin[] = "'<|im_start|>";
    for (const char *at = strstr(bare, begin); at; at = strstr(at, begin)) {
        at += strlen(begin);
        if (!begins(at, "'") && !begins(at, "system\n") && !begins(at, "user\n") && !begins(at, "assistant\n"))
            return false;
    }
    return true;
}

static bool holds_chatml(const char *bare)
{
    static const char loop[] = "{%formessagein", set[] = "{%setsystem_message='";
    const char *said = strstr(bare, "'<|im_start|>'+message.role+'\n'+"), *begin = NULL;
    for (const char *at = find_tag(bare, loop); at && at < said; at = find_tag(behind_tag(at), loop))
        begin = at;
    if (!begin || !is_chatml_content(bare) || !is_chatml_roles(bare) ||
        count_of(bare, set) > count_of(bare, "{%setsystem_message=''%}"))
        return false;
    for (const char *at = bare; *at; at = behind_tag(at)) {
        bool system = is_output(at) && is_chatml_system(at);
        if (system && !is_chatml_default(bare, at))
            return false;
        if (at < begin && is_output(at) && !system && !begins(at, "{{bos_token}}"))
            return false;
    }
    return true;
}

static bool skip_day(const char **at)
{
    if (!begins(*at, "{%setdate_string="))
        return false;
    *at = behind_tag(*at);
    return true;
}

/* Whether the day is set once, whatever the conversation. */
static bool holds_llama3_day(const char *bare)
{
    const char *begin = find_tag(bare, "{%ifnotdate_stringisdefined%}"), *at = begin;
    if (!at)
        at = find_tag(bare, "{%ifstrftime_nowisdefined%}{%setdate_string=");
    if (!at || !is_outermost(bare, at))
        return false;
    if (begin)
        at = behind_tag(at);
    bool asks = skip(&at, "{%ifstrftime_nowisdefined%}"), sound = skip_day(&at);
    size_t sets = 1;
    if (asks && skip(&at, "{%else%}")) {
        sound = sound && skip_day(&at);
        sets++;
    }
    sound = sound && (!asks || skip(&at, "{%endif%}")) && (!begin || skip(&at, "{%endif%}"));
    return sound && count_of(bare, "{%setdate_string=") == sets;
}

/* Before the loop at `loop`: the dates and then the conversation's system prompt, or nothing. */
static bool holds_llama3_system(const char *bare, const char *loop)
{
    static const char set[] = "{%ifmessages[0].role=='system'%}{%setsystem_message=messages[0].content|trim%}"
                              "{%setmessages=messages[1:]%}{%else%}{%setsystem_message=''%}{%endif%}";
    const char *at = find_tag(bare, "{{'<|start_header_id|>system<|end_header_id|>\n\n'}}{{'Cutting Knowledge Date: ");
    size_t bos = has(bare, "{{bos_token}}"), whole = has(bare, "{%setloop_messages=messages%}");
    if (count_of(bare, "{%setloop_messages=") != whole || begins(loop, "{%formessageinloop_messages%}") != (whole > 0))
        return false;
    if (!has(bare, "Cutting Knowledge Date: "))
        return count_outputs(bare, loop) == bos && !has(bare, "{%setmessages=");
    const char *sets = find_tag(bare, set);
    if (!at || !sets || !is_outermost(bare, at) || !is_outermost(bare, sets) || !holds_llama3_day(bare))
        return false;
    at = behind_tag(behind_tag(at));
    return skip(&at, "{{'Today Date: '+date_string+'\n\n'}}{{system_message}}{{'<|eot_id|>'}}") &&
           count_outputs(bare, loop) == bos + 5 && count_of(bare, "{%setsystem_message=") == 2 &&
           count_of(bare, "{%setmessages=") == 1;
}

#define LLAMA3_SAID "'<|start_header_id|>'+message.role+'<|end_header_id|>\n\n'+message.content|trim+'<|eot_id|>'"
#define LLAMA3_ANSWER "{{'<|start_header_id|>assistant<|end_header_id|>\n\n'}}"

/* All turns are said, each as the others are; then the answer begins, and nothing follows. */
static bool holds_llama3(const char *bare)
{
    const char *at = find_tag(bare, "{%formessagein");
    const bool bos = has(bare, "{{bos_token}}");
    if (!at || !holds_llama3_system(bare, at))
        return false;
    at = behind_tag(at);
    bool some = skip(&at, "{%ifnot(message.role=='ipython'ormessage.role=='tool'or'tool_calls'inmessage)%}");
    bool said = bos && skip(&at, "{{" LLAMA3_SAID "}}");
    if (!said && skip(&at, "{%setcontent=" LLAMA3_SAID "%}"))
        said = (bos || skip(&at, "{%ifloop.index0==0%}{%setcontent=bos_token+content%}{%endif%}")) &&
               skip(&at, "{{content}}");
    if (!said || (some && !skip(&at, "{%endif%}")) || !skip(&at, "{%endfor%}"))
        return false;
    bool asked = skip(&at, "{%ifadd_generation_prompt%}");
    return skip(&at, LLAMA3_ANSWER) && (!asked || skip(&at, "{%endif%}")) && !*at;
}

static bool holds(const char *bare, const struct hc_chat *chat)
{
    if (!is_bos_first(bare))
        return false;
    if (chat->kind == HC_CHAT_CHATML)
        return holds_chatml(bare);
    if (chat->kind == HC_CHAT_LLAMA3)
        return holds_llama3(bare);
    return chat->kind != HC_CHAT_ZEPHYR || (count_outputs(bare, bare + strlen(bare)) == 4 && !has(bare, "{%setm"));
}

static bool recognise(const char *squeezed, struct hc_chat *chat)
{
    struct hc_text bare = {0};
    bool sound, fits = make_bare(squeezed, &bare, &sound) && (!sound || read_kind(squeezed, chat));
    if (fits && sound) {
        chat->begins_with_bos = has(bare.bytes, "{{bos_token}}");
        sound = holds(bare.bytes, chat) && (chat->asks_day || !has(squeezed, "strftime_now("));
    }
    if (!sound)
        chat->kind = HC_CHAT_UNKNOWN;
    hc_text_free(&bare);
    return fits;
}

hc_status hc_chat_read(const char *text, const char *bos, const char *eos, struct hc_chat *chat, struct hc_error *error)
{
    struct hc_text squeezed = {0};
    *chat =
        (struct hc_chat){.has_template = text != NULL, .bos = strdup(bos ? bos : ""), .eos = strdup(eos ? eos : "")};
    bool fits = chat->bos && chat->eos && (!text || (squeeze(text, &squeezed) && recognise(squeezed.bytes, chat)));
    hc_text_free(&squeezed);
    return fits ? HC_OK : hc_no_memory(error);
}

void hc_chat_free(struct hc_chat *chat)
{
    free(chat->bos);
    free(chat->eos);
    free(chat->system);
    free(chat->day);
    free(chat->answer);
    free(chat->open);
    free(chat->close);
    *chat = (struct hc_chat){0};
}

const char *hc_chat_name(const struct hc_chat *chat)
{
    static const char *const names[] = {NULL, "chatml", "llama2", "llama3", "mistral", "zephyr"};
    return names[chat->kind];
}

const char *hc_chat_turn_end(const struct hc_chat *chat)
{
    return chat->kind == HC_CHAT_CHATML ? "<|im_end|>" : chat->kind == HC_CHAT_LLAMA3 ? "<|eot_id|>" : NULL;
}

/* ---- Rendering ------------------------------------------------------------------------------ */

/* A conversation on its way into text. */
struct render {
    const struct hc_chat *chat;
    const char *system;   /* NULL: none */
    const char *day;      /* as it is told */
    const hc_turn *turns; /* without the system's */
    size_t count;
    struct hc_text *out;
};

/* Adds strings up to a NULL. False if memory is out. */
static bool add(struct hc_text *out, const char *const *strings)
{
    for (; *strings; strings++)
        if (!hc_text_add_string(out, *strings))
            return false;
    return true;
}

#define ADD(out, ...) add(out, (const char *const[]){__VA_ARGS__, NULL})

/* The bytes of a character that Python's str.strip takes away; 0 if it is another, or none. */
static size_t space_at(const char *text)
{
    size_t length = hc_utf8_bytes(text);
    uint32_t c = length > 0 ? hc_character_at(text, &length) : 0;
    return hc_is_space(c) || (c >= 0x1c && c <= 0x1f) ? length : 0;
}

/* Adds the text without the spaces around it. */
static bool add_trimmed(struct hc_text *out, const char *text)
{
    size_t length, end = 0;
    while ((length = space_at(text)) > 0)
        text += length;
    for (size_t at = 0; text[at]; at += length > 0 ? length : 1)
        if ((length = space_at(text + at)) == 0)
            end = at + 1;
    return hc_text_add(out, text, end);
}

static bool says(const hc_turn *turn, const char *role)
{
    return strcmp(turn->role, role) == 0;
}

static bool add_chatml_turn(const struct render *render, const char *role, const char *text)
{
    const struct hc_chat *chat = render->chat;
    if (chat->drops_thoughts && strcmp(role, "assistant") == 0) {
        static const char end[] = "</think>";
        bool thought = strstr(text, end) != NULL;
        for (const char *at = text; (at = strstr(at, end)) != NULL;)
            text = at += strlen(end);
        if (thought || chat->trims_always)
            text += strspn(text, "\n");
    }
    return ADD(render->out, "<|im_start|>", role, "\n", text, "<|im_end|>\n");
}

static bool render_chatml(const struct render *render)
{
    const char *system = render->system ? render->system : render->chat->system;
    bool fits = hc_text_add_string(render->out, render->chat->begins_with_bos ? render->chat->bos : "");
    if (system)
        fits = fits && add_chatml_turn(render, "system", system);
    for (size_t i = 0; i < render->count; i++)
        fits = fits && add_chatml_turn(render, render->turns[i].role, render->turns[i].text);
    return fits && hc_text_add_string(render->out, render->chat->answer);
}

static bool begin_llama3_turn(struct hc_text *out, const char *role)
{
    return ADD(out, "<|start_header_id|>", role, "<|end_header_id|>\n\n");
}

static bool end_llama3_turn(struct hc_text *out, const char *text)
{
    return add_trimmed(out, text) && hc_text_add_string(out, "<|eot_id|>");
}

static bool render_llama3(const struct render *render)
{
    const char *dates = render->chat->system;
    bool fits = hc_text_add_string(render->out, render->chat->bos);
    if (render->system || dates)
        fits = fits && begin_llama3_turn(render->out, "system") &&
               (!dates || ADD(render->out, dates, render->day, "\n\n")) &&
               end_llama3_turn(render->out, render->system ? render->system : "");
    for (size_t i = 0; i < render->count; i++)
        fits = fits && begin_llama3_turn(render->out, render->turns[i].role) &&
               end_llama3_turn(render->out, render->turns[i].text);
    return fits && begin_llama3_turn(render->out, "assistant");
}

static bool render_llama2(const struct render *render)
{
    const struct hc_chat *chat = render->chat;
    struct hc_text first = {0}; /* what is trimmed as one: the system prompt and what the user says first */
    const char *system = render->system;
    bool fits = true;
    if (!system && !strstr(render->turns[0].text, "<<SYS>>"))
        system = chat->system;
    if (system)
        fits = ADD(&first, "<<SYS>>\n", system, "\n<</SYS>>\n\n", render->turns[0].text);
    for (size_t i = 0; i < render->count && fits; i++) {
        const char *text = i == 0 && system ? first.bytes : render->turns[i].text;
        bool user = says(&render->turns[i], "user");
        fits = ADD(render->out, user ? chat->bos : " ", user ? "[INST] " : "") && add_trimmed(render->out, text) &&
               ADD(render->out, user ? " [/INST]" : " ", user ? "" : chat->eos);
    }
    hc_text_free(&first);
    return fits;
}

static bool add_mistral_answer(const struct render *render, const char *text)
{
    const struct hc_chat *chat = render->chat;
    return hc_text_add_string(render->out, chat->answer_spaced ? " " : "") &&
           (chat->answer_trimmed ? add_trimmed(render->out, text) : hc_text_add_string(render->out, text)) &&
           ADD(render->out, chat->eos, chat->space_after_answer ? " " : "");
}

static bool render_mistral(const struct render *render)
{
    const struct hc_chat *chat = render->chat;
    bool fits = hc_text_add_string(render->out, chat->begins_with_bos ? chat->bos : "");
    for (size_t i = 0; i < render->count && fits; i++) {
        const hc_turn *turn = &render->turns[i];
        bool told = render->system && i == (chat->system_last ? render->count - 1 : 0);
        fits = says(turn, "assistant") ? add_mistral_answer(render, turn->text)
                                       : ADD(render->out, chat->open, told ? render->system : "", told ? "\n\n" : "",
                                             turn->text, chat->close);
    }
    return fits;
}

static bool render_zephyr(const struct render *render)
{
    const char *eos = render->chat->eos;
    bool fits = !render->system || ADD(render->out, "<|system|>\n", render->system, eos, "\n");
    for (size_t i = 0; i < render->count && fits; i++)
        fits = ADD(render->out, "<|", render->turns[i].role, "|>\n", render->turns[i].text, eos, "\n");
    return fits && hc_text_add_string(render->out, "<|assistant|>\n");
}

static hc_status check_turns(const struct render *render, struct hc_error *error)
{
    bool sound = render->count % 2 == 1;
    for (size_t i = 0; i < render->count; i++)
        sound = sound && says(&render->turns[i], i % 2 == 0 ? "user" : "assistant");
    if (!sound)
        return hc_fail(error, HC_ERR_ARGUMENT,
                       "a conversation is a user's and an assistant's turns by turns, from a user's (after a system's) "
                       "to a user's");
    return HC_OK;
}

/* The locale of the program does not matter: as Python does, and as the models have learned it. */
static hc_status write_day(const char *format, time_t now, char text[MOST_DAY], struct hc_error *error)
{
    struct tm day;
    locale_t english = newlocale(LC_TIME_MASK, "C", (locale_t)0);
    if (!english)
        return hc_no_memory(error);
    bool written = localtime_r(&now, &day) && strftime_l(text, MOST_DAY, format, &day, english) > 0;
    freelocale(english);
    return written ? HC_OK : hc_fail(error, HC_ERR_ARGUMENT, "there is no date at the time %lld", (long long)now);
}

hc_status hc_chat_render(const struct hc_chat *chat, const hc_turn *turns, size_t count, time_t now, char **text,
                         struct hc_error *error)
{
    static bool (*const renderers[])(const struct render *render) = {NULL,          render_chatml,  render_llama2,
                                                                     render_llama3, render_mistral, render_zephyr};
    struct hc_text out = {0};
    bool system = count > 0 && says(&turns[0], "system");
    char today[MOST_DAY];
    struct render render = {.chat = chat,
                            .system = system ? turns[0].text : NULL,
                            .day = chat->asks_day ? today : chat->day,
                            .turns = system ? turns + 1 : turns,
                            .count = count - system,
                            .out = &out};
    *text = NULL;
    if (chat->kind == HC_CHAT_UNKNOWN)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s",
                       chat->has_template ? "the model's chat template is not one that is known"
                                          : "the model has no chat template");
    if (chat->kind == HC_CHAT_MISTRAL && system && !chat->takes_system)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "the model's chat template takes no system prompt");
    hc_status status = check_turns(&render, error);
    if (status == HC_OK && chat->asks_day)
        status = write_day(chat->day, now, today, error);
    if (status != HC_OK)
        return status;
    if (!hc_text_add(&out, "", 0) || !renderers[chat->kind](&render)) {
        hc_text_free(&out);
        return hc_no_memory(error);
    }
    *text = out.bytes;
    return HC_OK;
}
