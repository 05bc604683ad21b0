/* What models/ tells the GGUF reader about a family of networks: the names that Hugging Face's transformers gives its
 * tensors, and the order of its rows.
 */
#ifndef HC_HOST_FAMILY_H
#define HC_HOST_FAMILY_H

#include "gguf.h"

/* Rows that llama.cpp stores in another order (hc_tensor_stored_row), head by head. */
enum hc_family_rows { HC_ROWS_SAME = 0, HC_ROWS_QUERY, HC_ROWS_KEY };

/* Without ".weight" or ".bias", which both have alike. A '*' in `hf` stands for the number of the expert: GGUF stores
 * the experts of a layer as one tensor, whose slowest dimension tells them apart; it becomes as many tensors. */
struct hc_family_name {
    const char *gguf;
    const char *hf;
    enum hc_family_rows rows;
};

/* A number of config.json. */
struct hc_family_field {
    const char *gguf; /* key, without the architecture and the dot before it */
    const char *hf;
    enum { HC_FIELD_UINT, HC_FIELD_FLOAT } kind;
};

enum { HC_FAMILY_TABLES = 4 };

struct hc_family {
    const char *architecture; /* general.architecture */
    /* Tables end with a NULL gguf; lists of tables with NULL, or when they are full. */
    const struct hc_family_name *names;                         /* of the whole network */
    const struct hc_family_name *layer_names[HC_FAMILY_TABLES]; /* after "blk.N." and "model.layers.N." */
    const struct hc_family_field *fields[HC_FAMILY_TABLES];
    /* The class in config.json, with experts (expert_count > 0) and without; NULL: no config.json is made. */
    const char *model_type, *class_name;
    const char *expert_model_type, *expert_class_name;
    const char *window_model_type, *window_class_name; /* with a sliding window, without experts */
};

/* All families; ends with NULL. Defined in models/families.c. */
extern const struct hc_family *const hc_families[];

/* NULL if there is none for that architecture. */
const struct hc_family *hc_family_find(const char *architecture);

/* Hugging Face's name for the GGUF tensor `name`, and what is to be known about its rows. False if the family does not
 * know the name, or if the new one does not fit `size`: it stays as it is. A '*' for the expert is still in it. */
bool hc_family_rename(const struct hc_family *family, const char *name, char *renamed, size_t size,
                      enum hc_family_rows *rows);

#endif
