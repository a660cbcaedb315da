"""Where lines go: one module for each kind of output, each behind a queue of its own."""
