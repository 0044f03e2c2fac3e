from __future__ import annotations

import hashlib
import json
import logging
import shutil
import sys
import threading
from collections.abc import Iterator
from enum import Enum
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from tiny import Scalar

from cfgtrain.checkpoint.load import (
    _load_checkpoint,
    _load_checkpoint_with_prefix,
    load_checkpoint,
    read_checkpoint,
)
from cfgtrain.checkpoint.model_zoo import mmcv_home
from cfgtrain.checkpoint.save import save_checkpoint
from cfgtrain.checkpoint.schemes import (
    CheckpointLoader,
    checkpoint_exists,
    load_from_ceph,
    load_from_http,
    load_from_pavi,
    local_checkpoint,
    register_scheme,
)
from cfgtrain.errors import ArgumentError, BackendError, CheckpointError
from cfgtrain.fileio import FileClient


@pytest.fixture
def remote() -> str:
    """URI of a checkpoint in a file backend."""
    model = Scalar()
    model.w.data.fill_(3.0)
    save_checkpoint(model, "a.pth", resume={"position": {}})
    FileClient(prefix="memory").put(Path("a.pth").read_bytes(), "memory://weights/a.pth")
    return "memory://weights/a.pth"


def test_weights_are_loaded_from_a_file_backend(remote: str) -> None:
    """Every scheme that FileClient knows can be loaded from, and a damaged file is named by its URI."""
    model = Scalar()
    load_checkpoint(model, remote, strict=True)
    assert model.w.item() == 3.0
    store = FileClient(prefix="memory")
    store.put(bytes(store.get(remote))[:-1], remote)
    with pytest.raises(CheckpointError, match=f"The checkpoint {remote} is damaged"):
        read_checkpoint(remote)


def test_file_url_is_a_local_path() -> None:
    """A ``file://`` URL is opened and checked like a path."""
    torch.save({"w": torch.tensor(2.0)}, "w.pth")
    url = Path("w.pth").absolute().as_uri()
    assert read_checkpoint(url)["w"] == 2.0
    assert checkpoint_exists(url)
    assert not checkpoint_exists(url + "2")


def test_local_file_is_checked_and_remote_file_is_not(remote: str) -> None:
    """Whether a local file exists is known before it is loaded; a remote one is an error only then."""
    assert checkpoint_exists("a.pth")
    assert not checkpoint_exists("b.pth")
    assert checkpoint_exists("memory://weights/b.pth")
    with (
        pytest.raises(CheckpointError, match=r"memory://weights/b\.pth cannot be downloaded"),
        local_checkpoint("memory://weights/b.pth"),
    ):
        pass


def test_unknown_scheme_is_an_error() -> None:
    """A scheme that no backend reads is refused with a suggestion, as is a URI that pathlib has changed."""
    with pytest.raises(BackendError, match=r"reads htps://.*Did you mean 'https'"):
        checkpoint_exists("htps://host/a.pth")
    with pytest.raises(ArgumentError, match="that pathlib has changed"):
        checkpoint_exists(Path("https://host/a.pth"))


def loader_name(path: str) -> str:
    return CheckpointLoader._get_checkpoint_loader(path).__name__


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.pth", "load_from_local"),
        ("~/b.pth", "load_from_local"),
        ("http://host/b.pth", "load_from_http"),
        ("https://host/b.pth", "load_from_http"),
        ("torchvision://resnet50", "load_from_torchvision"),
        ("modelzoo://resnet50", "load_from_torchvision"),
        ("open-mmlab://resnet50", "load_from_openmmlab"),
        ("openmmlab://resnet50", "load_from_openmmlab"),
        ("mmcls://resnet50", "load_from_mmcls"),
        ("pavi://resnet50", "load_from_pavi"),
        ("s3://bucket/b.pth", "load_from_ceph"),
        ("open-mmlab:s3://bucket/b.pth", "load_from_ceph"),
        ("openmmlab:s3://bucket/b.pth", "load_from_ceph"),
        ("ss3://bucket/b.pth", "load_from_local"),
        (" s3://bucket/b.pth", "load_from_local"),
        ("openmmlabs3://bucket/b.pth", "load_from_local"),
        (":s3://bucket/b.pth", "load_from_local"),
    ],
)
def test_the_scheme_selects_the_loader(path: str, name: str) -> None:
    """Each scheme of MMCV has its loader; every other path is that of ``load_from_local``."""
    assert loader_name(path) == name


