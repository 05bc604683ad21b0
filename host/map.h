/* Opening weight files: mapped read-only, never read as a whole. */
#ifndef HC_HOST_MAP_H
#define HC_HOST_MAP_H

#include "source.h"

/* Maps the regular file at `path` and fills in path, name, data, size, inode and times; the rest becomes 0. A file of
 * no bytes has data NULL. HC_ERR_IO if it cannot be opened or is no regular file (opening a pipe does not wait). On
 * failure nothing is left to close. */
hc_status hc_file_open(struct hc_file *file, const char *path, struct hc_error *error);

/* Unmaps and frees everything that `file` holds, metadata included; all zero afterwards. */
void hc_file_close(struct hc_file *file);

/* What a message calls the file: its path, or its name alone when the path would drown the message. */
const char *hc_file_shown(const struct hc_file *file);

#endif
