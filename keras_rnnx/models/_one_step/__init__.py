"""A trained model, run one step at a time."""
