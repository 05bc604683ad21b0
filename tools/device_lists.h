/* Options that say something of each device: lists, with commas, in the order of --devices. */
#ifndef HYPERC_TOOLS_DEVICE_LISTS_H
#define HYPERC_TOOLS_DEVICE_LISTS_H

#include "command.h"

enum { MOST_DEVICES = 1024, MOST_LIST = 1 << 14 };

/* Copies a list to `room` and splits it where its commas are; 0 if it is too long. */
size_t split_list(const char *list, char room[MOST_LIST], const char *items[MOST_DEVICES]);
/* How many devices the value of --devices names; NULL: it was not given, which means one. */
size_t count_devices(const char *list);

struct device_speeds {
    double items[MOST_DEVICES];
    size_t count; /* 0: not given */
};

/* Takes the value of --speeds; false, with a message on stderr, if it is no good. */
bool take_speeds(const char *value, struct device_speeds *speeds);
/* False, with a message in `text`, if the option --`name` was given, but not a number for each of the devices. */
bool is_one_each(const char *name, size_t numbers, size_t devices, char *text, size_t size);

#endif
