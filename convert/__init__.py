"""Checkpoint to int8 .tflite with a manifest, and the check that says in centimetres what int8 cost."""
