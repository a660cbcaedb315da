"""The numerics of one frame in C (core.h): a hundred cold NumPy calls take longer than what they compute.

The library is built when the package is installed and a C compiler is there, or by `python -m edge.core.build`.
Without it everything is computed by NumPy, which is also what batches use and what the C code is compared with.
"""
