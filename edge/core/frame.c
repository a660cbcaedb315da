/* One frame of one mat. */
#include "core.h"

#include <string.h>

static size_t taxels(const CoreSight *sight) { return (size_t)sight->contact.rows * sight->contact.cols; }

static int shows_a_part(const CoreSight *sight) {
    const CoreWindow *window = &sight->window;
    return window->window_rows != window->rows || window->window_cols != window->cols;
}

/* The frame in order, keys, the window, and room for any of the three functions. */
size_t core_see_scratch_bytes(const CoreSight *sight) {
    return 4 * sizeof(float) * taxels(sight) + core_contact_scratch_bytes(&sight->contact) +
           core_window_scratch_bytes(&sight->window) + core_prepare_scratch_bytes(&sight->preparation);
}

static void arrange_counts(const CoreSight *sight, const uint16_t *counts, float *frame) {
    for (int32_t r = 0; r < sight->contact.rows; r++)
        for (int32_t c = 0; c < sight->contact.cols; c++)
            *frame++ = counts[sight->first + r * sight->row_step + c * sight->col_step];
}

static void arrange_pressure(const CoreSight *sight, const float *pressure, float *frame) {
    for (int32_t r = 0; r < sight->contact.rows; r++)
        for (int32_t c = 0; c < sight->contact.cols; c++)
            *frame++ = pressure[sight->first + r * sight->row_step + c * sight->col_step];
}

static void cut(const CoreWindow *window, const float *frame, const int32_t *corner, float *part) {
    frame += (size_t)corner[0] * window->cols + corner[1];
    for (int32_t r = 0; r < window->window_rows; r++, frame += window->cols, part += window->window_cols)
        memcpy(part, frame, sizeof(float) * window->window_cols);
}

void core_see(const CoreSight *sight, const void *values, int32_t are_counts, float *frame, CoreSeen *seen,
              float *input, int8_t *quantised, void *scratch) {
    const CorePreparation *how = &sight->preparation;
    int32_t n = (int32_t)taxels(sight), n_input = how->model_rows * how->model_cols;
    float *ordered = scratch, *part = ordered + 3 * (size_t)n;
    uint32_t *keys = (uint32_t *)(ordered + n);
    void *rest = part + n;
    if (are_counts)
        arrange_counts(sight, values, frame);
    else
        arrange_pressure(sight, values, frame);
    memset(seen, 0, sizeof *seen);
    core_sort(frame, n, ordered, keys);
    core_contact(&sight->contact, frame, ordered, &seen->contact, rest);
    if (!seen->contact.occupied) return;
    const float *shown = frame;
    if (shows_a_part(sight)) {
        int32_t corner[2];
        core_window(&sight->window, frame, ordered, corner, rest);
        seen->row = corner[0], seen->col = corner[1];
        cut(&sight->window, frame, corner, part);
        core_sort(part, how->rows * how->cols, ordered, keys);
        shown = part;
    }
    core_prepare(how, shown, ordered, input, rest);
    core_quantise(input, n_input, sight->scale, sight->zero_point, quantised);
}

static size_t points_bytes(const CoreReader *reader) { return 2 * sizeof(double) * core_points(reader); }

size_t core_find_scratch_bytes(const CoreReader *reader) { return points_bytes(reader) + core_read_scratch_bytes(reader); }

int32_t core_find(const CoreReader *reader, const CoreBody *body, const CorePlacing *placing, const CoreSeen *seen,
                  const int8_t *const *logits, const float *input, int32_t mirrored_too, double *found, void *scratch) {
    int32_t n = core_points(reader);
    float *xy_norm = scratch;
    const float *spread_cm = xy_norm + 3 * n;
    const double corner_cm[2] = {seen->col * placing->pitch_cm[0], seen->row * placing->pitch_cm[1]};
    int32_t posture = core_read(reader, body, logits, input, mirrored_too, xy_norm,
                                (char *)scratch + points_bytes(reader));
    for (int32_t i = 0; i < n; i++, found += 3) {
        for (int axis = 0; axis < 2; axis++) {
            double at_cm = xy_norm[2 * i + axis] * placing->model_cm[axis] - placing->margin_cm[axis] + corner_cm[axis];
            found[axis] = i < reader->keypoints ? at_cm / placing->mat_cm[axis] : at_cm;
        }
        found[2] = core_confidence(spread_cm[i], placing->half_cm[i]);
    }
    return posture;
}
