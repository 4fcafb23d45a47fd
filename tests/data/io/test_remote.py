"""Stores at web addresses, from servers on this machine."""

from __future__ import annotations

import multiprocessing
import pickle
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from connectomics.data.cache_key import reading_result
from connectomics.data.identity import identify
from connectomics.data.io import objects, open_volume, save_volume, web_faults
from connectomics.errors import DataError, StoreError, naming
from connectomics.geometry import Box

pytest.importorskip("obstore")

Image = NDArray[np.uint8]
BOX = Box((1, 2, 3), (4, 11, 5))


def message(source: str) -> str:
    with pytest.raises(DataError) as caught:
        open_volume(source)
    return str(caught.value)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket called "scans", and its owner in the environment."""
    for name in (*objects.S3_KEYS, *objects.GS_KEYS, "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    given = {"ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "secret", "REGION": "us-east-1"}
    for name, value in {**given, "ENDPOINT_URL": s3}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    import boto3

    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    client.create_bucket(Bucket="scans")
    return "scans"


def upload(s3: str, folder: Path, prefix: str) -> str:
    import boto3

    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    for file in folder.rglob("*"):
        if file.is_file():
            key = f"{prefix}/{file.relative_to(folder)}"
            client.upload_file(str(file), "scans", key)
    return f"s3://scans/{prefix}"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(serve: Callable[..., str], tmp_path: Path) -> str:
    """The address of a web server for `tmp_path`."""
    return serve(tmp_path, Quiet)


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_in_a_bucket(tmp_path: Path, image: Image, s3: str, bucket: str, version: int) -> None:
    group = zarr.create_group(tmp_path / "em.zarr", zarr_format=version)  # pyright: ignore
    array = group.create_array("volumes/raw", data=image, chunks=(4, 8, 8))
    array.attrs.update({"resolution": [30, 8, 8], "offset": [300, 0, 0]})
    url = upload(s3, tmp_path / "em.zarr", f"v{version}/em.zarr")
    for source in (url, f"{url}::volumes/raw", f"{url}/volumes/raw"):
        volume = open_volume(source)
        assert (volume.resolution, volume.offset_nm) == ((30, 8, 8), (300, 0, 0))
        assert (volume.chunks, volume.gaps, volume.remote) == ((4, 8, 8), None, True)
        assert np.array_equal(volume.read(BOX), image[BOX.slices])
    assert np.array_equal(pickle.loads(pickle.dumps(volume)).read(), image)
    assert "Did you mean 'volumes/raw'?" in message(f"{url}::volumes/rav")


def test_ome_zarr_with_shards_in_a_bucket(
    tmp_path: Path, image: Image, s3: str, bucket: str
) -> None:
    save_volume(tmp_path / "a.zarr", image, resolution=(30, 8, 8), offset_nm=(60, 0, 0))
    group = zarr.open_group(tmp_path / "a.zarr", mode="r+")
    group.create_array("0", data=image, chunks=(2, 2, 2), shards=(4, 6, 8), overwrite=True)
    url = upload(s3, tmp_path / "a.zarr", "a.zarr")
    for source in (url, f"{url}/0"):
        volume = open_volume(source)
        assert (volume.resolution, volume.offset_nm) == ((30, 8, 8), (60, 0, 0))
        assert np.array_equal(volume.read(BOX), image[BOX.slices])


def test_chunks_missing_in_a_bucket(tmp_path: Path, image: Image, s3: str, bucket: str) -> None:
    zarr.create_array(tmp_path / "b.zarr", data=image, chunks=(2, 11, 13))
    (tmp_path / "b.zarr" / "c" / "1" / "0" / "0").unlink()
    assert str(open_volume(upload(s3, tmp_path / "b.zarr", "b.zarr")).gaps) == "1 of its 4 chunks"


@pytest.mark.parametrize("name", ["image_raw", "image_identity", "image_gzip.n5"])
def test_other_stores_in_a_bucket(
    samples: Path, image: Image, s3: str, bucket: str, name: str
) -> None:
    volume = open_volume(upload(s3, samples / name, name))
    assert np.array_equal(volume.read(BOX), image[BOX.slices])
    assert volume.gaps is None


def test_a_volume_in_a_bucket_is_known_by_its_tags(
    tmp_path: Path, image: Image, s3: str, bucket: str
) -> None:
    zarr.create_array(tmp_path / "c.zarr", data=image)
    url = upload(s3, tmp_path / "c.zarr", "c.zarr")
    before = identify(open_volume(url))
    assert before.files
    assert identify(open_volume(url), before) == before
    zarr.create_array(tmp_path / "c.zarr", data=image[::-1], overwrite=True)
    upload(s3, tmp_path / "c.zarr", "c.zarr")
    after = identify(open_volume(url))
    assert (after.path, after.files != before.files) == (before.path, True)
    assert after.content != before.content


def test_what_is_wrong_with_a_bucket(s3: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "s3://nobodys/em.zarr: there is no such bucket" in message("s3://nobodys/em.zarr")
    text = message("s3://scans/nothing.zarr")
    assert "there is no Zarr, N5 or precomputed volume" in text
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    text = message("s3://scans/em.zarr")
    assert "s3://scans/em.zarr: the server cannot be reached" in text
    assert "AWS_ENDPOINT_URL" in text


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("AccessDenied", "the store denies access with these credentials"),
        ("InvalidAccessKeyId", "the store does not know the access key"),
        ("SignatureDoesNotMatch", "the secret key is not the one of the access key"),
        ("ExpiredToken", "the credentials have expired"),
        ("none", "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION"),
    ],
)
def test_credentials(web: str, monkeypatch: pytest.MonkeyPatch, code: str, expected: str) -> None:
    def refuse(self: Quiet) -> None:
        body = f"<Error><Code>{code}</Code></Error>".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    monkeypatch.setattr(Quiet, "do_GET", refuse)
    monkeypatch.setenv("AWS_ENDPOINT_URL", web)
    for name in objects.S3_KEYS:
        monkeypatch.delenv(name, raising=False)
    if code != "none":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    text = message("s3://scans/em.zarr")
    by_store = code not in ("AccessDenied", "none")
    assert text.startswith(f"{'Store' if by_store else 'Data'}Error: s3://scans/em.zarr: ")
    assert expected in text


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ENDPOINT_URL", "localhost:9000", "'localhost:9000' is no address of a server"),
        ("ENDPOINT_URL", "", "is no address of a server"),
        ("ENDPOINT_URL", "http://", "is no address of a server"),
        ("ENDPOINT_URL", "http://h:99999", "is no address of a server"),
        ("ENDPOINT_URL", "http://h:1 ", "is no address of a server"),
        ("ACCESS_KEY_ID", "me\n", "AWS_ACCESS_KEY_ID holds a line break"),
        ("SESSION_TOKEN", "t\n", "AWS_SESSION_TOKEN holds a line break"),
    ],
)
def test_an_environment_that_makes_no_sense(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    """The library panics over these."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv(f"AWS_{name}", value)
    text = message("s3://scans/em.zarr")
    assert text.startswith("DataError: s3://scans/em.zarr: ")
    assert expected in text


