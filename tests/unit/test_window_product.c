/* window_product against the text of kernels/window_product/window_product.h, in wider numbers. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tiers.h"

/* ---- What the text says ------------------------------------------------------------------------------------- */

static long double value_of(const struct hc_window_code *code, long place)
{
    long double x = ((long double)place + ldexpl(1, 15 - code->length)) / 32768;
    return x * ((long double)code->a + (long double)code->b * powl(x, 4) + (long double)code->c * powl(x, 64));
}

static unsigned theta_of(const uint8_t *tile, unsigned k, unsigned length, unsigned t)
{
    unsigned theta = 0;
    for (unsigned i = 0; i < length; i++) {
        unsigned bit = (t * k + i) % (256 * k);
        theta |= (tile[bit / 8] >> bit % 8 & 1u) << i;
    }
    return theta;
}

static long place_of(const struct hc_window_code *code, unsigned theta)
{
    long place = (long)((unsigned long)theta * code->multiplier % 65536);
    return place >= 32768 ? place - 65536 : place;
}

static double from_half(uint16_t half)
{
    int exponent = half >> 10 & 31, mantissa = half & 1023;
    double magnitude = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

/* a * b of the text. */
static long times(long a, long b)
{
    return (long)floor((double)(a * b + 16384) / 32768);
}

static long polynomial(const int16_t p[8], long place)
{
    long x = place | p[3], x2 = times(x, x + p[4] < 32767 ? x + p[4] : 32767), power = x2, x4 = 0;
    for (int i = 0; i < 5; i++) {
        power = times(power, power);
        x4 = i == 0 ? power : x4;
        cr_assert(power >= -32768 && power <= 32767);
    }
    long sum = p[0] + times(x4, p[1]) + times(power, p[2]);
    cr_assert(sum >= -32768 && sum <= 32767);
    return (long)floor((double)(times(sum, x) + 8) / 16);
}

/* ---- Tools ---------------------------------------------------------------------------------------------------- */

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void fill(uint8_t *bytes, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)next(&seed);
}

/* Close to normal. */
static float normal(uint32_t *state)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)next(state) / 0x1p24;
    return (float)(sum - 6);
}

static void each_code(void (*visit)(const struct hc_window_product_ops *ops, const struct hc_window_values *values),
                      const struct hc_window_product_ops *ops)
{
    unsigned codes = 0;
    for (unsigned k = 1; k <= HC_WINDOW_MAX_K; k++)
        for (unsigned length = HC_WINDOW_MIN_LENGTH; length <= HC_WINDOW_MAX_LENGTH; length++) {
            const struct hc_window_code *code = hc_window_code_find(k, length);
            struct hc_window_values values;
            if (code == NULL)
                continue;
            hc_window_values_init(&values, code);
            visit(ops, &values);
            codes++;
        }
    cr_assert(codes == 7 * 9);
}

/* ---- Values --------------------------------------------------------------------------------------------------- */

/* Squared error of the table at a scale, over all places. */
static long double table_error(const struct hc_window_code *code, long double scale, const int8_t *bytes)
{
    long double sum = 0;
    for (long place = -32768; place < 32768; place += 1L << (16 - code->length)) {
        long double error = value_of(code, place) - scale * (2 * bytes[(uint16_t)place >> 8] + 1);
        sum += error * error;
    }
    return sum;
}

static void check_narrow(const struct hc_window_values *values)
{
    static const double least_db[HC_PRODUCT_NARROW_K + 1] = {0, 34.9, 35.2, 33.8, 33.4};
    const struct hc_window_code *code = &values->code;
    long step = 1L << (16 - code->length);
    long double signal = 0;
    for (int high = 0; high < 256; high++) {
        long double mean = 0;
        long begin = high * 256L - (high < 128 ? 0 : 65536);
        for (long place = begin; place < begin + 256; place += step) {
            long double g = value_of(code, place);
            mean += g * step / 256;
            signal += g * g;
            cr_assert(hc_window_product_value(values, (int16_t)place) == 2 * values->bytes[high] + 1);
        }
        long double wanted = mean / (long double)values->scale;
        wanted = wanted > 255 ? 255 : wanted < -255 ? -255 : wanted;
        cr_assert(fabsl(2 * values->bytes[high] + 1 - wanted) <= 1.0001L, "k %u L %u: byte %d", code->k, code->length,
                  high);
        cr_assert(values->bytes[255 - high] == -1 - values->bytes[high]);
    }
    long double noise = table_error(code, (long double)values->scale, values->bytes);
    double db = (double)(10 * log10l(signal / noise));
    cr_assert(db >= least_db[code->k], "k %u L %u: %.2f dB", code->k, code->length, db);
}

