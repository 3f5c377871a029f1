"""The kernel engine: cuDNN, and torch's kernels on the CPU."""
