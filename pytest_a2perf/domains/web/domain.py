"""The domain ``web``: the domain ``gym``, with how much of a form was filled in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_a2perf.domains.gym.domain import GymDomain

if TYPE_CHECKING:
    from pytest_a2perf.trials.trial import Trial

__all__ = ["WebDomain"]


class WebDomain(GymDomain):
    """Web navigation; reports how far episodes came, averaged over them.

    ``reported.potential`` is the share of fields that were right in the end, and
    ``reported.wasted`` the share of steps that changed nothing. An episode is solved if the site
    was submitted with all fields right.
    """

    name = "web"

    def prepare(self) -> None:
        """Import what trials need."""
        super().prepare()
        from pytest_a2perf.domains.web import environment

        del environment

    def watch(self, trial: Trial) -> Callable[[dict[str, Any], bool], None]:
        """Report at the end of each episode."""
        steps = wasted = episodes = 0
        potential = 0.0

        def tell(info: dict[str, Any], over: bool) -> None:
            nonlocal steps, wasted, episodes, potential
            if "potential" not in info:  # another environment, such as one of MiniWoB++
                return
            steps += 1
            wasted += not info["changed"]
            if over:
                episodes += 1
                potential += info["potential"]
                trial.report("potential", potential / episodes)
                trial.report("wasted", wasted / steps)

        return tell