def test_a_panic_of_the_library_is_said() -> None:
    panic = type("PanicException", (BaseException,), {})
    expected = pytest.raises(DataError, match="em: the library that reads it gave up: oh")
    with expected, web_faults.reaching("em"):
        raise panic("oh")
    with pytest.raises(KeyboardInterrupt), web_faults.reaching("em"):
        raise KeyboardInterrupt


def test_half_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    assert "AWS_SECRET_ACCESS_KEY is not" in message("s3://scans/em.zarr")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (503, b"", "the server answers with an error (503 Service Unavailable)"),
        (503, b"<Error><Code>SlowDown</Code></Error>", "the store asks for fewer requests"),
        (200, b"<!doctype html>", "the server answers with a web page"),
    ],
)
def test_a_server_that_answers_otherwise(
    web: str, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, expected: str
) -> None:
    def answer(self: Quiet) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    monkeypatch.setattr(Quiet, "do_GET", answer)
    assert f"{web}/em.zarr: {expected}" in message(f"{web}/em.zarr")


def test_a_server_that_does_not_answer(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Quiet, "do_GET", lambda self: time.sleep(1))
    monkeypatch.setattr(objects, "GIVE_UP", timedelta(seconds=0.2))
    assert "the server does not answer in time" in message(f"{web}/em.zarr")


