"""Variances of few values each, moderated: each cell's own is drawn towards what its neighbours show.

Three processes say little about how much a cell scatters: their variance has two degrees of freedom, and Student's t
pays for that with 4.3 in place of 2. Cells measured side by side scatter alike, though, up to what is known of each.
Sources: G. K. Smyth, "Linear models and empirical Bayes methods for assessing differential expression in microarray
experiments", Stat. Appl. Genet. Mol. Biol. 3 (2004), sections 3 and 6; the limit of the degrees of freedom and the
offset of zeros follow the R package limma that came with it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

# What the neighbours count for at most, in degrees of freedom. Nine or eighteen variances of two degrees each cannot
# tell "all alike" from "up to three times apart". Without a limit 13 % of A/A runs name a cell where one scatters three
# times as much as the rest and its windows do not show it; with this one 5.5 % do.
MOST_PRIOR = 4.0
LEAST = 0.5  # degrees of freedom below which a variance says nothing of its neighbours
ZERO = 1e-24  # variances of logarithms below it are rounding
OFFSET = 1e-5  # of the median, in place of smaller variances where a logarithm is taken


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What the neighbours say: a variance, relative to each cell's scale, and for how many degrees it counts."""

    freedom: float
    variance: float


def moderate(
    variances: Sequence[float], freedoms: Sequence[float], scales: Sequence[float]
) -> tuple[list[float], float]:
    """Posterior variances (d₀·s₀²·scale + d·s²) / (d₀ + d), and d₀; the variances themselves if d₀ is 0.

    Args:
        variances: s², one a cell.
        freedoms: d, above zero.
        scales: what each cell's variance is expected to be, up to a common factor.
    """
    prior = fit_prior([s / scale for s, scale in zip(variances, scales, strict=True)], freedoms)
    told = zip(variances, freedoms, scales, strict=True)
    weighed = [(prior.freedom * prior.variance * scale + d * s) / (prior.freedom + d) for s, d, scale in told]
    return weighed, prior.freedom


def fit_prior(variances: Sequence[float], freedoms: Sequence[float]) -> Prior:
    """d₀ and s₀² from the mean and the variance of the logarithms of sample variances.

    e = ln s² − ψ(d/2) + ln(d/2) has the variance ψ'(d/2) + ψ'(d₀/2). Where the e differ less than chance alone would
    have it, d₀ is unbounded and s₀² the pooled variance; d₀ is `MOST_PRIOR` at most. It is 0 for fewer than three
    variances (the residuals of two are mirror images: one observation), and where more than half are exactly zero:
    those that are not are no like of theirs.
    """
    told = [(s, d) for s, d in zip(variances, freedoms, strict=True) if d >= LEAST]
    if len(variances) < 3 or len(told) < 2 or not (typical := median(s for s, _ in told)) > 0:
        return Prior(freedom=0.0, variance=0.0)
    shift = {d: math.log(d / 2) - _polygamma(0, d / 2) for _, d in told}
    logs = [math.log(max(s, OFFSET * typical)) + shift[d] for s, d in told]
    mean = math.fsum(logs) / len(logs)
    spread = math.fsum((log - mean) ** 2 for log in logs) / (len(logs) - 1)
    excess = spread - math.fsum(_polygamma(1, d / 2) for _, d in told) / len(logs)
    if excess <= 0:
        pooled = math.fsum(d * s for s, d in told) / math.fsum(d for _, d in told)
        return Prior(freedom=MOST_PRIOR, variance=pooled)
    half = trigamma_inverse(excess)
    return Prior(freedom=min(2 * half, MOST_PRIOR), variance=math.exp(mean + _polygamma(0, half) - math.log(half)))


def trigamma_inverse(value: float) -> float:
    """The y whose trigamma is `value`: Newton's method on 1/ψ', which is convex (Smyth 2004, appendix)."""
    if value > 1e7:  # where trigamma(y) is 1/y², and 1/y below 1e-6
        return 1 / math.sqrt(value)
    if value < 1e-6:
        return 1 / value
    y = 0.5 + 1 / value
    for _ in range(50):
        here = _polygamma(1, y)
        step = here * (1 - here / value) / _polygamma(2, y)
        y += step
        if -step < 1e-8 * y:
            break
    return y


def _polygamma(order: int, value: float) -> float:
    """Digamma, trigamma, tetragamma: orders 0, 1 and 2."""
    from scipy import special  # pyright: ignore[reportMissingTypeStubs]

    return float(special.polygamma(order, value))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
