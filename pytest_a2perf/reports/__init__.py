"""Reports: what people and other tools read of a run."""