@pytest.fixture
def schemes() -> Iterator[None]:
    """Put back the registered schemes."""
    before = dict(CheckpointLoader._schemes)
    yield
    CheckpointLoader._schemes.clear()
    CheckpointLoader._schemes.update(before)


@pytest.mark.usefixtures("schemes")
def test_other_code_registers_schemes() -> None:
    """A loader is registered by a call or as a decorator, and receives the path and the map_location."""
    seen = []

    @CheckpointLoader.register_scheme("ftp://")
    def load_from_ftp(filename: str, map_location: Any) -> dict[str, Any]:
        seen.append((filename, map_location))
        return {"state_dict": {"w": torch.tensor(4.0)}}

    model = Scalar()
    load_checkpoint(model, "ftp://host/a.pth")
    assert model.w.item() == 4.0
    assert seen == [("ftp://host/a.pth", "cpu")]
    assert checkpoint_exists("ftp://host/a.pth")
    with pytest.raises(KeyError, match=r"loader for 'ftp://' already: force=True"):
        register_scheme("ftp://", load_from_ftp)
    register_scheme(["ftp://", "ftps://"], lambda *_: [1], force=True)
    with pytest.raises(CheckpointError, match="it contains a list"):
        read_checkpoint("ftps://host/a.pth")
    with pytest.raises(CheckpointError, match="gives no file"), local_checkpoint("ftp://host/a.pth"):
        pass


@pytest.mark.usefixtures("schemes")
def test_the_longer_of_two_prefixes_is_used() -> None:
    """A scheme that begins with another one is found first."""
    register_scheme("a/b", lambda *_: {"short": 1})
    register_scheme("a/b/c", lambda *_: {"long": 1})
    assert read_checkpoint("a/b/c/d") == {"long": 1}
    assert read_checkpoint("a/b/d") == {"short": 1}
    assert list(CheckpointLoader._schemes) == sorted(CheckpointLoader._schemes, reverse=True)


def test_the_loader_logs_the_path(caplog: pytest.LogCaptureFixture) -> None:
    """``CheckpointLoader.load_checkpoint`` and ``_load_checkpoint`` log what they load, as MMCV does."""
    torch.save({"w": torch.tensor(2.0)}, "w.pth")
    with caplog.at_level(logging.INFO, "cfgtrain"):
        assert CheckpointLoader.load_checkpoint("w.pth")["w"] == 2.0
        assert _load_checkpoint("w.pth", "cpu", logging.getLogger("cfgtrain"))["w"] == 2.0
        assert _load_checkpoint("w.pth", logger="silent")["w"] == 2.0
    assert caplog.messages == ["load checkpoint from local path: w.pth"] * 2


def test_weights_of_one_part_are_loaded_by_prefix() -> None:
    """Only whole names match a prefix, the prefix is removed, and none that matches is an error."""
    model = torch.nn.Module()
    model.conv2d = torch.nn.Linear(2, 3)
    model.conv2d_2 = torch.nn.Linear(3, 4)
    save_checkpoint(model, "a.pth")
    for prefix in ("conv2d", "conv2d."):
        found = _load_checkpoint_with_prefix(prefix, "a.pth")
        assert {name: each.shape for name, each in found.items()} == {"weight": (3, 2), "bias": (3,)}
        assert dict(found._metadata) == {"": {"version": 1}}  # type: ignore[attr-defined]  # as torch does
    with pytest.raises(AssertionError, match=r"no weights with the prefix 'conv\.'.*Did you mean 'conv2d'"):
        _load_checkpoint_with_prefix("conv", "a.pth")


# Downloads, from a server on this machine.


