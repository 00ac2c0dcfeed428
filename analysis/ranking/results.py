"""What a ranking of several arms returns: strengths, contrasts, the test of equality, the win matrix."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from analysis.inference.estimate import Estimate

__all__ = ["ArmStrength", "Contrast", "Equality", "Ranking"]


@dataclass(frozen=True, kw_only=True)
class ArmStrength:
    """One arm of a ranking.

    Parameters
    ----------
    arm : str
    component : int or None
        Group of arms joined by votes; strengths compare inside one group only.
    strength : float or None
        Sum zero within the group; log odds (Bradley-Terry, Davidson) or JOD (Thurstone).
    se : float or None
        Votes independent (inverse information).
    se_clustered : float or None
        Two-way by rater and pair; what ``ci95`` rests on.
    se_bootstrap : float or None
        Raters resampled.
    quasi_se, quasi_se_clustered : float or None
        Square roots of the quasi-variances of either covariance: a difference has about the sum of two as its variance.
    rank : int or None
        1 is the strongest of the group.
    rank_interval : (int, int) or None
        Ranks not excluded by Holm-adjusted contrasts at 5 %, simultaneous over the arms.
    reason : str or None
    """

    arm: str
    component: int | None = None
    strength: float | None = None
    se: float | None = None
    se_clustered: float | None = None
    se_bootstrap: float | None = None
    quasi_se: float | None = None
    quasi_se_clustered: float | None = None
    ci95: tuple[float, float] | None = None
    rank: int | None = None
    rank_interval: tuple[int, int] | None = None
    reason: str | None = None

    def as_json(self) -> dict:
        values = asdict(self)
        for name in ("ci95", "rank_interval"):
            values[name] = None if values[name] is None else list(values[name])
        return values


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The difference ``arm`` minus ``other`` of two strengths, its p-value also adjusted by Holm over the family."""

    arm: str
    other: str
    difference: Estimate
    p_adjusted: float | None

    def as_json(self) -> dict:
        return {
            "arm": self.arm,
            "other": self.other,
            "difference": self.difference.as_json(),
            "p_adjusted": self.p_adjusted,
        }


@dataclass(frozen=True, kw_only=True)
class Equality:
    """Tests that all strengths of a group are equal.

    Parameters
    ----------
    likelihood_ratio, df, p_value : float, int, float
        Chi-square test; treats votes as independent, which is anti-conservative when raters or pairs repeat.
    wald_f, wald_df, wald_p_value : float or None
        F test on the two-way clustered covariance with (df, wald_df) degrees of freedom.
    """

    likelihood_ratio: float
    df: int
    p_value: float
    wald_f: float | None = None
    wald_df: float | None = None
    wald_p_value: float | None = None

    def as_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Strengths of the arms under one model of paired comparisons.

    Parameters
    ----------
    method : str
    arms : tuple of ArmStrength
        In the order of the names.
    position : Estimate
        Advantage d of the left image, on the model's own scale (log odds, or probit units).
    nu : Estimate or None
        Davidson's tie parameter; None in models without ties.
    equality : Equality or None
    contrasts : tuple of Contrast
    covariates : tuple of (str, Estimate)
        What one unit more of a covariate of the image is worth; empty without covariates.
    wins, ties : tuple of tuple of int
        (K, K): how often the row's arm was chosen over the column's; how often the two tied.
    log_likelihood : float or None
        Each vote a single trial.
    n_raters, n_pairs, n_votes : int
        Of the votes that the model uses.
    reason : str or None
    """

    method: str
    arms: tuple[ArmStrength, ...]
    position: Estimate
    nu: Estimate | None
    equality: Equality | None
    contrasts: tuple[Contrast, ...]
    wins: tuple[tuple[int, ...], ...]
    ties: tuple[tuple[int, ...], ...]
    log_likelihood: float | None
    n_raters: int
    n_pairs: int
    n_votes: int
    reason: str | None = None
    covariates: tuple[tuple[str, Estimate], ...] = ()

    def as_json(self) -> dict:
        """Return the mapping of ``report.json``; ``nu`` appears only in models with ties."""
        values = {
            "method": self.method,
            "arms": [arm.as_json() for arm in self.arms],
            "position": self.position.as_json(),
            "equality": None if self.equality is None else self.equality.as_json(),
            "contrasts": [contrast.as_json() for contrast in self.contrasts],
            "wins": [list(row) for row in self.wins],
            "ties": [list(row) for row in self.ties],
            "log_likelihood": self.log_likelihood,
            "n_raters": self.n_raters,
            "n_pairs": self.n_pairs,
            "n_votes": self.n_votes,
            "reason": self.reason,
        }
        if self.covariates:
            values["covariates"] = {name: effect.as_json() for name, effect in self.covariates}
        if self.nu is not None:
            values["nu"] = self.nu.as_json()
        return values
