/* The writer of a run: a thread that writes the shards, syncs them and keeps the journal, in the order in which it is
 * told to, while the caller goes on with the search.
 *
 * It copies what it is given, and holds HC_WRITER_BYTES of it at most: a caller with more to write waits for room. Its
 * first failure ends its work, and is what every later call returns. While it lives, the shards and the journal are the
 * writer's alone. One thread calls it.
 *
 * A call that waits, but for hc_writer_end, lets its caller attend to other things. If that fails, so does the call,
 * and what it was to hand over is not written; what was handed over before still is.
 */
#ifndef HC_HOST_WRITER_H
#define HC_HOST_WRITER_H

#include "journal.h"

enum { HC_WRITER_BYTES = 64 << 20 };

struct hc_writer;

/* Starts the thread. On failure *writer is NULL. attend: what the calling thread does several times a second while it
 * waits. */
hc_status hc_writer_begin(struct hc_writer **writer, struct hc_journal *journal,
                          hc_status (*attend)(void *user, struct hc_error *error), void *user, struct hc_error *error);

/* What follows goes into the file at `path`, up to hc_writer_finish; `truncate` empties it first. */
hc_status hc_writer_open(struct hc_writer *writer, const char *path, bool truncate, struct hc_error *error);
hc_status hc_writer_write(struct hc_writer *writer, uint64_t offset, const void *data, size_t bytes,
                          struct hc_error *error);
/* Adds a record (stolen; NULL: memory was out) of what was written before to the journal. It is committed, synced data
 * first, once it is of some age or there are many new bytes. */
hc_status hc_writer_record(struct hc_writer *writer, json_t *record, struct hc_error *error);
/* Commits all records, however young. */
hc_status hc_writer_commit(struct hc_writer *writer, struct hc_error *error);
/* The file is whole with so many bytes: it is synced and closed. All records are committed before. */
hc_status hc_writer_finish(struct hc_writer *writer, uint64_t size, struct hc_error *error);

/* The first failure so far, without waiting. */
hc_status hc_writer_check(struct hc_writer *writer, struct hc_error *error);
/* Waits until everything is done. */
hc_status hc_writer_wait(struct hc_writer *writer, struct hc_error *error);
/* The open file, to read from: between hc_writer_wait and what is told next. */
const struct hc_out *hc_writer_out(const struct hc_writer *writer);
/* Waits until everything is done, commits what records are left, even after a failure, ends the thread and frees the
 * writer. Does not attend: who has others that wait calls hc_writer_wait first. NULL is fine. */
hc_status hc_writer_end(struct hc_writer *writer, struct hc_error *error);

#endif