class Server(NamedTuple):
    """A web server for one folder.

    Attributes:
        url: Its address.
        folder: The folder.
        requests: The paths that were requested.
    """

    url: str
    folder: Path
    requests: list[str]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server; the cache of torch is in the test's folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder, requests = tmp_path / "served", list[str]()
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Print nothing."""

        def do_GET(self) -> None:
            requests.append(self.path)
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        yield Server(f"http://127.0.0.1:{web.server_port}", folder, requests)
        web.shutdown()
        thread.join()


def serve(server: Server, name: str, value: float = 3.0) -> str:
    """Put a checkpoint on the server and return its URL; ``{hash}`` in the name is replaced."""
    torch.save({"w": torch.tensor(value)}, "new.pth")
    digest = hashlib.sha256(Path("new.pth").read_bytes()).hexdigest()
    name = name.format(hash=digest[:8])
    shutil.move("new.pth", server.folder / name)
    return f"{server.url}/{name}"


@pytest.mark.parametrize("name", ["w.pth", "w-{hash}.pth", "w-20200130.pth"])
def test_a_url_is_downloaded_once(name: str, server: Server) -> None:
    """A file on a web server is kept in the cache of torch.hub."""
    url = serve(server, name)
    for _ in range(2):
        assert read_checkpoint(url)["w"] == 3.0
    assert len(server.requests) == 1
    kept = [path.name for path in Path("torch/hub/checkpoints").glob("*.pth")]
    assert len(kept) == 1
    assert kept[0].endswith(Path(url).name)
    assert (kept[0] == Path(url).name) is ("{hash}" in name)


def test_a_file_that_torch_has_downloaded_is_used(server: Server) -> None:
    """A file whose name has its hash is shared with torch.hub; a file of that name with other content is not."""
    url = serve(server, "w-{hash}.pth")
    cache = Path("torch/hub/checkpoints")
    cache.mkdir(parents=True)
    shutil.copy(server.folder / Path(url).name, cache)
    assert read_checkpoint(url)["w"] == 3.0
    assert server.requests == []
    torch.save({"w": torch.tensor(5.0)}, cache / Path(url).name)
    assert read_checkpoint(url)["w"] == 3.0
    assert len(server.requests) == 1


def test_files_of_one_name_on_two_addresses_are_kept_apart(server: Server) -> None:
    """The cache never gives the file of another address."""
    (server.folder / "b").mkdir()
    first, second = serve(server, "w.pth"), serve(server, "b/w.pth", 4.0)
    assert [read_checkpoint(url)["w"].item() for url in (first, second, first)] == [3.0, 4.0, 3.0]


def test_a_damaged_download_is_named(server: Server) -> None:
    """The message has the file in the cache, because the error stays until that is deleted."""
    url = serve(server, "w.pth")
    read_checkpoint(url)
    (kept,) = Path("torch/hub/checkpoints").absolute().glob("*.pth")
    kept.write_bytes(kept.read_bytes()[:-300])
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(url)
    assert (
        f"The checkpoint {url} cannot be read: its end is missing. The downloaded file is {kept}: delete it"
        in str(caught.value)
    )
    kept.unlink()
    assert read_checkpoint(url)["w"] == 3.0


def test_a_url_that_is_not_there_is_an_error(server: Server) -> None:
    """The message has the URL without password, and nothing is kept."""
    url = f"{server.url}/no.pth".replace("http://", "http://me:secret@")
    with pytest.raises(CheckpointError, match=r"no\.pth cannot be downloaded.*404") as caught:
        read_checkpoint(url)
    assert "secret" not in str(caught.value)
    assert list(Path("torch/hub/checkpoints").glob("*.pth")) == []


def test_model_dir_is_the_cache(server: Server) -> None:
    """``load_from_http`` takes another cache, as in MMCV."""
    assert load_from_http(serve(server, "w.pth"), "cpu", model_dir="mine")["w"] == 3.0
    assert [path.name[9:] for path in Path("mine").glob("*.pth")] == ["w.pth"]


# Names of published weights.


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of MMCV's tables."""
    folder = tmp_path / "mmcv_home"
    folder.mkdir()
    monkeypatch.setenv("MMCV_HOME", str(folder))
    return folder


