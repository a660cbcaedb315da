/* No load, a middle load and full load become 0, a constant and 1; a power lies between them. */
#include "core.h"

#include <math.h>
#include <string.h>

size_t core_prepare_scratch_bytes(const CorePreparation *how) {
    return sizeof(float) * ((size_t)how->rows * how->cols + (size_t)how->cols);
}

static double within(double value, double least, double largest) {
    return value < least ? least : value > largest ? largest : value;
}

/* How many of the n ordered values are not above the limit. */
static int32_t up_to(const float *ordered, int32_t n, float limit) {
    int32_t begin = 0, end = n;
    while (begin < end) {
        int32_t middle = begin + (end - begin) / 2;
        if (ordered[middle] <= limit)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

/* What takes the middle load to its constant. */
static float exponent_of(const CorePreparation *how, const float *ordered, int32_t n, float baseline, float scale) {
    if (!how->middle_percent) return (float)how->plain_exponent;
    float threshold = (float)(baseline + how->loaded_share * scale);
    int32_t loaded = n - up_to(ordered, n, threshold);
    int32_t above = loaded - (int32_t)((int64_t)loaded * how->middle_percent / 100);
    double share = ((double)ordered[n - (above > 1 ? above : 1)] - baseline) / scale;
    double exponent = log(how->middle) / log(within(share, 1e-3, 0.999));
    return (float)within(exponent, how->least_exponent, how->largest_exponent);
}

static void load_of(const float *restrict frame, int32_t n, float baseline, float *restrict load) {
    for (int32_t i = 0; i < n; i++) {
        float value = frame[i] - baseline;
        load[i] = value > 0 ? value : 0;
    }
}

static void add_times(float *restrict to, const float *restrict from, float weight, int32_t n) {
    for (int32_t i = 0; i < n; i++) to[i] += weight * from[i];
}

/* load (rows, cols) -> input (model_rows, model_cols); line (cols) is scratch. */
static void resample(const CorePreparation *how, const float *load, float *input, float *line) {
    int32_t rows = how->rows, cols = how->cols, wide = how->model_cols;
    memset(input, 0, sizeof(float) * (size_t)how->model_rows * wide);
    for (int32_t r = 0; r < how->model_rows; r++, input += wide) {
        const float *weights = how->row_weights + (size_t)r * rows;
        memset(line, 0, sizeof(float) * cols);
        for (int32_t i = 0; i < rows; i++)
            if (weights[i] != 0) add_times(line, load + (size_t)i * cols, weights[i], cols);
        for (int32_t c = 0; c < cols; c++) add_times(input, how->col_weights + (size_t)c * wide, line[c], wide);
    }
}

void core_prepare(const CorePreparation *how, const float *frame, const float *ordered, float *input, void *scratch) {
    int32_t n = how->rows * how->cols, n_input = how->model_rows * how->model_cols;
    float *load = scratch, *line = load + n;
    float baseline = ordered[core_rank(n, how->baseline_percent)];
    float scale = ordered[core_rank(n, how->scale_percent)] - baseline;
    if (!(scale > 0)) { /* a flat frame shows nothing */
        memset(input, 0, sizeof(float) * n_input);
        return;
    }
    float exponent = exponent_of(how, ordered, n, baseline, scale);
    if (how->row_weights) {
        load_of(frame, n, baseline, load);
        resample(how, load, input, line);
    } else {
        load_of(frame, n, baseline, input);
    }
    for (int32_t i = 0; i < n_input; i++) {
        float share = input[i] / scale;
        input[i] = share >= 1 ? 1 : share > 0 ? powf(share, exponent) : 0;
    }
}

void core_quantise(const float *input, int32_t n, float scale, int32_t zero_point, int8_t *quantised) {
    float least = -128.0f - zero_point, largest = 127.0f - zero_point;
    for (int32_t i = 0; i < n; i++) {
        float steps = input[i] / scale;
        steps = steps > least ? steps : least;
        steps = steps < largest ? steps : largest;
        quantised[i] = (int8_t)(lrintf(steps) + zero_point);
    }
}
