"""Turn the plugin on: read the settings, register extensions, and start a run."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from pytest_a2perf.agents.registry import register_agent
from pytest_a2perf.domains.registry import register_domain
from pytest_a2perf.keys import COMPANION, CONFIG, INSTRUMENTS
from pytest_a2perf.meters.session import Instruments
from pytest_a2perf.metrics.registry import register
from pytest_a2perf.scenarios.suites import suite_path
from pytest_a2perf.settings import Config, resolve_options
from pytest_a2perf.worker import Worker

__all__ = ["activate"]


def activate(config: pytest.Config) -> None:
    """Register what runs trials here and, except in an xdist worker, what judges them."""
    options = resolve_options(config)
    config.stash[CONFIG] = options
    hook = config.hook
    for domains in hook.pytest_a2perf_domains(config=config):
        for domain in domains:
            register_domain(domain)
    for agents in hook.pytest_a2perf_agents(config=config):
        for name, factory in agents.items():
            register_agent(name, factory)
    for families in hook.pytest_a2perf_metrics(config=config):
        for family in families:
            register(family)
    config.stash[INSTRUMENTS] = Instruments(
        watts_per_core=options.watts_per_core,
        country=options.country,
        carbon=options.carbon,
        extra=[meter for meters in hook.pytest_a2perf_meters(config=config) for meter in meters],
    )
    if COMPANION not in config.stash:
        # A worker of pytest-xdist parses the user's arguments once more, and collects by itself.
        _add_arguments(config, options)
    if not hasattr(config, "workerinput") and COMPANION not in config.stash:
        _check_arguments(config)
        from pytest_a2perf.reports.exports import prepare_exports
        from pytest_a2perf.session import RunSession

        prepare_exports(config, options)
        config.pluginmanager.register(RunSession(config, options), "a2perf-session")
    config.pluginmanager.register(Worker(config, options), "a2perf-active")
    if options.against:
        from pytest_a2perf.against.pairs import register_pairs

        register_pairs(config)


def _check_arguments(config: pytest.Config) -> None:
    """Refuse a value that has moved the rootdir.

    pytest looks for the rootdir before it knows of our options, and takes a path behind one of them
    for a path to tests.
    """
    if config.option.rootdir is not None or config.option.inifilename is not None:
        return
    here = config.invocation_params.dir
    if config.inipath is not None or config.rootpath == here:
        return
    arguments = [str(argument) for argument in config.invocation_params.args]
    for option, given in pairwise(arguments):
        if not option.startswith("--a2perf-") or "=" in option or given.startswith("-"):
            continue
        path = here / given
        if path.exists() and not path.resolve().is_relative_to(here.resolve()):
            raise pytest.UsageError(
                f"{option} {given}: pytest takes this for a path to tests and moves the rootdir to "
                f"{config.rootpath}; write {option}={given}"
            )


def _add_arguments(config: pytest.Config, options: Config) -> None:
    """Let pytest collect the scenario folders too, unless the user named what to collect."""
    from_user = config.args_source is pytest.Config.ArgsSource.ARGS
    given = [(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in config.args]
    wanted = [suite_path(name) for name in options.suites]
    if options.suites and not from_user:
        config.args.clear()
        given.clear()
    elif not from_user:
        wanted += [folder for folder in options.scenarios if folder.is_dir()]
    for path in wanted:
        if not any(_contains(other, path) for other in given):
            config.args.append(str(path))


def _contains(folder: Path, path: Path) -> bool:
    return path == folder or folder in path.parents
