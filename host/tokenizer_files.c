/* Putting a tokenizer together from the files of a model. */
#include <stdlib.h>
#include <string.h>

#include "directory.h"
#include "files.h"
#include "gguf_tokenizer.h"
#include "json.h"
#include "tokenizer_parts.h"

enum { JSON_DEPTH = 24, TEMPLATE_MAX_BYTES = 4 << 20 };
/* More of them are no tokenizer's: what a text begins with, or may end with. */
enum { FRAME_MAX_TOKENS = 256 };

/* What there is of a model's files; `path` names the tokenizer's for messages. */
struct inputs {
    char *path;
    struct hc_tokenizer_files files;
    json_t *model; /* config.json */
    char *chat_template;
};

/* ---- Files ---------------------------------------------------------------------------------- */

/* Python writes integers of any size (a length that means "none" has 31 digits), Jansson takes no large ones. None of
 * those that are looked at is: they become 0. */
static void tame_integers(char *text)
{
    bool in_string = false;
    for (char *at = text; *at;) {
        size_t digits = in_string ? 0 : strspn(at, "0123456789");
        if (digits > 18) {
            memset(at, ' ', digits);
            *at = '0';
        }
        if (in_string && *at == '\\' && at[1])
            at++;
        else if (*at == '"')
            in_string = !in_string;
        at += digits > 0 ? digits : 1;
    }
}

/* *json is NULL if there is no such file. */
static hc_status read_json(const char *folder, const char *name, char **path, json_t **json, struct hc_error *error)
{
    char *text = NULL;
    size_t bytes;
    hc_status status = HC_OK;
    *json = NULL;
    *path = hc_path_join(folder, name);
    if (!*path)
        return hc_no_memory(error);
    if (!hc_path_exists(*path))
        return HC_OK;
    HC_TRY(hc_read_file(*path, HC_JSON_MAX_BYTES, &text, &bytes, error));
    if (strlen(text) != bytes) {
        status = hc_fail(error, HC_ERR_CORRUPT, "%s: there is a zero byte in it", *path);
        goto done;
    }
    tame_integers(text);
    HC_TRY(hc_json_parse(text, bytes, JSON_DEPTH, *path, json, error));
done:
    free(text);
    return status;
}

static hc_status read_optional(const char *folder, const char *name, json_t **json, struct hc_error *error)
{
    char *path;
    hc_status status = read_json(folder, name, &path, json, error);
    free(path);
    return status;
}

static hc_status read_template(const char *folder, char **text, struct hc_error *error)
{
    char *path = hc_path_join(folder, "chat_template.jinja");
    size_t bytes;
    hc_status status = path ? HC_OK : hc_no_memory(error);
    if (status == HC_OK && hc_path_exists(path))
        status = hc_read_file(path, TEMPLATE_MAX_BYTES, text, &bytes, error);
    free(path);
    return status;
}

static hc_status read_directory(const char *folder, struct inputs *inputs, struct hc_error *error)
{
    hc_status status;
    HC_TRY(read_json(folder, "tokenizer.json", &inputs->path, &inputs->files.tokenizer, error));
    if (!inputs->files.tokenizer)
        return HC_OK;
    HC_TRY(read_optional(folder, "tokenizer_config.json", &inputs->files.config, error));
    HC_TRY(read_optional(folder, "generation_config.json", &inputs->files.generation, error));
    HC_TRY(read_optional(folder, HC_CONFIG_NAME, &inputs->model, error));
    HC_TRY(read_template(folder, &inputs->chat_template, error));
done:
    return status;
}

static hc_status read_inputs(const struct hc_source *source, struct inputs *inputs, struct hc_error *error)
{
    if (source->kind == HC_SOURCE_DIRECTORY)
        return read_directory(source->path, inputs, error);
    if (source->kind != HC_SOURCE_GGUF)
        return HC_OK;
    inputs->path = strdup(source->files[0].path);
    return inputs->path ? hc_gguf_tokenizer(source, &inputs->files, error) : hc_no_memory(error);
}

static void free_inputs(struct inputs *inputs)
{
    free(inputs->path);
    hc_tokenizer_files_free(&inputs->files);
    json_decref(inputs->model);
    free(inputs->chat_template);
}

/* ---- What a text begins and ends with ------------------------------------------------------- */

static hc_status template_fault(const char *path, struct hc_error *error)
{
    return hc_fail(error, HC_ERR_CORRUPT, "%s: the TemplateProcessing makes no sense", path);
}

/* Adds the tokens that a special token of the template stands for. */
static hc_status add_template_ids(const json_t *json, const char *name, const char *path, uint32_t size,
                                  struct hc_ids *ids, struct hc_error *error)
{
    const json_t *list = json_object_get(json_object_get(json_object_get(json, "special_tokens"), name), "ids");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *id = json_array_get(list, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= size ||
            ids->count == FRAME_MAX_TOKENS)
            return template_fault(path, error);
        if (!hc_ids_add(ids, (uint32_t)json_integer_value(id)))
            return hc_no_memory(error);
    }
    return json_array_size(list) > 0 ? HC_OK : template_fault(path, error);
}

