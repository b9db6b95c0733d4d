"""Keras' files: models and weights out of them, and into them."""
