/* Tables and JSON of models and their tensors. */
#ifndef HYPERC_TOOLS_REPORT_H
#define HYPERC_TOOLS_REPORT_H

#include "command.h"

/* Prints a text that comes from a file, with blanks up to `width` characters: what is not UTF-8 and what could steer
 * the terminal becomes '?'. */
void print_text(FILE *out, const char *text, int width);

json_t *tensor_json(const hc_tensor_info *info);
json_t *totals_json(const hc_model_totals *totals);

void print_table_head(int name_width);
void print_table_row(const hc_tensor_info *info, int name_width);
void print_totals(const hc_model_totals *totals);

/* What choosing the side of `pair` gained, summed over tensors. */
struct side_gain {
    double weights, error, published;
};
void side_gain_add(struct side_gain *gain, const hc_tensor_info *info);
/* Prints nothing if no side was chosen. */
void side_gain_print(const struct side_gain *gain);
/* NULL if no side was chosen. */
json_t *side_gain_json(const struct side_gain *gain);

#endif
