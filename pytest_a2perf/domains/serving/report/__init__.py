"""What is shown of a serving scenario."""
