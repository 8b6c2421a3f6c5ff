"""Instruments that observe a trial: time, memory and energy, and the probes of the fixtures."""
