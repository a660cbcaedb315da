/* The numerics of one frame, from pressure to named joints: what edge/ has in NumPy, for one frame at a time.
 *
 * C99 without allocation, state or Python: buffers come from the caller, constants in structs that are only read.
 * Arrays are row-major and contiguous; x runs along columns, y along rows; "norm" is 0..1 of a grid's size.
 * `scratch` is aligned for double, at least as large as the function's ..._scratch_bytes says, and holds nothing
 * between two calls.
 */
#ifndef EDGE_CORE_H
#define EDGE_CORE_H

#include <stddef.h>
#include <stdint.h>

#define CORE_JOINTS 14
#define CORE_COORDINATES (2 * CORE_JOINTS)
#define CORE_FEATURES 4
#define CORE_OUTPUTS 2

/* CRC-32 of the sources that the library was built from, 0 where the build did not say. */
uint32_t core_sources(void);

/* ---- samples.c, as firmware_bridge.samples ---- */

/* payload (ceil(3 n / 2) bytes): two counts in three bytes -> counts (n). */
void core_unpack_u12(const uint8_t *payload, int32_t n, uint16_t *counts);

/* ---- ranks.c ---- */

/* values (n) -> ordered (n), ascending; keys (2 n) is scratch, and so are 8 KB of the stack. Not for NaN. */
void core_sort(const float *values, int32_t n, float *ordered, uint32_t *keys);

/* Place of a rank in per cent among n ordered values. */
int32_t core_rank(int32_t n, int32_t percent);

/* ---- contact.c: whether somebody lies there, as edge.contact ---- */

typedef struct {
    int32_t rows, cols;
    int32_t baseline_percent, scale_percent;
    double pitch_x_cm, pitch_y_cm;
    double smallest_body_cm2, smallest_coherence;
    float contact_share;
} CoreContact;

/* What core_contact finds: area and centre are 0 on an empty mat, the peak is in the frame's unit. */
typedef struct {
    double occupied, area_cm2, x_cm, y_cm, peak;
} CoreContactFound;

size_t core_contact_scratch_bytes(const CoreContact *mat);

/* frame (rows, cols), the same values ordered -> found. */
void core_contact(const CoreContact *mat, const float *frame, const float *ordered, CoreContactFound *found,
                  void *scratch);

/* ---- window.c: the part of a large mat that the model is shown, as edge.window ---- */

typedef struct {
    int32_t rows, cols, window_rows, window_cols;
    int32_t baseline_percent, scale_percent;
    float contact_share;
    double outside_share;
} CoreWindow;

size_t core_window_scratch_bytes(const CoreWindow *mat);

/* frame (rows, cols), the same values ordered -> corner (2): the window's first row and column. */
void core_window(const CoreWindow *mat, const float *frame, const float *ordered, int32_t *corner, void *scratch);

/* ---- prepare.c: pressure -> the model's input, as edge.preprocess ---- */

typedef struct {
    int32_t rows, cols, model_rows, model_cols;
    int32_t baseline_percent, scale_percent, middle_percent; /* middle_percent 0: always plain_exponent */
    double loaded_share, middle;
    double plain_exponent, least_exponent, largest_exponent;
    const float *row_weights; /* (model_rows, rows) of the resampling; NULL: both grids are the same */
    const float *col_weights; /* (cols, model_cols) */
} CorePreparation;

size_t core_prepare_scratch_bytes(const CorePreparation *how);

/* frame (rows, cols) in any unit, the same values ordered -> input (model_rows, model_cols) in 0..1. */
void core_prepare(const CorePreparation *how, const float *frame, const float *ordered, float *input, void *scratch);

/* input (n) -> quantised (n), rounded half to even and clipped to int8. */
void core_quantise(const float *input, int32_t n, float scale, int32_t zero_point, int8_t *quantised);

/* ---- heatmaps.c: int8 logits -> points, as edge.keypoints ---- */

/* K points, each array of its own. */
typedef struct {
    float *xy_norm;   /* (K, 2) */
    float *value;     /* (K): the model's input expected at the point */
    float *spread_cm; /* (K) */
} CorePoints;

/* One output of the graph. */
typedef struct {
    int32_t rows, cols, k;
    int32_t index;               /* among the graph's outputs */
    const float *weight_of_step; /* (256): exp(-scale * steps below the largest logit) */
} CoreHeatmaps;

size_t core_heatmaps_scratch_bytes(const CoreHeatmaps *maps);

/* logits (rows, cols, K), cells (rows, cols): the model's input over each cell -> K points. */
void core_heatmaps(const CoreHeatmaps *maps, const int8_t *logits, const float *cells, double width_cm,
                   double height_cm, CorePoints points, void *scratch);

/* input (rows * tall, cols * wide) -> cells (rows, cols), the mean over each; mirrored: columns the other way round. */
void core_pool(const float *input, int32_t rows, int32_t cols, int32_t tall, int32_t wide, int32_t mirrored,
               float *cells);

/* ---- body.c: joints where bodies have them, as edge.body ---- */

typedef struct {
    int32_t shapes;
    double width_cm, height_cm;    /* of the model's grid */
    const double *mean_cm;         /* (shapes, 28) */
    const double *log_shares;      /* (shapes) */
    const double *covariance_cm2;  /* (shapes, 28, 28) */
    const double *error_of_spread; /* (14): cm of standard deviation for each cm of spread */
} CoreBody;