/* "single": special tokens, the text ("A"), special tokens. */
static hc_status read_template_processing(const json_t *json, const char *path, struct hc_tokenizer *tokenizer,
                                          struct hc_error *error)
{
    const json_t *list = json_object_get(json, "single");
    bool text_seen = false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *special = json_string_value(json_object_get(json_object_get(item, "SpecialToken"), "id"));
        const char *text = json_string_value(json_object_get(json_object_get(item, "Sequence"), "id"));
        hc_status status = HC_OK;
        if (special)
            status = add_template_ids(json, special, path, tokenizer->size,
                                      text_seen ? &tokenizer->behind : &tokenizer->before, error);
        else if (text && strcmp(text, "A") == 0 && !text_seen)
            text_seen = true;
        else
            status = template_fault(path, error);
        if (status != HC_OK)
            return status;
    }
    return text_seen ? HC_OK : template_fault(path, error);
}

static hc_status read_post_processor(const json_t *json, const char *path, struct hc_tokenizer *tokenizer,
                                     struct hc_error *error)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    const json_t *list = json_object_get(json, "processors");
    if (!json || json_is_null(json))
        return HC_OK;
    if (!type)
        return hc_fail(error, HC_ERR_CORRUPT, "%s: a post-processor has no type", path);
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template_processing(json, path, tokenizer, error);
    if (strcmp(type, "ByteLevel") == 0) /* which is about offsets only */
        return HC_OK;
    if (strcmp(type, "Sequence") != 0)
        return hc_fail(error, HC_ERR_UNSUPPORTED, "%s: the post-processor '%.100s' is not known", path, type);
    hc_status status = HC_OK;
    for (size_t i = 0; status == HC_OK && i < json_array_size(list); i++)
        status = read_post_processor(json_array_get(list, i), path, tokenizer, error);
    return status;
}

/* A token of tokenizer_config.json: a text, or an object around it; NULL: none. */
static const char *special_text(const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

static int64_t find_id(const struct hc_tokenizer *tokenizer, const char *text)
{
    const struct hc_added_token *token = text ? hc_added_by_content(&tokenizer->added, text) : NULL;
    return token ? (int64_t)token->id : text ? hc_bpe_find(tokenizer->bpe, text, strlen(text)) : -1;
}

static hc_status replace_ids(struct hc_ids *ids, bool wanted, int64_t id, struct hc_error *error)
{
    ids->count = 0;
    return !wanted || id < 0 || hc_ids_add(ids, (uint32_t)id) ? HC_OK : hc_no_memory(error);
}

/* transformers' LlamaTokenizer makes its own post-processor, by two settings. */
static hc_status apply_llama_class(const json_t *config, struct hc_tokenizer *tokenizer, struct hc_error *error)
{
    const char *class = json_string_value(json_object_get(config, "tokenizer_class"));
    const json_t *begin = json_object_get(config, "add_bos_token"), *end = json_object_get(config, "add_eos_token");
    if (!class || (strncmp(class, "LlamaTokenizer", 14) != 0 && strncmp(class, "CodeLlamaTokenizer", 18) != 0))
        return HC_OK;
    hc_status status = replace_ids(&tokenizer->before, !begin || json_is_true(begin),
                                   find_id(tokenizer, special_text(config, "bos_token")), error);
    if (status == HC_OK)
        status = replace_ids(&tokenizer->behind, json_is_true(end),
                             find_id(tokenizer, special_text(config, "eos_token")), error);
    return status;
}

/* ---- What ends a text ----------------------------------------------------------------------- */

static bool add_end(struct hc_tokenizer *tokenizer, int64_t id)
{
    bool known = id < 0 || hc_tokenizer_ends(tokenizer, (int32_t)id);
    return known || hc_ids_add(&tokenizer->ends, (uint32_t)id);
}

/* eos_token_id of a configuration: a number, or a list of some, of which the first FRAME_MAX_TOKENS count. */
static bool add_configured_ends(struct hc_tokenizer *tokenizer, const json_t *config)
{
    const json_t *value = json_object_get(config, "eos_token_id");
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < count && i < FRAME_MAX_TOKENS; i++) {
        const json_t *id = json_is_array(value) ? json_array_get(value, i) : value;
        bool sound = json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < HC_TOKENS_MAX;
        if (sound && !add_end(tokenizer, json_integer_value(id)))
            return false;
    }
    return true;
}

static hc_status find_ends(const struct inputs *inputs, struct hc_tokenizer *tokenizer, struct hc_error *error)
{
    bool added = add_configured_ends(tokenizer, inputs->files.generation) &&
                 add_configured_ends(tokenizer, inputs->model) &&
                 add_end(tokenizer, find_id(tokenizer, special_text(inputs->files.config, "eos_token"))) &&
                 add_end(tokenizer, find_id(tokenizer, hc_chat_turn_end(&tokenizer->chat)));
    return added ? HC_OK : hc_no_memory(error);
}

