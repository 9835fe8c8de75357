"""Matrix products of one pass through a model's linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from halo_timing.accelerator.shapes import LinearLayer, ModelShape
from halo_timing.errors import UsageError

Phase = Literal["prefill", "decode"]
PHASES: tuple[Phase, ...] = ("prefill", "decode")


@dataclass(frozen=True)
class Workload:
    """A pass through a model: every layer once with `vectors` activation vectors.

    Parameters
    ----------
    shape
        The model.
    phase
        ``"prefill"``: all tokens of the prompts at once; ``"decode"``: one new token for each of them.
    batch, sequence
        Prompts, and tokens of each. In decode the length does not matter: only linear layers are counted.
    """

    shape: ModelShape
    phase: Phase
    batch: int = 1
    sequence: int = 2048

    def __post_init__(self) -> None:
        if self.batch < 1 or self.sequence < 1:
            raise UsageError(f"--batch {self.batch}, --sequence {self.sequence}: at least 1 is wanted")

    @property
    def vectors(self) -> int:
        """Activation vectors that go through each layer."""
        return self.batch * self.sequence if self.phase == "prefill" else self.batch

    @property
    def layers(self) -> tuple[LinearLayer, ...]:
        """Layers of the model."""
        return self.shape.layers

    @property
    def macs(self) -> int:
        """Multiplications of the pass."""
        return self.shape.weights * self.vectors
