/* Sums that depend on neither order nor partition, and are rounded once. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "exact_sum.h"

#define TINY 0x1p-1074

static void expect(const double *terms, size_t count, double value)
{
    struct hc_exact_sum sum = {{0}, 0}, negative = {{0}, 0};
    for (size_t i = 0; i < count; i++) {
        hc_exact_add(&sum, terms[i]);
        hc_exact_add(&negative, -terms[i]);
    }
    cr_assert(hc_exact_value(&sum) == value, "%a, not %a", hc_exact_value(&sum), value);
    cr_assert(hc_exact_value(&negative) == -value, "%a, not %a", hc_exact_value(&negative), -value);
}

Test(exact_sum, by_hand)
{
    static const struct {
        double terms[4], value;
    } cases[] = {
        {{0, -0.0}, 0},
        {{1.5, 2.25}, 3.75},
        {{1e300, 1, -1e300}, 1},
        {{DBL_MAX, TINY, -DBL_MAX}, TINY},
        {{DBL_MAX, DBL_MAX, -DBL_MAX}, DBL_MAX},
        {{DBL_MAX, DBL_MAX}, INFINITY},
        {{TINY, TINY, TINY}, 3 * TINY},
        {{DBL_MIN, -TINY}, DBL_MIN - TINY},
        {{DBL_MIN - TINY, TINY}, DBL_MIN},
        /* halves go to even; a whisper decides otherwise */
        {{0x1p53, 1}, 0x1p53},
        {{0x1p53, 1, TINY}, 0x1p53 + 2},
        {{0x1p53, 1, -TINY}, 0x1p53},
        {{0x1p53, 3}, 0x1p53 + 4},
        {{0x1p53, 3, -TINY}, 0x1p53 + 2},
        {{0x1p1000, 0x1p946, 0x1p-1000}, 0x1p1000},
        {{0x1p1000, 0x1p947, 0x1p-1000}, 0x1p1000 + 0x1p948},
        {{0x1p1000, 0x1p947}, 0x1p1000},
        {{0x1p100, -0x1p46, -TINY}, 0x1p100 - 0x1p47},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(cases[i].terms, 4, cases[i].value);
}

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 11;
}

/* Multiples of 2^-30 below 2^20: their sum is a whole number of 2^-30 that int64_t holds. */
Test(exact_sum, against_integers)
{
    enum { TERMS = 100000 };
    uint64_t state = 1;
    int64_t total = 0;
    struct hc_exact_sum sum = {{0}, 0};
    for (int i = 0; i < TERMS; i++) {
        int64_t term = (int64_t)(next(&state) & 0xffffffffffff) - ((int64_t)1 << 47);
        hc_exact_add(&sum, ldexp((double)term, -30));
        total += term;
    }
    cr_assert(hc_exact_value(&sum) == ldexp((double)total, -30));
}

/* Terms of all magnitudes, in two orders, in one sum or in several. */
Test(exact_sum, order_and_partition)
{
    enum { TERMS = 3000, PARTS = 7 };
    static double terms[TERMS];
    static struct hc_exact_sum parts[PARTS];
    uint64_t state = 2;
    for (int i = 0; i < TERMS; i++) {
        double mantissa = (double)next(&state) * 0x1p-53 - 0.5;
        terms[i] = ldexp(mantissa, (int)(next(&state) % 2090) - 1070);
    }
    struct hc_exact_sum forward = {{0}, 0}, backward = {{0}, 0}, whole = {{0}, 0};
    for (int i = 0; i < TERMS; i++) {
        hc_exact_add(&forward, terms[i]);
        hc_exact_add(&backward, terms[TERMS - 1 - i]);
        hc_exact_add(&parts[next(&state) % PARTS], terms[i]);
    }
    for (int p = PARTS - 1; p >= 0; p--)
        hc_exact_add_sum(&whole, &parts[p]);
    double value = hc_exact_value(&forward);
    cr_assert(isfinite(value) && value != 0);
    cr_assert(hc_exact_value(&backward) == value);
    cr_assert(hc_exact_value(&whole) == value);
    for (int i = 0; i < TERMS; i++)
        hc_exact_add(&whole, -terms[i]);
    cr_assert(hc_exact_value(&whole) == 0);
}

/* More terms than limbs have room for without a carry: the counter is set to just below that. */
Test(exact_sum, carries)
{
    struct hc_exact_sum sum = {{0}, 0};
    for (int i = 0; i < 5; i++) {
        sum.pending = (1 << 30) - 2;
        hc_exact_add(&sum, 0x1.fffffffffffffp40);
        hc_exact_add(&sum, 0x1.fffffffffffffp40);
        cr_assert_lt(sum.pending, 1 << 30);
    }
    cr_assert(hc_exact_value(&sum) == 10 * 0x1.fffffffffffffp40);

    /* Doubling a sum doubles its value, whatever waits in its limbs. */
    struct hc_exact_sum doubled = {{0}, 0};
    hc_exact_add(&doubled, -0x1.8p-60);
    for (int i = 0; i < 200; i++)
        hc_exact_add_sum(&doubled, &doubled);
    cr_assert(hc_exact_value(&doubled) == -0x1.8p140);
}