def test_open_mmlab_names_are_looked_up(home: Path, server: Server) -> None:
    """The table has a URL, or a path relative to itself; a deprecated name is replaced with a warning."""
    torch.save({"w": torch.tensor(7.0)}, home / "local.pth")
    table = {"here": "local.pth", "there": serve(server, "w.pth")}
    (home / "open_mmlab.json").write_text(json.dumps(table))
    (home / "deprecated.json").write_text(json.dumps({"old": "here"}))
    for scheme in ("open-mmlab", "openmmlab"):
        assert read_checkpoint(f"{scheme}://here")["w"] == 7.0
        assert read_checkpoint(f"{scheme}://there")["w"] == 3.0
        assert checkpoint_exists(f"{scheme}://there")
    with pytest.warns(DeprecationWarning, match="open-mmlab://old is deprecated: use here"):
        assert read_checkpoint("open-mmlab://old")["w"] == 7.0
    with pytest.raises(CheckpointError, match=r"open_mmlab\.json has no 'her'. Did you mean 'here'"):
        checkpoint_exists("open-mmlab://her")


def test_only_the_backbone_of_mmcls_is_loaded(home: Path) -> None:
    """``mmcls://`` gives the weights below ``backbone.``, without this prefix."""
    torch.save({"state_dict": {"backbone.w": torch.tensor(7.0), "head.w": torch.tensor(8.0)}}, home / "a.pth")
    (home / "mmcls.json").write_text(json.dumps({"a": str(home / "a.pth"), "b": str(home / "b.pth")}))
    torch.save({"state_dict": {"head.w": torch.tensor(8.0)}}, home / "b.pth")
    assert dict(read_checkpoint("mmcls://a")["state_dict"]) == {"w": 7.0}
    with pytest.raises(CheckpointError, match=r"begin with 'backbone\.'"):
        read_checkpoint("mmcls://b")


@pytest.mark.parametrize(("scheme", "file"), [("open-mmlab", "open_mmlab.json"), ("mmcls", "mmcls.json")])
def test_a_missing_table_says_where_it_belongs(scheme: str, file: str, home: Path) -> None:
    """Cfgtrain has no tables; the error says which file is needed, and where."""
    with pytest.raises(CheckpointError) as caught:
        checkpoint_exists(f"{scheme}://resnet50")
    assert f"needs the file {home / file}" in str(caught.value)
    assert f"mmcv/model_zoo/{file}: copy it there, or set MMCV_HOME" in str(caught.value)
    (home / file).write_text("[1]")
    with pytest.raises(CheckpointError, match="must be a JSON object"):
        checkpoint_exists(f"{scheme}://resnet50")
    (home / file).write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint_exists(f"{scheme}://resnet50")


def test_the_folder_of_the_tables_is_that_of_mmcv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is $MMCV_HOME, else mmcv in $XDG_CACHE_HOME, else ~/.cache/mmcv."""
    for name in ("MMCV_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert mmcv_home() == tmp_path / ".cache" / "mmcv"
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert mmcv_home() == Path("/cache/mmcv")
    monkeypatch.setenv("MMCV_HOME", "~/tables")
    assert mmcv_home() == tmp_path / "tables"


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """The part of torchvision's interface that gives addresses, with one model."""

    class Weight(NamedTuple):
        url: str

    class ResNet50_Weights(Enum):  # noqa: N801  # as in torchvision
        IMAGENET1K_V1 = Weight(serve(server, "v1.pth", 1.0))
        IMAGENET1K_V2 = Weight(serve(server, "v2.pth", 2.0))
        DEFAULT = IMAGENET1K_V2

        @property
        def url(self) -> str:
            return str(self.value.url)

    class MNASNet0_75_Weights(Enum):  # noqa: N801  # likewise; without weights
        pass

    kinds = {"resnet50": ResNet50_Weights, "mnasnet0_75": MNASNet0_75_Weights}
    models = SimpleNamespace(list_models=lambda: list(kinds), get_model_weights=kinds.__getitem__)
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(models=models))


