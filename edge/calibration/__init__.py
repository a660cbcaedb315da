"""What one mat's counts mean: its zero, its noise, its faults, its gains. Stored apart from frames and recordings."""
