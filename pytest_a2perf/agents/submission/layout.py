"""What makes a folder a submission."""

from __future__ import annotations

from pathlib import Path

from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["INFERENCE", "TRAIN", "check_file", "check_folder", "is_submission"]

TRAIN, INFERENCE = "train.py", "inference.py"

_PURPOSE = {
    TRAIN: "has train()",
    INFERENCE: "has load_policy() or load_model(), preprocess_observation() and infer_once()",
}


def is_submission(folder: Path) -> bool:
    """Whether there is such a folder, with one of A2Perf's two files."""
    return any((folder / name).is_file() for name in _PURPOSE)


def check_folder(folder: Path) -> None:
    """Check that it is a submission.

    Raises:
        AgentError: it is not; the message names what is missing.
    """
    if not folder.is_dir():
        others = [path.parent.name for path in folder.parent.glob(f"*/{INFERENCE}")]
        raise AgentError(
            f"submission {folder.name!r}: there is no folder {folder}"
            f"{did_you_mean(folder.name, others)}"
        )
    if not is_submission(folder):
        wanted = " and ".join(f"{name}, which {purpose}" for name, purpose in _PURPOSE.items())
        raise AgentError(
            f"submission {folder.name!r}: {folder} has neither of A2Perf's files: {wanted}"
        )


def check_file(folder: Path, name: str) -> None:
    """Check that a submission has the file that is about to be used.

    Raises:
        AgentError: it has not.
    """
    if not (folder / name).is_file():
        raise AgentError(
            f"submission {folder.name!r}: {folder} has no {name}, which {_PURPOSE[name]}"
        )
