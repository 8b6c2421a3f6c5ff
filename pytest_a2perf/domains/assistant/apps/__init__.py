"""The apps of a simulated world, with the tools that they offer."""
