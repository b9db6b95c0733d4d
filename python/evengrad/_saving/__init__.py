"""Files: weights and descriptions of models."""
