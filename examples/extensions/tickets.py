"""A domain: an assistant sends tickets to the department that they are for."""

from time import perf_counter

from pydantic import Field

from pytest_a2perf.agents.base import AgentContext
from pytest_a2perf.agents.registry import make_agent
from pytest_a2perf.domains.base import Domain
from pytest_a2perf.errors import AgentFailure
from pytest_a2perf.scenarios.models import Strict

TICKETS = {
    "english": [
        ("I was charged twice this month", "billing"),
        ("Where is my invoice for May?", "billing"),
        ("The app crashes when I open it", "support"),
        ("I cannot log in any more", "support"),
        ("Do you have a job for me?", "people"),
    ],
    "german": [
        ("Die Rechnung stimmt nicht", "billing"),
        ("Die App stürzt ab", "support"),
    ],
}


class TicketOptions(Strict):
    """What ``[scenario.options]`` may hold; anything else is an error at collection."""

    tickets: int = Field(20, ge=1, description="tickets of one episode")
    solved: float = Field(0.9, ge=0, le=1, description="share that must be right")


class TicketDomain(Domain):
    name = "tickets"
    phases = frozenset({"inference"})
    options = TicketOptions

    def check(self, scenario):
        """Say at collection what is wrong with a scenario."""
        if scenario.task not in TICKETS:
            yield "task", f"no tickets in {scenario.task!r}; there are {', '.join(TICKETS)}"

    def run(self, trial):
        scenario = trial.scenario
        options = TicketOptions.model_validate(scenario.options)
        context = AgentContext(None, trial.seed, trial.root, scenario.agent_options)
        agent = make_agent(scenario.agent, context)
        tickets = TICKETS[scenario.task]

        def work():
            """Be what the meters measure."""
            for _ in range(scenario.episodes):
                right, times, words = 0, [], 0
                for index in trial.rng.integers(len(tickets), size=options.tickets):
                    text, department = tickets[index]
                    began = perf_counter()
                    answer = agent.act(text)
                    times.append(perf_counter() - began)
                    words += len(answer.split())
                    right += department in answer.split()
                share = right / options.tickets
                trial.sample("latency", times, limit=scenario.deadline)
                trial.sample("words", [words], unit="")
                trial.episode(share, options.tickets, success=share >= options.solved)

        trial.measured(work)
        failed = sum(not episode.success for episode in trial.record.episodes)
        if failed:
            raise AgentFailure(f"{failed} of {scenario.episodes} episodes not solved")
