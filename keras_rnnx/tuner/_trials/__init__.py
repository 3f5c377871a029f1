"""How one trial is run: its data, its training, its measures."""
