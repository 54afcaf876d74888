"""How to run what was chosen: the settings, what makes sense of them, and what `run.json` says of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import __version__, plan, record, stats, store
from bench.machine.fingerprint import command, fingerprint, git_state
from bench.plan import Choice
from bench.runner import now
from bench.spec import Cell, WrongInput


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to run what was chosen."""

    repeats: int = 3
    min_time_s: float = 1.0
    timeout_s: float = 300.0
    out: Path | None = None
    cold: bool = False
    report: bool = True
    json: bool = False
    a_a: bool = False  # every cell as two arms
    target_ci: float | None = None  # half width of the interval of the step time; more rounds until it is reached
    max_repeats: int = 20  # rounds, where there is a target
    find_max_batch: int | None = None  # samples a device: search up to here for the largest batch that fits
    plan_only: bool = False  # write what is planned; a run that goes on measures it, or a part of it
    price_per_hour: float | None = None  # of one device, in the user's currency
    wait_for_idle_s: float | None = None  # until others leave the cores free, at most
    proof: bool = True  # whether records are judged
    cached_proofs: bool = False  # judge by the evidence that is kept, and make none
    drift: bool = False  # take each cell's drift from float64, and let evidence take as long as it does
    ceilings: bool = True  # whether the most that a device attains is measured before the first cell


def check(settings: Settings) -> None:
    """Raises WrongInput for a number that makes no sense, or a folder that cannot be used."""
    plan.positive("repeats", settings.repeats)
    plan.positive("min-time", settings.min_time_s)
    plan.positive("timeout", settings.timeout_s)
    least = max(settings.repeats, stats.TARGET_REPEATS)
    if settings.target_ci and settings.max_repeats < least:
        raise WrongInput(f"--max-repeats {settings.max_repeats}: with --target-ci give at least {least} here")
    if settings.find_max_batch is not None:
        plan.positive("max-batch", settings.find_max_batch)
        if settings.a_a or settings.target_ci:
            raise WrongInput("--find-max-batch tries each batch once: leave --a-a and --target-ci out")
    if settings.price_per_hour is not None:
        plan.positive("price-per-hour", settings.price_per_hour)
    if settings.wait_for_idle_s is not None:
        plan.positive("wait-for-idle", settings.wait_for_idle_s)
    if settings.drift and not settings.proof:
        raise WrongInput("--drift is evidence, --no-proof leaves evidence out: give one of them")
    if settings.cached_proofs and (settings.drift or not settings.proof):
        other = "--drift makes evidence" if settings.drift else "--no-proof takes none"
        raise WrongInput(f"--cached-proofs takes the evidence that is kept, {other}: give one of them")
    if settings.out:
        store.check_new(settings.out)


def describe_run(choice: Choice, settings: Settings, cells: Sequence[Cell]) -> dict[str, Any]:
    """What `run.json` says."""
    return {
        "schema": record.SCHEMA,
        "samestep": __version__,
        "command": command(),
        "started_at": now(),
        "choice": asdict(choice),
        "seed": choice.seed,
        **describe_settings(settings),
        "plan": [cell.id for cell in cells],
        "machine": fingerprint(),
        "git": git_state(),
    }


def describe_settings(settings: Settings) -> dict[str, Any]:
    """The settings that `run.json` says."""
    return {
        "repeats": 1 if settings.find_max_batch else settings.repeats,
        "a_a": settings.a_a,
        "target_ci": settings.target_ci,
        "max_repeats": settings.max_repeats if settings.target_ci else None,
        "cold": settings.cold,
        "min_time_s": settings.min_time_s,
        "timeout_s": settings.timeout_s,
        "find_max_batch": settings.find_max_batch,
        "price_per_hour": settings.price_per_hour,
        "proof": settings.proof,
        "cached_proofs": settings.cached_proofs,
        "drift": settings.drift,
    }
