"""Training, evaluation and prediction: what the methods of `Model` do."""
