"""The daemon on the Raspberry Pi: frames in, keypoints out."""
