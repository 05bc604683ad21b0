/* The table of bench/rate_distortion: its rows, as comma-separated values, and the comparison of two of them. */
#ifndef HC_BENCH_RATE_TABLE_H
#define HC_BENCH_RATE_TABLE_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The generators and the baselines use the mathematical library, whose last digits differ between machines. */
#define RATE_TOLERANCE_BITS 0.001
#define RATE_TOLERANCE_DB 0.02

#define RATE_HEAD "data,tensor,method,settings,bits_per_weight,signal_to_noise_db\n"

struct rate_row {
    char key[256]; /* "data,tensor,method,settings" */
    double bits, decibel;
    bool of_tensor; /* of a single tensor: printed behind the others */
    bool seen;      /* while tables are compared */
};

struct rate_table {
    struct rate_row *rows;
    size_t count, room;
};

/* False if memory is out. */
static inline bool rate_add(struct rate_table *table, const struct rate_row *row)
{
    if (table->count == table->room) {
        size_t room = 2 * table->room + 64;
        struct rate_row *rows = realloc(table->rows, room * sizeof *rows);
        if (!rows)
            return false;
        table->rows = rows;
        table->room = room;
    }
    table->rows[table->count++] = *row;
    return true;
}

static inline void rate_print(const struct rate_table *table, FILE *file)
{
    fputs(RATE_HEAD, file);
    for (int of_tensor = 0; of_tensor < 2; of_tensor++)
        for (size_t i = 0; i < table->count; i++)
            if (table->rows[i].of_tensor == of_tensor)
                fprintf(file, "%s,%.5f,%.4f\n", table->rows[i].key, table->rows[i].bits, table->rows[i].decibel);
}

static inline bool rate_parse(char *line, struct rate_row *row)
{
    char *end, *decibel = strrchr(line, ',');
    if (!decibel)
        return false;
    *decibel++ = 0;
    char *bits = strrchr(line, ',');
    if (!bits || (size_t)(bits - line) >= sizeof row->key)
        return false;
    *bits++ = 0;
    *row = (struct rate_row){.bits = strtod(bits, &end)};
    if (end == bits || *end)
        return false;
    row->decibel = strtod(decibel, &end);
    strcpy(row->key, line);
    return end != decibel && *end == '\n';
}

/* False, and a line on stderr, if the file cannot be read as such a table. */
static inline bool rate_read(const char *path, struct rate_table *table)
{
    char line[512];
    struct rate_row row;
    FILE *file = fopen(path, "r");
    bool good = file && fgets(line, sizeof line, file) && strcmp(line, RATE_HEAD) == 0;
    while (good && fgets(line, sizeof line, file))
        good = rate_parse(line, &row) && rate_add(table, &row);
    if (file)
        fclose(file);
    if (!good)
        fprintf(stderr, "%s: not a readable table\n", path);
    return good;
}

static inline bool rate_compare_row(struct rate_table *committed, const struct rate_row *now)
{
    for (size_t i = 0; i < committed->count; i++) {
        struct rate_row *was = &committed->rows[i];
        if (strcmp(was->key, now->key) != 0)
            continue;
        bool repeated = was->seen;
        was->seen = true;
        if (!repeated && fabs(was->bits - now->bits) <= RATE_TOLERANCE_BITS &&
            fabs(was->decibel - now->decibel) <= RATE_TOLERANCE_DB)
            return true;
        printf("%s: was %.5f bits, %.4f dB, is %.5f bits, %.4f dB%s\n", now->key, was->bits, was->decibel, now->bits,
               now->decibel, repeated ? " (twice)" : "");
        return false;
    }
    printf("%s: not in the committed table\n", now->key);
    return false;
}

/* How many rows differ. `whole`: rows that were committed and are not there now do, too. */
static inline size_t rate_compare(struct rate_table *committed, const struct rate_table *now, bool whole)
{
    size_t faults = 0;
    for (size_t i = 0; i < now->count; i++)
        faults += !rate_compare_row(committed, &now->rows[i]);
    for (size_t i = 0; whole && i < committed->count; i++)
        if (!committed->rows[i].seen) {
            printf("%s: was not measured\n", committed->rows[i].key);
            faults++;
        }
    return faults;
}

#endif
