#include "journal.h"

#include "checksum.h"
#include "json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

enum { MAX_BYTES = 1 << 30 };

/* The text of a line if the line is whole, else NULL. Ends the line with a zero. */
static const char *check_line(char *line, char *end)
{
    *end = 0;
    if (end - line < HC_CHECKSUM_DIGITS + 2 || line[HC_CHECKSUM_DIGITS] != ' ')
        return NULL;
    char checksum[HC_CHECKSUM_DIGITS + 1];
    char *text = line + HC_CHECKSUM_DIGITS + 1;
    hc_checksum(text, (size_t)(end - text), checksum);
    return memcmp(checksum, line, HC_CHECKSUM_DIGITS) == 0 ? text : NULL;
}

/* Names the first member in which two identities differ. */
static const char *difference(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)a, key, value) if (!json_equal(value, json_object_get(b, key))) return key;
    return json_equal(a, b) ? NULL : "set of options";
}

static hc_status read_lines(struct hc_journal *journal, char *text, size_t bytes, const json_t *identity,
                            struct hc_error *error)
{
    bool first = true;
    for (char *line = text, *end; (end = memchr(line, '\n', bytes - (size_t)(line - text))); line = end + 1) {
        const char *whole = check_line(line, end);
        if (!whole)
            break;
        json_t *object = json_loads(whole, 0, NULL);
        if (!object) /* we wrote it: nothing but memory can be missing */
            return hc_no_memory(error);
        if (first) {
            const char *key = difference(identity, object);
            json_decref(object);
            if (key)
                return hc_fail(error, HC_ERR_EXISTS,
                               "%s: the interrupted run had another %s; finish it as it was "
                               "begun, or start over with --force",
                               journal->file.path, key);
            first = false;
        } else if (json_array_append_new(journal->records, object) != 0) {
            return hc_no_memory(error);
        }
        journal->size = (uint64_t)(end + 1 - text);
    }
    return HC_OK;
}

static hc_status queue_line(struct hc_journal *journal, const json_t *object, struct hc_error *error)
{
    char *text = hc_json_text(object, JSON_COMPACT);
    if (!text)
        return hc_no_memory(error);
    size_t length = strlen(text), line = HC_CHECKSUM_DIGITS + 1 + length + 1;
    char *grown = realloc(journal->pending, journal->pending_bytes + line);
    if (!grown) {
        free(text);
        return hc_no_memory(error);
    }
    char *at = grown + journal->pending_bytes;
    hc_checksum(text, length, at);
    at[HC_CHECKSUM_DIGITS] = ' ';
    memcpy(at + HC_CHECKSUM_DIGITS + 1, text, length);
    at[line - 1] = '\n';
    journal->pending = grown;
    journal->pending_bytes += line;
    free(text);
    return HC_OK;
}

hc_status hc_journal_open(struct hc_journal *journal, const char *path, bool fresh, const json_t *identity,
                          struct hc_error *error)
{
    char *text = NULL;
    size_t bytes = 0;
    hc_status status;
    *journal = (struct hc_journal){.file = {.fd = -1}};
    HC_TRY(hc_out_open(&journal->file, path, false, error));
    if (flock(journal->file.fd, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK ? hc_fail(error, HC_ERR_EXISTS, "%s: another run is at work here", path)
                                      : hc_fail_errno(error, "%s: cannot lock", path);
        goto done;
    }
    journal->records = json_array();
    if (!fresh) {
        HC_TRY(hc_read_file(path, MAX_BYTES, &text, &bytes, error));
        HC_TRY(read_lines(journal, text, bytes, identity, error));
    }
    HC_TRY(hc_out_resize(&journal->file, journal->size, error));
    if (journal->size == 0)
        HC_TRY(queue_line(journal, identity, error));
done:
    free(text);
    return status;
}

hc_status hc_journal_add(struct hc_journal *journal, json_t *record, struct hc_error *error)
{
    if (!record || json_array_append_new(journal->records, record) != 0)
        return hc_no_memory(error);
    return queue_line(journal, record, error);
}

hc_status hc_journal_commit(struct hc_journal *journal, struct hc_error *error)
{
    if (journal->pending_bytes == 0)
        return HC_OK;
    hc_status status = hc_out_write_at(&journal->file, journal->size, journal->pending, journal->pending_bytes, error);
    if (status == HC_OK)
        status = hc_out_sync(&journal->file, error);
    if (status == HC_OK) {
        journal->size += journal->pending_bytes;
        journal->pending_bytes = 0;
    }
    return status;
}

void hc_journal_drop(struct hc_journal *journal)
{
    journal->pending_bytes = 0;
}

void hc_journal_close(struct hc_journal *journal)
{
    hc_out_close(&journal->file);
    json_decref(journal->records);
    free(journal->pending);
    *journal = (struct hc_journal){.file = {.fd = -1}};
}
