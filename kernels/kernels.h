/* All operations of a context: plain C fills the table, better tiers overwrite what they have. */
#ifndef HC_KERNELS_KERNELS_H
#define HC_KERNELS_KERNELS_H

#include <hyperc/hyperc.h>

#include "attention/attention.h"
#include "bitpack/bitpack.h"
#include "compare/compare.h"
#include "convert/convert.h"
#include "dense_product/dense_product.h"
#include "dequant/dequant.h"
#include "hadamard/hadamard.h"
#include "pair_decode/pair_decode.h"
#include "pair_extent/pair_extent.h"
#include "pair_moments/pair_moments.h"
#include "pair_product/pair_product.h"
#include "pair_search/pair_search.h"
#include "rms_norm/rms_norm.h"
#include "rotary/rotary.h"
#include "sampling/sampling.h"
#include "silu/silu.h"
#include "softmax/softmax.h"
#include "window_decode/window_decode.h"
#include "window_encode/window_encode.h"
#include "window_product/window_product.h"
#include "window_rows/window_rows.h"

struct hc_kernels {
    struct hc_convert_ops convert;
    struct hc_dequant_ops dequant;
    struct hc_pair_moments_ops pair_moments;
    struct hc_pair_extent_ops pair_extent;
    struct hc_pair_search_ops pair_search;
    struct hc_bitpack_ops bitpack;
    struct hc_pair_decode_ops pair_decode;
    struct hc_pair_product_ops pair_product;
    struct hc_compare_ops compare;
    struct hc_hadamard_ops hadamard;
    struct hc_window_rows_ops window_rows;
    struct hc_window_encode_ops window_encode;
    struct hc_window_decode_ops window_decode;
    struct hc_window_product_ops window_product;
    struct hc_dense_product_ops dense_product;
    struct hc_rms_norm_ops rms_norm;
    struct hc_rotary_ops rotary;
    struct hc_silu_ops silu;
    struct hc_softmax_ops softmax;
    struct hc_attention_ops attention;
    struct hc_sampling_ops sampling;
};

/* The best tier that this machine runs. */
hc_tier hc_cpu_tier(void);

/* Fills the table with the best implementations up to `tier` (HC_TIER_BEST: the machine's), and
 * returns the tier that was taken: never more than the machine has. */
hc_tier hc_kernels_init(struct hc_kernels *kernels, hc_tier tier);

#endif
