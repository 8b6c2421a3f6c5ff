"""Domain ``gym``: any Gymnasium environment."""
