"""Domain `serving`: how many agents an inference system can hold, see docs/serving.md."""
