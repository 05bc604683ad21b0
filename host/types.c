#include <string.h>

#include "source.h"

struct type {
    const char *name;
    uint32_t weights; /* in a block */
    uint32_t bytes;   /* of a block */
    bool is_float;
};

static const struct type types[HC_TYPE_COUNT] = {
    [HC_TYPE_F64] = {"F64", 1, 8, true},         [HC_TYPE_F32] = {"F32", 1, 4, true},
    [HC_TYPE_F16] = {"F16", 1, 2, true},         [HC_TYPE_BF16] = {"BF16", 1, 2, true},
    [HC_TYPE_F8_E4M3] = {"F8_E4M3", 1, 1, true}, [HC_TYPE_F8_E5M2] = {"F8_E5M2", 1, 1, true},
    [HC_TYPE_I64] = {"I64", 1, 8, false},        [HC_TYPE_U64] = {"U64", 1, 8, false},
    [HC_TYPE_I32] = {"I32", 1, 4, false},        [HC_TYPE_U32] = {"U32", 1, 4, false},
    [HC_TYPE_I16] = {"I16", 1, 2, false},        [HC_TYPE_U16] = {"U16", 1, 2, false},
    [HC_TYPE_I8] = {"I8", 1, 1, false},          [HC_TYPE_U8] = {"U8", 1, 1, false},
    [HC_TYPE_BOOL] = {"BOOL", 1, 1, false},      [HC_TYPE_Q4_0] = {"Q4_0", 32, 18, true},
    [HC_TYPE_Q4_1] = {"Q4_1", 32, 20, true},     [HC_TYPE_Q5_0] = {"Q5_0", 32, 22, true},
    [HC_TYPE_Q5_1] = {"Q5_1", 32, 24, true},     [HC_TYPE_Q8_0] = {"Q8_0", 32, 34, true},
    [HC_TYPE_Q2_K] = {"Q2_K", 256, 84, true},    [HC_TYPE_Q3_K] = {"Q3_K", 256, 110, true},
    [HC_TYPE_Q4_K] = {"Q4_K", 256, 144, true},   [HC_TYPE_Q5_K] = {"Q5_K", 256, 176, true},
    [HC_TYPE_Q6_K] = {"Q6_K", 256, 210, true},   [HC_TYPE_Q8_K] = {"Q8_K", 256, 292, true},
};

const char *hc_type_name(hc_type type)
{
    return (unsigned)type < HC_TYPE_COUNT ? types[type].name : "unknown";
}

bool hc_type_from_name(const char *name, hc_type *type)
{
    for (int i = 0; i < HC_TYPE_COUNT; i++) {
        if (strcmp(types[i].name, name) == 0) {
            *type = (hc_type)i;
            return true;
        }
    }
    return false;
}

uint32_t hc_type_block_weights(hc_type type)
{
    return types[type].weights;
}

uint32_t hc_type_block_bytes(hc_type type)
{
    return types[type].bytes;
}

bool hc_type_is_float(hc_type type)
{
    return types[type].is_float;
}

bool hc_type_is_block(hc_type type)
{
    return types[type].weights > 1;
}

bool hc_type_bytes(hc_type type, uint64_t weights, uint64_t *bytes)
{
    uint64_t blocks = weights / types[type].weights;
    if (weights % types[type].weights != 0 || blocks > UINT64_MAX / types[type].bytes)
        return false;
    *bytes = blocks * types[type].bytes;
    return true;
}