size_t core_body_scratch_bytes(void);

/* xy_norm (14, 2), spread_cm (14) -> xy_norm of a body that lies in the likeliest way. */
void core_body(const CoreBody *body, float *xy_norm, const float *spread_cm, void *scratch);

/* ---- read.c: what the graph says, as edge.model.KeypointModel.read ---- */

typedef struct {
    int32_t rows, cols; /* of the model's grid */
    int32_t outputs;    /* 1 or 2 in `maps`: keypoints and joints, either, in this order */
    int32_t keypoints;  /* K */
    int32_t classes;    /* of postures; 0: no posture head */
    float feature_half_cm;
    double width_cm, height_cm;
    CoreHeatmaps maps[CORE_OUTPUTS];
    const double *joint_weights;    /* (4 K, 28) of the joint map; NULL: joints are an output of the graph */
    const double *joint_bias;       /* (28) */
    const float *joint_share;       /* (K, 14): how much of each joint's sureness is a keypoint's */
    const double *posture_weights;  /* (4 (K + 14), classes), 0 for what the head does not read */
    const double *posture_bias;     /* (classes) */
    const int32_t *class_of_image;  /* (classes): what each becomes in a mirror */
    const int32_t *joint_of_image;  /* (14): the same of joints */
} CoreReader;

/* K + 14. */
int32_t core_points(const CoreReader *reader);

size_t core_read_scratch_bytes(const CoreReader *reader);

/* logits: for each output of the graph, and after them those of the mirror image where `mirrored_too`;
 * input (rows, cols); body: NULL leaves joints where their heat maps are.
 * -> points: xy_norm (K + 14, 2), value (K + 14), spread_cm (K + 14), one after the other.
 * Returns the posture's class, -1 without a posture head. */
int32_t core_read(const CoreReader *reader, const CoreBody *body, const int8_t *const *logits, const float *input,
                  int32_t mirrored_too, float *points, void *scratch);

float core_confidence(float spread_cm, float half_cm);

/* ---- smoothing.c: joints that keep still, as edge.smoothing ---- */

typedef struct {
    double min_cutoff_hz, beta_per_cm, derivative_cutoff_hz, full_confidence, swap_saves_cm, gap_s;
    const int32_t *joint_of_image; /* (14) */
} CoreSmoothing;

/* What the filter remembers; x, y of each joint. */
typedef struct {
    double seen_cm[CORE_COORDINATES], smooth_cm[CORE_COORDINATES], velocity_cm_s[CORE_COORDINATES];
} CoreSmoothed;

/* joints (14, 3): x_cm, y_cm, confidence -> smooth (14, 3). dt_s since the last frame; below 0 or beyond the gap the
 * filter starts anew. */
void core_smooth(const CoreSmoothing *settings, CoreSmoothed *state, const double *joints, double dt_s,
                 double *smooth);

/* ---- text.c: numbers in a text, as edge.pose_text ---- */

#define CORE_NUMBER 0x10 /* in a form: the next number with no decimals; the bytes after it: with one, two ... nine */
#define CORE_NUMBER_CHARACTERS 20

/* form (ends with 0), one number for each place in it -> text: as long as the form, and CORE_NUMBER_CHARACTERS for each
 * number. Returns its length, -1 where a number is none, or so large that its decimals would not be right. */
int32_t core_fill(const char *form, const double *numbers, char *text);

/* ---- frame.c: one frame of one mat, all that comes before the graph and all that follows it, as edge.steps ---- */

typedef struct {
    int32_t first, row_step, col_step; /* of what the mat sends: where the canonical frame's first taxel is */
    CoreContact contact;
    CoreWindow window;                 /* as large as the mat: all of it is shown */
    CorePreparation preparation;
    float scale;                       /* of the graph's input */
    int32_t zero_point;
} CoreSight;

/* What core_see finds; row and col are those where the window begins. */
typedef struct {
    CoreContactFound contact;
    double row, col;
} CoreSeen;

size_t core_see_scratch_bytes(const CoreSight *sight);

/* values as the mat sends them, counts (uint16_t) or pressure (float)
 * -> frame (rows, cols), canonical, seen, and where somebody lies there input and quantised (model_rows, model_cols). */
void core_see(const CoreSight *sight, const void *values, int32_t are_counts, float *frame, CoreSeen *seen,
              float *input, int8_t *quantised, void *scratch);

typedef struct {
    double model_cm[2];   /* size of the model's grid */
    double margin_cm[2];  /* from the model's corner to that of what it is shown */
    double mat_cm[2];     /* size of the whole mat */
    double pitch_cm[2];   /* of the mat */
    const float *half_cm; /* (K + 14): spread at which the confidence is 0.5 */
} CorePlacing;

size_t core_find_scratch_bytes(const CoreReader *reader);

/* As core_read -> found (K + 14, 3): of keypoints x_norm, y_norm of the mat and confidence, of joints x_cm, y_cm and
 * confidence. Returns the posture's class. */
int32_t core_find(const CoreReader *reader, const CoreBody *body, const CorePlacing *placing, const CoreSeen *seen,
                  const int8_t *const *logits, const float *input, int32_t mirrored_too, double *found, void *scratch);

#endif
