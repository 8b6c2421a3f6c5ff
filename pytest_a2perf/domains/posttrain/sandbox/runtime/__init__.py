"""Code that runs by itself beside or inside a sandbox: standard library, relative imports only.

It is started for each box, so it imports little: no ``dataclasses``, which takes longer than the
rest together.
"""
