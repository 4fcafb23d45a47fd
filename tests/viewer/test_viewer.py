"""A run as Neuroglancer asks for it: over HTTP, from the address that is printed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from view import main, view

from connectomics.data.cache_key import CacheKey
from connectomics.data.identity import identify
from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.data.io.sharded import create_sharded
from connectomics.decoding import read_table, synapse_table, write_table
from connectomics.errors import DataError, MachineError
from connectomics.geometry import VoxelGrid, block_boxes
from connectomics.neuroglancer.link import link, position_at
from connectomics.viewer import find_volumes, serve
from connectomics.viewer.showing import view_state

NM = (30.0, 8.0, 8.0)
SHAPE = (6, 70, 90)
PLACE = {"resolution": NM, "offset_nm": (60.0, 0.0, 16.0)}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of one volume, sections 2 to 7 of ten."""
    image = np.random.default_rng(0).integers(0, 255, (10, 70, 90), np.uint8)
    save_volume(tmp_path / "em.h5", image, resolution=NM)
    labels = np.zeros(SHAPE, np.uint16)
    labels[2, 10:14, 10:20], labels[2, 14:18, 10:20] = 1, 2
    labels[4:, 60:64, 70:80] = 3
    from connectomics.geometry import Box

    with open_volume(tmp_path / "em.h5") as volume:
        part = volume.crop(Box((2, 0, 0), (8, 70, 90)))
        about = CacheKey(volumes={"image": identify(part)}).attributes()
    folder = tmp_path / "run" / "results" / "em"
    place = {"resolution": NM, "offset_nm": (60.0, 0.0, 0.0)}
    folder.mkdir(parents=True)
    save_volume(folder / "labels.h5", labels, attributes=about, **place)
    probabilities = np.random.default_rng(1).random((3, *SHAPE)).astype(np.float16)
    save_volume(folder / "probabilities.h5", probabilities, attributes=about, **place)
    write_table(synapse_table(labels, **place), folder / "synapses.csv")
    return tmp_path / "run"


@pytest.fixture
def address(run: Path) -> Iterator[str]:
    with serve(find_volumes(run)) as server:
        yield server.address


def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_every_layer_is_what_the_run_holds(run: Path, address: str, tmp_path: Path) -> None:
    pytest.importorskip("obstore")
    folder = run / "results" / "em"
    with open_volume(f"{address}/em/em") as em, open_volume(tmp_path / "em.h5") as image:
        assert (em.resolution, em.offset_nm) == (NM, (60, 0, 0))
        np.testing.assert_array_equal(em.read(), image.read()[2:8])
    for name in ("labels", "probabilities"):
        with (
            open_volume(f"{address}/em/{name}") as seen,
            open_volume(folder / f"{name}.h5") as made,
        ):
            np.testing.assert_array_equal(seen.read(), made.read())
            assert (seen.resolution, seen.offset_nm) == (NM, (60, 0, 0))


def test_sides_are_one_for_pre_and_two_for_post(run: Path, address: str) -> None:
    pytest.importorskip("obstore")
    with open_volume(f"{address}/em/sides") as sides:
        seen = sides.read()
    assert (seen[2, 10, 10], seen[2, 14, 10], seen[4, 60, 70], seen[0, 0, 0]) == (1, 2, 1, 0)
    assert (seen == 1).sum() == 4 * 10 + 2 * 4 * 10


def test_of_a_large_volume_the_surest_synapse_is_shown(run: Path, monkeypatch) -> None:
    monkeypatch.setattr("connectomics.viewer.showing.WINDOW", (7, 12))
    table = read_table(run / "results" / "em" / "synapses.csv")
    table.loc[:, "confidence"] = [0.2, 0.9]
    write_table(table, run / "results" / "em" / "synapses.csv")
    (shown,) = find_volumes(run)
    state = view_state(shown, "http://h")
    place = table.loc[1, ["centre_x_nm", "centre_y_nm", "centre_z_nm"]].to_numpy(float)
    assert state["position"] == [x / nm + 0.5 for x, nm in zip(place, (8, 8, 30), strict=True)]
    assert state["crossSectionScale"] == 1


