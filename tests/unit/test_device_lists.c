/* Lists with an item for each device, as the program takes them. */
#include <criterion/criterion.h>
#include <string.h>

#include "../../tools/device_lists.h"

Test(device_lists, speeds)
{
    static struct device_speeds speeds;
    cr_assert(take_speeds("100,0.5,1e3", &speeds));
    cr_expect(speeds.count == 3 && speeds.items[0] == 100 && speeds.items[1] == 0.5 && speeds.items[2] == 1000);
    cr_assert(take_speeds("7", &speeds));
    cr_expect(speeds.count == 1 && speeds.items[0] == 7);
}

Test(device_lists, no_speeds)
{
    static const char *const wrong[] = {"",    ",", "1,", ",1",  "1,,2", "0",    "-1",
                                        "1,0", "x", "1x", "nan", "inf",  "1e999"};
    static struct device_speeds speeds;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect(!take_speeds(wrong[i], &speeds), "'%s' is taken", wrong[i]);
}

/* So many ones. */
static char *ones(size_t count)
{
    static char list[4 * MOST_DEVICES];
    for (size_t i = 0; i < count; i++)
        memcpy(list + 2 * i, "1,", 2);
    list[2 * count - 1] = 0;
    return list;
}

Test(device_lists, as_long_as_it_may_be)
{
    static struct device_speeds speeds;
    static char room[MOST_LIST], list[MOST_LIST + 1];
    const char *items[MOST_DEVICES];
    cr_expect(take_speeds(ones(MOST_DEVICES), &speeds) && speeds.count == MOST_DEVICES);
    cr_expect(!take_speeds(ones(MOST_DEVICES + 1), &speeds));
    memset(list, '1', MOST_LIST - 1);
    cr_expect(split_list(list, room, items) == 1 && strlen(items[0]) == MOST_LIST - 1);
    list[MOST_LIST - 1] = '1';
    cr_expect(split_list(list, room, items) == 0);
}

Test(device_lists, one_for_each_device)
{
    char text[128] = "";
    cr_expect(count_devices(NULL) == 1 && count_devices("cpu") == 1 && count_devices("cuda:0,cpu,cuda:1") == 3);
    cr_expect(is_one_each("speeds", 0, 3, text, sizeof text) && is_one_each("speeds", 3, 3, text, sizeof text));
    cr_expect(text[0] == 0);
    cr_expect(!is_one_each("speeds", 2, 3, text, sizeof text));
    cr_expect(strcmp(text, "--speeds is to have as many numbers as there are devices, 3") == 0, "%s", text);
}
