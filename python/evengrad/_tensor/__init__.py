"""Operations on tensors in the way of PyTorch and NumPy, captures of steps, random streams."""
