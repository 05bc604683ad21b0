/* The devices that a list of names means, on a machine that other ranks may share. */
#ifndef HC_HOST_DEVICE_NAMES_H
#define HC_HOST_DEVICE_NAMES_H

#include "comm.h"

/* list: names between commas. Each as it is, but a "cuda" without a number gets one: rank by rank, name by name, the
 * next that neither a rank of this machine has by then, nor one of them asks for by name. All ranks call it at once.
 * *names: *count of them, for hc_device_names_free, also after a failure. */
hc_status hc_device_names(struct hc_comm *comm, const char *list, char ***names, size_t *count, struct hc_error *error);
void hc_device_names_free(char **names, size_t count);

#endif
