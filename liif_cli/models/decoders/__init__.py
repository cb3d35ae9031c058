"""Decoders: feature map -> colours at any output pixels."""
