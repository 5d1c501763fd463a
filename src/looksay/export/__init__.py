"""A run → a bundle: ONNX graphs, checked against the trained model."""
