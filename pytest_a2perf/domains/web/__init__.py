"""Domain ``web``: forms on compositional web sites are filled in from a user's profile."""