def test_grey_values_of_an_em_that_is_all_one_or_holds_floats(run: Path, tmp_path: Path) -> None:
    def shown_range(image: np.ndarray) -> object:
        save_volume(tmp_path / "em.h5", image, resolution=NM, overwrite=True)
        (shown,) = find_volumes(run)
        layers = {one["name"]: one for one in view_state(shown, "http://h")["layers"]}
        return layers["em"].get("shaderControls")

    ramp = np.broadcast_to(np.linspace(-1, 3, 90, dtype=np.float32), (10, 70, 90))
    assert shown_range(ramp) == {"normalized": {"range": pytest.approx([-1, 3])}}
    assert shown_range(np.full((10, 70, 90), 7, np.uint8)) is None


def test_the_viewer_itself_from_this_machine(run: Path, monkeypatch, capsys) -> None:
    states = []
    page = SimpleNamespace(
        set_state=states.append, get_viewer_url=lambda: "http://127.0.0.1:9/v/1/"
    )
    monkeypatch.setitem(sys.modules, "neuroglancer", SimpleNamespace(Viewer=lambda: page))
    stop = threading.Event()
    stop.set()
    view([str(run), "viewer=local"], stop)
    said = capsys.readouterr().out
    assert "  http://127.0.0.1:9/v/1/\n" in said
    assert "from the web" not in said
    assert [layer["name"] for layer in states[0]["layers"]][-1] == "synapses"
    monkeypatch.setitem(sys.modules, "neuroglancer", None)
    assert main([str(run), "viewer=local"]) == 2
    assert 'pip install "neuroglancer>=2.40"' in capsys.readouterr().err


def test_an_em_that_does_not_say_its_voxel_size_lies_where_its_results_do(
    run: Path, tmp_path: Path
) -> None:
    image = read_volume(tmp_path / "em.h5")
    save_volume(tmp_path / "em.h5", image, overwrite=True)
    (shown,) = find_volumes(run)
    for volume in shown.volumes.values():
        assert (volume.resolution, volume.offset_nm) == (NM, (60, 0, 0))
        volume.close()


def test_a_page_from_the_web_may_ask_and_for_parts(address: str) -> None:
    status, whole, headers = get(f"{address}/em/synapses/info")
    assert status == 200
    assert json.loads(whole)["@type"] == "neuroglancer_annotations_v1"
    assert headers["Access-Control-Allow-Origin"] == "*"
    shard = f"{address}/em/synapses/by_id/0.shard"
    content = get(shard)[1]
    status, part, headers = get(shard, Range="bytes=4-19")
    assert (status, part) == (206, content[4:20])
    assert headers["Content-Range"] == f"bytes 4-19/{len(content)}"
    assert get(shard, Range=f"bytes={len(content)}-")[0] == 416
    asked = urllib.request.Request(shard, method="OPTIONS", headers={"Origin": "https://h.org"})
    with urllib.request.urlopen(asked) as answer:
        assert answer.headers["Access-Control-Allow-Private-Network"] == "true"


@pytest.mark.parametrize(
    "path",
    [
        "em/labels/../../../em.h5",
        "..%2F..%2Fetc/passwd",
        "em/synapses/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/etc/passwd",
        "em/labels/8_8_30/0-64_0-64_2-9",
        "em/labels/8_8_30/1-65_0-64_2-8",
        "em/labels/8_8_30/nonsense",
        "em/nothing",
        "",
    ],
)
def test_nothing_else_is_served(address: str, path: str) -> None:
    assert get(f"{address}/{path}")[0] == 404


def test_only_who_knows_the_address_is_served(address: str) -> None:
    root = address.rpartition("/")[0]
    assert root.startswith("http://127.0.0.1:")
    for guess in ("", "em/em/info", "wrong/em/em/info"):
        assert get(f"{root}/{guess}")[0] == 404


