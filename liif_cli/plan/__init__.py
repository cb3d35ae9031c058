"""What will happen and what it will cost, decided before any work. Pure: no torch, no pixels."""
