"""What a search chooses from, and what a choice means for a model."""
