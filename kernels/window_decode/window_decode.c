#include "window_decode.h"

#include "convert/convert.h"

/* One tile to halves, row by row. */
static void tile_halves(const struct hc_window_decoder *decoder, const uint8_t *codes, uint16_t *out, size_t stride)
{
    unsigned k = decoder->code->k, length = decoder->code->length;
    for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++)
        out[hc_window_row(t) * stride + hc_window_column(t)] = decoder->table[hc_window_theta(codes, k, length, t)];
}

static void decode_f16(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles, uint16_t *out,
                       size_t stride)
{
    for (size_t i = 0; i < tiles; i++)
        tile_halves(decoder, codes + i * HC_TILE_WEIGHTS / 8 * decoder->code->k, out + i * HC_TILE, stride);
}

static void decode_f32(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles, float *out,
                       size_t stride)
{
    struct hc_convert_ops convert;
    uint16_t halves[HC_TILE_WEIGHTS];
    hc_convert_c(&convert);
    for (size_t i = 0; i < tiles; i++) {
        tile_halves(decoder, codes + i * HC_TILE_WEIGHTS / 8 * decoder->code->k, halves, HC_TILE);
        for (size_t r = 0; r < HC_TILE; r++)
            convert.f16_to_f32(halves + r * HC_TILE, HC_TILE, out + r * stride + i * HC_TILE);
    }
}

static void decode_bf16(const struct hc_window_decoder *decoder, const uint8_t *codes, size_t tiles, uint16_t *out,
                        size_t stride)
{
    struct hc_convert_ops convert;
    float values[HC_TILE_WEIGHTS];
    hc_convert_c(&convert);
    for (size_t i = 0; i < tiles; i++) {
        decode_f32(decoder, codes + i * HC_TILE_WEIGHTS / 8 * decoder->code->k, 1, values, HC_TILE);
        for (size_t r = 0; r < HC_TILE; r++)
            convert.f32_to_bf16(values + r * HC_TILE, HC_TILE, out + r * stride + i * HC_TILE);
    }
}

void hc_window_decode_c(struct hc_window_decode_ops *ops)
{
    *ops = (struct hc_window_decode_ops){decode_f32, decode_f32, decode_f16, decode_bf16};
}
