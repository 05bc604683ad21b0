#include "pair_grid.h"

#include <float.h>
#include <math.h>

static hc_status check_parameters(const double centre[2], double side, uint32_t points, uint32_t classes,
                                  double farthest, float pad, struct hc_error *error)
{
    for (int i = 0; i < 2; i++) {
        /* Magnitude first: a conversion out of float's range is undefined. */
        if (!(fabs(centre[i]) <= (double)FLT_MAX) || (double)(float)centre[i] != centre[i])
            return hc_fail(error, HC_ERR_ARGUMENT, "pair: the centre is not a pair of float32 numbers");
    }
    if (!(side >= (double)FLT_MIN && side <= (double)FLT_MAX))
        return hc_fail(error, HC_ERR_ARGUMENT, "pair: side %g is out of range", side);
    if (points < 1 || points > HC_PAIR_MAX_POINTS)
        return hc_fail(error, HC_ERR_ARGUMENT, "pair: %u points, 1 to %d are possible", points,
                       (int)HC_PAIR_MAX_POINTS);
    if (classes > HC_PAIR_MAX_CLASSES)
        return hc_fail(error, HC_ERR_ARGUMENT, "pair: %u classes, at most %d are possible", classes,
                       (int)HC_PAIR_MAX_CLASSES);
    if (((uint64_t)points + 1) * (classes + 1) > UINT64_C(1) << HC_PAIR_MAX_BITS)
        return hc_fail(error, HC_ERR_ARGUMENT, "pair: %u points in %u classes need more than %d bits", points, classes,
                       (int)HC_PAIR_MAX_BITS);
    if (classes > 0 && !(farthest >= side / 2 && farthest <= 4 * (double)FLT_MAX))
        return hc_fail(error, HC_ERR_ARGUMENT, "pair: farthest distance %g is out of range", farthest);
    if (!isfinite(pad))
        return hc_fail(error, HC_ERR_ARGUMENT, "pair: the padding is not finite");
    return HC_OK;
}

hc_status hc_pair_grid_init(struct hc_pair_grid *grid, const double centre[2], double side, uint32_t points,
                            uint32_t classes, double farthest, float pad, struct hc_error *error)
{
    hc_status status = check_parameters(centre, side, points, classes, farthest, pad, error);
    if (status != HC_OK)
        return status;

    uint32_t m = (uint32_t)ceil(sqrt((double)points));
    double half = side / 2;
    *grid = (struct hc_pair_grid){
        .centre = {centre[0], centre[1]},
        .half = half,
        .h = side / m,
        .inv_m = 1.0 / m,
        .mid = m / 2.0,
        .points = points,
        .m = m,
        .last_row = (points - 1) % m,
        .r_max = (points - 1) / m,
        .classes = classes,
        .pad = pad,
    };
    grid->scale[0] = m / side;
    grid->unit[0] = grid->h;
    for (uint32_t k = 1; k <= classes; k++) {
        double reach = half + k * (farthest - half) / classes;
        grid->limit2[k] = reach * reach;
        grid->scale[k] = half / reach * grid->scale[0];
        grid->unit[k] = reach / half * grid->unit[0];
    }
    return HC_OK;
}

uint32_t hc_pair_code_count(const struct hc_pair_grid *grid)
{
    return (grid->points + 1) * (grid->classes + 1);
}

static float nearest_float(double value)
{
    return (float)fmin(fmax(value, -(double)FLT_MAX), (double)FLT_MAX);
}

void hc_pair_value(const struct hc_pair_grid *grid, uint32_t code, float value[2])
{
    uint32_t index = code % (grid->points + 1);
    double x = 0, y = 0;
    if (index > 0) {
        uint32_t t = index - 1;
        double unit = grid->unit[code / (grid->points + 1)];
        x = ((double)t / grid->m - grid->mid) * unit;
        y = (t % grid->m - grid->mid) * unit;
    }
    value[0] = nearest_float(grid->centre[0] + x);
    value[1] = nearest_float(grid->centre[1] + y);
}

void hc_pair_table(const struct hc_pair_grid *grid, uint32_t entries, float (*table)[2])
{
    for (uint32_t code = 0; code < entries; code++)
        hc_pair_value(grid, code, table[code]);
}

unsigned hc_pair_code_bits(uint32_t max_code)
{
    unsigned bits = 1;
    while (bits < 32 && max_code >> bits != 0)
        bits++;
    return bits;
}
