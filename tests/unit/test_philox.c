/* Philox4x32-10 against the known answers that its authors publish with it (Random123). */
#include <criterion/criterion.h>

#include "philox.h"

Test(philox, known_answers)
{
    static const struct {
        uint32_t key[2], counter[4], expected[4];
    } cases[] = {
        {{0, 0}, {0, 0, 0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0xa4093822, 0x299f31d0},
         {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t out[4];
        hc_philox(cases[i].key, cases[i].counter, out);
        for (int w = 0; w < 4; w++)
            cr_assert_eq(out[w], cases[i].expected[w], "case %zu, word %d: %08x", i, w, out[w]);
    }
}
