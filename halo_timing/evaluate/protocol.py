"""Perplexity and divergence of a model with replaced weights, by one stated protocol.

The text is joined, tokenised once, and cut into windows that follow each other without overlap; the tail is
dropped. Every token of a window but the first is predicted from those before it in the same window. The
Kullback-Leibler divergence to the model as it came is taken at every fourth position, from logits in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError
from halo_timing.evaluate.language_model import LanguageModel, import_torch
from halo_timing.files import atomic_path

#: Positions between two at which divergence is measured.
KL_STRIDE = 4

#: Told the windows done so far.
Tell = Callable[[int], None]


@dataclass(frozen=True)
class Likelihood:
    """How well a model predicts a text.

    Parameters
    ----------
    nll
        Mean negative log-likelihood of a token, in nats, of each window.
    kl
        Mean divergence to the reference, in nats, of each window; empty for the reference itself.
    """

    nll: tuple[float, ...]
    kl: tuple[float, ...] = ()

    @property
    def mean_nll(self) -> float:
        """Mean over all windows."""
        return math.fsum(self.nll) / len(self.nll)

    @property
    def perplexity(self) -> float:
        """Exponential of :attr:`mean_nll`."""
        return math.exp(self.mean_nll)

    @property
    def mean_kl(self) -> float | None:
        """Mean over all windows; None for the reference."""
        return math.fsum(self.kl) / len(self.kl) if self.kl else None


def measure_reference(
    language_model: LanguageModel, windows: NDArray[np.int64], logits: Path, tell: Tell | None = None
) -> Likelihood:
    """Run the model as it came, and keep its logits for later comparisons.

    Parameters
    ----------
    language_model
        The model.
    windows
        Token numbers, shape ``(windows, window)``.
    logits
        File to write: float32, shape ``(windows, positions, vocabulary)``, readable with ``numpy.load``.
    tell
        Told before each window.
    """
    losses = []
    with atomic_path(logits) as part:
        kept: NDArray[np.float32] | None = None
        for index, window in enumerate(windows):
            if tell:
                tell(index)
            nll, sample = _run(language_model, window)
            if kept is None:
                shape = (len(windows), *sample.shape)
                kept = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)
            kept[index] = sample
            losses.append(nll)
        del kept
    return Likelihood(tuple(losses))


def measure(
    language_model: LanguageModel, windows: NDArray[np.int64], logits: Path, tell: Tell | None = None
) -> Likelihood:
    """Run a model whose weights or inputs were changed; arguments as for :func:`measure_reference`.

    Raises
    ------
    CheckpointError
        If the model gives NaN or infinities.
    """
    torch = import_torch()
    reference = np.load(logits, mmap_mode="r")
    losses, divergences = [], []
    for index, window in enumerate(windows):
        if tell:
            tell(index)
        nll, sample = _run(language_model, window)
        own = torch.log_softmax(torch.from_numpy(sample), -1)
        other = torch.log_softmax(torch.from_numpy(np.array(reference[index])), -1)
        divergence = (other.exp() * (other - own)).sum(-1).mean(dtype=torch.float64)
        losses.append(nll)
        divergences.append(float(divergence))
        if not math.isfinite(nll + divergences[-1]):
            raise CheckpointError(
                f"{language_model.name}: the model's output is not finite on window {index}"
            )
    return Likelihood(tuple(losses), tuple(divergences))


def _run(language_model: LanguageModel, window: NDArray[np.int64]) -> tuple[float, NDArray[np.float32]]:
    """Loss of one window, and its logits at every fourth position."""
    torch = import_torch()
    tokens = torch.from_numpy(window[None])
    with torch.no_grad():
        logits = language_model.forward(tokens).logits[0].float()
        loss = torch.nn.functional.cross_entropy(logits[:-1], tokens[0, 1:])
    return float(loss), logits[::KL_STRIDE].numpy().copy()
