"""A reference server whose times are known.

``python -m pytest_a2perf.domains.serving.server`` speaks OpenAI's interfaces without a model.
"""
