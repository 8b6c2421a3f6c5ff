"""Tasks: what is asked, the base model, the data that is shown and the data that is hidden."""
