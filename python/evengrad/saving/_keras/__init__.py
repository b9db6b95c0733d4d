"""A reader of Keras' files: which layers they describe, and where the arrays of each are."""
