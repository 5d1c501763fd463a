"""Bundles (model folders), where to find them, and ONNX Runtime."""
