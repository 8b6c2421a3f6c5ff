"""What the agent finds: folders, variables, instructions."""

from __future__ import annotations

from pytest_a2perf.domains.posttrain.workspace.box import agent_box
from pytest_a2perf.domains.posttrain.workspace.build import build_workspace, write_meta
from pytest_a2perf.domains.posttrain.workspace.environment import agent_env
from pytest_a2perf.domains.posttrain.workspace.names import Mode
from pytest_a2perf.domains.posttrain.workspace.tampering import tampering
from pytest_a2perf.domains.posttrain.workspace.withheld import services_offered

__all__ = [
    "Mode",
    "agent_box",
    "agent_env",
    "build_workspace",
    "services_offered",
    "tampering",
    "write_meta",
]
