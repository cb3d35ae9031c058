"""Makes plans happen: rendering, runs, batches."""
