"""Other worlds than our own, with the same surface."""
