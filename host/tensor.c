/* Reading the weights of one tensor of a source. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "source.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Weights in stored order. For block types `first` and `count` are whole blocks. */
static void read_stored(const struct hc_tensor *tensor, const struct hc_kernels *kernels, uint64_t first,
                        uint64_t count, float *out)
{
    const struct hc_convert_ops *convert = &kernels->convert;
    const struct hc_dequant_ops *dequant = &kernels->dequant;
    const uint8_t *in = tensor->data + first / hc_type_block_weights(tensor->type) * hc_type_block_bytes(tensor->type);
    size_t n = (size_t)(count / hc_type_block_weights(tensor->type));

    switch (tensor->type) {
    case HC_TYPE_F32: memcpy(out, in, n * sizeof *out); break;
    case HC_TYPE_F64: convert->f64_to_f32((const void *)in, n, out); break;
    case HC_TYPE_F16: convert->f16_to_f32((const void *)in, n, out); break;
    case HC_TYPE_BF16: convert->bf16_to_f32((const void *)in, n, out); break;
    case HC_TYPE_F8_E4M3: convert->f8_e4m3_to_f32(in, n, out); break;
    case HC_TYPE_F8_E5M2: convert->f8_e5m2_to_f32(in, n, out); break;
    case HC_TYPE_Q4_0: dequant->q4_0(in, n, out); break;
    case HC_TYPE_Q4_1: dequant->q4_1(in, n, out); break;
    case HC_TYPE_Q5_0: dequant->q5_0(in, n, out); break;
    case HC_TYPE_Q5_1: dequant->q5_1(in, n, out); break;
    case HC_TYPE_Q8_0: dequant->q8_0(in, n, out); break;
    case HC_TYPE_Q2_K: dequant->q2_k(in, n, out); break;
    case HC_TYPE_Q3_K: dequant->q3_k(in, n, out); break;
    case HC_TYPE_Q4_K: dequant->q4_k(in, n, out); break;
    case HC_TYPE_Q5_K: dequant->q5_k(in, n, out); break;
    case HC_TYPE_Q6_K: dequant->q6_k(in, n, out); break;
    case HC_TYPE_Q8_K: dequant->q8_k(in, n, out); break;
    default: break; /* integers: the contract forbids them */
    }
}

uint64_t hc_tensor_stored_row(const struct hc_tensor *tensor, uint64_t row)
{
    if (tensor->permuted_heads == 0)
        return row;
    /* Hugging Face puts the two halves of a head's rotary pairs one after the other, llama.cpp the pairs. */
    uint64_t rows = tensor->shape[0] / tensor->permuted_heads;
    uint64_t head = row / rows, r = row % rows;
    uint64_t half = r / (rows / 2), pair = r % (rows / 2);
    return head * rows + 2 * pair + half;
}

void hc_tensor_read(const struct hc_tensor *tensor, const struct hc_kernels *kernels, uint64_t first, uint64_t count,
                    float *out)
{
    if (count == 0)
        return;
    if (tensor->permuted_heads == 0) {
        read_stored(tensor, kernels, first, count, out);
        return;
    }
    uint64_t columns = tensor->weights / tensor->shape[0];
    while (count > 0) {
        uint64_t row = first / columns, column = first % columns;
        uint64_t piece = min_u64(count, columns - column);
        read_stored(tensor, kernels, hc_tensor_stored_row(tensor, row) * columns + column, piece, out);
        first += piece;
        count -= piece;
        out += piece;
    }
}

void hc_tensor_drop(const struct hc_tensor *tensor)
{
    /* Pages at the rims belong to the neighbours too: they stay. */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)tensor->data + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)tensor->data + (uintptr_t)tensor->bytes) / page * page;
    if (tensor->bytes > 0 && begin < end)
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED); /* only a matter of memory */
}
