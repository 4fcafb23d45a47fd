"""The command line, from the outside and, where a mode would run, from the inside."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from main import main

from connectomics import __version__, command
from connectomics.config import MODES, Resolved, load_config
from connectomics.pipeline import stages

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "main.py"
EM_R50 = str(ROOT / "tutorials" / "syn_em_r50.yaml")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch):
    """Run the command in a folder of its own: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as leaving:
            code = leaving.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Resolved, Path | None]]:
    """Record which mode would have run, and with what."""
    calls: list[tuple[str, Resolved, Path | None]] = []
    for mode in MODES:
        monkeypatch.setitem(
            stages.STAGES, mode, lambda resolved, path, mode=mode: calls.append(
                (mode, resolved, path))
        )  # fmt: skip
    return calls


def modules_after(*arguments: str) -> set[str]:
    """The packages that a command has imported."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['main.py', *{arguments!r}]\n"
        "try:\n"
        f"    runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit as leaving:\n"
        "    assert not leaving.code, leaving.code\n"
        "print('MODULES', *{name.split('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_help_imports_next_to_nothing():
    slow = {"torch", "monai", "pytorch_lightning", "hydra", "pydantic", "numpy", "numba", "scipy"}
    assert not modules_after("--help") & slow


@pytest.mark.parametrize("arguments", [("--print-config",), ("--print-config", "--mode", "test")])
def test_looking_at_a_config_does_without_torch_and_readers_of_files(arguments: tuple[str, ...]):
    slow = {"torch", "monai", "pytorch_lightning", "matplotlib", "pandas", "numba", "scipy"}
    slow |= {"h5py", "tifffile", "zarr", "PIL"}  # no file is opened
    assert not modules_after("--config", EM_R50, *arguments) & slow


def test_a_current_folder_that_is_gone(run, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    code, _, err = run("--config", "my.yaml")
    assert (code, err) == (
        2,
        "ConfigError: current folder: is not there any more, or may not be read.\n"
        "  Go to it anew: cd FOLDER\n",
    )


def test_output_may_be_cut_short():
    command = [sys.executable, str(SCRIPT), "--json-schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("script", ["main.py", "view.py", "download_data.py"])
def test_output_that_is_lost_is_a_status(script: str):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    command = [sys.executable, str(SCRIPT.with_name(script)), "--help"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    lost = "standard output: No space left on device. Some of what was printed is lost.\n"
    assert (done.returncode, done.stderr) == (2, lost)


@pytest.mark.parametrize("script", ["main.py", "view.py", "download_data.py"])
def test_a_python_without_the_program_is_told_which_to_take(script: str):
    command = [sys.executable, "-I", "-S", str(SCRIPT.with_name(script)), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "has no connectomics, which this program needs" in done.stderr
    assert ". .venv/bin/activate" in done.stderr


def test_help_lists_modes_and_where_to_read_on(run):
    code, out, _ = run("--help")
    assert code == 0
    assert all(f"\n  {mode} " in out for mode in MODES)
    for place in ("README.md", "tutorials/", "datasets/README.md", "docs/architecture.md"):
        assert place in out


def test_help_shows_what_needs_no_config(run):
    _, out, _ = run("--help")
    for mode in ("evaluate truth=FILE prediction=FILE", "decode labels=FILE output=FOLDER"):
        assert f"main.py --mode {mode}" in out


@pytest.fixture
def installed(capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch):
    """Run the command `connectomics`: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def installed(*arguments: str) -> tuple[int, str, str]:
        try:
            code = command.main(arguments, installed=True)
        except SystemExit as leaving:
            code = leaving.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return installed


@pytest.mark.parametrize("mode", MODES)
def test_the_installed_command_takes_its_mode_first(installed, started, mode: str):
    code, out, err = installed(mode, "--config", EM_R50, "system.seed=5")
    assert (code, out, err) == (0, "", "")
    ((called, resolved, checkpoint),) = started
    assert (called, checkpoint) == (mode, None)
    assert resolved.config.system.seed == 5


def test_the_installed_command_shows_how_it_is_called(installed):
    code, out, _ = installed("--help")
    assert code == 0
    assert out.startswith("usage: connectomics init FILE")
    assert "connectomics MODE --config FILE" in out
    assert "main.py" not in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tran", "--config", EM_R50), "there is no mode 'tran'.\n  Did you mean 'train'?"),
        (("train", "--mode", "test", "--config", EM_R50), "--mode: is given twice."),
        (("train",), "--config: names no file."),
        (("train", "test", "--config", EM_R50), "test"),
    ],
)
def test_the_installed_command_is_called_wrongly(installed, started, arguments, said):
    code, _, err = installed(*arguments)
    assert code == 2
    assert said in err
    assert not started


