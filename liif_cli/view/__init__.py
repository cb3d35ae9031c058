"""A page to look at outputs beside their inputs: tiles on demand, or a folder that is complete."""
