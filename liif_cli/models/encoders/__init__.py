"""Encoders: normalised image -> feature map of the same size."""
