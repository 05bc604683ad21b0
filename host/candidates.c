#include "candidates.h"

/* Puts a key where the top of the heap that begins at `at` is free. */
static void sink(uint64_t *heap, uint32_t count, uint32_t at, uint64_t key)
{
    for (uint64_t child; (child = 2 * (uint64_t)at + 1) < count; at = (uint32_t)child) {
        child += child + 1 < count && heap[child + 1] > heap[child];
        if (heap[child] <= key)
            break;
        heap[at] = heap[child];
    }
    heap[at] = key;
}

uint32_t hc_candidates_heap(const struct hc_sampling_ops *ops, const float *logits, uint32_t count, uint32_t reach,
                            uint64_t *heap)
{
    const float least = ops->reached(logits, count, reach);
    const uint32_t collected = (uint32_t)ops->collect(logits, count, least, heap);
    for (uint32_t at = collected / 2; at-- > 0;)
        sink(heap, collected, at, heap[at]);
    return collected;
}

void hc_candidates_pop(uint64_t *heap, uint32_t count)
{
    const uint64_t top = heap[0], last = heap[count - 1];
    sink(heap, count - 1, 0, last);
    heap[count - 1] = top;
}

void hc_candidates_best(const struct hc_sampling_ops *ops, const float *logits, uint32_t count, int32_t first,
                        uint32_t most, uint64_t *heap, struct hc_candidate *best)
{
    const uint32_t kept = count < most ? count : most;
    uint32_t left = kept > 0 ? hc_candidates_heap(ops, logits, count, kept, heap) : 0;
    for (uint32_t i = 0; i < kept; i++) {
        hc_candidates_pop(heap, left--);
        best[i] = (struct hc_candidate){hc_sampling_logit(heap[left]), first + hc_sampling_token(heap[left])};
    }
}