def test_the_link_shows_all_layers_at_the_middle(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = threading.Event()
    stop.set()
    view([str(run), "viewer=https://viewer.example/", "volume=em"], stop)
    said = capsys.readouterr().out
    assert "em: em, probabilities, sides, labels, synapses\n" in said
    assert "the data stay on this machine" in said
    (url,) = (line.strip() for line in said.splitlines() if "viewer.example" in line)
    assert re.fullmatch(r"https://viewer.example/#!http://127.0.0.1:\d+/[\w-]+/em/view.json", url)


def test_the_view_shows_all_layers_at_the_section_of_the_surest_synapse(address: str) -> None:
    status, content, headers = get(f"{address}/em/view.json")
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")
    state = json.loads(content)
    url = link("https://viewer.example/", state)
    assert state["dimensions"] == {"x": [8e-9, "m"], "y": [8e-9, "m"], "z": [3e-8, "m"]}
    assert state["position"] == [45, 35, 4.5]  # synapse 1 lies in section 2 of those from 2 on
    assert state["crossSectionScale"] == pytest.approx(70 / 700)
    layers = {layer["name"]: layer for layer in state["layers"]}
    kinds = {name: layer["type"] for name, layer in layers.items()}
    assert kinds == {
        "em": "image",
        "probabilities": "image",
        "sides": "image",
        "labels": "segmentation",
        "synapses": "annotation",
    }
    assert layers["em"]["source"].startswith("precomputed://http://127.0.0.1:")
    assert layers["synapses"]["linkedSegmentationLayer"]["pre_segment"] == "labels"
    assert layers["synapses"]["filterBySegmentation"] == ["pre_segment", "post_segment"]
    low, high = layers["em"]["shaderControls"]["normalized"]["range"]
    assert 0 <= low < 2  # of 0 to 254, all alike often
    assert 252 < high <= 254
    assert position_at(url, (60.0, 8.0, 80.0)) == [10.5, 1.5, 2.5]


def test_an_em_that_is_gone_is_said(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "em.h5").unlink()
    stop = threading.Event()
    stop.set()
    view([str(run)], stop)
    said = capsys.readouterr().out
    assert "em: probabilities, sides, labels, synapses\n" in said
    assert "the EM is not shown" in said


def test_probabilities_that_were_not_kept_are_said(run: Path):
    (shown,) = find_volumes(run)
    assert not shown.notes
    (run / "results" / "em" / "probabilities.h5").unlink()
    (shown,) = find_volumes(run)
    assert list(shown.volumes) == ["em", "labels"]
    assert shown.notes == ["no probabilities are shown: none were kept"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "nothing: no such folder."),
        (["."], "holds no probabilities or labels"),
        (["run", "volume=en"], "Choices: em."),
        (["run", "prot=3"], "Did you mean 'port'?"),
        (["run", "port=http"], "port=http: is no port."),
        (["run", "viewer=x"], "viewer=x: is no address."),
        (["run", "run"], "names 2 run folders."),
    ],
)
def test_what_can_be_put_right(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments, said
) -> None:
    monkeypatch.chdir(run.parent)
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_port_that_is_taken(run: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(MachineError, match="cannot be used"), serve(find_volumes(run), port):
            pass


def test_a_damaged_result_is_an_error_of_that_chunk(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(find_volumes(run)) as server:

        def fail(box: object) -> None:
            raise DataError("labels.h5", "is damaged.")

        server.layers["em/labels"].volume.read = fail  # pyright: ignore
        status, content, _ = get(f"{server.address}/em/labels/8_8_30/0-64_0-64_2-8")
    assert (status, b"is damaged" in content) == (500, True)
    assert "labels.h5: is damaged." in capsys.readouterr().out


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_ctrl_c_is_its_end_and_other_signals_stop_it(run: Path, monkeypatch, number, status):
    class Signalled:
        def wait(self) -> None:
            os.kill(os.getpid(), number)
            time.sleep(5)

    monkeypatch.setattr("view.Event", Signalled)
    assert main([str(run)]) == status


def lines_for_napari() -> list[str]:
    """What the docs have a person type: for HDF5, and for labels with coarser levels."""
    docs = Path(__file__).parents[2] / "docs" / "formats.md"
    return re.findall(r'^python -c "(import napari.*)"$', docs.read_text(), re.MULTILINE)


def test_the_line_for_napari_opens_the_levels_of_labels(tmp_path: Path, monkeypatch) -> None:
    added = {}

    class Viewer:
        def add_labels(self, levels, **where) -> None:
            added["shapes"] = [level.shape for level in levels]
            added.update(where)

    grid = VoxelGrid(NM, (60.0, 0.0, 0.0))
    shape, block = (32, 1024, 1024), (32, 512, 512)
    store = create_sharded(tmp_path / "labels.zarr", shape, "u1", block, grid=grid, rule="mode")
    monkeypatch.chdir(tmp_path)
    napari = SimpleNamespace(Viewer=Viewer, run=lambda: None)
    monkeypatch.setitem(sys.modules, "napari", napari)
    exec(lines_for_napari()[1], {})
    assert added["shapes"][:2] == [shape, (32, 512, 512)]
    assert len(added["shapes"]) == 1 + len(store.pyramid.factors)
    assert (tuple(added["scale"]), tuple(added["translate"])) == ((30, 8, 8), (60, 0, 0))


def test_the_line_for_napari_lays_points_on_the_voxels_of_the_labels(
    run: Path, tmp_path: Path, monkeypatch
) -> None:
    added = {}

    class Viewer:
        def add_image(self, data, **where) -> None:
            added["em"] = (data.shape, where)

        def add_labels(self, data, **where) -> None:
            added["labels"] = (data.shape, where)

        def add_points(self, points, *, name, **where) -> None:
            added[name] = (np.asarray(points).tolist(), where)

    line, _ = lines_for_napari()
    monkeypatch.chdir(run / "results" / "em")
    Path("em.h5").symlink_to(tmp_path / "em.h5")
    napari = SimpleNamespace(Viewer=Viewer, run=lambda: None)
    monkeypatch.setitem(sys.modules, "napari", napari)
    exec(line, {})
    assert {name: where["scale"] for name, (_, where) in added.items()} == dict.fromkeys(
        ("em", "labels", "pre", "post"), NM
    )
    assert added["labels"][1]["translate"] == added["pre"][1]["translate"] == (60, 0, 0)
    assert len(added["pre"][0]) == 2
    labels = read_volume("labels.h5")
    assert [labels[tuple(map(int, at))] for at in added["pre"][0]] == [1, 3]
    assert [labels[tuple(map(int, at))] for at in added["post"][0]] == [2]


def test_coarser_levels_are_served_too(run: Path, monkeypatch) -> None:
    pytest.importorskip("obstore")
    monkeypatch.setattr("connectomics.data.io.pyramid.WIDEST", 40)
    monkeypatch.setattr("connectomics.data.io.pyramid.SMALLEST", 1)
    folder = run / "results" / "em"
    with open_volume(folder / "labels.h5") as made:
        labels, about, grid = made.read(), made.attributes, made.grid
    (folder / "labels.h5").unlink()
    path, given = folder / "labels.zarr", (labels.shape, labels.dtype, (6, 40, 60))
    store = create_sharded(path, *given, grid=grid, attributes=about, rule="mode")
    for box in block_boxes(labels.shape, store.block):
        store.write(box, labels[box.slices])
    with serve(find_volumes(run)) as server:
        for kind in ("labels", "sides"):
            info = json.loads(server.find(f"em/{kind}/info") or b"")
            sizes = {one["key"]: (one["size"], one["voxel_offset"]) for one in info["scales"]}
            assert sizes == {
                "8_8_30": ([90, 70, 6], [0, 0, 2]),
                "16_16_30": ([45, 35, 6], [0, 0, 2]),
                "32_32_30": ([23, 18, 6], [0, 0, 2]),
            }
        with open_volume(f"{server.address}/em/labels::32_32_30") as seen:
            np.testing.assert_array_equal(seen.read(), read_volume(f"{path}/2"))
            assert seen.read().any()
        assert server.find("em/labels/64_64_30/0-23_0-18_2-8") is None
