#include "family.h"

#include <stdio.h>
#include <string.h>

const struct hc_family *hc_family_find(const char *architecture)
{
    for (size_t i = 0; hc_families[i]; i++)
        if (strcmp(hc_families[i]->architecture, architecture) == 0)
            return hc_families[i];
    return NULL;
}

/* The entry whose GGUF name is the `length` characters at `stem`. */
static const struct hc_family_name *find_name(const struct hc_family_name *table, const char *stem, size_t length)
{
    for (; table && table->gguf; table++)
        if (strncmp(table->gguf, stem, length) == 0 && table->gguf[length] == '\0')
            return table;
    return NULL;
}

/* Where ".weight" or ".bias" begins; NULL if the name ends with neither. */
static const char *find_suffix(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".weight") == 0 || strcmp(dot, ".bias") == 0) ? dot : NULL;
}

bool hc_family_rename(const struct hc_family *family, const char *name, char *renamed, size_t size,
                      enum hc_family_rows *rows)
{
    const char *suffix = find_suffix(name);
    if (!suffix)
        return false;
    const char *layer = strncmp(name, "blk.", 4) == 0 ? name + 4 : NULL;
    size_t digits = layer ? strspn(layer, "0123456789") : 0;
    const struct hc_family_name *found = NULL;
    if (digits > 0 && layer[digits] == '.' && layer + digits < suffix) {
        const char *stem = layer + digits + 1;
        for (size_t i = 0; i < HC_FAMILY_TABLES && family->layer_names[i] && !found; i++)
            found = find_name(family->layer_names[i], stem, (size_t)(suffix - stem));
    } else {
        digits = 0;
        found = find_name(family->names, name, (size_t)(suffix - name));
    }
    if (!found)
        return false;
    *rows = found->rows;
    int length = digits > 0 ? snprintf(renamed, size, "model.layers.%.*s.%s%s", (int)digits, layer, found->hf, suffix)
                            : snprintf(renamed, size, "%s%s", found->hf, suffix);
    return length > 0 && (size_t)length < size;
}
