"""The stories of the demo suite of the domain ``assistant``, told in Python."""
