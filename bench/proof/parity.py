"""When two trainings count as the same: differences, tolerances, verdicts. Plain numpy, no processes.

In float64 rounding cannot hide a wrong epsilon, a biased variance or a shifted padding: honest implementations
differ by about 1e-15 in losses and 1e-12 in parameters, mistakes by far more than the 1e-9 allowed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.spec import Param

FP64 = 1e-9  # relative, of losses; of parameters and slots at the scales that `compare` states
CHECKED_STEPS = 5  # first steps of a measured cell that are compared with a float64 reference
ROUGH = {  # what is allowed at step 0, and after the first update; in the comment what honest float32 reached
    ("gan", "base"): (1e-3, 3e-2),  # 7e-5, 6e-3
    ("gan", "large"): (1e-3, 0.2),  # 3e-5, 5e-2
    ("autoencoder", "base"): (5e-5, 3e-4),  # 3e-10, 5e-5
    ("autoencoder", "large"): (5e-5, 0.5),  # 4e-8, 9e-2
}
# At any step; honest ones reached 1.2e-3 (bf16) and 1.2e-4 (fp16) at `tiny`, `small`. TF32 rounds inputs as fp16 does.
ROUNDED_LOSS = {"bf16": 5e-3, "fp16": 1e-3, "tf32": 1e-3}
ROUGHER = 4.0  # times the larger of the two where both hold; honest bf16 reached 3.4e-3 and 2.3e-2 on `gan` `base`
STATISTICS = ("mean", "var")  # of batch norm: every device has its own
SLOT_KINDS = ("m", "v", "mom", "avg", *STATISTICS)

Losses = Mapping[str, Sequence[float]]  # each loss by name, one value a step
State = Mapping[str, NDArray[Any]]  # by the spec's names


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Some steps from the start: every loss of every step, and the state after the last."""

    losses: Losses
    state: State = field(default_factory=dict[str, "NDArray[Any]"])
    copies: Sequence[State] = ()  # of other devices that hold another one, by however little
    skipped: int = 0  # updates

    @property
    def steps(self) -> int:
        return min(len(values) for values in self.losses.values())


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far two traces lie apart, as shares of the scale that counts; `worst` names what is furthest."""

    loss: float
    param: float
    slot: float
    worst: str

    @property
    def largest(self) -> float:
        return max(self.loss, self.param, self.slot)

    @property
    def within_fp64(self) -> bool:
        return self.largest <= FP64


def states_of_devices(states: Sequence[State]) -> list[State]:
    """The state of the first device, running statistics being the mean over all devices; then those that differ."""
    first = states[0]
    statistics = {
        name: np.mean([state[name] for state in states], 0) for name in first if name.split("/")[0] in STATISTICS
    }
    whole = [{**state, **statistics} for state in states]
    return [
        whole[0],
        *(
            one
            for one in whole[1:]
            if any((one[name] != first[name]).any() for name in first if name not in statistics)
        ),
    ]


def tolerance(precision: str, size: str, step: int, workload: str = "") -> float:
    """Relative difference of a loss from float64 that `precision` explains at a step, counted from 0.

    float32: 1e-6 at `tiny` and 5e-5 elsewhere up to step 4, then growing geometrically to 2e-4 at step 19. The GAN at
    `tiny` is allowed what other sizes are: with one seed in sixteen a unit lies within rounding of 0, and honest losses
    are up to 8e-6 off.

    Some networks of `base` and `large` are rough: there rounding decides on which side of 0 single units fall, or
    which way Adam's first steps go, all of one length, where a gradient is nearly 0. `ROUGH` has what is allowed there.
    """
    if precision == "fp64":
        return FP64
    least = ROUNDED_LOSS.get(precision, 0.0)
    if rough := ROUGH.get((workload, size.removesuffix("-twin"))):
        return ROUGHER * max(rough[min(step, 1)], least) if least else rough[min(step, 1)]
    if least:
        return least
    first = 1e-6 if size == "tiny" and workload != "gan" else 5e-5
    return first * (2e-4 / first) ** (max(step - 4, 0) / 15)


def loss_difference(a: Losses, b: Losses) -> list[tuple[float, str]]:
    """For each step the largest |a − b| / |a| over the losses, with the loss's name; infinite where one is no number.

    Raises:
        ValueError: not the same losses or not as many steps.
    """
    if set(a) != set(b) or {len(v) for v in a.values()} != {len(v) for v in b.values()}:
        raise ValueError(f"not the same losses or steps: {sorted(a)} and {sorted(b)}")
    steps = range(len(next(iter(a.values()))))
    return [max((_relative(a[name][step], b[name][step]), name) for name in a) for step in steps]


def _relative(a: float, b: float) -> float:
    if a == b:
        return 0.0
    share = abs(a - b) / abs(a) if a else np.inf
    return share if share == share else np.inf


def compare(a: Trace, b: Trace, params: Mapping[str, Param], lr: float) -> Difference:
    """Differences of two traces of the same steps.

    Losses: the largest over all steps of |a − b| / |a|. Parameters: the largest over the tensors of
    max|a − b| / max(max|a|, lr·steps), since Adam turns the rounding noise of a zero gradient into steps of that
    size. Slots and running statistics: max|a − b| over the largest |a| of that slot over the network.

    Raises:
        ValueError: the traces do not hold the same names, shapes and steps.
    """
    if set(a.state) != set(b.state):
        raise ValueError(f"not the same state: {sorted(set(a.state) ^ set(b.state))}")
    by_step = loss_difference(a.losses, b.losses)
    steps = len(by_step)
    loss, worst_loss = max((share, f"{name} at step {step}") for step, (share, name) in enumerate(by_step))
    scales = {kind: _slot_scale(a.state, kind) for kind in SLOT_KINDS}
    param, worst_param = 0.0, ""
    slot, worst_slot = 0.0, ""
    for name, value in a.state.items():
        kind = name.split("/")[0] if "/" in name else None
        scale = scales[kind] if kind else max(float(np.abs(value).max()), lr * steps)
        share = _share(value, b.state[name], scale, name)
        if kind and share >= slot:
            slot, worst_slot = share, name
        elif not kind and share >= param:
            param, worst_param = share, name
    _, worst = max((loss, worst_loss), (param, worst_param), (slot, worst_slot))
    return Difference(loss=loss, param=param, slot=slot, worst=worst)


def _slot_scale(state: Mapping[str, NDArray[Any]], kind: str) -> float:
    return max(
        (float(np.abs(value).max()) for name, value in state.items() if name.startswith(f"{kind}/")), default=0.0
    )


def _share(a: NDArray[Any], b: NDArray[Any], scale: float, name: str) -> float:
    if a.shape != b.shape:
        raise ValueError(f"{name} has shape {a.shape} in one and {b.shape} in the other")
    largest = float(np.abs(a - b).max())
    if largest == 0.0:
        return 0.0
    share = largest / scale if scale else np.inf
    return share if share == share else np.inf


def largest_of(differences: Iterable[Difference]) -> Difference:
    """The largest of each kind."""
    found = list(differences)
    return Difference(
        loss=max(one.loss for one in found),
        param=max(one.param for one in found),
        slot=max(one.slot for one in found),
        worst=max(found, key=lambda one: one.largest).worst,
    )


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One trace among those of other frameworks: equal, or not and from what; with what it was compared."""

    equal: bool
    difference: Difference | None  # to those that it equals, the largest; else to the nearest
    against: tuple[str, ...]  # frameworks
    reason: str | None = None


