/* A body of the likeliest shape: the posterior mean, by one Cholesky factor for each shape. */
#include "core.h"

#include <math.h>
#include <string.h>

enum { N = CORE_COORDINATES, BORDERED = N + 1 };

typedef struct {
    double column[N][BORDERED]; /* of the factor, from the diagonal on; below them the whitened distance */
} Factor;

typedef struct {
    double seen_cm[N], error_cm2[N];
    Factor factors[2];
} Scratch;

size_t core_body_scratch_bytes(void) { return sizeof(Scratch); }

static void subtract_times(double *restrict from, const double *restrict what, double times, int n) {
    for (int i = 0; i < n; i++) from[i] -= times * what[i];
}

/* The covariance's lower triangle with the distance as its last row -> the same of the factor. */
static void factorise(Factor *factor) {
    for (int j = 0; j < N; j++) {
        double *column = factor->column[j];
        double width = sqrt(column[j]);
        column[j] = width;
        for (int i = j + 1; i < BORDERED; i++) column[i] /= width;
        for (int k = j + 1; k < N; k++)
            subtract_times(factor->column[k] + k, column + k, column[k], BORDERED - k);
    }
}

static double log_density(const Factor *factor) {
    double squares = 0, log_widths = 0;
    for (int j = 0; j < N; j++) {
        squares += factor->column[j][N] * factor->column[j][N];
        log_widths += log(factor->column[j][j]);
    }
    return -squares / 2 - log_widths;
}

/* The whitened distance -> the covariance's inverse times the distance. */
static void solve(const Factor *factor, double *solution) {
    for (int j = N - 1; j >= 0; j--) {
        const double *column = factor->column[j];
        double rest = column[N];
        for (int i = j + 1; i < N; i++) rest -= column[i] * solution[i];
        solution[j] = rest / column[j];
    }
}

void core_body(const CoreBody *body, float *xy_norm, const float *spread_cm, void *scratch) {
    Scratch *at = scratch;
    const double size_cm[2] = {body->width_cm, body->height_cm};
    for (int i = 0; i < N; i++) {
        double error_cm = (double)spread_cm[i / 2] * body->error_of_spread[i / 2];
        at->seen_cm[i] = xy_norm[i] * size_cm[i % 2];
        at->error_cm2[i] = error_cm * error_cm;
    }
    Factor *likeliest = NULL, *factor = &at->factors[0], *other = &at->factors[1];
    double largest = -INFINITY;
    for (int32_t shape = 0; shape < body->shapes; shape++) {
        const double *covariance = body->covariance_cm2 + (size_t)shape * N * N, *mean = body->mean_cm + shape * N;
        for (int j = 0; j < N; j++) {
            memcpy(factor->column[j] + j, covariance + j * N + j, sizeof(double) * (N - j));
            factor->column[j][j] += at->error_cm2[j];
            factor->column[j][N] = at->seen_cm[j] - mean[j];
        }
        factorise(factor);
        double density = body->log_shares[shape] + log_density(factor);
        if (density > largest) {
            largest = density, likeliest = factor;
            factor = other, other = likeliest;
        }
    }
    if (!likeliest) return;
    double solution[N];
    solve(likeliest, solution);
    for (int i = 0; i < N; i++)
        xy_norm[i] = (float)((at->seen_cm[i] - at->error_cm2[i] * solution[i]) / size_cm[i % 2]);
}
