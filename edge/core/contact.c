/* One pass over the frame; each sum is kept for each column, so that all of a row is added at once. */
#include "core.h"

#include <math.h>
#include <string.h>

typedef struct {
    float *sum, *squares, *along_cols, *along_rows; /* of the load: itself, its square, times its neighbour */
    float *touched, *touched_y;                     /* of the load that counts as contact, and times its row */
    float *above, *load;                            /* two rows */
} Columns;

enum { COLUMN_ARRAYS = 8 };

size_t core_contact_scratch_bytes(const CoreContact *mat) {
    return sizeof(float) * COLUMN_ARRAYS * (size_t)mat->cols;
}

static double total(const float *values, int32_t n) {
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += values[i];
    return sum;
}

/* Of each value with the next line's: sums and sums of squares of all and of the first and last of L lines. */
static double correlation(double products, int32_t lines, int32_t width, double sum, double first, double last,
                          double squares, double first_squares, double last_squares) {
    double n = (double)(lines - 1) * width;
    if (n == 0) return 0;
    double a = sum - first, b = sum - last;
    double spreads = (squares - first_squares - a * a / n) * (squares - last_squares - b * b / n);
    return spreads > 0 ? (products - a * b / n) / sqrt(spreads) : 0;
}

static double squares_of(const float *row, int32_t n) {
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += (double)row[i] * row[i];
    return sum;
}

/* One row of the frame into `load`, and how many of its taxels are touched. */
static int32_t load_row(const float *restrict row, int32_t cols, float baseline, float scale, float share,
                        float *restrict load) {
    int32_t touched = 0;
    for (int32_t c = 0; c < cols; c++) {
        float value = (row[c] - baseline) / scale;
        value = value > 0 ? value : 0;
        load[c] = value < 1 ? value : 1;
        touched += load[c] > share;
    }
    return touched;
}

static void add_row(Columns at, int32_t cols, float y, float share) {
    float *restrict sum = at.sum, *restrict squares = at.squares, *restrict along_cols = at.along_cols;
    float *restrict along_rows = at.along_rows, *restrict touched = at.touched, *restrict touched_y = at.touched_y;
    const float *restrict load = at.load, *restrict above = at.above;
    for (int32_t c = 0; c < cols; c++) {
        float value = load[c], counts = value > share ? value : 0;
        sum[c] += value;
        squares[c] += value * value;
        along_cols[c] += value * above[c];
        touched[c] += counts;
        touched_y[c] += counts * y;
    }
    for (int32_t c = 0; c + 1 < cols; c++) along_rows[c] += load[c] * load[c + 1];
}

void core_contact(const CoreContact *mat, const float *frame, const float *ordered, CoreContactFound *found,
                  void *scratch) {
    int32_t rows = mat->rows, cols = mat->cols, n = rows * cols, n_touched = 0;
    float *arrays = scratch;
    float baseline = ordered[core_rank(n, mat->baseline_percent)];
    float scale = ordered[core_rank(n, mat->scale_percent)] - baseline;
    memset(found, 0, sizeof *found);
    found->peak = ordered[n - 1];
    if (!(scale > 0)) return;

    memset(arrays, 0, sizeof(float) * COLUMN_ARRAYS * cols);
    Columns at = {arrays, arrays + cols, arrays + 2 * cols, arrays + 3 * cols, arrays + 4 * cols, arrays + 5 * cols,
                  arrays + 6 * cols, arrays + 7 * cols};
    double top = 0, top_squares = 0;
    for (int32_t r = 0; r < rows; r++) {
        n_touched += load_row(frame + (size_t)r * cols, cols, baseline, scale, mat->contact_share, at.load);
        add_row(at, cols, r + 0.5f, mat->contact_share);
        if (r == 0) top = total(at.load, cols), top_squares = squares_of(at.load, cols);
        float *swap = at.above;
        at.above = at.load, at.load = swap;
    }
    double area_cm2 = n_touched * mat->pitch_x_cm * mat->pitch_y_cm;
    if (area_cm2 < mat->smallest_body_cm2) return;
    double sum = total(at.sum, cols), squares = total(at.squares, cols);
    double along_cols = correlation(total(at.along_cols, cols), rows, cols, sum, top, total(at.above, cols), squares,
                                    top_squares, squares_of(at.above, cols));
    double along_rows = correlation(total(at.along_rows, cols), cols, rows, sum, at.sum[0], at.sum[cols - 1], squares,
                                    at.squares[0], at.squares[cols - 1]);
    if (along_cols < mat->smallest_coherence || along_rows < mat->smallest_coherence) return;

    double touched = total(at.touched, cols), x = 0;
    for (int32_t c = 0; c < cols; c++) x += (c + 0.5) * at.touched[c];
    found->occupied = 1;
    found->area_cm2 = area_cm2;
    found->x_cm = x / touched * mat->pitch_x_cm;
    found->y_cm = total(at.touched_y, cols) / touched * mat->pitch_y_cm;
}
