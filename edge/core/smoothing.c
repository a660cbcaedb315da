/* The one-euro filter of each joint, and names that swapped sides. */
#include "core.h"

#include <math.h>
#include <string.h>

#define TAU 6.283185307179586

/* Of an exponential low-pass with that cutoff, for frames dt_s apart. */
static double gain(double cutoff_hz, double dt_s) {
    double turn = TAU * dt_s * cutoff_hz;
    return turn / (1 + turn);
}

static double apart_cm(const double *one, const double *other) { return hypot(one[0] - other[0], one[1] - other[1]); }

static void swap_points(double *points, int one, int other) {
    for (int axis = 0; axis < 2; axis++) {
        double kept = points[2 * one + axis];
        points[2 * one + axis] = points[2 * other + axis];
        points[2 * other + axis] = kept;
    }
}

/* What the model called left and now calls right did not move: the filter exchanges the pair. */
static void swap_names(const CoreSmoothing *settings, CoreSmoothed *state, const double *seen_cm, const double *trust) {
    double spared_cm[CORE_JOINTS], furthest_cm = 0;
    for (int j = 0; j < CORE_JOINTS; j++) {
        double off_cm = apart_cm(seen_cm + 2 * j, state->smooth_cm + 2 * j);
        double other_cm = apart_cm(seen_cm + 2 * j, state->smooth_cm + 2 * settings->joint_of_image[j]);
        furthest_cm = off_cm > furthest_cm ? off_cm : furthest_cm;
        spared_cm[j] = trust[j] * (off_cm - other_cm);
    }
    if (furthest_cm <= settings->swap_saves_cm / 2) return;
    for (int j = 0; j < CORE_JOINTS; j++) {
        int other = settings->joint_of_image[j];
        if (j >= other || spared_cm[j] + spared_cm[other] <= settings->swap_saves_cm) continue;
        swap_points(state->seen_cm, j, other);
        swap_points(state->smooth_cm, j, other);
        swap_points(state->velocity_cm_s, j, other);
    }
}

static void follow(const CoreSmoothing *settings, double *seen, double *smooth, double *velocity, const double *now,
                   double trust, double dt_s) {
    double slow = trust * gain(settings->derivative_cutoff_hz, dt_s);
    for (int axis = 0; axis < 2; axis++) velocity[axis] += slow * ((now[axis] - seen[axis]) / dt_s - velocity[axis]);
    double speed_cm_s = hypot(velocity[0], velocity[1]);
    double fast = trust * gain(settings->min_cutoff_hz + settings->beta_per_cm * speed_cm_s, dt_s);
    for (int axis = 0; axis < 2; axis++) {
        smooth[axis] += fast * (now[axis] - smooth[axis]);
        seen[axis] += trust * (now[axis] - seen[axis]);
    }
}

void core_smooth(const CoreSmoothing *settings, CoreSmoothed *state, const double *joints, double dt_s,
                 double *smooth) {
    double seen_cm[CORE_COORDINATES], trust[CORE_JOINTS];
    for (int j = 0; j < CORE_JOINTS; j++) {
        double share = joints[3 * j + 2] / settings->full_confidence;
        trust[j] = share < 1 ? share * share : 1;
        memcpy(seen_cm + 2 * j, joints + 3 * j, 2 * sizeof(double));
    }
    if (!(dt_s >= 0 && dt_s <= settings->gap_s)) {
        memcpy(state->seen_cm, seen_cm, sizeof seen_cm);
        memcpy(state->smooth_cm, seen_cm, sizeof seen_cm);
        memset(state->velocity_cm_s, 0, sizeof state->velocity_cm_s);
    } else if (dt_s > 0) {
        swap_names(settings, state, seen_cm, trust);
        for (int j = 0; j < CORE_JOINTS; j++)
            follow(settings, state->seen_cm + 2 * j, state->smooth_cm + 2 * j, state->velocity_cm_s + 2 * j,
                   seen_cm + 2 * j, trust[j], dt_s);
    }
    memcpy(smooth, joints, 3 * CORE_JOINTS * sizeof(double));
    for (int j = 0; j < CORE_JOINTS; j++) memcpy(smooth + 3 * j, state->smooth_cm + 2 * j, 2 * sizeof(double));
}