/* ---- Texts of tokens ------------------------------------------------------------------------ */

static uint32_t total_size(const struct hc_tokenizer *tokenizer)
{
    uint32_t size = hc_bpe_size(tokenizer->bpe);
    for (size_t i = 0; i < tokenizer->added.count; i++)
        if (tokenizer->added.tokens[i].id >= size)
            size = tokenizer->added.tokens[i].id + 1;
    return size;
}

/* The last added token of every number, or NULL; the caller frees it. */
static const struct hc_added_token **added_by_number(const struct hc_tokenizer *tokenizer)
{
    const struct hc_added_token **added = calloc((size_t)tokenizer->size + 1, sizeof *added);
    for (size_t i = 0; added && i < tokenizer->added.count; i++)
        added[tokenizer->added.tokens[i].id] = &tokenizer->added.tokens[i];
    return added;
}

static bool add_text(struct hc_tokenizer *tokenizer, uint32_t id, const struct hc_added_token *added)
{
    size_t bytes;
    const char *token;
    /* Texts have at most 1 GiB. */
    tokenizer->places[id].begin = (uint32_t)tokenizer->texts.used & INT32_MAX;
    tokenizer->places[id].special = added && added->special;
    if (added)
        return hc_text_add_string(&tokenizer->texts, added->content);
    token = hc_bpe_token(tokenizer->bpe, id, &bytes);
    return !token || hc_decode(&tokenizer->decoder, token, bytes, &tokenizer->texts);
}

static hc_status make_texts(struct hc_tokenizer *tokenizer, struct hc_error *error)
{
    tokenizer->size = total_size(tokenizer);
    tokenizer->places = calloc((size_t)tokenizer->size + 1, sizeof *tokenizer->places);
    const struct hc_added_token **added = added_by_number(tokenizer);
    bool made = tokenizer->places && added && hc_text_add(&tokenizer->texts, "", 0);
    for (uint32_t id = 0; made && id < tokenizer->size; id++)
        made = add_text(tokenizer, id, added[id]);
    if (made)
        tokenizer->places[tokenizer->size].begin = (uint32_t)tokenizer->texts.used & INT32_MAX;
    free(added);
    return made ? HC_OK : hc_no_memory(error);
}

/* ---- Chat templates ------------------------------------------------------------------------- */

/* A text, or a list of named ones, of which the default counts. */
static const char *template_of(const struct inputs *inputs)
{
    const json_t *value = json_object_get(inputs->files.config, "chat_template");
    if (inputs->chat_template)
        return inputs->chat_template;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && strcmp(name, "default") == 0)
            return json_string_value(json_object_get(item, "template"));
    }
    return json_string_value(value);
}

/* ---- All of it ------------------------------------------------------------------------------ */

static hc_status assemble(const struct inputs *inputs, struct hc_tokenizer *tokenizer, struct hc_error *error)
{
    const json_t *json = inputs->files.tokenizer, *config = inputs->files.config;
    const char *path = inputs->path;
    hc_status status;
    HC_TRY(hc_bpe_read(json_object_get(json, "model"), path, &tokenizer->bpe, error));
    HC_TRY(hc_normalizer_read(json_object_get(json, "normalizer"), path, &tokenizer->normalizer, error));
    HC_TRY(hc_splitter_read(json_object_get(json, "pre_tokenizer"), path, &tokenizer->splitter, error));
    HC_TRY(hc_decoder_read(json_object_get(json, "decoder"), path, &tokenizer->decoder, error));
    HC_TRY(hc_added_read(json_object_get(json, "added_tokens"), path, tokenizer->bpe, tokenizer->normalizer,
                         &tokenizer->added, error));
    HC_TRY(make_texts(tokenizer, error));
    HC_TRY(read_post_processor(json_object_get(json, "post_processor"), path, tokenizer, error));
    HC_TRY(apply_llama_class(config, tokenizer, error));
    HC_TRY(hc_chat_read(template_of(inputs), special_text(config, "bos_token"), special_text(config, "eos_token"),
                        &tokenizer->chat, error));
    HC_TRY(find_ends(inputs, tokenizer, error));
done:
    return status;
}

hc_status hc_tokenizer_load(const struct hc_source *source, struct hc_tokenizer **result, struct hc_error *error)
{
    struct inputs inputs = {0};
    struct hc_tokenizer *tokenizer = NULL;
    hc_status status;
    *result = NULL;
    HC_TRY(read_inputs(source, &inputs, error));
    if (!inputs.files.tokenizer)
        goto done;
    tokenizer = calloc(1, sizeof *tokenizer);
    HC_TRY(tokenizer ? assemble(&inputs, tokenizer, error) : hc_no_memory(error));
    *result = tokenizer;
    tokenizer = NULL;
done:
    hc_tokenizer_close(tokenizer);
    free_inputs(&inputs);
    return status;
}
