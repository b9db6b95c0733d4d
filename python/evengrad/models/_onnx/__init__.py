"""ONNX: files of graphs of operators, written from models and read as models."""
