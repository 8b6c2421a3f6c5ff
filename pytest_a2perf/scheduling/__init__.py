"""Where trials run: targets and devices."""
