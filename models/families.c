/* All families that models/ knows. A new one needs a line here and a file of its own. */
#include "names.h"

const struct hc_family *const hc_families[] = {
    &hc_family_llama, &hc_family_qwen2, &hc_family_qwen2moe, &hc_family_qwen3, &hc_family_qwen3moe, NULL,
};
