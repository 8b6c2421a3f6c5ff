"""Gates: conditions on metrics, and the verdicts that the data support."""
