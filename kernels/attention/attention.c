#include "attention.h"

#include <float.h>
#include <string.h>

#include "common/dot.h"
#include "convert/convert.h"
#include "softmax/softmax.h"

/* Of a position, in float32; scales go with I8 alone. */
static void decode(const struct hc_attention_head *head, const void *cache, const float *scales, size_t t, float *out)
{
    size_t at = t * head->width;
    struct hc_convert_ops convert;
    hc_convert_c(&convert);
    if (head->type == HC_TYPE_F32)
        memcpy(out, (const float *)cache + at, head->width * sizeof *out);
    else if (head->type == HC_TYPE_F16)
        convert.f16_to_f32((const uint16_t *)cache + at, head->width, out);
    else
        for (size_t d = 0; d < head->width; d++)
            out[d] = (float)((const int8_t *)cache)[at + d] * scales[t];
}

static void attend_one(const struct hc_attention_head *head, const float *query, float *scores, float *out)
{
    size_t n = head->to - head->from, width = head->width;
    float decoded[HC_ATTENTION_WIDTH];
    struct hc_softmax_ops softmax;
    hc_softmax_c(&softmax);
    for (size_t t = 0; t < n; t++) {
        decode(head, head->keys, head->key_scales, head->from + t, decoded);
        scores[t] = hc_dot(query, decoded, width) * head->scale;
    }
    float sum = softmax.exponentials(scores, n, scores[softmax.largest(scores, n)]);
    for (size_t d = 0; d < width; d++)
        out[d] = 0;
    for (size_t t = 0; t < n; t++) {
        decode(head, head->values, head->value_scales, head->from + t, decoded);
        for (size_t d = 0; d < width; d++)
            out[d] = fmaf(scores[t], decoded[d], out[d]);
    }
    for (size_t d = 0; d < width; d++)
        out[d] *= 1 / sum;
}

static void attend(const struct hc_attention_head *head, const float *query, size_t queries, float *out)
{
    for (size_t q = 0; q < queries; q++)
        attend_one(head, query + q * head->width, head->scores + q * (head->to - head->from), out + q * head->width);
}

static void store_i8(const float *x, size_t width, int8_t *to, float *scale)
{
    float largest = 0;
    bool finite = true;
    for (size_t d = 0; d < width; d++) {
        finite = finite && fabsf(x[d]) <= FLT_MAX;
        largest = fabsf(x[d]) > largest ? fabsf(x[d]) : largest;
    }
    *scale = finite ? largest / HC_ATTENTION_I8 : NAN;
    for (size_t d = 0; d < width; d++) {
        float value = *scale > 0 ? x[d] / *scale : 0;
        value = value < HC_ATTENTION_I8 ? value : HC_ATTENTION_I8;
        value = value > -HC_ATTENTION_I8 ? value : -HC_ATTENTION_I8;
        to[d] = (int8_t)lrintf(value);
    }
}

static void store(hc_type type, const float *x, size_t width, void *to, float *scale)
{
    struct hc_convert_ops convert;
    hc_convert_c(&convert);
    if (type == HC_TYPE_F32)
        memcpy(to, x, width * sizeof *x);
    else if (type == HC_TYPE_F16)
        convert.f32_to_f16(x, width, to);
    else
        store_i8(x, width, to, scale);
}

void hc_attention_c(struct hc_attention_ops *ops)
{
    *ops = (struct hc_attention_ops){attend, store};
}
