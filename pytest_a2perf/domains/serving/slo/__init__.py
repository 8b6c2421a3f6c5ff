"""Service level objectives: tiers, whether a level meets them, and the largest one that does."""
