# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The `config.json` of Hugging Face transformers, against the weights and the tokenizer.

Only where arithmetic is certain: sizes that the library itself makes a tensor's shape of, for the
families that are named here. A quantised model packs its tensors, and is left alone.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelseal.evidence.compatibility.checked import Checked, shape_text
from modelseal.evidence.compatibility.weights import Weights, read_index
from modelseal.evidence.locks.said import listed
from modelseal.modelpack.plain_files import read_small

MAX_CONFIG_BYTES = 1 << 20
"""Largest `config.json` of transformers that is read."""
MAX_TOKENIZER_BYTES = 48 << 20
"""Largest `tokenizer.json` whose vocabulary is compared; those of a million tokens have 35 MiB."""

_NAME = "config.json"
_TOKENIZERS = (
    *("tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    *("vocab.txt", "vocab.json", "tekken.json", "source.spm"),
)
_EMBEDDINGS = re.compile(
    r"(?:.*\.)?(?:embed_tokens|wte|word_embeddings|embed_in|tok_embeddings)\.weight|lm_head\.weight"
)
# With one of these the shape of embeddings is another one.
_FACTORED = frozenset(
    {"embedding_size", "word_embed_proj_dim", "padded_vocab_size", "text_config"}
    | {"quantization_config"}
)
_LAYER = re.compile(r"model\.layers\.(\d+)\.self_attn\.q_proj\.weight")
# Decoders that share Llama's layout of tensors, and `head_dim` of their config, if any.
_LLAMAS = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "granite", "olmo2"})


def check_transformers(directory: Path, paths: list[str], weights: Weights) -> Checked:
    """Compare `config.json`, the tensors, and the tokenizer."""
    checked = Checked()
    if _NAME not in paths:
        return checked
    config = read_index(directory, _NAME, MAX_CONFIG_BYTES, checked)
    if config is None or not ("model_type" in config or "architectures" in config):
        return checked
    if weights.files and weights.complete:
        _check_dtype(config, weights, checked)
        if "quantization_config" in config:
            checked.leave("shapes", "config.json says that the weights are quantised", where=_NAME)
        else:
            _check_shapes(config, weights, checked)
    elif not weights.files:
        checked.leave(_NAME, "there are no safetensors files to compare it with", where=_NAME)
    _check_tokenizer(directory, paths, config, checked)
    return checked


def _check_dtype(config: Mapping[str, Any], weights: Weights, checked: Checked) -> None:
    said = config.get("torch_dtype") or config.get("dtype")
    counts = weights.counts
    if not isinstance(said, str) or not counts or "quantization_config" in config:
        return
    said = said.removeprefix("torch.")
    most = next(iter(counts))
    if said != most and most and said != "auto":
        checked.contradict(
            "config-dtype-differs",
            f"config.json says {said[:40]}, and most parameters are {most}",
            where=f"{_NAME}: torch_dtype",
            hint=f"write {most} there, or save the weights as {said[:40]}; a runtime converts what "
            "differs, and needs other memory than expected",
        )
    elif said == most:
        checked.hold(f"config.json says {said}, as the weights are")


def _check_shapes(config: Mapping[str, Any], weights: Weights, checked: Checked) -> None:
    expected = dict(_expected(config, weights))
    wrong = [
        f"{name} is {shape_text(found)} instead of {shape_text(wanted)}"
        for name, wanted in expected.items()
        if not _fits(found := weights.tensors[name].shape, wanted)
    ]
    if wrong:
        checked.contradict(
            "config-shape-differs",
            f"config.json and the weights do not fit: {listed(wrong)}",
            where=_NAME,
            hint="config.json is of another model, or the weights are; take both from one place",
        )
    elif expected:
        checked.hold(f"config.json fits the shapes of {len(expected)} tensors")
    else:
        checked.leave(
            "shapes", "no tensor whose shape config.json decides for certain", where=_NAME
        )
    _check_layers(config, weights, checked)


