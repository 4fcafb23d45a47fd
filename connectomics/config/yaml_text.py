"""YAML as text: read with a message a person can use, written so that it reads back equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from connectomics.errors import ConfigError, Fault

REMEDIES = {
    "'\\t'": "Indent with spaces; YAML allows no tabs.",
    "duplicate key": "Keep one of the two.",
    "mapping values are not allowed": "Check the indentation, and put text that holds ': ' in "
    "quotes.",
    "expected <block end>": "Check the indentation of this line and the one above.",
    "could not find expected ':'": "Write 'key: value', with a space after the colon.",
    "expected ',' or": "Close the bracket of this list or map.",
}


def read_yaml(file: Path, shown: str) -> dict[str, Any]:
    """Read a YAML file that holds a map.

    Args:
        file: Where it lies.
        shown: How messages name it.

    Raises:
        ConfigError: It cannot be read, is no YAML, or holds something else.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except yaml.YAMLError as error:
        raise ConfigError.of([syntax_fault(error, file, shown)]) from None
    except UnicodeDecodeError:
        raise ConfigError(shown, "is not text.", "A config is a YAML file in UTF-8.") from None
    except (OSError, OmegaConfBaseException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise ConfigError(shown, f"cannot be read: {reason}.") from None
    if not isinstance(content, dict):
        raise ConfigError(shown, "holds a list.", "A config is a map: 'section: ...' lines.")
    return _with_text_keys(content)


def _with_text_keys(content: Any) -> Any:
    # YAML reads `1:` as a number and `on:` as true; a config has no such keys.
    if isinstance(content, dict):
        return {str(key): _with_text_keys(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_with_text_keys(item) for item in content]
    return content


def syntax_fault(error: yaml.YAMLError, file: Path, shown: str) -> Fault:
    """Say where YAML goes wrong, with the line itself."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Fault(shown, f"is not YAML: {str(error).splitlines()[0]}.")
    problem, mark = str(error.problem), error.problem_mark
    if "expected ':'" in problem and error.context_mark is not None:
        mark = error.context_mark  # where the key stands; the problem shows a line later
    remedy = next((text for sign, text in REMEDIES.items() if sign in problem), "")
    lines = file.read_text(encoding="utf-8").splitlines()
    line = lines[mark.line].strip() if mark.line < len(lines) else "the end of the file"
    return Fault(shown, f"line {mark.line + 1}: {problem}.", f"{line}\n  {remedy}".rstrip())


def write_yaml(tree: dict[str, Any]) -> str:
    """Write nested dicts, lists and plain values; lists of values stay on one line.

    >>> print(write_yaml({"dataloader": {"patch_size": (18, 256, 256), "batch_size": 2}}), end="")
    dataloader:
      patch_size: [18, 256, 256]
      batch_size: 2
    """
    return yaml.dump(
        tree, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True
    )


class _Dumper(yaml.SafeDumper):
    """Quotes what another reader would misread, and keeps short lists on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _style(text: str) -> str | None:
    # Readers of YAML 1.2, Hydra's among them, take 1e-3 for a number; PyYAML would not quote it.
    try:
        float(text)
    except ValueError:
        return None
    return "'"


def _represent_list(dumper: yaml.SafeDumper, items: list[Any] | tuple[Any, ...]) -> yaml.Node:
    on_one_line = not any(isinstance(item, dict) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=on_one_line)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(tuple, _represent_list)