@pytest.mark.usefixtures("torchvision")
def test_torchvision_has_the_addresses() -> None:
    """Names are MMCV's: the weights in any case, ``default``, and none for the first weights of a model."""
    names = {
        "resnet50": 1.0,
        "resnet50.default": 2.0,
        "resnet50.imagenet1k_v1": 1.0,
        "ResNet50_Weights.IMAGENET1K_V2": 2.0,
    }
    for name, value in names.items():
        assert read_checkpoint(f"torchvision://{name}")["w"] == value
    with pytest.warns(DeprecationWarning, match="use torchvision://"):
        assert read_checkpoint("modelzoo://resnet50")["w"] == 1.0
    with pytest.raises(CheckpointError, match=r"torchvision has no 'resnet51'. Did you mean 'resnet50'"):
        checkpoint_exists("torchvision://resnet51")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Schemes that need a package that is not installed say so before anything is loaded."""
    for package in ("torchvision", "pavi"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match="pip install torchvision"):
        checkpoint_exists("torchvision://resnet50")
    with pytest.raises(ImportError, match="needs the package pavi"):
        checkpoint_exists("pavi://resnet50")


def test_pavi_downloads_with_its_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK (here a recorder of its calls) downloads the model; another path is refused."""
    asked = []

    def get(path: str) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(name="a.pth", download=lambda file: torch.save({"w": torch.tensor(2.0)}, file))

    monkeypatch.setitem(sys.modules, "pavi", SimpleNamespace(modelcloud=SimpleNamespace(get=get)))
    assert read_checkpoint("pavi://team/a")["w"] == 2.0
    assert asked == ["team/a"]
    with pytest.raises(AssertionError, match="begins with 'pavi://'"):
        load_from_pavi("MyPaviFolder/a.pth")


def test_ceph_takes_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """``load_from_ceph`` reads through Petrel; ``ceph`` is deprecated and falls back to the others."""
    torch.save({"w": torch.tensor(2.0)}, "w.pth")
    data = Path("w.pth").read_bytes()
    store = SimpleNamespace(Get=lambda *_, **__: data, contains=lambda _: True)
    client = SimpleNamespace(Client=lambda **_: store)
    monkeypatch.setitem(sys.modules, "petrel_client", SimpleNamespace(client=client))
    monkeypatch.setitem(sys.modules, "petrel_client.client", client)
    monkeypatch.setitem(sys.modules, "ceph", None)
    FileClient._instances.clear()
    assert load_from_ceph("s3://bucket/w.pth")["w"] == 2.0
    with pytest.warns(DeprecationWarning, match="use 'petrel'"):
        assert load_from_ceph("s3://bucket/w.pth", None, "ceph")["w"] == 2.0
    with pytest.raises(ValueError, match="backend must be 'petrel' or 'ceph'"):
        load_from_ceph("s3://bucket/w.pth", None, "disk")


NAMES = [
    "CheckpointLoader", "_load_checkpoint", "_load_checkpoint_with_prefix", "get_state_dict",
    "load_checkpoint", "load_state_dict", "register_scheme", "save_checkpoint", "weights_to_cpu",
]  # fmt: skip
MODULE_NAMES = [
    "CheckpointLoader", "DEFAULT_CACHE_DIR", "ENV_MMCV_HOME", "ENV_XDG_CACHE_HOME", "get_deprecated_model_names",
    "get_external_models", "get_mmcls_models", "get_state_dict", "get_torchvision_models", "load_checkpoint",
    "load_from_ceph", "load_from_http", "load_from_local", "load_from_mmcls", "load_from_openmmlab",
    "load_from_pavi", "load_from_torchvision", "load_state_dict", "load_url", "save_checkpoint",
    "weights_to_cpu", "_get_mmcv_home", "_process_mmcls_checkpoint",
]  # fmt: skip


def test_the_names_of_mmcv_are_there() -> None:
    """``cfgtrain.runner`` and ``cfgtrain.runner.checkpoint`` have the names of MMCV."""
    runner, module = (import_module(name) for name in ("cfgtrain.runner", "cfgtrain.runner.checkpoint"))
    assert [name for name in NAMES if not hasattr(runner, name)] == []
    assert [name for name in MODULE_NAMES if not hasattr(module, name)] == []
