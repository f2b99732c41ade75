# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import re
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.support.bom import CONSIDERATIONS, facts_in
from tests.support.model_factory import make_model, project_text

from modelseal.evidence.bom.card import card
from modelseal.evidence.bom.facts import Data, Evaluation, Metric, ModelFacts, Text
from modelseal.evidence.bom.markdown import block, code, inline, link, scalar
from modelseal.modelpack.considerations import Considerations, Risk
from modelseal.modelpack.detect import detect
from modelseal.modelpack.project import Dataset, Metadata, Project, Training
from modelseal.oci.descriptor import Digest
from modelseal.oci.reference import DigestReference, Repository

SECTIONS = [
    "Model",
    "Intended use",
    "Limitations and risks",
    "Training",
    "Evaluation",
    "Environment",
    "What it needs",
    "Files",
]
RENDER = MarkdownIt("gfm-like", {"html": True, "linkify": False})
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text(
    "\\`*_[]<>()#+-=.!|~&;:@$1 \n\"'{}x", max_size=40
)


def front_matter(text: str) -> dict[str, object]:
    _, head, _ = re.split(r"^---\n", text, maxsplit=2, flags=re.MULTILINE)
    value = yaml.safe_load(head)
    assert isinstance(value, dict)
    return value


def body(text: str) -> str:
    return re.split(r"^---\n", text, maxsplit=2, flags=re.MULTILINE)[2]


def hostile(text: str) -> ModelFacts:
    """Return facts where everything that somebody may write is `text`."""
    dataset = Dataset(name=text, version=text, license=text, uri=text)
    return ModelFacts(
        project=Project(
            metadata=Metadata(
                name="m",
                version="1.0.0",
                description=text,
                authors=(text,),
                licenses=(text,),
                vendor=text,
                source_url=text,
            ),
            format="onnx",
            task=text,
            training=Training(
                datasets=(dataset,),
                base_model=DigestReference(Repository("r.example", "base"), Digest.of(b"x")),
            ),
            considerations=Considerations(
                users=(text,),
                ethical_considerations=(Risk(name=text, mitigation_strategy=text),),
            ),
        ),
        subject=None,
        repository="",
        data=(Data(dataset=dataset),),
        files={text: Digest.of(b"x")},
        kinds={text: "weight"},
        family=Text(value=text),
        architecture=Text(value=text),
        evaluations=(
            Evaluation(
                path=text,
                digest=Digest.of(b"e"),
                dataset=text,
                metrics=(
                    Metric(name=text, value="0.9720"),
                    Metric(name="f1", value="1", slice=text),
                ),
            ),
        ),
        hyperparameters={text: text},
    )


def test_a_card_says_what_is_known(tmp_path: Path) -> None:
    raw = b'{"dataset": "holdout", "accuracy": 0.9720, "byAge": {"<30": {"f1": "0.50"}}}'
    directory = make_model(
        tmp_path / "m",
        project=project_text() + CONSIDERATIONS,
        extra={"eval/results.json": raw},
    )
    text = card(facts_in(directory)[0])
    assert front_matter(text) == {
        "license": "apache-2.0",
        "pipeline_tag": "tabular-classification",
        "datasets": ["transactions"],
        "base_model": "ghcr.io/acme/base@sha256:" + "3" * 64,
        "model-index": [
            {
                "name": "fraud",
                "results": [
                    {
                        "task": {"type": "tabular-classification"},
                        "dataset": {"name": "holdout", "type": "holdout"},
                        "metrics": [{"type": "accuracy", "value": 0.972}],
                    }
                ],
            }
        ],
    }
    assert "value: 0.9720}" in text  # every digit of it
    for line in (
        "- Parameters: 12 (verified)",
        "- Format: safetensors (verified)",
        "- Supplier: Acme",
        "  - clerks",
        "  - false alarms; mitigation: a clerk looks at each",
        "| accuracy | 0.9720 | holdout | `eval/results.json` |",
        r"| f1 | 0.50 | holdout, byAge/\<30 | `eval/results.json` |",
        "- training: 0.40 kWh, from Acme Power (wind), 0.0001 tCO2eq",
    ):
        assert f"\n{line}\n" in text, line


def test_the_tool_reads_its_own_card(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "m", project=project_text() + CONSIDERATIONS)
    (directory / "README.md").write_text(card(facts_in(directory)[0]), encoding="utf-8")
    found = detect(directory)
    assert found.licenses == ("Apache-2.0",)
    assert found.datasets == ("transactions",)
    assert found.base_models == ("ghcr.io/acme/base@sha256:" + "3" * 64,)


def test_every_section_stands_there_and_says_what_is_not_declared() -> None:
    facts = ModelFacts(
        project=Project(metadata=Metadata(name="m", version="1.0.0"), format=""),
        subject=None,
        repository="",
        files={},
    )
    text = card(facts)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert text.startswith("---\n---\n\n# m\n")
    for title in ("Evaluation", "Environment", "Files"):
        assert f"## {title}\n\nNot declared.\n" in text
    for line in ("- Task: not declared", "- Users: not declared", "- Datasets: not declared"):
        assert f"{line}\n" in text
    assert "Description: not declared." in text


