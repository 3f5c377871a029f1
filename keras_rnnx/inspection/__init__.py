"""What is known of cells and layers, and how it is shown."""