static void check_wide(const struct hc_window_values *values)
{
    static uint16_t table[1 << HC_WINDOW_MAX_LENGTH];
    const struct hc_window_code *code = &values->code;
    double unit = 32752 / (code->a + code->b + code->c);
    cr_assert(values->polynomial[0] == floor(code->a * unit + 0.5));
    cr_assert(values->polynomial[1] == floor(code->b * unit + 0.5));
    cr_assert(values->polynomial[2] == floor(code->c * unit + 0.5));
    cr_assert(values->polynomial[3] == (code->length < 16 ? 1 << (15 - code->length) : 0));
    cr_assert(values->polynomial[4] == (code->length == 16));
    hc_window_table(code, table);
    for (unsigned theta = 0; theta < 1u << code->length; theta++) {
        long place = place_of(code, theta), value = polynomial(values->polynomial, place);
        cr_assert(hc_window_product_value(values, (int16_t)place) == value);
        cr_assert(labs(value) <= HC_PRODUCT_X12);
        double error = fabs((double)value * (double)values->scale - from_half(table[theta]));
        cr_assert(error <= HC_PRODUCT_WIDE_BOUND, "k %u L %u code %u: off by %g", code->k, code->length, theta, error);
    }
}

static void check_values(const struct hc_window_product_ops *ops, const struct hc_window_values *values)
{
    (void)ops;
    if (values->code.k <= HC_PRODUCT_NARROW_K)
        check_narrow(values);
    else
        check_wide(values);
}

Test(window_product, values)
{
    each_code(check_values, NULL);
}

/* ---- Products ------------------------------------------------------------------------------------------------- */

enum { ROWS = 21, TILES = 19, COLUMNS = TILES * HC_TILE, POSITIONS = 11, BANDS = 2, STRIDE = ROWS + 3 };
enum { MAX_CODES = BANDS * TILES * HC_TILE_WEIGHTS / 8 * HC_WINDOW_MAX_K };

struct scene {
    uint8_t codes[MAX_CODES];
    uint16_t scales[ROWS];
    float x[POSITIONS][COLUMNS];
    float out[POSITIONS * STRIDE];
};

static void make_scene(struct scene *scene)
{
    uint32_t state = 5;
    fill(scene->codes, sizeof scene->codes, 3);
    for (unsigned r = 0; r < ROWS; r++)
        scene->scales[r] = (uint16_t)(0x2000 + next(&state) % 0x2000);
    for (unsigned i = 0; i < POSITIONS; i++)
        for (unsigned j = 0; j < COLUMNS; j++)
            scene->x[i][j] = normal(&state);
    memset(scene->out, 0xff, sizeof scene->out); /* not a number */
}

static void multiply(const struct hc_window_product_ops *ops, const struct hc_window_values *values,
                     struct scene *scene, size_t first, size_t n)
{
    const unsigned k = values->code.k;
    size_t bytes = ops->activation_bytes(k, TILES), scratch = ops->scratch_bytes(k, TILES, n);
    cr_assert(bytes % 64 == 0);
    char *x = aligned_alloc(64, n * bytes);
    void *memory = aligned_alloc(64, (scratch + 63) / 64 * 64 + 64);
    for (size_t i = 0; i < n; i++)
        ops->activate(k, scene->x[first + i], TILES, x + i * bytes);
    const struct hc_window_product product = {
        values, scene->codes, scene->scales, ROWS, TILES, x, n, memory, scene->out + first * STRIDE, STRIDE};
    ops->multiply(&product);
    free(memory);
    free(x);
}

static long weight(const struct hc_window_values *values, const uint8_t *codes, unsigned row, unsigned column)
{
    const unsigned k = values->code.k;
    const uint8_t *tile = codes + (row / 16 * TILES + column / 16) * 32 * k;
    for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++)
        if (hc_window_row(t) == row % 16 && hc_window_column(t) == column % 16)
            return hc_window_product_value(values,
                                           (int16_t)place_of(&values->code, theta_of(tile, k, values->code.length, t)));
    return 0;
}

/* The row of a matrix times x, as the text says. */
static float product_of(const struct hc_window_values *values, const long *weights, const float *x, double row_scale)
{
    float total = 0, q = values->code.k <= 4 ? 127 : 2047;
    for (unsigned begin = 0; begin < COLUMNS; begin += 256) {
        unsigned end = begin + 256 < COLUMNS ? begin + 256 : COLUMNS;
        long long sum = 0;
        float m = 0;
        for (unsigned j = begin; j < end; j++)
            m = fmaxf(m, fabsf(x[j]));
        if (m < 0x1p-100f)
            continue;
        float factor = q / m;
        for (unsigned j = begin; j < end; j++)
            sum += weights[j] * (long long)nearbyintf(x[j] * factor);
        total = fmaf(m / q, (float)sum, total);
    }
    return total * ((float)row_scale * values->scale);
}

