#include "pair_cases.h"

#include <math.h>

#include "pair_grid.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct pair_case pair_case_draw(struct check_random *random)
{
    static const size_t sizes[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 18, 31, 33, 63, 64, 65, 66, 127, 130};
    static const uint32_t points[] = {1,   2,    3,    5,    16,   17,    26,     64,     100,
                                      400, 1000, 1024, 1025, 1600, 65536, 998002, 1 << 20};
    static const double sides[] = {0.1, 0.1, 0.125, 0.8, 1e-3, 1e-30, 1e4};
    static const float centres[] = {0, 0, 0.25f, 0.0485250130f, -3.3e-4f, 1e-20f, -7.0f};
    struct pair_case p = {
        .kind = (enum pair_case_kind)check_below(random, PAIR_KINDS),
        .n = sizes[check_below(random, COUNT(sizes))],
        .side = sides[check_below(random, COUNT(sides))],
        .points = points[check_below(random, COUNT(points))],
    };
    for (int i = 0; i < 2; i++)
        p.centre[i] = (double)centres[check_below(random, COUNT(centres))];
    uint64_t size = check_below(random, 16);
    if (size == 0)
        p.n = HC_BLOCK - check_below(random, 2);
    else if (size < 4)
        p.n = 1 + check_below(random, 1000);
    /* Exact ties need a grid without rounding, and exact limits of classes too. */
    if (p.kind == PAIR_TIES && check_below(random, 2) == 0)
        p = (struct pair_case){.kind = PAIR_TIES, .n = p.n, .side = 0.125, .points = 1U << 2 * check_below(random, 6)};
    if (p.kind == PAIR_LIMITS) {
        p = (struct pair_case){.kind = PAIR_LIMITS, .n = p.n, .side = 0.125, .points = p.points};
        p.classes = 2U << check_below(random, 3);
        p.points = p.points > 65536 ? 100 : p.points;
        return p;
    }
    do {
        p.classes = (uint32_t)check_below(random, HC_PAIR_MAX_CLASSES + 1);
    } while ((uint64_t)(p.points + 1) * (p.classes + 1) >= 1 << 24);
    return p;
}

/* PAIR_LIMITS: the farthest pair lies at (1 + LIMITS_REACH) * half. */
enum { LIMITS_REACH = 16 };

/* A multiple of half a step, in steps from the corner. */
static double on_half_steps(struct check_random *random, uint32_t m)
{
    return (double)check_below(random, 2 * (uint64_t)m + 1) / 2;
}

/* One of the two numbers, or right beside it. */
static double beside(struct check_random *random, double size)
{
    static const double nudges[] = {0, 0x1p-23, -0x1p-23, 0x1p-24, -0x1p-24, 1e-12};
    double sign = check_below(random, 2) == 0 ? -1 : 1;
    return sign * size * (1 + nudges[check_below(random, COUNT(nudges))]);
}

/* Where a pair lies from the centre. */
static void draw_offset(struct check_random *random, const struct pair_case *p, double offset[2])
{
    double half = p->side / 2, m = ceil(sqrt(p->points)), step = p->side / m;
    double deviation = p->kind == PAIR_WIDE ? p->side : p->side / 5;
    for (int i = 0; i < 2; i++)
        offset[i] = deviation * check_normal(random);
    switch (p->kind) {
    case PAIR_UNIFORM:
        offset[0] = p->side * (check_uniform(random) - 0.5);
        offset[1] = p->side * (check_uniform(random) - 0.5);
        break;
    case PAIR_RIM:
        offset[0] = copysign(half - step * check_uniform(random), offset[0]);
        offset[1] = copysign(half - fmin(6, m) * step * check_uniform(random), offset[1]);
        break;
    case PAIR_TIES:
        offset[1] = on_half_steps(random, (uint32_t)m);
        offset[0] = (offset[1] / m + on_half_steps(random, (uint32_t)m)) * step - half;
        offset[1] = offset[1] * step - half;
        break;
    case PAIR_BORDER:
        offset[0] = beside(random, half);
        if (check_below(random, 2) == 0)
            offset[1] = beside(random, half);
        break;
    case PAIR_CENTRE:
        offset[0] = beside(random, half) - half;
        offset[1] = beside(random, half) - half;
        break;
    case PAIR_LIMITS:
        offset[0] = beside(random, half * (1 + LIMITS_REACH * (double)check_below(random, p->classes) / p->classes));
        offset[1] = 0;
        break;
    default:
        break;
    }
}

/* Draws a weight to the centre until it lies inside the square. */
static float inside(float weight, double centre, double half)
{
    weight = (float)fmin(fmax((double)weight, centre - half), centre + half);
    while (!(fabs((double)weight - centre) <= half))
        weight = nextafterf(weight, (float)centre);
    return weight;
}

void pair_case_weights(struct check_random *random, const struct pair_case *p, float *weights,
                       struct hc_pair_grid *grid)
{
    double half = p->side / 2;
    for (size_t i = 0; i < p->n; i += 2) {
        double offset[2];
        draw_offset(random, p, offset);
        for (size_t j = 0; j < 2 && i + j < p->n; j++)
            weights[i + j] = (float)(p->centre[j] + offset[j]);
    }
    if (p->kind == PAIR_LIMITS)
        weights[0] = (float)(half * (1 + LIMITS_REACH));
    if (p->kind == PAIR_OUTLIER)
        weights[check_below(random, p->n)] = (float)(1e3 * p->side * check_normal(random));
    float pad = (float)(p->centre[1] + p->side * check_normal(random) / 4);
    if (p->classes == 0) {
        for (size_t i = 0; i < p->n; i++)
            weights[i] = inside(weights[i], p->centre[i % 2], half);
        pad = inside(pad, p->centre[1], half);
    }
    *grid = (struct hc_pair_grid){.centre = {p->centre[0], p->centre[1]}, .half = half, .pad = pad};
}

bool pair_case_fit(const struct pair_case *p, const struct hc_kernels *truth, const float *weights,
                   struct hc_pair_grid *grid)
{
    struct hc_pair_extent extent;
    truth->pair_extent.block(weights, p->n, grid, &extent);
    double farthest = fmax(sqrt(extent.max_distance2), grid->half);
    return hc_pair_grid_init(grid, p->centre, p->side, p->points, p->classes, farthest, grid->pad, NULL) == HC_OK;
}