def test_a_connection_that_breaks_off(
    tmp_path: Path, image: Image, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    zarr.create_array(tmp_path / "em.zarr", data=image)
    volume = open_volume(f"{web}/em.zarr")
    monkeypatch.setattr(Quiet, "copyfile", lambda self, source, outputfile: None)
    with pytest.raises(DataError) as caught:
        volume.read()
    assert f"{web}/em.zarr: the connection broke off" in str(caught.value)


def test_shards_from_a_server_without_ranges_are_said(
    tmp_path: Path, image: Image, web: str
) -> None:
    zarr.create_array(tmp_path / "em.zarr", data=image, chunks=(2, 2, 2), shards=(4, 6, 8))
    volume = open_volume(f"{web}/em.zarr")
    with pytest.raises(DataError, match="which a Zarr with shards takes") as caught:
        volume.read()
    assert "nginx" in str(caught.value)


def test_a_store_that_is_down_for_a_moment_is_waited_for(
    tmp_path: Path, image: Image, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    zarr.create_array(tmp_path / "em.zarr", data=image)
    volume = open_volume(f"{web}/em.zarr")
    given, asked = Quiet.send_head, []

    def send_head(self: Quiet):
        asked.append(self.path)
        return self.send_error(503) if len(asked) <= objects.TRIES + 2 else given(self)

    monkeypatch.setattr(Quiet, "send_head", send_head)
    assert np.array_equal(volume.read(), image)


def test_a_store_that_stays_away_is_none_of_its_objects_fault(
    tmp_path: Path, image: Image, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "DOWN", timedelta(seconds=1.5))
    zarr.create_array(tmp_path / "em.zarr", data=image)
    volume, asked = open_volume(f"{web}/em.zarr"), []

    def send_head(self: Quiet):
        asked.append(time.monotonic())
        return self.send_error(503)

    monkeypatch.setattr(Quiet, "send_head", send_head)
    with pytest.raises(StoreError), naming("p.zarr"), reading_result(tmp_path, "infer"):
        volume.read()
    assert asked[-1] - asked[0] > 0.5  # it is asked again for as long as that takes
    assert len(asked) > 2
    monkeypatch.setattr(Quiet, "send_head", lambda self: self.send_error(403))
    with pytest.raises(DataError) as caught:
        volume.read()
    assert not isinstance(caught.value, StoreError)


def test_zarr_from_a_web_server(tmp_path: Path, image: Image, web: str) -> None:
    save_volume(tmp_path / "em.zarr", image, resolution=(30, 8, 8))
    for source in (f"{web}/em.zarr", f"{web}/em.zarr/0"):
        volume = open_volume(source)
        assert volume.resolution == (30, 8, 8)
        assert np.array_equal(volume.read(BOX), image[BOX.slices])
    assert identify(volume).content == identify(open_volume(tmp_path / "em.zarr")).content
    group = zarr.create_group(tmp_path / "two.zarr", zarr_format=2)
    for name in ("raw", "labels"):
        group.create_array(name, data=image)
    assert f"A web server lists no arrays: name one, {web}/two.zarr::PATH" in message(
        f"{web}/two.zarr"
    )
    assert np.array_equal(open_volume(f"{web}/two.zarr/raw").read(), image)
    zarr.consolidate_metadata(tmp_path / "two.zarr")
    assert f"{web}/two.zarr::raw  (7 x 11 x 13, uint8)" in message(f"{web}/two.zarr")


def test_other_stores_from_a_web_server(
    tmp_path: Path, samples: Path, image: Image, web: str
) -> None:
    (tmp_path / "em").symlink_to(samples / "image_png")
    (tmp_path / "em.n5").symlink_to(samples / "image_xz.n5")
    for source in ("em", "em.n5/volumes/raw"):
        assert np.array_equal(open_volume(f"{web}/{source}").read(), image)
    assert "there is no Zarr" in message(f"{web}/nothing")


def test_a_server_that_goes_away_while_it_is_read(
    tmp_path: Path, image: Image, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    zarr.create_array(tmp_path / "em.zarr", data=image)
    volume = open_volume(f"{web}/em.zarr")
    monkeypatch.setattr(Quiet, "send_head", lambda self: self.send_error(403))
    with pytest.raises(DataError) as caught:
        volume.read()
    assert f"{web}/em.zarr: the server does not let this be read" in str(caught.value)


def _read(source: str, queue: multiprocessing.SimpleQueue[str]) -> None:
    try:
        queue.put(str(open_volume(source).read().sum()))
    except DataError as error:
        queue.put(str(error))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes(tmp_path: Path, image: Image, web: str, method: str) -> None:
    zarr.create_array(tmp_path / "em.zarr", data=image)
    open_volume(f"{web}/em.zarr").read()
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    process = context.Process(target=_read, args=(f"{web}/em.zarr", queue))
    process.start()
    process.join(60)
    text = queue.get()
    assert "forked" in text if method == "fork" else text == str(image.sum())


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore.store", None)
    text = message("https://example.org/em.zarr")
    assert "needs obstore, which is not installed" in text
    assert 'pip install "obstore>=0.6"' in text
