"""Whole-number geometry of images, tiles and windows. No torch, no files."""
