/* What every device did, for people and for programs. */
#ifndef HYPERC_TOOLS_DEVICES_H
#define HYPERC_TOOLS_DEVICES_H

#include "command.h"

/* A table: weights, share of all, weights per second of work, and how much of the time it waited. */
void print_devices(FILE *out, const hc_context *context);
/* A list of objects; NULL if memory is out. */
json_t *devices_json(const hc_context *context);

#endif