Key = tuple[str, ...]


def judge(traces: Mapping[Key, Trace], params: Mapping[str, Param], lr: float) -> dict[Key, Judgement]:
    """Which float64 traces compute the same function; a key names the framework first, then what makes it another.

    A trace is equal if it agrees with at least half of the other frameworks, and with one at least; with a framework
    if with any variant of it. So one framework's mistake is laid to that framework, and a variant's to the variant.
    """
    found: dict[Key, Judgement] = {}
    for key, trace in traces.items():
        if apart := devices_apart(trace, params, lr):
            reason = f"has devices that differ by {apart.largest:.1e} in {apart.worst}"
            found[key] = Judgement(equal=False, difference=apart, against=(), reason=reason)
            continue
        others = {other: apart_from(trace, traces[other], params, lr) for other in traces if other[0] != key[0]}
        agreeing = {other: diff for other, diff in others.items() if diff.within_fp64}
        frameworks, against = ({name for name, *_ in some} for some in (others, agreeing))
        if not others:
            found[key] = Judgement(equal=False, difference=None, against=(), reason="no other framework to agree with")
        elif against and 2 * len(against) >= len(frameworks):
            names = tuple(dict.fromkeys(name for name, *_ in agreeing))
            found[key] = Judgement(equal=True, difference=largest_of(agreeing.values()), against=names)
        else:
            nearest = min(others, key=lambda other: others[other].largest)
            diff = others[nearest]
            reason = f"differs from {nearest[0]} by {diff.largest:.1e} in {diff.worst}"
            found[key] = Judgement(equal=False, difference=diff, against=(nearest[0],), reason=reason)
    return found


def apart_from(trace: Trace, other: Trace, params: Mapping[str, Param], lr: float) -> Difference:
    """Differences of two traces; infinite of such as cannot be compared, which are not the same either."""
    try:
        return compare(trace, other, params, lr)
    except ValueError as error:
        return Difference(loss=np.inf, param=np.inf, slot=np.inf, worst=str(error))


def devices_apart(trace: Trace, params: Mapping[str, Param], lr: float) -> Difference | None:
    """How far the devices' copies of what they should share lie apart, if that is further than rounding."""
    found = [compare(trace, replace(trace, state=copy), params, lr) for copy in trace.copies]
    return largest_of(found) if found and not all(one.within_fp64 for one in found) else None


def trajectory_fault(
    losses: Losses, reference: Losses, precision: str, size: str, workload: str = ""
) -> tuple[float, str | None]:
    """Compare a cell's first losses with float64's.

    Returns:
        The largest relative difference over the reference's steps, and what is out of tolerance first, or None.
        Losses that lack a name or a step are as far off as can be.
    """
    steps = min(len(values) for values in reference.values())
    if any(len(losses.get(name, ())) < steps for name in reference):
        told = ", ".join(f"{len(values)} of {name}" for name, values in losses.items()) or "none"
        return np.inf, f"losses are missing: {steps} steps of {', '.join(reference)} were to come, {told} came"
    shares = loss_difference(reference, {name: values[:steps] for name, values in losses.items()})
    for step, (share, name) in enumerate(shares):
        allowed = tolerance(precision, size, step, workload)
        if not share <= allowed:
            return max(share for share, _ in shares), f"{name} at step {step} is {share:.1e} off, {allowed:.0e} allowed"
    return max(share for share, _ in shares), None


def kernel_fault(name: str, best: float, plain: float, eps: float) -> str | None:
    """Why a kernel cannot stand for its plain form, or None.

    `best` and `plain` are how far each lies from the plain form in float64, with the same inputs and as a share of the
    largest value; `eps` is the precision's. A kernel may err three times as much as the plain form, as it sums in
    another order, or by eight roundings where the plain form is nearly exact.
    """
    allowed = max(3.0 * plain, 8.0 * eps)
    return None if best <= allowed else f"{name} is {best:.1e} off, {allowed:.1e} allowed"
