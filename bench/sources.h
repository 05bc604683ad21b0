/* Random sources with a known limit: independent numbers of unit deviation, the same for the same seed everywhere (but
 * for the last digit of the mathematical library). */
#ifndef HC_BENCH_SOURCES_H
#define HC_BENCH_SOURCES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

static const double source_pi = 3.14159265358979323846;

/* splitmix64, to 0 < x < 1. */
static inline double source_uniform(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return ((double)((z ^ z >> 31) >> 12) + 0.5) * 0x1p-52;
}

/* Box and Muller's method; the second number of the two is not used. */
static inline double source_normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(source_uniform(state)));
    return radius * cos(2 * source_pi * source_uniform(state));
}

static inline double source_laplace(uint64_t *state)
{
    double p = source_uniform(state);
    return (p < 0.5 ? log(2 * p) : -log(2 - 2 * p)) / sqrt(2);
}

/* Student's t with four degrees of freedom, whose quantiles have a closed form. Its deviation is sqrt(2). */
static inline double source_student(uint64_t *state)
{
    double p = source_uniform(state), alpha = 4 * p * (1 - p);
    double t = 2 * sqrt(fmax(cos(acos(sqrt(alpha)) / 3) / sqrt(alpha) - 1, 0));
    return (p < 0.5 ? -t : t) / sqrt(2);
}

struct source {
    const char *name;
    double (*draw)(uint64_t *state);
    double (*entropy)(void); /* differential, nats */
};

static inline double entropy_normal(void)
{
    return log(2 * source_pi * exp(1)) / 2;
}

/* 1 + ln 2b, with b = 1 / sqrt(2). */
static inline double entropy_laplace(void)
{
    return 1 + log(2) / 2;
}

/* With v = 4: (v + 1) / 2 (psi((v + 1) / 2) - psi(v / 2)) + ln(sqrt(v) B(v / 2, 1 / 2)), less ln sqrt(2) for the unit
 * deviation; psi(5/2) - psi(2) = 5/3 - 2 ln 2, B(2, 1/2) = 4/3. */
static inline double entropy_student(void)
{
    return 2.5 * (5.0 / 3 - 2 * log(2)) + log(8.0 / 3) - log(2) / 2;
}

static const struct source sources[] = {
    {"normal", source_normal, entropy_normal},
    {"laplace", source_laplace, entropy_laplace},
    {"student-t4", source_student, entropy_student},
};
enum { SOURCES = sizeof sources / sizeof *sources };

/* The most signal to noise, in decibel, that any code of `bits` per number can reach: Shannon's lower bound of the
 * distortion D, bits >= h - log2(2 pi e D) / 2 (h in bits), which for the normal source is its rate-distortion
 * function. */
static inline double source_limit(const struct source *source, double bits)
{
    double ln_distortion = 2 * source->entropy() - 2 * log(2) * bits - log(2 * source_pi * exp(1));
    return -10 * ln_distortion / log(10);
}

#endif
