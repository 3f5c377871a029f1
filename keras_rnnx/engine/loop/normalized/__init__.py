"""The loop of cells whose steps are normalized over units."""
