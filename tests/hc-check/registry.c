/* All the families. A new one is a file check_<family>.c, a name in check.h, and a row here. */
#include "check.h"

const struct check_op *const check_families[] = {
    check_convert,
    check_dequant,
    check_pair_moments,
    check_pair_extent,
    check_pair_search,
    check_bitpack,
    check_pair_decode,
    check_pair_product,
    check_compare,
    check_hadamard,
    check_window_rows,
    check_window_encode,
    check_window_decode,
    check_window_product,
    check_dense_product,
    check_rms_norm,
    check_rotary,
    check_silu,
    check_softmax,
    check_attention,
    check_sampling,
    check_engine,
    NULL,
};
