"""Weights of files into models and back: pairing, layouts of other frameworks, reports."""
