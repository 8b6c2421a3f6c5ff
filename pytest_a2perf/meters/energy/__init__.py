"""Meters of energy: counters first (NVML, RAPL), then models (CPU time, CodeCarbon)."""
