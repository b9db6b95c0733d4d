"""File formats: safetensors, written whole or not at all, and descriptions of objects as JSON."""
