"""What a network costs on an NPU: layers, targets, latency estimates."""
