/* Random numbers by counter: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3; SC
 * 2011). Any word is found without those before it. */
#ifndef HC_HOST_PHILOX_H
#define HC_HOST_PHILOX_H

#include <stdint.h>

void hc_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

#endif
