"""A tiny character transformer and what trains it: all that CPU tasks need.

Agents import this folder as ``nano``: it needs torch and safetensors, and nothing of the package
around it.

Everywhere a text is a sequence of turns: what is read and what the model writes take turns, so
``(prompt, reply)`` or ``(prompt, action, observation, action, ...)``. What the model writes ends
with the stop character.
"""
