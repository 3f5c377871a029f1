"""How the kernels of vendors compute cells."""
