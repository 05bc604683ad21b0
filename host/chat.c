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
            at = behind ? behind + 2 : at + strlen(at);
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
    bool said = has(squeezed, "'<|start_header_id|>'+message.role+'<|end_header_id|>\n\n'+message.content|trim+"
                              "'<|eot_id|>'");
    const char *dates = strstr(squeezed, cut);
    if (!said || !has(squeezed, "'<|start_header_id|>assistant<|end_header_id|>\n\n'"))
        return true;
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

static bool recognise(const char *squeezed, struct hc_chat *chat)
{
    chat->begins_with_bos = has(squeezed, "{{bos_token}}");
    if (!read_kind(squeezed, chat))
        return false;
    if (has(squeezed, "strftime_now(") && !chat->asks_day)
        chat->kind = HC_CHAT_UNKNOWN; /* it tells a day somewhere else */
    return true;
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
