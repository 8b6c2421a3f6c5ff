"""What is kept of a run: commits of the workspace, process metrics, output."""

from pytest_a2perf.domains.posttrain.recording.monitor import Monitor
from pytest_a2perf.domains.posttrain.recording.shadow import ShadowRepository

__all__ = ["Monitor", "ShadowRepository"]
