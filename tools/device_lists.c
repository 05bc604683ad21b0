#include "device_lists.h"

#include <string.h>

size_t split_list(const char *list, char room[MOST_LIST], const char *items[MOST_DEVICES])
{
    size_t count = 0;
    if (strlen(list) >= MOST_LIST)
        return 0;
    strcpy(room, list);
    for (char *item = room; item; count++) {
        char *comma = strchr(item, ',');
        if (count == MOST_DEVICES)
            return 0;
        items[count] = item;
        if (comma)
            *comma = 0;
        item = comma ? comma + 1 : NULL;
    }
    return count;
}

size_t count_devices(const char *list)
{
    size_t count = 1;
    for (const char *at = list ? list : ""; *at; at++)
        count += *at == ',';
    return count;
}

bool take_speeds(const char *value, struct device_speeds *speeds)
{
    char room[MOST_LIST];
    const char *items[MOST_DEVICES];
    bool good = (speeds->count = split_list(value, room, items)) > 0;
    for (size_t d = 0; good && d < speeds->count; d++)
        good = parse_real(items[d], 0, &speeds->items[d]) && speeds->items[d] > 0;
    return good || bad_value("speeds", "positive numbers", value);
}

bool is_one_each(const char *name, size_t numbers, size_t devices, char *text, size_t size)
{
    if (numbers == 0 || numbers == devices)
        return true;
    snprintf(text, size, "--%s is to have as many numbers as there are devices, %zu", name, devices);
    return false;
}
