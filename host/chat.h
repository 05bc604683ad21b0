/* Conversations in a model's own format.
 *
 * Models carry a program, in Jinja, that turns a conversation into a text. It is not run: the kinds in use are known by
 * the expressions in it, and what differs between models of one kind is taken from there. A template that is none of
 * these, or has other expressions where they matter, or says more, is not known. Where a template asks for today's date
 * (strftime_now), as LLaMA 3.2 does, its text depends on the day; a date that it has by itself stays.
 *
 *   "chatml"   <|im_start|>ROLE ... <|im_end|>              SmolLM2, Qwen; with a system prompt of its own, or without
 *   "llama2"   <s>[INST] <<SYS>> ... <</SYS>> ... [/INST] ... </s>    with a system prompt of its own, or without
 *   "llama3"   <|start_header_id|>ROLE<|end_header_id|> ... <|eot_id|>
 *   "mistral"  <s>[INST] ... [/INST] ... </s>               the spaces and the place of the system prompt differ
 *   "zephyr"   <|ROLE|> ... </s>                            TinyLlama
 */
#ifndef HC_HOST_CHAT_H
#define HC_HOST_CHAT_H

#include <hyperc/run.h>

#include "error.h"

enum hc_chat_kind { HC_CHAT_UNKNOWN, HC_CHAT_CHATML, HC_CHAT_LLAMA2, HC_CHAT_LLAMA3, HC_CHAT_MISTRAL, HC_CHAT_ZEPHYR };

/* What a kind does not use is NULL or false. */
struct hc_chat {
    enum hc_chat_kind kind;
    bool has_template; /* there is one, known or not */
    char *bos, *eos;   /* the texts of these tokens; "" if there is none */
    bool begins_with_bos;
    char *system;        /* chatml, llama2: its own system prompt, where there is none; llama3: what stands before it */
    char *day;           /* llama3: what stands between them: the day */
    bool asks_day;       /* it is today; `day` is how strftime writes it */
    char *answer;        /* chatml: what the answer begins with */
    bool drops_thoughts; /* chatml: of answers, only what follows the last </think> */
    bool trims_always;   /* also the newlines before answers without thoughts */
    char *open, *close;  /* mistral: around what the user says */
    bool takes_system;   /* mistral */
    bool system_last;    /* mistral: with the last of the user's turns, else with the first */
    bool answer_spaced;  /* mistral: a space before answers */
    bool answer_trimmed; /* mistral */
    bool space_after_answer; /* mistral: behind the end of the answer */
};

/* Recognises `text`, a template, which may be NULL; bos and eos may be NULL. HC_ERR_MEMORY only: what is not known has
 * kind HC_CHAT_UNKNOWN. *chat is to be freed whatever the status. */
hc_status hc_chat_read(const char *text, const char *bos, const char *eos, struct hc_chat *chat,
                       struct hc_error *error);
void hc_chat_free(struct hc_chat *chat);

/* NULL if the kind is not known. */
const char *hc_chat_name(const struct hc_chat *chat);
/* The text of the token that ends the assistant's turn, beside the model's end of sequence; NULL: there is no other. */
const char *hc_chat_turn_end(const struct hc_chat *chat);

/* The text of a conversation as the template makes it, up to where the answer begins; zero-terminated, the caller frees
 * it. now: when it is, for templates that ask for today's date, which is told in local time and in English.
 * HC_ERR_ARGUMENT: the turns are not [system,] user, assistant, user, ... user; or `now` has no date.
 * HC_ERR_UNSUPPORTED: there is no template, or none that is known, or it takes no system prompt. */
hc_status hc_chat_render(const struct hc_chat *chat, const hc_turn *turns, size_t count, time_t now, char **text,
                         struct hc_error *error);

#endif
