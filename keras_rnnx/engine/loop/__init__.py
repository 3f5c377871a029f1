"""The fused engine: a loop over time with a derived backward pass."""
