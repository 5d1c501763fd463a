"""Export of a training run to a bundle: ONNX graphs that are verified against the trained model."""
