#ifndef HC_MODELS_DECODER_MOMENTS_H
#define HC_MODELS_DECODER_MOMENTS_H

#include "architecture.h"

/* struct hc_architecture.propagate */
hc_status hc_decoder_propagate(const struct hc_decoder *decoder, const struct hc_propagation *propagation,
                               struct hc_error *error);

/* The mean of silu(x)^2 over normally distributed x of mean 0, to 1e-4 of it: a quotient of polynomials in the standard
 * deviation, fitted to the integral from 1/1000 to 3000, that has its two limits, a quarter of the variance for small
 * ones and a half for large ones. Only + - * / and square roots, so that it is the same everywhere. */
double hc_silu_moment(double variance);

#endif
