/* Tests that run once on every tier of kernels, each run a test of its own: on a machine that lacks the tier it is
 * skipped, and so counted as not run, or fails where HYPERC_REQUIRE, a list with commas, names the tier. */
#ifndef HC_TESTS_UNIT_TIERS_H
#define HC_TESTS_UNIT_TIERS_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

/* TIER_TEST(suite, name) { ... } defines suite::name_c, suite::name_avx2 and suite::name_avx512. The body reads the
 * tier's `kernels`. */
#define TIER_TEST(suite, name)                                                                                         \
    static void suite##_##name(const struct hc_kernels *kernels);                                                      \
    Test(suite, name##_c)                                                                                              \
    {                                                                                                                  \
        tier_run(HC_TIER_C, "c", suite##_##name);                                                                      \
    }                                                                                                                  \
    Test(suite, name##_avx2)                                                                                           \
    {                                                                                                                  \
        tier_run(HC_TIER_AVX2, "avx2", suite##_##name);                                                                \
    }                                                                                                                  \
    Test(suite, name##_avx512)                                                                                         \
    {                                                                                                                  \
        tier_run(HC_TIER_AVX512, "avx512", suite##_##name);                                                            \
    }                                                                                                                  \
    static void suite##_##name(const struct hc_kernels *kernels)

static bool tier_required(const char *name)
{
    const char *list = getenv("HYPERC_REQUIRE");
    while (list != NULL && *list != '\0') {
        size_t length = strcspn(list, ",");
        if (length == strlen(name) && strncmp(list, name, length) == 0)
            return true;
        list += length + (list[length] == ',');
    }
    return false;
}

static void tier_run(hc_tier tier, const char *name, void (*test)(const struct hc_kernels *kernels))
{
    struct hc_kernels kernels;
    if (hc_kernels_init(&kernels, tier) != tier) {
        cr_assert(!tier_required(name), "%s is required, but this machine lacks it", name);
        cr_skip_test("not run: this machine lacks %s", name);
    }
    test(&kernels);
}

#endif
