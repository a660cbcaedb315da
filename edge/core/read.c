/* What the graph says of one frame. */
#include "core.h"

#include <math.h>
#include <string.h>

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t whole_doubles(size_t bytes) { return (bytes + sizeof(double) - 1) / sizeof(double) * sizeof(double); }

int32_t core_points(const CoreReader *reader) { return reader->keypoints + CORE_JOINTS; }

static CorePoints from(float *flat, int32_t n) { return (CorePoints){flat, flat + 2 * n, flat + 3 * n}; }

static CorePoints after(CorePoints points, int32_t first) {
    return (CorePoints){points.xy_norm + 2 * first, points.value + first, points.spread_cm + first};
}

static void copy(CorePoints to, CorePoints points, int32_t n) {
    memcpy(to.xy_norm, points.xy_norm, 2 * sizeof(float) * n);
    memcpy(to.value, points.value, sizeof(float) * n);
    memcpy(to.spread_cm, points.spread_cm, sizeof(float) * n);
}

float core_confidence(float spread_cm, float half_cm) {
    float share = spread_cm / half_cm;
    return 1 / (1 + share * share);
}

/* sums (n) += the features of `k` points times weights (4 k, n). */
static void add_features(const CoreReader *reader, CorePoints points, int32_t k, const double *weights, int32_t n,
                         double *sums) {
    for (int32_t i = 0; i < k; i++) {
        const float features[CORE_FEATURES] = {points.xy_norm[2 * i], points.xy_norm[2 * i + 1], points.value[i],
                                               core_confidence(points.spread_cm[i], reader->feature_half_cm)};
        for (int32_t f = 0; f < CORE_FEATURES; f++, weights += n)
            for (int32_t j = 0; j < n; j++) sums[j] += features[f] * weights[j];
    }
}

/* Joints by the linear map; a joint is as sure as the keypoints that move it. */
static void map_joints(const CoreReader *reader, CorePoints points) {
    CorePoints joints = after(points, reader->keypoints);
    double xy_norm[CORE_COORDINATES];
    memcpy(xy_norm, reader->joint_bias, sizeof xy_norm);
    add_features(reader, points, reader->keypoints, reader->joint_weights, CORE_COORDINATES, xy_norm);
    for (int i = 0; i < CORE_COORDINATES; i++) joints.xy_norm[i] = (float)xy_norm[i];
    for (int j = 0; j < CORE_JOINTS; j++) {
        float value = 0, spread_cm = 0;
        for (int32_t i = 0; i < reader->keypoints; i++) {
            value += points.value[i] * reader->joint_share[i * CORE_JOINTS + j];
            spread_cm += points.spread_cm[i] * reader->joint_share[i * CORE_JOINTS + j];
        }
        joints.value[j] = value, joints.spread_cm[j] = spread_cm;
    }
}

static void see(const CoreReader *reader, const int8_t *const *logits, const float *input, int32_t mirrored,
                CorePoints points, float *cells, void *scratch) {
    int32_t first = 0;
    for (int32_t i = 0; i < reader->outputs; i++) {
        const CoreHeatmaps *maps = &reader->maps[i];
        core_pool(input, maps->rows, maps->cols, reader->rows / maps->rows, reader->cols / maps->cols, mirrored, cells);
        core_heatmaps(maps, logits[maps->index], cells, reader->width_cm, reader->height_cm, after(points, first),
                      scratch);
        first += maps->k;
    }
    if (reader->joint_weights) map_joints(reader, points);
}

/* The joints of the mean of both heat maps, one seen in a mirror. */
static void mix(const CoreReader *reader, CorePoints one, CorePoints image, CorePoints mixed) {
    float width_cm = (float)reader->width_cm, height_cm = (float)reader->height_cm;
    for (int j = 0; j < CORE_JOINTS; j++) {
        int32_t i = reader->joint_of_image[j];
        float x = 1 - image.xy_norm[2 * i], y = image.xy_norm[2 * i + 1];
        float dx_cm = (one.xy_norm[2 * j] - x) * width_cm, dy_cm = (one.xy_norm[2 * j + 1] - y) * height_cm;
        float spread = one.spread_cm[j], other = image.spread_cm[i];
        mixed.xy_norm[2 * j] = (one.xy_norm[2 * j] + x) / 2;
        mixed.xy_norm[2 * j + 1] = (one.xy_norm[2 * j + 1] + y) / 2;
        mixed.value[j] = (one.value[j] + image.value[i]) / 2;
        mixed.spread_cm[j] = sqrtf((spread * spread + other * other) / 2 + (dx_cm * dx_cm + dy_cm * dy_cm) / 4);
    }
}

static void score(const CoreReader *reader, CorePoints points, double *scores) {
    memcpy(scores, reader->posture_bias, sizeof(double) * reader->classes);
    add_features(reader, points, core_points(reader), reader->posture_weights, reader->classes, scores);
}

static int32_t largest(const double *scores, int32_t n) {
    int32_t best = -1;
    for (int32_t i = 0; i < n; i++)
        if (best < 0 || scores[i] > scores[best]) best = i;
    return best;
}

static size_t cells_bytes(const CoreReader *reader) {
    return whole_doubles(sizeof(float) * (size_t)reader->rows * reader->cols);
}

static size_t points_bytes(int32_t n) { return whole_doubles(4 * sizeof(float) * n); }

size_t core_read_scratch_bytes(const CoreReader *reader) {
    size_t one = core_body_scratch_bytes();
    for (int32_t i = 0; i < reader->outputs; i++) one = larger(one, core_heatmaps_scratch_bytes(&reader->maps[i]));
    return 2 * sizeof(double) * reader->classes + cells_bytes(reader) + points_bytes(core_points(reader)) +
           points_bytes(CORE_JOINTS) + whole_doubles(one);
}

int32_t core_read(const CoreReader *reader, const CoreBody *body, const int8_t *const *logits, const float *input,
                  int32_t mirrored_too, float *flat, void *scratch) {
    int32_t n = core_points(reader);
    double *scores = scratch, *of_image = scores + reader->classes;
    char *at = (char *)(of_image + reader->classes);
    float *cells = (float *)at;
    CorePoints image = from((float *)(at += cells_bytes(reader)), n);
    CorePoints mixed = from((float *)(at += points_bytes(n)), CORE_JOINTS);
    void *rest = at + points_bytes(CORE_JOINTS);
    CorePoints points = from(flat, n), joints = after(points, reader->keypoints);
    CorePoints joints_of_image = after(image, reader->keypoints);

    see(reader, logits, input, 0, points, cells, rest);
    if (mirrored_too) {
        see(reader, logits + reader->outputs, input, 1, image, cells, rest);
        mix(reader, joints, joints_of_image, mixed);
        if (body) core_body(body, joints_of_image.xy_norm, joints_of_image.spread_cm, rest);
    }
    if (body) core_body(body, joints.xy_norm, joints.spread_cm, rest);
    if (reader->classes) score(reader, points, scores);
    if (mirrored_too) {
        if (reader->classes) {
            score(reader, image, of_image);
            for (int32_t i = 0; i < reader->classes; i++) scores[i] += of_image[reader->class_of_image[i]];
        }
        copy(joints, mixed, CORE_JOINTS);
        if (body) core_body(body, joints.xy_norm, joints.spread_cm, rest);
    }
    return largest(scores, reader->classes);
}
