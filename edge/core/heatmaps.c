/* The expectation under each map's softmax, from int8 logits; the maps lie side by side. */
#include "core.h"

#include <math.h>
#include <string.h>

enum { SUMS = 5, BLOCK = 4 };

size_t core_heatmaps_scratch_bytes(const CoreHeatmaps *maps) {
    return sizeof(float) * ((size_t)maps->k * (maps->cols + SUMS + 1)) + (size_t)maps->k + sizeof(double);
}

void core_pool(const float *input, int32_t rows, int32_t cols, int32_t tall, int32_t wide, int32_t mirrored,
               float *cells) {
    float share = 1.0f / (float)(tall * wide);
    int32_t width = cols * wide;
    for (int32_t r = 0; r < rows; r++)
        for (int32_t c = 0; c < cols; c++) {
            const float *corner = input + (size_t)r * tall * width + (mirrored ? cols - 1 - c : c) * wide;
            float sum = 0;
            for (int32_t i = 0; i < tall; i++)
                for (int32_t j = 0; j < wide; j++) sum += corner[i * width + j];
            cells[r * cols + c] = sum * share;
        }
}

static void largest_of(const int8_t *restrict logits, int32_t cells, int32_t k, int8_t *restrict largest) {
    memcpy(largest, logits, k);
    for (int32_t i = 1; i < cells; i++)
        for (int32_t j = 0; j < k; j++) {
            int8_t logit = logits[i * k + j];
            largest[j] = logit > largest[j] ? logit : largest[j];
        }
}

/* One row of `many` of the k maps, at most BLOCK, whose sums stay in registers: the sum of the weights, that of weights
 * times value, and the weights into each column's. */
static inline void add_row(const float *restrict weight_of_step, const int8_t *restrict logits,
                           const int8_t *restrict largest, const float *restrict cells, int32_t cols, int32_t k,
                           int32_t many, float *restrict of_cols, float *restrict row, float *restrict values) {
    float sums[BLOCK] = {0}, products[BLOCK] = {0};
    for (int32_t c = 0; c < cols; c++, logits += k, of_cols += k) {
        float value = cells[c];
        for (int32_t j = 0; j < many; j++) {
            float weight = weight_of_step[(uint8_t)(largest[j] - logits[j])];
            of_cols[j] += weight;
            sums[j] += weight;
            products[j] += weight * value;
        }
    }
    for (int32_t j = 0; j < many; j++) row[j] = sums[j], values[j] = products[j];
}

/* A line's weights into all weights, and into the first two moments along the axis of `at`. */
static void add_line(const float *restrict line, float at, int32_t k, float *restrict first, float *restrict second) {
    for (int32_t j = 0; j < k; j++) {
        first[j] += line[j] * at;
        second[j] += line[j] * (at * at);
    }
}

static void add(const float *restrict from, int32_t k, float *restrict to) {
    for (int32_t j = 0; j < k; j++) to[j] += from[j];
}

void core_heatmaps(const CoreHeatmaps *maps, const int8_t *logits, const float *cells, double width_cm,
                   double height_cm, CorePoints points, void *scratch) {
    int32_t rows = maps->rows, cols = maps->cols, k = maps->k;
    float *row = scratch, *sums = row + k;
    float *x = sums, *xx = x + k, *yy = xx + k, *all = yy + k, *values = all + k, *of_cols = values + k;
    float *y = points.spread_cm; /* until the spread is known */
    int8_t *largest = (int8_t *)(of_cols + (size_t)k * cols);
    largest_of(logits, rows * cols, k, largest);
    memset(sums, 0, sizeof(float) * (size_t)k * (SUMS + cols));
    memset(y, 0, sizeof(float) * k);
    memset(points.value, 0, sizeof(float) * k);
    for (int32_t r = 0; r < rows; r++) {
        int32_t j = 0; /* row by row: short sums round less */
        for (; j + BLOCK <= k; j += BLOCK)
            add_row(maps->weight_of_step, logits + j, largest + j, cells, cols, k, BLOCK, of_cols + j, row + j,
                    values + j);
        add_row(maps->weight_of_step, logits + j, largest + j, cells, cols, k, k - j, of_cols + j, row + j, values + j);
        logits += k * cols, cells += cols;
        add(row, k, all);
        add(values, k, points.value);
        add_line(row, (r + 0.5f) / rows - 0.5f, k, y, yy);
    }
    for (int32_t c = 0; c < cols; c++) add_line(of_cols + c * k, (c + 0.5f) / cols - 0.5f, k, x, xx);
    float width2_cm2 = (float)(width_cm * width_cm), height2_cm2 = (float)(height_cm * height_cm);
    for (int32_t j = 0; j < k; j++) {
        float x_norm = x[j] / all[j], y_norm = y[j] / all[j];
        float variance_cm2 =
            width2_cm2 * (xx[j] / all[j] - x_norm * x_norm) + height2_cm2 * (yy[j] / all[j] - y_norm * y_norm);
        points.xy_norm[2 * j] = x_norm + 0.5f;
        points.xy_norm[2 * j + 1] = y_norm + 0.5f;
        points.value[j] /= all[j];
        points.spread_cm[j] = variance_cm2 > 0 ? sqrtf(variance_cm2) : 0;
    }
}
