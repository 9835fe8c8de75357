"""Linear layers of a transformer: from published shapes, a config.json, or the headers of a checkpoint."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from halo_timing.errors import CheckpointError, UsageError
from halo_timing.quantize.checkpoint import Checkpoint
from halo_timing.quantize.selection import reason_left_out
from halo_timing.toml_reader import tomllib

# Families whose feed-forward block has a gate beside its first matrix.
_GATED = frozenset(
    {"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi3", "granite", "olmo2", "smollm3"}
)
_PLAIN = frozenset({"opt", "gpt2", "gpt_neox", "bert", "roberta", "bloom", "starcoder2"})


@dataclass(frozen=True)
class LinearLayer:
    """`count` equal matrices of `outputs` x `inputs` weights."""

    name: str
    inputs: int
    outputs: int
    count: int = 1

    @property
    def weights(self) -> int:
        """Weights in all of them."""
        return self.inputs * self.outputs * self.count


@dataclass(frozen=True)
class ModelShape:
    """The linear layers of a model that are quantized; embeddings and head are not among them."""

    name: str
    layers: tuple[LinearLayer, ...]

    @property
    def weights(self) -> int:
        """Weights in all layers."""
        return sum(layer.weights for layer in self.layers)


@lru_cache(maxsize=1)
def published_shapes() -> Mapping[str, ModelShape]:
    """Models whose shapes come along, by name."""
    text = files(__package__).joinpath("shapes.toml").read_text()
    return {name: shape_from_config(name, config) for name, config in tomllib.loads(text).items()}


def find_shape(source: str) -> ModelShape:
    """Shape of a published model by name, or of a config.json, a model folder or a checkpoint by path.

    A checkpoint's headers are preferred to a config.json beside it: they say what is really there.

    Raises
    ------
    UsageError
        If there is neither such a model nor such a path, or a config.json is of an unknown family.
    CheckpointError
        If a checkpoint is damaged.
    """
    if source in published_shapes():
        return published_shapes()[source]
    path = Path(source)
    if not path.exists():
        raise UsageError(
            f"{source}: no such file or folder, and no model of that name ({', '.join(published_shapes())})"
        )
    if path.is_dir() and (path / "config.json").exists() and not list(path.glob("*.safetensors")):
        path /= "config.json"
    if path.suffix == ".json" and not path.name.endswith(".index.json"):
        return shape_from_config(path.parent.resolve().name, _read_config(path))
    return _shape_from_checkpoint(path)


def shape_from_config(name: str, config: Mapping[str, Any]) -> ModelShape:
    """Shape that a config.json describes.

    Raises
    ------
    UsageError
        If a size is missing, or the family is not known.
    """
    family = config.get("model_type")
    if family not in _GATED | _PLAIN:
        raise UsageError(f"{name}: model_type {family!r} is not known here; give the checkpoint itself")
    hidden = _size(name, config, "hidden_size", "n_embd", "d_model")
    blocks = _size(name, config, "num_hidden_layers", "n_layer")
    heads = _size(name, config, "num_attention_heads", "n_head")
    inner = _size(name, config, "intermediate_size", "ffn_dim", "n_inner", default=4 * hidden)
    head_dim = _size(name, config, "head_dim", default=hidden // heads)
    key_values = _size(name, config, "num_key_value_heads", default=heads) * head_dim
    layers = [
        LinearLayer("query", hidden, heads * head_dim, blocks),
        LinearLayer("key", hidden, key_values, blocks),
        LinearLayer("value", hidden, key_values, blocks),
        LinearLayer("output", heads * head_dim, hidden, blocks),
    ]
    if family in _GATED:
        layers.append(LinearLayer("gate", hidden, inner, blocks))
    layers += [LinearLayer("up", hidden, inner, blocks), LinearLayer("down", inner, hidden, blocks)]
    return ModelShape(name, tuple(layers))


def _size(name: str, config: Mapping[str, Any], *keys: str, default: int | None = None) -> int:
    for key in keys:
        value = config.get(key)
        if value is None:
            continue
        if not isinstance(value, int) or value < 1:
            raise UsageError(f"{name}: {key} is {value!r}, a positive number is wanted")
        return value
    if default is None:
        raise UsageError(f"{name}: its configuration has no {keys[0]}; give the checkpoint itself")
    return default


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is not a readable config.json ({error})") from error
    if not isinstance(config, dict):
        raise UsageError(f"{path}: is not a config.json: an object is wanted")
    return config


def _shape_from_checkpoint(path: Path) -> ModelShape:
    checkpoint = Checkpoint.open(path)
    sizes = Counter(
        (entry.shape[1], entry.shape[0])
        for _, entry in checkpoint.entries()
        if reason_left_out(entry) is None
    )
    if not sizes:
        raise CheckpointError(f"{checkpoint.path}: holds no weight matrix of a linear layer")
    layers = tuple(
        LinearLayer(f"{outputs}x{inputs}", inputs, outputs, count)
        for (inputs, outputs), count in sizes.items()
    )
    return ModelShape((path if path.is_dir() else path.parent).resolve().name, layers)
