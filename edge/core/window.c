/* Where on a large mat the part begins that the model is shown. */
#include "core.h"

#include <math.h>
#include <string.h>

size_t core_window_scratch_bytes(const CoreWindow *mat) {
    return sizeof(float) * ((size_t)mat->rows + (size_t)mat->cols);
}

/* The first line up to which at least that much of the load is found. */
static int32_t line_of(const float *load, int32_t lines, float total, double share) {
    float sum = 0;
    for (int32_t i = 0; i < lines; i++) {
        sum += load[i];
        if (total > 0 && sum / total >= share) return i;
    }
    return lines;
}

/* The first of `n` lines around the middle of a body with that load on each line. */
static int32_t begin(const float *load, int32_t lines, int32_t n, double outside_share) {
    float total = 0;
    for (int32_t i = 0; i < lines; i++) total += load[i];
    int32_t first = line_of(load, lines, total, outside_share), last = line_of(load, lines, total, 1 - outside_share);
    int32_t at = (int32_t)lrint((first + last + 1 - n) / 2.0);
    return at < 0 ? 0 : at < lines - n ? at : lines - n;
}

void core_window(const CoreWindow *mat, const float *frame, const float *ordered, int32_t *corner, void *scratch) {
    int32_t rows = mat->rows, cols = mat->cols, n = rows * cols;
    float *of_rows = scratch, *of_cols = of_rows + rows;
    float baseline = ordered[core_rank(n, mat->baseline_percent)];
    float least = mat->contact_share * (ordered[core_rank(n, mat->scale_percent)] - baseline);
    memset(of_rows, 0, sizeof(float) * (rows + cols));
    for (int32_t r = 0; r < rows; r++)
        for (int32_t c = 0; c < cols; c++) {
            float above = *frame++ - baseline - least, load = above > 0 ? above : 0;
            of_rows[r] += load;
            of_cols[c] += load;
        }
    corner[0] = begin(of_rows, rows, mat->window_rows, mat->outside_share);
    corner[1] = begin(of_cols, cols, mat->window_cols, mat->outside_share);
}