def _fits(found: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    return len(found) == len(wanted) and all(
        isinstance(size, str) or size == is_ for size, is_ in zip(wanted, found, strict=True)
    )


def _expected(
    config: Mapping[str, Any], weights: Weights
) -> Iterator[tuple[str, tuple[int | str, ...]]]:
    """Yield the tensors whose shape the config decides, with that shape."""
    vocabulary, hidden = _size(config, "vocab_size"), _size(config, "hidden_size")
    plain = not _FACTORED & config.keys()
    for name in sorted(weights.tensors):
        if vocabulary and plain and _EMBEDDINGS.fullmatch(name):
            yield name, (vocabulary, hidden or "hidden")
    labels = config.get("id2label")
    for name in ("classifier.weight", "classifier.out_proj.weight", "score.weight"):
        if isinstance(labels, dict) and name in weights.tensors:
            yield name, (len(labels), "hidden")
    if config.get("model_type") in _LLAMAS and hidden and plain:
        yield from _of_llama(config, weights, hidden)


def _of_llama(
    config: Mapping[str, Any], weights: Weights, hidden: int
) -> Iterator[tuple[str, tuple[int | str, ...]]]:
    heads = _size(config, "num_attention_heads")
    key_heads = _size(config, "num_key_value_heads") or heads
    width = _size(config, "head_dim") or (hidden // heads if heads else 0)
    inner = _size(config, "intermediate_size")
    shapes: dict[str, tuple[int | str, ...]] = {}
    if heads and key_heads and width:
        shapes["self_attn.q_proj"] = (heads * width, hidden)
        shapes["self_attn.k_proj"] = shapes["self_attn.v_proj"] = (key_heads * width, hidden)
        shapes["self_attn.o_proj"] = (hidden, heads * width)
    if inner:
        shapes["mlp.gate_proj"] = shapes["mlp.up_proj"] = (inner, hidden)
        shapes["mlp.down_proj"] = (hidden, inner)
    pattern = re.compile(r"model\.layers\.\d+\.(\w+\.\w+)\.weight")
    for name in sorted(weights.tensors):
        match = pattern.fullmatch(name)
        if match and match[1] in shapes:
            yield name, shapes[match[1]]


def _check_layers(config: Mapping[str, Any], weights: Weights, checked: Checked) -> None:
    said = _size(config, "num_hidden_layers")
    found = {int(match[1]) for name in weights.tensors if (match := _LAYER.fullmatch(name))}
    # Some models store more, for another use; fewer are never enough.
    if said and found and config.get("model_type") in _LLAMAS and len(found) < said:
        missing = [str(number) for number in range(min(said, 1000)) if number not in found]
        checked.contradict(
            "config-layers-missing",
            f"config.json says {said} layers, and the weights lack {listed(missing)}",
            where=f"{_NAME}: num_hidden_layers",
            hint="a file with weights is missing, or config.json is of another model",
        )


def _check_tokenizer(
    directory: Path, paths: list[str], config: Mapping[str, Any], checked: Checked
) -> None:
    vocabulary = _size(config, "vocab_size")
    if not vocabulary:
        return
    there = [name for name in _TOKENIZERS if name in paths]
    there += [path for path in paths if path.endswith((".tiktoken", ".spm")) and path not in there]
    if not there:
        checked.lack(
            "tokenizer-missing",
            f"config.json says that the model takes {vocabulary} kinds of tokens, and no tokenizer "
            "is there",
            where=_NAME,
            hint=f"add the tokenizer's files ({', '.join(_TOKENIZERS[:4])} …), or see that "
            "spec.files does not leave them out",
        )
        return
    checked.hold(f"a tokenizer is there: {listed(there)}")
    largest = _largest_token(directory, there, checked)
    if largest is None:
        return
    if largest >= vocabulary:
        checked.contradict(
            "tokenizer-does-not-fit",
            f"the tokenizer has the token {largest}, and config.json says that the model takes "
            f"only those below {vocabulary}",
            where=there[0],
            hint="take the tokenizer that the model was trained with, or resize the embeddings",
        )
    else:
        checked.hold(f"the tokenizer's tokens are all below config.json's {vocabulary}")


def _largest_token(directory: Path, there: list[str], checked: Checked) -> int | None:
    if "tokenizer.json" in there:
        document = read_index(directory, "tokenizer.json", MAX_TOKENIZER_BYTES, checked)
        return None if document is None else _largest_in(document)
    if "vocab.txt" in there:
        raw = read_small(directory, "vocab.txt", limit=MAX_TOKENIZER_BYTES) or b""
        return len(raw.splitlines()) - 1
    checked.leave("the vocabulary's size", f"{there[0]} is not read", where=there[0])
    return None


def _largest_in(document: Mapping[str, Any]) -> int | None:
    """Source: Hugging Face tokenizers: BPE and WordPiece map tokens to numbers, Unigram lists."""
    model = document.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    numbers: list[object] = []
    if isinstance(vocabulary, dict):
        numbers += vocabulary.values()
    elif isinstance(vocabulary, list):
        numbers.append(len(vocabulary) - 1)
    added = document.get("added_tokens")
    if isinstance(added, list):
        numbers += [item.get("id") for item in added if isinstance(item, dict)]
    return max((number for number in numbers if type(number) is int), default=None)


def _size(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    return value if type(value) is int and value > 0 else 0