static void check_products(const struct hc_window_product_ops *ops, const struct hc_window_values *values)
{
    static struct scene scene;
    long weights[COLUMNS];
    make_scene(&scene);
    memset(scene.x[1], 0, sizeof scene.x[1]);
    for (unsigned j = 0; j < 256; j++)
        scene.x[2][j] *= 0x1p-110f; /* does not count */
    multiply(ops, values, &scene, 0, POSITIONS);
    for (unsigned r = 0; r < ROWS; r++) {
        for (unsigned j = 0; j < COLUMNS; j++)
            weights[j] = weight(values, scene.codes, r, j);
        for (unsigned i = 0; i < POSITIONS; i++) {
            float wanted = product_of(values, weights, scene.x[i], from_half(scene.scales[r]));
            float got = scene.out[i * STRIDE + r];
            cr_assert(got == wanted, "k %u L %u row %u position %u: %a, not %a", values->code.k, values->code.length, r,
                      i, (double)got, (double)wanted);
        }
    }
    for (unsigned i = 0; i < POSITIONS; i++)
        for (unsigned r = ROWS; r < STRIDE; r++)
            cr_assert(isnan(scene.out[i * STRIDE + r]), "wrote beside the rows");
}

TIER_TEST(window_product, as_the_text_says)
{
    each_code(check_products, &kernels->window_product);
}

/* Positions do not change each other: any number of them gives what each gives alone. */
static void check_numbers(const struct hc_window_product_ops *ops, const struct hc_window_values *values)
{
    static struct scene alone, together;
    make_scene(&alone);
    for (size_t i = 0; i < POSITIONS; i++)
        multiply(ops, values, &alone, i, 1);
    for (size_t n = 2; n <= POSITIONS; n++) {
        make_scene(&together);
        multiply(ops, values, &together, 0, n);
        for (size_t i = 0; i < n; i++)
            cr_assert(memcmp(together.out + i * STRIDE, alone.out + i * STRIDE, ROWS * sizeof(float)) == 0,
                      "k %u L %u: position %zu of %zu", values->code.k, values->code.length, i, n);
    }
}

TIER_TEST(window_product, any_number_of_positions)
{
    each_code(check_numbers, &kernels->window_product);
}

TIER_TEST(window_product, no_position)
{
    struct hc_window_values values;
    hc_window_values_init(&values, hc_window_code_find(4, 12));
    const struct hc_window_product product = {.values = &values, .tile_columns = 1, .rows = 0};
    kernels->window_product.multiply(&product);
}

/* Signal to noise of products against those of the normative values and x itself. */
static void check_noise(const struct hc_window_product_ops *ops, const struct hc_window_values *values)
{
    static struct scene scene;
    static float exact[ROWS][COLUMNS];
    const struct hc_window_code *code = &values->code;
    double signal = 0, noise = 0, wanted_db = code->k <= 4 ? 32 : 62;
    make_scene(&scene);
    multiply(ops, values, &scene, 0, POSITIONS);
    for (unsigned r = 0; r < ROWS; r++)
        for (unsigned i = 0; i < TILES; i++) {
            const uint8_t *tile = scene.codes + (r / 16 * TILES + i) * 32 * code->k;
            for (unsigned t = 0; t < HC_TILE_WEIGHTS; t++)
                if (hc_window_row(t) == r % 16)
                    exact[r][16 * i + hc_window_column(t)] =
                        (float)value_of(code, place_of(code, theta_of(tile, code->k, code->length, t)));
        }
    for (unsigned i = 0; i < POSITIONS; i++)
        for (unsigned r = 0; r < ROWS; r++) {
            double wanted = 0;
            for (unsigned j = 0; j < COLUMNS; j++)
                wanted += (double)exact[r][j] * (double)scene.x[i][j];
            double error = (double)scene.out[i * STRIDE + r] / from_half(scene.scales[r]) - wanted;
            signal += wanted * wanted;
            noise += error * error;
        }
    double db = 10 * log10(signal / noise);
    cr_assert(db >= wanted_db, "k %u L %u: %.2f dB", code->k, code->length, db);
}

TIER_TEST(window_product, noise)
{
    each_code(check_noise, &kernels->window_product);
}
