"""Posture from keypoints alone: linear and graph heads, and the study that compares them."""
