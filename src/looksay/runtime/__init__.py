"""Model folders and ONNX Runtime."""
