/* Every method, once. */
#include "pair.h"
#include "window.h"

#include <string.h>

static const struct hc_method *const methods[] = {&hc_method_window, &hc_method_pair};

const struct hc_method *hc_method_find(const char *name)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i]->name, name) == 0)
            return methods[i];
    return NULL;
}
