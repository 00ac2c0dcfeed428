"""How far a training is, in numbers and in one line of words."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """How far a run is, given to `on_progress` at every log row and once a second between them.

    Parameters
    ----------
    iteration, iterations : int
        Weight updates done and wanted.
    images_per_second : float
        The rate since the last row.
    seconds_left : float
        What is left at the pace of the whole call.
    metrics : dict
        Of the last log row, or `validation_...` of held-out images; empty before the first.
    is_row : bool
        Whether this is a row of the log; false between two of them.
    """

    iteration: int
    iterations: int
    images_per_second: float
    seconds_left: float
    metrics: dict[str, Any]
    is_row: bool = True

    @property
    def measured(self) -> str:
        """The metrics in one line."""
        shown = {
            "loss": "{:.3f}",
            "accuracy": "{:.1%}",
            "clean_accuracy": "{:.1%}",
            "active_share": "{:.0%}",
            "mse": "{:.4f}",
        }
        parts = self._shown(shown)
        held_out = self._shown(shown | {"robust_accuracy": "{:.1%}"}, of="validation_")
        return ", ".join(parts + ([f"held out: {', '.join(held_out)}"] if held_out else []))

    def _shown(self, forms: dict[str, str], *, of: str = "") -> list[str]:
        """Return the metrics that there are, called by words."""
        known = {name: form for name, form in forms.items() if of + name in self.metrics}
        return [f"{name.replace('_', ' ')} {form.format(self.metrics[of + name])}" for name, form in known.items()]

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.seconds_left), 60)
        left = f"{minutes}:{seconds:02d} left" if self.iteration < self.iterations else ""
        return ", ".join(filter(None, (self.measured, f"{self.images_per_second:.0f} images/s", left)))