def test_the_installed_command_works_without_a_config(installed):
    code, out, _ = installed("evaluate", "--print-config")
    assert code == 0
    assert "truth:" in out
    assert installed("--json-schema")[1] == installed("train", "--json-schema")[1]


def test_installing_the_package_gives_the_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["connectomics"].partition(":")
    assert getattr(importlib.import_module(module), function) is command.command


@pytest.mark.slow
def test_an_installed_package_has_its_command_and_tutorials(tmp_path):
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    source = tmp_path / "source"
    for part in ("connectomics", "tutorials"):
        shutil.copytree(ROOT / part, source / part)
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    command_file = target / "bin" / "connectomics"
    (tmp_path / "my.yaml").write_text("defaults: [syn_em_r50, _self_]\nexperiment_name: mine\n")
    done = subprocess.run(
        [sys.executable, command_file, "train", "--config", "my.yaml", "--print-config"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("experiment_name: mine")


def test_version(run):
    assert run("--version") == (0, f"connectomics {__version__}\n", "")


def test_print_config_shows_every_value(run):
    code, out, err = run("--config", EM_R50, "--print-config", "optimization.max_steps=7")
    assert (code, err) == (0, "")
    config = yaml.safe_load(out)
    assert config["optimization"]["max_steps"] == 7
    assert config["optimization"]["scheduler"]["t_max"] == 7
    assert config["inference"]["model"]["channel_activations"] == [
        {"channels": [0, 3], "activation": "sigmoid"}
    ]
    assert set(config) == set(load_config(EM_R50).config.model_dump())


def test_json_schema_is_printed_or_written(run, tmp_path: Path):
    code, out, _ = run("--json-schema")
    assert code == 0
    assert run("--json-schema", "schema.json") == (0, "", "")
    written = json.loads((tmp_path / "schema.json").read_text())
    assert written == json.loads(out)
    assert "default" in written["properties"]
    (tmp_path / "schema.json").write_text(json.dumps({"title": written["title"]}))
    assert run("--json-schema", "schema.json") == (0, "", "")
    assert json.loads((tmp_path / "schema.json").read_text()) == written


def test_json_schema_takes_the_place_of_nothing_else(run, tmp_path: Path):
    for text in ("mine", "[]", '{"title": "mine"}'):
        (tmp_path / "mine.yaml").write_text(text)
        code, _, err = run("--json-schema", "mine.yaml")
        assert code == 2
        assert "mine.yaml: is there already" in err
        assert (tmp_path / "mine.yaml").read_text() == text


def test_json_schema_into_a_place_that_is_none(run, tmp_path: Path):
    (tmp_path / "file").write_text("")
    code, _, err = run("--json-schema", "file/schema.json")
    assert code == 2
    assert err.startswith("DataError: file/schema.json: cannot be written")


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_gets_its_config_and_checkpoint(run, started, mode: str):
    code, out, err = run(
        "decoding.steps[0].kwargs.thres=0.4", "--config", EM_R50, "system.seed=5",
        "--mode", mode, "--checkpoint", "last.ckpt", "data.test.z_range=null",
    )  # fmt: skip
    assert (code, out, err) == (0, "", "")
    ((name, resolved, checkpoint),) = started
    assert (name, resolved.mode, checkpoint) == (mode, mode, Path("last.ckpt"))
    assert resolved.config.system.seed == 5
    assert resolved.config.decoding.steps[0].kwargs == {"thres": 0.4}
    assert resolved.overrides == (
        "decoding.steps[0].kwargs.thres=0.4",
        "system.seed=5",
        "data.test.z_range=null",
    )


def test_train_is_the_default_and_a_checkpoint_is_not_needed(run, started):
    assert run("--config", EM_R50)[0] == 0
    ((name, _, checkpoint),) = started
    assert (name, checkpoint) == ("train", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "ConfigError: --config: names no file.\n"
         f"  Start from a tutorial: --config {EM_R50}\n"
         "  or write one for files of yours: python scripts/main.py --init raw.h5 syn.h5\n"
         "  --help shows what else there is.\n"),
        (["--config", "my.yml"], "ConfigError: my.yml: no such file.\n"),
        (["--config", EM_R50, "--mode", "tset"],
         "ConfigError: --mode: there is no mode 'tset'.\n  Did you mean 'test'?\n"),
        (["--config", EM_R50, "--mod", "test"],
         "ConfigError: --mod: there is no such option.\n  Did you mean '--mode'?\n"),
        (["--config", EM_R50, "--checkpint=x.ckpt"],
         "ConfigError: --checkpint: there is no such option.\n  Did you mean '--checkpoint'?\n"),
        (["--config", EM_R50, "train"],
         "ConfigError: command line: train: is no override.\n  Did you mean --mode train?\n"),
        (["my.yaml"],
         "ConfigError: --config: names no file.\n  Did you mean --config my.yaml?\n"),
        (["--config", EM_R50, "--config", "my.yaml"],
         "ConfigError: --config: is given twice.\n  Keep one of them.\n"),
        (["-c", EM_R50],
         "ConfigError: -c: there is no such option.\n  Did you mean '--config'?\n"),
        (["--config", EM_R50, "--optimization.max_steps=3"],
         "ConfigError: --optimization.max_steps: there is no such option.\n"
         "  Settings have no dashes: optimization.max_steps=3\n"),
        (["--config", EM_R50, "--print-config", "optimization.max_step=3"],
         "ConfigError: command line: optimization.max_step: no such key.\n"
         "  Did you mean 'max_steps'?\n"),
        (["--config", EM_R50, "--print-config", "decoding.steps[0].name=polarity"],
         "ConfigError: command line: decoding.steps[0].name: there is no decoder 'polarity'.\n"),
        (["--config", EM_R50, "--print-config", "evaluation.metrics=[polarty]"],
         "ConfigError: command line: evaluation.metrics[0].name: there is no metric 'polarty'.\n"
         "  Did you mean 'polarity'?\n"),
        (["--config", EM_R50, "--print-config", "data.label_transform.targets=[polarty]"],
         "ConfigError: command line: data.label_transform.targets[0].name: no target is called"),
        (["--config", EM_R50, "--print-config", "data.augmentation.flp={}"],
         "ConfigError: command line: data.augmentation.flp: no such augmentation.\n"),
        (["--config", EM_R50, "model.loss.losses[0].kwargs.pos_wieght=auto"],
         "ConfigError: command line: model.loss.losses[0].kwargs.pos_wieght: "
         "WeightedBCEWithLogitsLoss has no such setting.\n  Did you mean 'pos_weight'?"),
    ],
)  # fmt: skip
def test_mistakes_are_said_in_words(run, started, arguments: list[str], message: str):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(message)
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 12
    assert started == []


