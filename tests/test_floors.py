"""Imports go strictly downwards, never in a circle, and numpy rooms never reach torch.

Every import counts, also inside functions: an arrow is an arrow whenever it is followed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = {
    "connectomics.errors": 0,
    "connectomics.checkpoints": 1,
    "connectomics.geometry": 1,
    "connectomics.legal": 1,
    "connectomics.compiling": 1,
    "connectomics.digests": 1,
    "connectomics.naming": 1,
    "connectomics.process": 1,
    "connectomics.arguments": 2,
    "connectomics.config": 2,
    "connectomics.files": 2,
    "connectomics.mapping": 2,
    "connectomics.phantom": 2,
    "connectomics.neuroglancer": 2,
    "connectomics.blocks": 3,
    "connectomics.data": 3,
    "connectomics.devices": 3,
    "connectomics.losses": 3,
    "connectomics.models": 3,
    "connectomics.decoding": 3,
    "connectomics.evaluation": 3,
    "connectomics.runs": 3,
    "connectomics.keeping": 3,
    "connectomics.training": 4,
    "connectomics.inference": 4,
    "connectomics.exchange": 4,
    "connectomics.report": 4,
    "connectomics.scoring": 4,
    "connectomics.tuning": 4,
    "connectomics.viewer": 4,
    "connectomics.pipeline": 5,
    "connectomics.arrays": 6,
    "connectomics.command": 6,
}
SCRIPTS = 7

WITHOUT_TORCH = (
    "connectomics.blocks",
    "connectomics.config",
    "connectomics.decoding",
    "connectomics.evaluation",
    "connectomics.exchange",
    "connectomics.scoring",
    "connectomics.data.io",
    "connectomics.phantom",
    "connectomics.data.processing",
)
LIGHTNING = {"pytorch_lightning", "lightning", "lightning_fabric", "torchmetrics"}
TORCH = {"torch", "torchvision", "pytorch_lightning", "lightning", "monai"}

Graph = dict[str, set[str]]


def import_graph(root: Path) -> Graph:
    """What every module of the package and every script imports, by full name."""
    files = {_module_name(root, file): file for file in _python_files(root)}
    return {name: set(_imports(name, file, files)) for name, file in files.items()}


def _python_files(root: Path) -> Iterator[Path]:
    yield from (root / "connectomics").rglob("*.py")
    yield from (root / "scripts").glob("*.py")


def _module_name(root: Path, file: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(name: str, file: Path, files: dict[str, Path]) -> Iterator[str]:
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                yield submodule if submodule in files else base


def room_of(module: str) -> str | None:
    """The entry of FLOORS that a module belongs to."""
    rooms = [room for room in FLOORS if f"{module}.".startswith(f"{room}.")]
    return max(rooms, key=len, default=None)


def floor_faults(graph: Graph) -> list[str]:
    """Arrows that do not run from a higher floor to a lower one."""
    faults = []
    for module, imported in graph.items():
        if module == "connectomics":
            continue
        room = room_of(module)
        floor = SCRIPTS if module.startswith("scripts.") else FLOORS.get(room or "")
        if floor is None:
            faults.append(f"{module} stands on no floor")
            continue
        for target in sorted(imported):
            other = room_of(target)
            if other is not None and other != room and FLOORS[other] >= floor:
                faults.append(f"{module} (floor {floor}) imports {target} (floor {FLOORS[other]})")
    return faults


def cycles(graph: Graph) -> list[str]:
    """Circles of imports, each once."""
    found, done = [], set()

    def follow(module: str, path: list[str]) -> None:
        if module in path:
            found.append(" → ".join([*path[path.index(module) :], module]))
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                follow(target, [*path, module])
            done.add(module)

    for module in sorted(graph):
        follow(module, [])
    return found


def torch_faults(graph: Graph) -> list[str]:
    """Modules that must do without torch and reach it, with the way they take."""
    faults = []
    for module in sorted(graph):
        if not any(f"{module}.".startswith(f"{room}.") for room in WITHOUT_TORCH):
            continue
        way = _way_to(TORCH, module, graph)
        if way:
            faults.append(" → ".join(way))
    return faults


def _way_to(packages: set[str], module: str, graph: Graph) -> list[str]:
    ways, seen = [[module]], {module}
    while ways:
        way = ways.pop(0)
        # Importing a.b.c runs a and a.b first.
        parts = way[-1].split(".")
        ancestors = {".".join(parts[:n]) for n in range(1, len(parts))}
        for target in sorted(graph.get(way[-1], set()) | (ancestors & graph.keys())):
            if target.split(".")[0] in packages:
                return [*way, target]
            if target in graph and target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


@pytest.fixture(scope="module")
def house() -> Graph:
    return import_graph(ROOT)


def test_imports_run_downwards(house: Graph) -> None:
    assert floor_faults(house) == []


def test_no_import_runs_in_a_circle(house: Graph) -> None:
    assert cycles(house) == []


def test_numpy_rooms_do_without_torch(house: Graph) -> None:
    assert torch_faults(house) == []


def test_predicting_does_without_lightning(house: Graph) -> None:
    # Whose import takes as long as all others together.
    assert _way_to(LIGHTNING, "connectomics.pipeline.predictor", house) == []
    assert _way_to(LIGHTNING, "connectomics.training", house) != []


def test_the_graph_is_not_empty(house: Graph) -> None:
    assert "connectomics.errors" in house["connectomics.config.load"]
    command = house["connectomics.command"]
    assert "connectomics.pipeline.components" in command  # imported inside a function
    assert "connectomics.phantom.specimen" in house["connectomics.phantom"]  # relative
    assert {room_of(module) for module in house} >= FLOORS.keys()


SMALL_HOUSE = (
    "__init__",
    "errors",
    "config/__init__",
    "decoding/__init__",
    "decoding/polarity",
    "evaluation/__init__",
    "data/__init__",
    "data/io/__init__",
    "pipeline/stages",
)


@pytest.fixture
def small_house(tmp_path: Path) -> Path:
    for module in SMALL_HOUSE:
        file = tmp_path / "connectomics" / f"{module}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "main.py").write_text("from connectomics.pipeline import stages\n")
    return tmp_path


def _add(root: Path, module: str, line: str) -> Graph:
    (root / "connectomics" / f"{module}.py").write_text(line)
    return import_graph(root)


def test_a_sound_house_has_no_faults(small_house: Path) -> None:
    graph = _add(small_house, "decoding/polarity", "from connectomics.errors import DataError\n")
    assert floor_faults(graph) == cycles(graph) == torch_faults(graph) == []


@pytest.mark.parametrize(
    ("module", "line", "target"),
    [
        ("errors", "import connectomics.config\n", "connectomics.config"),
        (
            "config/__init__",
            "def f():\n    from connectomics.pipeline import stages\n",
            "connectomics.pipeline.stages",
        ),
        ("decoding/polarity", "from connectomics.evaluation import x\n", "connectomics.evaluation"),
        ("decoding/polarity", "from ..data import io\n", "connectomics.data.io"),
        ("decoding/polarity", "from ..data.io import x\n", "connectomics.data.io"),
    ],
)
def test_an_arrow_that_runs_up_or_across_is_found(
    small_house: Path, module: str, line: str, target: str
) -> None:
    (fault,) = floor_faults(_add(small_house, module, line))
    assert f"imports {target} (floor" in fault


def test_a_module_without_a_floor_is_found(small_house: Path) -> None:
    graph = _add(small_house, "utils", "")
    assert floor_faults(graph) == ["connectomics.utils stands on no floor"]


def test_a_circle_is_found(small_house: Path) -> None:
    _add(small_house, "decoding/steps", "from connectomics.decoding.polarity import x\n")
    graph = _add(small_house, "decoding/polarity", "from connectomics.decoding import steps\n")
    assert cycles(graph) == [
        "connectomics.decoding.polarity → connectomics.decoding.steps "
        "→ connectomics.decoding.polarity"
    ]


@pytest.mark.parametrize("line", ["import torch.nn\n", "def f():\n    from monai import losses\n"])
def test_torch_is_found_where_it_must_not_be(small_house: Path, line: str) -> None:
    (fault,) = torch_faults(_add(small_house, "decoding/polarity", line))
    assert fault.startswith("connectomics.decoding.polarity → ")


def test_torch_is_found_behind_another_module(small_house: Path) -> None:
    graph = _add(small_house, "data/__init__", "import torch\n")
    assert torch_faults(graph) == ["connectomics.data.io → connectomics.data → torch"]
