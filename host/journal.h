/* The journal of a run: what is safely on disk, so that an interrupted run can go on.
 *
 * A text file. Every line is the XXH3-128 of the rest, a space, and a JSON object. The first object identifies
 * the run (options and input); each of the others is one finished tensor, the last that the result is whole. A line is
 * written after its tensor's bytes were synced, so whatever line is whole can be trusted; a torn last line is cut off.
 */
#ifndef HC_HOST_JOURNAL_H
#define HC_HOST_JOURNAL_H

#include <jansson.h>

#include "files.h"

struct hc_journal {
    struct hc_out file;
    uint64_t size;   /* bytes on disk that are valid */
    json_t *records; /* array: all lines but the first, in order */
    char *pending;   /* lines that wait for hc_journal_commit */
    size_t pending_bytes;
};

/* Opens or creates the journal at `path` and locks it against a second run. If there is one, its identity must equal
 * `identity`: otherwise HC_ERR_EXISTS names the first difference. With `fresh` it is emptied instead. Where there is
 * nothing to go on with, size is 0 and the identity is queued. */
hc_status hc_journal_open(struct hc_journal *journal, const char *path, bool fresh, const json_t *identity,
                          struct hc_error *error);
/* Queues a record (stolen). */
hc_status hc_journal_add(struct hc_journal *journal, json_t *record, struct hc_error *error);
/* Writes and syncs what is queued. What the records speak of must be synced before. */
hc_status hc_journal_commit(struct hc_journal *journal, struct hc_error *error);
/* Forgets what is queued: what it speaks of could not be synced, and a later try would claim it all the same. */
void hc_journal_drop(struct hc_journal *journal);
void hc_journal_close(struct hc_journal *journal);

#endif
