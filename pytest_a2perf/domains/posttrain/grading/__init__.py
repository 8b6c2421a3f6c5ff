"""The grading service: submissions, quotas, evaluation, and a log that cannot be rewritten."""
