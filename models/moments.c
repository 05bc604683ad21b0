/* Second moments of all inputs of a decoder, propagated through its weights alone: no text, no run of the model.
 *
 * Channels count as uncorrelated, tokens as equally frequent. r_j, the mean square of channel j of the stream that the
 * layers add to, begins with that of the embedding. Then, with h the moments of a matrix's inputs:
 *   norm        h_j = gain_j^2 r_j / mean(r)
 *   matrix      sum_j W_ij^2 h_j + bias_i^2
 *   attention   that of the values, repeated over the heads that share them, times ATTENDED: means are smaller
 *   SwiGLU      that of up, times the mean of silu(x)^2 over normally distributed x with the variance of gate
 *   o, down     r_i grows by theirs
 */
#include "decoder_moments.h"

#include "decoder.h"
#include "moments.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double ATTENDED = 0.3; /* measured: how much the weighting of positions leaves */

double hc_silu_moment(double variance)
{
    double s = sqrt(variance);
    double p = 0.25 + s * (0.02361457 + s * (0.39627161 + s * (-0.01016715 + s * 0.035430805)));
    double q = 1 + s * (0.09701753 + s * (0.80674847 + s * (-0.0208095 + s * 0.07086161)));
    return variance * (p / q);
}

/* What goes through the layers. */
struct pass {
    const struct hc_decoder *decoder;
    const struct hc_decoder_names *names;
    const struct hc_propagation *propagation;
    uint32_t layer;
    double *stream;    /* r, width */
    double *normed;    /* width */
    double *written;   /* width: what o or down adds */
    double *values;    /* key_value_heads x head_width */
    double *attended;  /* heads x head_width */
    double *gate, *up; /* inner_width; up becomes the input of down */
};

/* How far each is believed, in quarters. Measured on a model (bench/quality), and what its measured moments say too:
 * queries and keys gain from all of it, while values, gate and up err less if half or a quarter is left to the columns.
 */
static const unsigned trust[HC_LAYER_MATRICES] = {
    [HC_QUERY] = 4, [HC_KEY] = 4, [HC_VALUE] = 2, [HC_OUTPUT] = 4, [HC_GATE] = 3, [HC_UP] = 2, [HC_DOWN] = 3};

static hc_status note(const struct pass *pass, enum hc_layer_matrix which, const double *moments,
                      struct hc_error *error)
{
    struct hc_tensor_name name = hc_layer_name(pass->names, pass->layer, pass->names->matrices[which], ".weight");
    return hc_moments_add(pass->propagation->moments, name.text, moments,
                          hc_layer_matrix_shape(pass->decoder, which).columns, trust[which], error);
}

static hc_status through(const struct pass *pass, enum hc_layer_matrix which, const double *in, double *out,
                         struct hc_error *error)
{
    struct hc_tensor_name weight = hc_layer_name(pass->names, pass->layer, pass->names->matrices[which], ".weight");
    struct hc_tensor_name bias = hc_layer_name(pass->names, pass->layer, pass->names->matrices[which], ".bias");
    const char *added = hc_layer_has_bias(pass->decoder, which) ? bias.text : NULL;
    return hc_propagate_matrix(pass->propagation, weight.text, added, in, out, error);
}

static hc_status norm(const struct pass *pass, const char *name, struct hc_error *error)
{
    double sum = 0;
    hc_status status = hc_propagate_squares(pass->propagation, name, pass->normed, error);
    for (uint32_t j = 0; j < pass->decoder->width; j++)
        sum += pass->stream[j];
    for (uint32_t j = 0; status == HC_OK && j < pass->decoder->width; j++)
        pass->normed[j] *= pass->stream[j] / (sum / pass->decoder->width);
    return status;
}

static hc_status write(const struct pass *pass, enum hc_layer_matrix which, const double *in, struct hc_error *error)
{
    hc_status status = through(pass, which, in, pass->written, error);
    for (uint32_t j = 0; status == HC_OK && j < pass->decoder->width; j++)
        pass->stream[j] += pass->written[j];
    return status;
}

