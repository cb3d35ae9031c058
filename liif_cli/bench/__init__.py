"""Sample images, and measurements of quality and speed."""