def test_a_card_of_a_card_is_the_same(tmp_path: Path) -> None:
    """It holds nothing of itself: writing it changes nothing that it says."""
    directory = make_model(tmp_path / "m")
    first = card(facts_in(directory)[0])
    (directory / "README.md").write_text(first, encoding="utf-8")
    assert card(facts_in(directory)[0]) == first


@pytest.mark.parametrize(
    ("licenses", "front"),
    [
        (("MIT",), {"license": "mit"}),
        (("MIT", "Apache-2.0"), {"license": "other", "license_name": "MIT AND Apache-2.0"}),
        (("ours: all",), {"license": "other", "license_name": "ours: all"}),
    ],
)
def test_licences_in_the_words_of_the_hub(licenses: tuple[str, ...], front: dict[str, str]) -> None:
    facts = ModelFacts(
        project=Project(
            metadata=Metadata(name="m", version="1.0.0", licenses=licenses), format="onnx"
        ),
        subject=None,
        repository="",
        files={},
    )
    assert front_matter(card(facts)) == front


@settings(max_examples=150, deadline=None)
@given(TEXTS)
@example("<script>alert(1)</script>")
@example("<img src=x onerror=alert(1)>")
@example("[click](javascript:alert(1))")
@example("![x](https://evil.example/track.png)")
@example("x\n\n# Heading\n\n<b>")
@example("---\nlicense: mit\n---")
@example('x"\nlicense: mit\ny: "')
@example("# h")
@example("1. x")
@example("a | b | c")
@example("`` ` `` <b>")
@example("&lt;script&gt;")
@example("https://evil.example/<b>")
@example("[x]: https://evil.example")
@example("***\n===")
@example("\u202egnp.exe\u2066")
@example("$\\href{javascript:alert(1)}{x}$")
@example("x\\")
@example("\\|<b>|")
@example("- [ ] x")
@example("~~~")
def test_a_strangers_text_stays_text(text: str) -> None:
    written = card(hostile(text))
    front = front_matter(written)
    allowed = {"license", "license_name", "pipeline_tag", "datasets", "base_model", "model-index"}
    assert set(front) <= allowed
    if text:
        assert front["pipeline_tag"] == text
        assert front["license_name"] in {text, text.upper()} or front["license"] == "other"
    assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069\x00-\x08\x1b\x9b]", written)

    tokens = RENDER.parse(body(written))
    flat = [*tokens, *(child for token in tokens for child in token.children or ())]
    assert not [token for token in flat if "html" in token.type or token.type == "image"]
    links = [token.attrs["href"] for token in flat if token.type == "link_open"]
    assert set(links) <= {text}  # one that shows where it leads
    assert all(str(link).startswith(("http://", "https://")) for link in links)
    headings = [
        tokens[place + 1].content
        for place, token in enumerate(tokens)
        if token.type == "heading_open"
    ]
    assert headings == ["m", *SECTIONS]
    rows = [token for token in tokens if token.type == "tr_open"]
    assert len(rows) == 3 + 2  # two metrics and one file below their heads
    assert len([token for token in tokens if token.type in {"td_open", "th_open"}]) == 3 * 4 + 2 * 2
    assert not [token for token in flat if token.type in {"s_open", "strong_open", "em_open"}]
    assert not [token for token in tokens if token.type in {"hr", "fence", "code_block"}]


@given(TEXTS)
def test_what_is_shown_is_what_was_written(text: str) -> None:
    (token, *_) = [item for item in RENDER.parse(f"x {inline(text)}") if item.type == "inline"]
    shown = "".join(child.content for child in token.children or ())
    assert shown.split() == ["x", *_seen(text).split()]
    tokens = [item for item in RENDER.parse(f"- {block(text)}") if item.type == "inline"]
    shown = "".join(child.content for token in tokens for child in token.children or ())
    assert shown.split() == _seen(text).split()
    if code(text):
        (token, *_) = [item for item in RENDER.parse(f"x {code(text)}") if item.type == "inline"]
        (span,) = [item for item in token.children or () if item.type == "code_inline"]
        assert span.content.split() == _seen(text).split()


def _seen(text: str) -> str:
    unseen = {"Cc", "Cf", "Cn", "Co", "Zl", "Zp"}
    return "".join(
        "\ufffd" if unicodedata.category(char) in unseen and char not in "\n\t" else char
        for char in text
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_yaml_scalar_reads_as_it_was(text: str) -> None:
    assert yaml.safe_load(scalar(text)) == text
    assert "\n" not in scalar(text)


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://github.com/acme/fraud", "<https://github.com/acme/fraud>"),
        ("javascript:alert(1)", "`javascript:alert(1)`"),
        ("https://a.example/<b>", "`https://a.example/<b>`"),
        ("s3://bucket/x", "`s3://bucket/x`"),
        ("", ""),
    ],
)
def test_only_plain_web_addresses_become_links(url: str, written: str) -> None:
    assert link(url) == written
