"""How near the embeddings of an encoder with replaced weights stay to those of the model as it came.

A piece of text is read with the tokens that the model expects around it; its embedding is the mean of the
last hidden states over all tokens, of length 1, as sentence encoders are used. Beside the cosine of each
embedding to its original there is what retrieval sees: how far the cosines between pieces move, and whose
nearest neighbour stays.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import CheckpointError
from halo_timing.evaluate.language_model import LanguageModel, import_torch
from halo_timing.evaluate.protocol import Tell
from halo_timing.files import atomic_path

if TYPE_CHECKING:
    import torch


def embedding(language_model: LanguageModel, tokens: torch.Tensor) -> torch.Tensor:
    """Embed one piece of text.

    Parameters
    ----------
    language_model
        An encoder.
    tokens
        Token numbers, shape ``(1, window)``.

    Returns
    -------
    tensor of float32, shape (hidden,)
        Of length 1.
    """
    mean = language_model.forward(tokens).last_hidden_state[0].float().mean(0)
    result: torch.Tensor = mean / mean.norm()
    return result


def measure_reference_embeddings(
    language_model: LanguageModel, windows: NDArray[np.int64], path: Path, tell: Tell | None = None
) -> dict[str, Any]:
    """Run the model as it came, and keep its embeddings; arguments as of :func:`measure_embeddings`."""
    embeddings = _embed(language_model, windows, tell)
    with atomic_path(path) as part, part.open("wb") as file:
        np.save(file, embeddings)
    return {"hidden": embeddings.shape[1]}


def measure_embeddings(
    language_model: LanguageModel, windows: NDArray[np.int64], path: Path, tell: Tell | None = None
) -> dict[str, Any]:
    """Run an encoder whose weights or inputs were changed.

    Parameters
    ----------
    language_model
        The model.
    windows
        Token numbers, shape ``(windows, window)``.
    path
        Embeddings of the model as it came.
    tell
        Told before each window.

    Returns
    -------
    dict
        ``cosine_distance``, ``window_cosine_distance``, ``similarity_error``, ``neighbours_kept``.

    Raises
    ------
    CheckpointError
        If the model gives NaN or infinities.
    """
    return compare_embeddings(np.load(path), _embed(language_model, windows, tell))


def compare_embeddings(reference: NDArray[np.float32], own: NDArray[np.float32]) -> dict[str, Any]:
    """Figures of embeddings beside those of the model as it came.

    Parameters
    ----------
    reference, own
        Embeddings of length 1, shape ``(pieces, hidden)``.

    Returns
    -------
    dict
        ``window_cosine_distance``, 1 minus the cosine of each piece to its original, and its mean
        ``cosine_distance``; of two and more pieces also ``similarity_error``, root of the mean square by
        which cosines between pieces move, and ``neighbours_kept``, the share of pieces whose nearest other
        piece stays the same.
    """
    # Half the squared distance is the same, and exact where both are nearly equal.
    distances = 0.5 * np.sum((reference - own).astype(np.float64) ** 2, axis=1)
    figures: dict[str, Any] = {
        "cosine_distance": math.fsum(distances) / len(distances),
        "window_cosine_distance": distances.tolist(),
    }
    if len(reference) > 1:
        before, after = (array.astype(np.float64) @ array.T.astype(np.float64) for array in (reference, own))
        pairs = ~np.eye(len(before), dtype=bool)
        figures["similarity_error"] = float(np.sqrt(np.mean((after - before)[pairs] ** 2)))
        nearest = [np.argmax(np.where(pairs, cosines, -np.inf), axis=1) for cosines in (before, after)]
        figures["neighbours_kept"] = float(np.mean(nearest[0] == nearest[1]))
    return figures


def _embed(
    language_model: LanguageModel, windows: NDArray[np.int64], tell: Tell | None
) -> NDArray[np.float32]:
    torch = import_torch()
    embeddings = []
    for index, window in enumerate(windows):
        if tell:
            tell(index)
        with torch.no_grad():
            embeddings.append(embedding(language_model, torch.from_numpy(window[None])).numpy())
        if not np.isfinite(embeddings[-1]).all():
            raise CheckpointError(
                f"{language_model.name}: the model's output is not finite on window {index}"
            )
    return np.stack(embeddings)
