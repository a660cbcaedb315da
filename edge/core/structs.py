"""The structs of core.h, field by field; pointers as addresses."""

from ctypes import Structure, c_double, c_float, c_int32, c_void_p
from typing import Any


def _all(kind: Any, names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names.split()]


class Contact(Structure):
    _fields_ = (
        *_all(c_int32, "rows cols baseline_percent scale_percent"),
        *_all(c_double, "pitch_x_cm pitch_y_cm smallest_body_cm2 smallest_coherence"),
        ("contact_share", c_float),
    )


class Window(Structure):
    _fields_ = (
        *_all(c_int32, "rows cols window_rows window_cols baseline_percent scale_percent"),
        ("contact_share", c_float),
        ("outside_share", c_double),
    )


class Preparation(Structure):
    _fields_ = (
        *_all(c_int32, "rows cols model_rows model_cols baseline_percent scale_percent middle_percent"),
        *_all(c_double, "loaded_share middle plain_exponent least_exponent largest_exponent"),
        *_all(c_void_p, "row_weights col_weights"),
    )


class Heatmaps(Structure):
    _fields_ = (*_all(c_int32, "rows cols k index"), ("weight_of_step", c_void_p))


class Body(Structure):
    _fields_ = (
        ("shapes", c_int32),
        *_all(c_double, "width_cm height_cm"),
        *_all(c_void_p, "mean_cm log_shares covariance_cm2 error_of_spread"),
    )


class Reader(Structure):
    _fields_ = (
        *_all(c_int32, "rows cols outputs keypoints classes"),
        ("feature_half_cm", c_float),
        *_all(c_double, "width_cm height_cm"),
        ("maps", Heatmaps * 2),
        *_all(c_void_p, "joint_weights joint_bias joint_share"),
        *_all(c_void_p, "posture_weights posture_bias class_of_image joint_of_image"),
    )


class Sight(Structure):
    _fields_ = (
        *_all(c_int32, "first row_step col_step"),
        ("contact", Contact),
        ("window", Window),
        ("preparation", Preparation),
        ("scale", c_float),
        ("zero_point", c_int32),
    )


class Seen(Structure):
    _fields_ = (*_all(c_double, "occupied area_cm2 x_cm y_cm peak row col"),)


class Placing(Structure):
    _fields_ = (*_all(c_double * 2, "model_cm margin_cm mat_cm pitch_cm"), ("half_cm", c_void_p))


class Smoothing(Structure):
    _fields_ = (
        *_all(c_double, "min_cutoff_hz beta_per_cm derivative_cutoff_hz full_confidence swap_saves_cm gap_s"),
        ("joint_of_image", c_void_p),
    )
