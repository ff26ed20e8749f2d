"""Export the trained models to ONNX, quantise them, and package them for the website."""