static hc_status attention(const struct pass *pass, struct hc_error *error)
{
    const struct hc_decoder *decoder = pass->decoder;
    uint32_t shared = decoder->heads / decoder->key_value_heads;
    struct hc_tensor_name name =
        hc_layer_name(pass->names, pass->layer, pass->names->norms[HC_NORM_ATTENTION], ".weight");
    hc_status status;
    HC_TRY(norm(pass, name.text, error));
    for (int which = HC_QUERY; which <= HC_VALUE; which++)
        HC_TRY(note(pass, which, pass->normed, error));
    HC_TRY(through(pass, HC_VALUE, pass->normed, pass->values, error));
    for (uint32_t h = 0; h < decoder->heads; h++)
        for (uint32_t d = 0; d < decoder->head_width; d++)
            pass->attended[h * decoder->head_width + d] = ATTENDED * pass->values[h / shared * decoder->head_width + d];
    HC_TRY(note(pass, HC_OUTPUT, pass->attended, error));
    HC_TRY(write(pass, HC_OUTPUT, pass->attended, error));
done:
    return status;
}

static hc_status inner(const struct pass *pass, struct hc_error *error)
{
    struct hc_tensor_name name = hc_layer_name(pass->names, pass->layer, pass->names->norms[HC_NORM_INNER], ".weight");
    hc_status status;
    HC_TRY(norm(pass, name.text, error));
    HC_TRY(note(pass, HC_GATE, pass->normed, error));
    HC_TRY(note(pass, HC_UP, pass->normed, error));
    HC_TRY(through(pass, HC_GATE, pass->normed, pass->gate, error));
    HC_TRY(through(pass, HC_UP, pass->normed, pass->up, error));
    for (uint32_t i = 0; i < pass->decoder->inner_width; i++)
        pass->up[i] *= hc_silu_moment(pass->gate[i]);
    HC_TRY(note(pass, HC_DOWN, pass->up, error));
    HC_TRY(write(pass, HC_DOWN, pass->up, error));
done:
    return status;
}

static hc_status begin(struct pass *pass, struct hc_error *error)
{
    const struct hc_decoder *decoder = pass->decoder;
    struct hc_tensor_name name;
    pass->stream = calloc(decoder->width, sizeof *pass->stream);
    pass->normed = calloc(decoder->width, sizeof *pass->normed);
    pass->written = calloc(decoder->width, sizeof *pass->written);
    pass->values = calloc((size_t)decoder->key_value_heads * decoder->head_width, sizeof *pass->values);
    pass->attended = calloc((size_t)decoder->heads * decoder->head_width, sizeof *pass->attended);
    pass->gate = calloc(decoder->inner_width, sizeof *pass->gate);
    pass->up = calloc(decoder->inner_width, sizeof *pass->up);
    if (!pass->stream || !pass->normed || !pass->written || !pass->values || !pass->attended || !pass->gate ||
        !pass->up)
        return hc_no_memory(error);
    snprintf(name.text, sizeof name.text, "%s.weight", pass->names->embedding);
    return hc_propagate_columns(pass->propagation, name.text, pass->stream, error);
}

static void end(struct pass *pass)
{
    free(pass->stream);
    free(pass->normed);
    free(pass->written);
    free(pass->values);
    free(pass->attended);
    free(pass->gate);
    free(pass->up);
}

/* The output matrix, where it is one of its own. */
static hc_status head(const struct pass *pass, struct hc_error *error)
{
    struct hc_tensor_name name;
    snprintf(name.text, sizeof name.text, "%s.weight", pass->names->norm);
    hc_status status = norm(pass, name.text, error);
    snprintf(name.text, sizeof name.text, "%s.weight", pass->names->head);
    if (status == HC_OK && !pass->decoder->tied)
        status = hc_moments_add(pass->propagation->moments, name.text, pass->normed, pass->decoder->width,
                                HC_MOMENTS_MEASURED, error);
    return status;
}

hc_status hc_decoder_propagate(const struct hc_decoder *decoder, const struct hc_propagation *propagation,
                               struct hc_error *error)
{
    struct pass pass = {.decoder = decoder, .names = &hc_decoder_names, .propagation = propagation};
    hc_status status;
    HC_TRY(begin(&pass, error));
    for (pass.layer = 0; pass.layer < decoder->layers; pass.layer++) {
        HC_TRY(attention(&pass, error));
        HC_TRY(inner(&pass, error));
    }
    HC_TRY(head(&pass, error));
done:
    end(&pass);
    return status;
}
