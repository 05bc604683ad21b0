/* Reading the weights of one tensor of a source. */
#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "source.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void read_plain(const struct hc_convert_ops *ops, hc_type type, const uint8_t *in, size_t n, float *out)
{
    switch (type) {
    case HC_TYPE_F32:
        memcpy(out, in, n * sizeof *out);
        break;
    case HC_TYPE_F64:
        ops->f64_to_f32((const void *)in, n, out);
        break;
    case HC_TYPE_F16:
        ops->f16_to_f32((const void *)in, n, out);
        break;
    case HC_TYPE_BF16:
        ops->bf16_to_f32((const void *)in, n, out);
        break;
    case HC_TYPE_F8_E4M3:
        ops->f8_e4m3_to_f32(in, n, out);
        break;
    case HC_TYPE_F8_E5M2:
        ops->f8_e5m2_to_f32(in, n, out);
        break;
    default: /* integers: the contract forbids them */
        break;
    }
}

typedef void (*dequant_fn)(const uint8_t *in, size_t blocks, float *out);

static dequant_fn block_reader(const struct hc_dequant_ops *ops, hc_type type)
{
    const dequant_fn readers[HC_TYPE_COUNT] = {
        [HC_TYPE_Q4_0] = ops->q4_0, [HC_TYPE_Q4_1] = ops->q4_1, [HC_TYPE_Q5_0] = ops->q5_0, [HC_TYPE_Q5_1] = ops->q5_1,
        [HC_TYPE_Q8_0] = ops->q8_0, [HC_TYPE_Q2_K] = ops->q2_k, [HC_TYPE_Q3_K] = ops->q3_k, [HC_TYPE_Q4_K] = ops->q4_k,
        [HC_TYPE_Q5_K] = ops->q5_k, [HC_TYPE_Q6_K] = ops->q6_k, [HC_TYPE_Q8_K] = ops->q8_k,
    };
    return readers[type];
}

/* Weights in stored order. For block types `first` and `count` are whole blocks. */
static void read_stored(const struct hc_tensor *tensor, const struct hc_kernels *kernels, uint64_t first,
                        uint64_t count, float *out)
{
    uint32_t weights = hc_type_block_weights(tensor->type);
    const uint8_t *in = tensor->data + first / weights * hc_type_block_bytes(tensor->type);
    if (hc_type_is_block(tensor->type))
        block_reader(&kernels->dequant, tensor->type)(in, (size_t)(count / weights), out);
    else
        read_plain(&kernels->convert, tensor->type, in, (size_t)count, out);
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
    assert(hc_type_is_float(tensor->type) && first <= tensor->weights && count <= tensor->weights - first);
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

enum { PREFETCH_BYTES = 64 << 20, PREFETCH_STEP = 128 << 10 };

/* Address of the page that `address` lies in. */
static uintptr_t page_of(uintptr_t address)
{
    return address & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
}

void hc_tensor_prefetch(const struct hc_tensor *tensor, uint64_t first, uint64_t count)
{
    uint64_t weights = hc_type_block_weights(tensor->type), bytes = hc_type_block_bytes(tensor->type);
    uintptr_t at = page_of((uintptr_t)tensor->data + (uintptr_t)(first / weights * bytes));
    uintptr_t end = at + (uintptr_t)min_u64(count / weights * bytes, PREFETCH_BYTES);
    /* Linux heeds no more of one such advice than it would read ahead by itself. */
    for (; at < end; at += PREFETCH_STEP)
        (void)madvise((void *)at, min_u64(end - at, PREFETCH_STEP), MADV_WILLNEED); /* only a matter of time */
}

/* Whole pages inside the tensor: those at its rims belong to the neighbours too. */
void hc_tensor_drop(const struct hc_tensor *tensor)
{
    uintptr_t begin = (uintptr_t)tensor->data, end = page_of(begin + (uintptr_t)tensor->bytes);
    if (page_of(begin) != begin)
        begin = page_of(begin) + (uintptr_t)sysconf(_SC_PAGESIZE);
    if (begin < end)
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED); /* only a matter of memory */
}