def test_an_option_without_its_value(run):
    code, _, err = run("--config")
    assert code == 2
    assert "--config" in err


def test_an_interrupt_leaves_quietly(run, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(stages.STAGES, "train", interrupt)
    assert run("--config", EM_R50) == (130, "", "Interrupted.\n")


def test_from_another_folder_as_a_process(tmp_path: Path):
    (tmp_path / "my.yaml").write_text("defaults: [syn_em_r50, _self_]\nmodle: {}\n")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--config", "my.yaml", "--print-config"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "ConfigError: my.yaml: modle: no such section.\n  Did you mean 'model'?\n"
    )


def test_a_home_folder_is_one_place_wherever_it_is_named(run, started, tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "runs").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    keys = ("image", "label", "mask", "neurons")
    split = {key: f"~/{key}.h5" for key in keys}
    config = {
        "defaults": ["syn_em_r50", "_self_"],
        "save_path": "~/runs",
        "model": {"initial_weights": "~/w.ckpt"},
        "data": {
            "train": split,
            "val": split,
            "test": {**split, "annotations": "~/annotations.h5"},
        },
    }
    (home / "my.yaml").write_text(yaml.safe_dump(config))
    (home / "last.ckpt").write_bytes(b"")
    override = 'data.test.image="~/other.h5"'
    code, _, err = run("--config", "~/my.yaml", "--checkpoint=~/last.ckpt", override)
    assert (code, err) == (0, "")
    ((_, resolved, checkpoint),) = started
    assert checkpoint == home / "last.ckpt"
    assert resolved.config.save_path == str(home / "runs")
    assert resolved.config.model.initial_weights == str(home / "w.ckpt")
    assert resolved.config.data.test.annotations == (str(home / "annotations.h5"),)
    for name in ("train", "val", "test"):
        named = getattr(resolved.config.data, name).model_dump(include={*keys})
        image = "other.h5" if name == "test" else "image.h5"
        assert named.pop("image") == (str(home / image),)
        assert named == {key: (str(home / f"{key}.h5"),) for key in keys[1:]}
    assert run("--json-schema", "~/schema.json")[0] == 0
    assert (home / "schema.json").is_file()
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("mode", ["evaluate", "decode"])
def test_files_at_home_without_a_config(run, tmp_path, monkeypatch, mode: str):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    keys = {
        "evaluate": ("truth", "prediction", "image", "mask", "table", "neurons", "annotations"),
        "decode": ("labels", "neurons"),
    }[mode]
    asked = [f'{key}="~/{key}.h5"' for key in (*keys, "output")]
    metrics = ["metrics=[points,cremi_partners,polarity]"] * (mode == "evaluate")
    code, out, err = run("--mode", mode, "--print-config", *asked, *metrics)
    assert (code, err) == (0, "")
    read = yaml.safe_load(out)
    for key in (*keys, "output"):
        assert read[key] == f"{tmp_path / 'home' / key}.h5"
