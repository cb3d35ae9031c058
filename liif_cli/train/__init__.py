"""Training: presets, batches made by tensor work, the loop and its checkpoints."""
