"""The domain ``assistant``: tool-using agents in a simulated world, judged against an oracle."""
