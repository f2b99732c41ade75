# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Write the benign files of `tests/vectors/scan/benign` with the libraries that write such files.

    python tools/write_scan_vectors.py DIR

In an environment with `requirements-demo.lock`, and with torch for its files; without it those are
left as they are. The scanner's tests read them, and need none of the libraries.
"""

import pickle
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def _numpy(directory: Path) -> None:
    import numpy as np

    values: Any = np.arange(24, dtype="<f4").reshape(4, 6)
    record = np.array(
        [(1, 2.5, "ab"), (2, 3.5, "cd")], dtype=[("n", "<i4"), ("x", "<f8"), ("s", "<U2")]
    )
    for name, array in {
        "float32": values,
        "fortran-order": np.asfortranarray(values),
        "records": record,
        "texts": np.array(["fraud", "no fraud"]),
        "scalar": np.array(3.5),
        "nothing": np.zeros((0, 4)),
        "objects": np.array([1, "two", [3.0]], dtype=object),
    }.items():
        np.save(directory / f"numpy-{name}.npy", array, allow_pickle=True)
    np.savez(directory / "numpy-arrays.npz", a=values, b=record)
    np.savez_compressed(directory / "numpy-compressed.npz", a=values, b=record)
    content = {
        "a": values,
        "n": np.float64(2.5),
        "i": np.int64(3),
        "m": np.ma.array([1, 2]),
    }
    for protocol in range(6):
        path = directory / f"numpy-dict-protocol-{protocol}.pkl"
        path.write_bytes(pickle.dumps(content, protocol))
    generator = np.random.default_rng(42)
    (directory / "numpy-generator.pkl").write_bytes(pickle.dumps(generator, 4))
    (directory / "numpy-random-state.pkl").write_bytes(pickle.dumps(np.random.RandomState(42), 4))


def _scikit_learn(directory: Path) -> None:
    import joblib
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    generator = np.random.default_rng(42)
    features = generator.normal(size=(60, 4))
    labels = (features.sum(axis=1) > 0).astype(int)
    models: Mapping[str, Any] = {
        "regression": LogisticRegression().fit(features, labels),
        "pipeline": make_pipeline(StandardScaler(), LogisticRegression()).fit(features, labels),
        "forest": RandomForestClassifier(3, max_depth=3, random_state=42).fit(features, labels),
    }
    for name, model in models.items():
        for protocol in (2, 5):
            path = directory / f"sklearn-{name}-protocol-{protocol}.pkl"
            path.write_bytes(pickle.dumps(model, protocol))
        joblib.dump(model, directory / f"sklearn-{name}.joblib")
    for method in ("zlib", "gzip", "bz2", "lzma", "xz"):
        joblib.dump(
            models["pipeline"],
            directory / f"sklearn-pipeline.joblib.{method}",
            compress=(method, 3),
        )
    joblib.dump(
        {"labels": np.array(["a", None], dtype=object), "x": features[:2]},
        directory / "joblib-objects.joblib",
    )


def _safetensors(directory: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    weights: dict[str, Any] = {
        "w": np.ones((4, 3), "<f4"),
        "b": np.zeros(3, "<f2"),
        "n": np.zeros((0, 2), "<i8"),
    }
    save_file(weights, directory / "safetensors-weights.safetensors", {"format": "pt"})


def _onnx(directory: Path) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    generator = np.random.default_rng(42)
    features = generator.normal(size=(60, 4)).astype("float32")
    forest = RandomForestClassifier(2, max_depth=2, random_state=42).fit(
        features, features[:, 0] > 0
    )
    (directory / "onnx-forest.onnx").write_bytes(to_onnx(forest, features[:1]).SerializeToString())
    weights = numpy_helper.from_array(np.ones((4, 300), "float32"), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 300])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(
        model,
        str(directory / "onnx-external.onnx"),
        save_as_external_data=True,
        location="onnx-external.onnx_data",
    )


def _torch(directory: Path) -> None:
    import torch

    torch.manual_seed(42)
    layer = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    torch.save(layer.state_dict(), directory / "torch-state.pt")
    torch.save(
        layer.state_dict(), directory / "torch-legacy.pt", _use_new_zipfile_serialization=False
    )
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "model": layer.state_dict(),
        "optimizer": optimizer.state_dict(),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "p": torch.nn.Parameter(torch.ones(2)),
    }
    torch.save(checkpoint, directory / "torch-checkpoint.pt")


def main() -> int:
    """Write the files."""
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    makers: tuple[Callable[[Path], None], ...] = (
        _numpy,
        _scikit_learn,
        _safetensors,
        _onnx,
        _torch,
    )
    for make in makers:
        try:
            make(directory)
        except ImportError as error:
            print(f"{error.name} is not there; its files stay as they are", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
