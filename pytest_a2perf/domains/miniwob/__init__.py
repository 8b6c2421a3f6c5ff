"""MiniWoB++ as scenarios: Farama's tasks with the raw reward, and browsers that always end.

Importing this package registers ``a2perf/miniwob-<task>-v1`` for each ``miniwob/<task>-v1``, such
as ``a2perf/miniwob-login-user-v1``. A scenario names it in ``options.modules``.
"""

from __future__ import annotations

from pytest_a2perf.errors import InfraError

__all__ = ["register"]

_ENTRY_POINT = "pytest_a2perf.domains.miniwob.environment:make_miniwob"


def register() -> None:
    """Register what is not registered yet.

    Raises:
        InfraError: MiniWoB++ is not installed.
    """
    import gymnasium

    try:
        import miniwob
    except ModuleNotFoundError:
        raise InfraError("MiniWoB++ is missing: pip install 'pytest-a2perf[miniwob]'") from None
    gymnasium.register_envs(miniwob)
    for name, spec in list(gymnasium.registry.items()):
        ours = f"a2perf/miniwob-{spec.name}-v{spec.version}"
        if spec.namespace == "miniwob" and ours not in gymnasium.registry:
            gymnasium.register(
                ours,
                entry_point=_ENTRY_POINT,
                kwargs={"task": name},
                nondeterministic=spec.nondeterministic,
                disable_env_checker=True,  # it would ask for the screenshots that we leave out
            )


register()
