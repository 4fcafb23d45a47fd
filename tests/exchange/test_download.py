"""Downloads: whole, broken off and gone on with, changed meanwhile, and refused."""

from __future__ import annotations

import json
import signal
import socket
import sys

import numpy as np
import pytest

from connectomics.errors import ConfigError, DataError
from connectomics.exchange import download as downloads
from connectomics.exchange.download import TRIES, download
from connectomics.exchange.records import Bounds, RemoteFile
from connectomics.process.signals import Stopped

pytest.importorskip("pooch")
BOUNDS = Bounds(file=10**6, unpacked=10**6, members=10)
CONTENT = np.random.default_rng(0).bytes(600_000)


@pytest.fixture
def remote(server):
    return RemoteFile("a.zip", f"{server.url}/a.zip")


def left(folder):
    return sorted(file.name for file in folder.iterdir() if file.name != ".lock")


def test_a_file_is_downloaded_once(server, remote, tmp_path, capsys):
    file = server.add("a.zip", CONTENT)
    assert download(remote, tmp_path, BOUNDS).read_bytes() == CONTENT
    assert left(tmp_path) == ["a.zip"]
    assert download(remote, tmp_path, BOUNDS).read_bytes() == CONTENT
    assert file.asked == [None]
    assert "is there already" in capsys.readouterr().out


def test_a_download_that_breaks_off_goes_on_by_itself(server, remote, tmp_path):
    file = server.add("a.zip", CONTENT, breaks=[100_000, 300_000])
    assert download(remote, tmp_path, BOUNDS).read_bytes() == CONTENT
    assert file.asked == [None, "bytes=100000-", "bytes=400000-"]


def test_a_later_command_goes_on_where_an_earlier_one_stood(server, remote, tmp_path, capsys):
    file = server.add("a.zip", CONTENT, breaks=[250_000] + [0] * 10)
    with pytest.raises(DataError, match=r"600,000|250,000") as refused:
        download(remote, tmp_path, BOUNDS)
    assert "goes on where it stands" in str(refused.value)
    assert left(tmp_path) == ["a.zip.part", "a.zip.part.json"]
    assert len(file.asked) == 1 + TRIES
    file.breaks.clear()
    assert download(remote, tmp_path, BOUNDS).read_bytes() == CONTENT
    assert file.asked[-1] == "bytes=250000-"
    assert "going on at 250 kB" in capsys.readouterr().out
    assert left(tmp_path) == ["a.zip"]


def test_a_signal_leaves_what_is_here(server, remote, tmp_path, monkeypatch):
    write = downloads._write

    def stopped(response, url, state, most):
        write(response, url, state, most)
        raise Stopped(signal.SIGTERM)

    file = server.add("a.zip", CONTENT)
    monkeypatch.setattr(downloads, "_write", stopped)
    with pytest.raises(Stopped, match="The same command goes on where it stands"):
        download(remote, tmp_path, BOUNDS)
    assert left(tmp_path) == ["a.zip.part", "a.zip.part.json"]
    monkeypatch.undo()
    assert download(remote, tmp_path, BOUNDS).read_bytes() == CONTENT
    assert file.asked == [None]


def broken_off(server, remote, tmp_path, **how):
    file = server.add("a.zip", CONTENT, breaks=[250_000] + [0] * 10, **how)
    with pytest.raises(DataError):
        download(remote, tmp_path, BOUNDS)
    file.breaks.clear()
    return file


def test_a_file_that_has_changed_meanwhile_is_not_put_together_of_two(server, remote, tmp_path):
    file = broken_off(server, remote, tmp_path)
    file.content, file.etag = bytes(reversed(CONTENT)), '"2"'
    assert download(remote, tmp_path, BOUNDS).read_bytes() == file.content


@pytest.mark.parametrize("how", [{"ranges": False}, {"etag": ""}, {"etag": 'W/"1"'}])
def test_a_server_that_cannot_go_on_sends_it_from_the_beginning(server, remote, tmp_path, how):
    broken_off(server, remote, tmp_path, **how)
    assert download(remote, tmp_path, BOUNDS).read_bytes() == CONTENT


def test_what_is_left_of_another_address_or_damaged_is_not_used(server, remote, tmp_path):
    broken_off(server, remote, tmp_path)
    state = tmp_path / "a.zip.part.json"
    for text in (
        json.dumps({"url": "http://elsewhere", "mark": '"1"', "total": 600_000}),
        "{",
        "1",
    ):
        (tmp_path / "a.zip.part").write_bytes(b"x" * 1000)
        state.write_text(text)
        assert download(remote, tmp_path, BOUNDS).read_bytes() == CONTENT
        (tmp_path / "a.zip").unlink()


def test_a_part_longer_than_the_file_is_begun_anew(server, remote, tmp_path):
    broken_off(server, remote, tmp_path)
    (tmp_path / "a.zip.part").write_bytes(b"x" * 700_000)
    server.files["a.zip"].status = 200
    assert download(remote, tmp_path, BOUNDS).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "remedy"), [(404, "--from FILE"), (403, "--from FILE"), (503, "Try again later")]
)
def test_a_server_that_refuses(server, remote, tmp_path, status, remedy):
    server.add("a.zip", b"", status=status)
    with pytest.raises(DataError, match=f"the server answers {status}") as refused:
        download(remote, tmp_path, BOUNDS)
    assert remedy in str(refused.value)
    assert not (tmp_path / "a.zip").exists()


def test_a_server_that_sends_round_in_circles(tmp_path, monkeypatch):
    import requests

    def circle(*_, **__):
        raise requests.TooManyRedirects("Exceeded 30 redirects.")

    monkeypatch.setattr(requests, "get", circle)
    with pytest.raises(DataError, match="from one address to the next without end"):
        download(RemoteFile("a.zip", "http://h/a.zip"), tmp_path, BOUNDS)


def test_no_server(tmp_path, server):
    server.http.server_close()
    with pytest.raises(DataError, match=r"refuses the connection\.\n.*--from FILE"):
        download(RemoteFile("a.zip", f"{server.url}/a.zip"), tmp_path, BOUNDS)


def test_no_network(remote, tmp_path, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(
        DataError, match=r"name is not known, as without a network\.\n.*--from FILE"
    ):
        download(remote, tmp_path, BOUNDS)


def test_an_address_that_is_none(tmp_path):
    with pytest.raises(DataError, match="cannot be downloaded"):
        download(RemoteFile("a.zip", "nonsense"), tmp_path, BOUNDS)


@pytest.mark.parametrize("length", [None, 10**12])
def test_more_than_the_dataset_can_hold(server, remote, tmp_path, length):
    server.add("a.zip", CONTENT, length=length)
    with pytest.raises(DataError, match="this dataset has no file of over 1,000"):
        download(remote, tmp_path, Bounds(file=1000, unpacked=1, members=1))
    assert left(tmp_path) == []


def test_without_pooch_the_install_line_is_named(remote, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ConfigError, match=r'pip install "pooch>='):
        download(remote, tmp_path, BOUNDS)
