"""Self-supervised training of the keypoint encoder (SPMKD, arXiv 2402.14241) and its evaluation."""
