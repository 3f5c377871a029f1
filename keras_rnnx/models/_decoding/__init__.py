"""What the outputs of a trained model say: labels, targets, texts."""
