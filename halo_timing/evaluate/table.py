"""The table of an evaluation, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_BEFORE = ("method", "bits", "HALO's count", "fast share", "sparse", "period ps")
_AFTER = ("SQNR dB", "output error")
#: Of causal models and of encoders: heading, key in a row, and how it is written.
LOSSES = {
    "added_nll": (
        ("added NLL", "added_nll", "+.4f"),
        ("perplexity", "perplexity", ".3f"),
        ("KL", "kl", ".4f"),
    ),
    "cosine_distance": (
        ("1 - cosine", "cosine_distance", ".5f"),
        ("moved", "similarity_error", ".4f"),
        ("neighbours", "neighbours_kept", ".1%"),
    ),
}
_EXPLAINED = {
    "added_nll": "",
    "cosine_distance": "1 - cosine: of a piece's embedding to that of the model as it came, mean. moved: "
    "root mean square by which cosines between pieces move. neighbours: pieces whose nearest other stays. ",
}


def markdown_table(result: Mapping[str, Any]) -> str:
    """Describe an evaluation in Markdown: what was done, one row a method, and what the columns are.

    Parameters
    ----------
    result
        Content of ``evaluation.json``.
    """
    calibration = result["calibration"]
    mapped = [
        name
        for name in result["cost_maps"]
        if any(name in row.get("energy_fj", {}) for row in result["methods"])
    ]
    headings = [*_BEFORE, *(heading for heading, _, _ in LOSSES[result["loss"]]), *_AFTER]
    headings += [f"fJ on {name}" for name in mapped]
    lines = [
        f"# {result['model']}",
        "",
        f"{result['windows']} windows of {result['window']} tokens; {_protocol(result)} Activations "
        f"{result['activations']}{' (8 bits)' if result['activations'] != 'float' else ''}. "
        f"{result['weights']:,} weights in linear layers are quantized; embeddings and head are not.",
        "",
        "No calibration."
        if calibration is None
        else f"Calibration: {calibration['windows']} windows of {calibration['window']} tokens, "
        f"{calibration['gradient_windows']} of them with gradients.",
        "",
        "| " + " | ".join(headings) + " |",
        "|---" + "|---:" * (len(headings) - 1) + "|",
    ]
    lines += ["| " + " | ".join(_cells(row, result["loss"], mapped)) + " |" for row in result["methods"]]
    lines += [
        "",
        f"{_EXPLAINED[result['loss']]}"
        "bits: codebook index, scales, levels and sparse part with its positions, per weight. HALO's count: "
        "whole bits of the index alone. fast share: weights in tiles of the fastest level of their cost map. "
        "period: mean clock period of a weight, sparse part included. output error: energy of the layers' "
        "output error over that of their output, on the evaluated text, mean over layers. fJ: energy "
        "of a weight for each activation that passes, sparse part included, at the nominal voltage.",
        "",
    ]
    for name, cost_map in result["cost_maps"].items():
        levels = ", ".join(
            f"{level['values']} values at {level['period_ps']:.1f} ps" for level in cost_map["levels"]
        )
        lines.append(f"Cost map {name}: {levels}.")
    return "\n".join(lines) + "\n"


def _protocol(result: Mapping[str, Any]) -> str:
    if result["loss"] == "cosine_distance":
        return "embeddings of each, mean of the last hidden states, beside those of the model as it came."
    reference = result["reference"]
    return (
        "each token predicted from those before it in its window. The model as it came: "
        f"NLL {reference['nll']:.4f}, perplexity {reference['perplexity']:.3f}."
    )


def format_losses(row: Mapping[str, Any], loss: str) -> list[str]:
    """Write what a row says of the model's quality, in the order of :data:`LOSSES`."""
    return ["" if row.get(key) is None else format(row[key], form) for _, key, form in LOSSES[loss]]


def _cells(row: Mapping[str, Any], loss: str, energies: Sequence[str]) -> list[str]:
    def number(name: str, digits: int) -> str:
        value = row.get(name)
        return "" if value is None else f"{value:.{digits}f}"

    mapped = bool(row["cost_map"])
    own = row.get("energy_fj", {})
    return [
        f"`{row['name']}`",
        number("effective_bits", 3),
        number("index_bits", 2),
        f"{row['level_shares'][0]:.1%}" if mapped else "",
        f"{row['sparse_share']:.2%}" if mapped else "",
        number("mean_period_ps", 1),
        *format_losses(row, loss),
        number("sqnr_db", 2),
        number("output_error", 5),
        *(f"{own[name]:.0f}" if name in own else "" for name in energies),
    ]
