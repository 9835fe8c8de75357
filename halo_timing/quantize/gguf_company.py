"""Configuration and tokenizer of a GGUF file as `transformers` wants them beside the weights."""

from __future__ import annotations

import logging
from pathlib import Path

from halo_timing.files import write_json
from halo_timing.quantize.gguf_file import GgufFile

_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def write_company(file: GgufFile, folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Write ``config.json`` and the tokenizer's files, as far as the GGUF file carries them.

    Parameters
    ----------
    file
        The model.
    folder
        Where to write; made if missing.

    Returns
    -------
    files
        What was written, by name.
    notes
        What could not be written, and why, in sentences.
    """
    if not file.transformers_names:
        return {}, (
            f"{file.path.name}: tensors of architecture {file.architecture!r} keep their GGUF names; "
            "only llama is renamed for transformers",
        )
    try:
        from transformers import AutoConfig, AutoTokenizer
        from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    except ImportError:
        return {}, (
            f"{file.path.name}: no config.json and no tokenizer were written, for transformers is not "
            "installed; `pip install 'halo-timing[quality]'`",
        )
    source = {"pretrained_model_name_or_path": str(file.path.parent), "gguf_file": file.path.name}
    folder.mkdir(parents=True, exist_ok=True)
    notes = []
    logging.getLogger("transformers").addFilter(_is_severe)
    try:
        config = AutoConfig.from_pretrained(**source, local_files_only=True).to_diff_dict()
        # Where the file happened to lie is no part of the model.
        config = {key: value for key, value in config.items() if not key.endswith("name_or_path")}
        config["dtype"] = _DTYPES[_widest_dtype(file)]
        config["architectures"] = [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[config["model_type"]]]
        write_json(folder / "config.json", config)
        try:
            AutoTokenizer.from_pretrained(**source, local_files_only=True).save_pretrained(folder)
        except Exception as error:  # whatever the conversion of a foreign vocabulary runs into
            notes.append(
                f"{file.path.name}: no tokenizer was written ({type(error).__name__}: {error}); "
                "take that of the original model"
            )
    finally:
        logging.getLogger("transformers").removeFilter(_is_severe)
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}, tuple(notes)


def _widest_dtype(file: GgufFile) -> str:
    dtypes = {entry.dtype for entry in file.entries.values() if len(entry.shape) == 2}
    return next(dtype for dtype in ("F32", "BF16", "F16") if dtype in dtypes or dtype == "F16")


def _is_severe(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR
