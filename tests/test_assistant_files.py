"""The file systems: like each other, like ARE's, and closed."""

from __future__ import annotations

import gc
import io
import os
import shutil
import zipfile
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pytest_a2perf.domains.assistant.apps import documents, file_system
from pytest_a2perf.domains.assistant.apps.attachments import FileStore
from pytest_a2perf.domains.assistant.apps.file_system import MAX_BYTES
from pytest_a2perf.domains.assistant.apps.files import Files
from pytest_a2perf.domains.assistant.apps.paths import parse, show
from pytest_a2perf.domains.assistant.apps.tools import tools_of
from pytest_a2perf.domains.assistant.apps.virtual_files import VirtualFileSystem
from pytest_a2perf.domains.assistant.errors import ToolError, TraceError
from pytest_a2perf.errors import InfraError

START = 1_700_000_000.0


@dataclass
class Clock:
    now: float = START


def folder(name, *children):
    return {"name": name, "type": "directory", "children": list(children)}


def file(name):
    return {"name": name, "type": "file"}


STATE = {"files": folder("", folder("docs", folder("a"), file("b.txt")), file("z.txt"))}


@pytest.fixture(params=[Files, VirtualFileSystem])
def make(request, tmp_path):
    def make(state=None, clock=None):
        options = {"files": tmp_path / "trial"} if request.param is Files else {}
        app = request.param("Files", clock or Clock(), **options)
        if state is not None:
            app.load_state(state)
        return app

    return make


def put(app, path, content):
    with app.open(path, "wb") as opened:
        opened.write(content)


# -- tools -----------------------------------------------------------------------------------------


def signatures(app):
    return [
        (
            tool.function,
            "W" if tool.write else "R",
            [p.name if p.required else (p.name, p.default) for p in tool.parameters],
        )
        for tool in tools_of(app, "agent")
    ]


def test_the_tools_of_files(tmp_path):
    app = Files("Files", Clock(), files=tmp_path)
    assert signatures(app) == [
        (
            "open",
            "W",
            [
                "path",
                ("mode", "rb"),
                ("block_size", None),
                ("cache_options", None),
                ("compression", None),
            ],
        ),
        ("cat", "R", ["path", ("recursive", False), ("on_error", "raise")]),
        ("mkdir", "W", ["path", ("create_parents", True)]),
        ("makedirs", "W", ["path", ("exist_ok", False)]),
        ("mv", "W", ["path1", "path2", ("recursive", False), ("maxdepth", None)]),
        ("ls", "R", [("path", "."), ("detail", False)]),
        ("rm", "W", ["path", ("recursive", False), ("maxdepth", None)]),
        ("exists", "R", ["path"]),
        ("display", "R", ["path"]),
        ("info", "R", ["path"]),
        ("tree", "R", [("path", ".")]),
        ("read_document", "R", ["file_path", ("max_lines", 20)]),
    ]
    assert tools_of(app, "env") == tools_of(app, "user") == []


def test_the_tools_of_virtual_files():
    app = VirtualFileSystem("Files", Clock())
    assert signatures(app) == [
        ("open", "W", ["path", ("mode", "rb")]),
        ("cat", "R", ["path"]),
        ("mkdir", "W", ["path", ("create_recursive", True)]),
        ("mv", "W", ["path1", "path2"]),
        ("ls", "R", [("path", "."), ("detail", False)]),
        ("rm", "W", ["path", ("recursive", False)]),
        ("rmdir", "W", ["path"]),
        ("exists", "R", ["path"]),
        ("info", "R", ["path"]),
        ("tree", "R", [("path", ".")]),
    ]
    assert tools_of(app, "env") == tools_of(app, "user") == []


def test_every_tool_and_parameter_is_described(make):
    for tool in tools_of(make()):
        assert len(tool.description) > 10
        assert all(parameter.description for parameter in tool.parameters), tool.name
        assert tool.schema()["function"]["parameters"]["additionalProperties"] is False


def test_it_can_hold_attachments(make):
    app = make(STATE)
    assert isinstance(app, FileStore)
    app.write_bytes("docs/b.txt", b"new")
    assert app.read_bytes("/docs/b.txt") == b"new"
    with pytest.raises(ToolError, match="no file or directory /Downloads"):
        app.write_bytes("Downloads/b.txt", b"new")
    with pytest.raises(ToolError, match="not a file"):
        app.write_bytes("/docs", b"new")


# -- what is there ---------------------------------------------------------------------------------


def test_a_state_is_written_as_it_was_read(make):
    assert make(STATE).get_state() == STATE
    assert make().get_state() == {"files": folder("")}
    assert make({}).get_state() == {"files": folder("")}
    app = make(STATE)
    app.load_state({"files": folder("anything", file("only"))})
    assert app.ls() == ["/only"]


def test_files_are_listed(make):
    app = make(STATE)
    assert app.ls() == ["/docs", "/z.txt"]
    assert app.ls("docs/") == app.ls("/docs") == app.ls("/x/../docs") == ["/docs/a", "/docs/b.txt"]
    assert app.ls("z.txt") == ["/z.txt"]
    assert app.ls("/docs/a") == []
    assert app.tree() == ".\n├── docs\n    ├── a\n    └── b.txt\n└── z.txt\n"
    assert app.tree("/docs/") == "/\n├── a\n└── b.txt\n"
    assert app.tree("docs") == "docs\n├── a\n└── b.txt\n"
    assert app.tree("/z.txt") == "z.txt\n└── z.txt\n"
    assert [app.exists(path) for path in (".", "/docs", "z.txt", "/y", "/z.txt/y")] == [
        *(True, True, True),
        *(False, False),
    ]


def test_details_are_of_the_simulated_world(make):
    clock = Clock()
    app = make(STATE, clock)
    clock.now += 60.5
    put(app, "/z.txt", b"12345")
    assert app.info("z.txt") == {
        "name": "/z.txt",
        "size": 5,
        "type": "file",
        "created": START + 60.5,
        "islink": False,
        "mode": 33188,
        "uid": 0,
        "gid": 0,
        "mtime": START + 60.5,
        "ino": 0,
        "nlink": 1,
    }
    assert app.ls("/", detail=True) == [app.info("docs"), app.info("z.txt")]
    assert (app.info("docs")["type"], app.info("docs")["mtime"]) == ("directory", START)
    app.rm("/docs/b.txt")
    assert app.info("docs")["mtime"] == START + 60.5


# -- changes ---------------------------------------------------------------------------------------


def test_files_are_opened(make):
    app = make()
    assert repr(app.open("/new.txt", "w")).startswith("<_io.TextIOWrapper name='/new.txt'")
    assert app.cat("new.txt") == b""
    with app.open("new.txt", "w") as opened:
        opened.write("Grüße\n")
    with app.open("new.txt", "a") as opened:
        opened.write("zwei")
    assert app.cat("new.txt") == "Grüße\nzwei".encode()
    with app.open("new.txt", "r") as opened:
        assert opened.readlines() == ["Grüße\n", "zwei"]
    with app.open("new.txt", "r+b") as opened:
        opened.write(b"X")
        opened.seek(-2, 2)
        opened.truncate()
    assert app.cat("new.txt") == "Xrüße\nzw".encode()
    with app.open("new.txt") as opened, pytest.raises(io.UnsupportedOperation):
        opened.write(b"X")
    with app.open("new.txt", "wb") as opened, pytest.raises(io.UnsupportedOperation):
        opened.read()
    for mode in ("x", "q", "rw", "tb", "+", "", "rbb"):
        with pytest.raises(ToolError):
            app.open("new.txt", mode)
    for mode in ("r", "rb", "r+"):
        with pytest.raises(ToolError, match="no file or directory /y"):
            app.open("/y", mode)
    for path in ("/", "/y/z"):
        with pytest.raises(ToolError):
            app.open(path, "w")
    assert app.ls() == ["/new.txt"]


def test_a_removed_file_is_not_brought_back_by_closing_it(make):
    app = make()
    with app.open("/gone", "wb") as opened:
        opened.write(b"late")
        app.rm("/gone")
    assert app.ls() == []


def test_folders_are_made(make):
    app = make(STATE)
    app.mkdir("/x/y/z")
    assert app.ls("/x/y") == ["/x/y/z"]
    for path in ("/x", "z.txt", "/"):
        with pytest.raises(ToolError, match="exists already"):
            app.mkdir(path)
    for path in ("/z.txt/y", "/z.txt/y/z"):
        with pytest.raises(ToolError, match=r"/z\.txt is not a directory"):
            app.mkdir(path)
    lone = {"create_parents" if isinstance(app, Files) else "create_recursive": False}
    with pytest.raises(ToolError, match="no file or directory /n"):
        app.mkdir("/n/m", **lone)
    app.mkdir("/n", **lone)
    assert app.exists("/n")


def test_folders_are_made_again_only_where_that_is_allowed(tmp_path):
    app = Files("Files", Clock(), files=tmp_path)
    app.makedirs("/x/y")
    with pytest.raises(ToolError, match="exists already"):
        app.makedirs("/x/y")
    app.makedirs("/x/y", exist_ok=True)
    put(app, "/f", b"")
    with pytest.raises(ToolError, match="/f is not a directory"):
        app.makedirs("/f", exist_ok=True)


def test_files_and_folders_are_moved(make):
    app = make()
    app.mkdir("/a/b")
    put(app, "/f", b"1")
    put(app, "/g", b"2")
    app.mv("/f", "/g")
    assert (app.ls(), app.cat("/g")) == (["/a", "/g"], b"1")
    app.mv("/g", "/a")
    assert app.cat("/a/g") == b"1"
    app.mv("/a/g", "/")
    app.mv("/g", "/g")
    app.mv("/a", "/a")
    # A folder takes the folders above its new place along, a file does not.
    app.mv("/a/b", "/new/place/c")
    assert app.tree("/new") == "new\n└── place\n    └── c\n"
    for source, target, message in [
        ("/y", "/x", "no file or directory /y"),
        ("/g", "/none/g", "no file or directory /none"),
        ("/new", "/new/place", "into itself"),
        ("/new", "/new/x", "into itself"),
        ("/new", "/g", "exists already"),
        ("/", "/new", "the root cannot be moved"),
        ("/", "/x", "the root cannot be moved"),
        ("/g", "/g/h", "/g is not a directory"),
        ("/new", "/", "exists already"),
    ]:
        with pytest.raises(ToolError, match=message):
            app.mv(source, target)
    assert app.tree("/") == "/\n├── a\n├── g\n└── new\n    └── place\n        └── c\n"


def test_files_and_folders_are_removed(make):
    app = make(STATE)
    with pytest.raises(ToolError, match="/docs is a directory"):
        app.rm("/docs")
    app.rm("/docs/b.txt")
    app.rm("/docs", recursive=True)
    assert app.ls() == ["/z.txt"]
    with pytest.raises(ToolError, match="no file or directory /docs"):
        app.rm("/docs", recursive=True)
    app.rm("/", recursive=True)
    assert app.ls() == []


def test_only_empty_folders_are_removed_by_rmdir():
    app = VirtualFileSystem("Files", Clock())
    app.load_state(STATE)
    app.rmdir("/docs/a")
    for path, message in [
        ("/docs", "/docs is not empty"),
        ("/z.txt", "not a directory"),
        ("/y", "no file"),
        ("/", "root"),
    ]:
        with pytest.raises(ToolError, match=message):
            app.rmdir(path)
    assert app.ls("/docs") == ["/docs/b.txt"]


# -- what scenarios do not hold ---------------------------------------------------------------------


def test_what_is_elsewhere_is_not_taken_for_empty(make):
    app = make(STATE)
    for read in (app.cat, app.read_bytes, app.open):
        with pytest.raises(InfraError, match=r"what /z\.txt holds is not here"):
            read("/z.txt")
    app.mv("/z.txt", "/docs/y.txt")
    with pytest.raises(InfraError, match=r"what /docs/y\.txt holds"):
        app.cat("/docs/y.txt")
    put(app, "/docs/y.txt", b"")
    assert app.cat("/docs/y.txt") == b""
    put(app, "/new", b"!")
    app.mv("/new", "/docs/b.txt")
    assert app.cat("/docs/b.txt") == b"!"


def test_what_is_elsewhere_comes_from_a_copy(make, tmp_path):
    mirror = tmp_path / "mirror"
    (mirror / "docs").mkdir(parents=True)
    (mirror / "docs" / "b.txt").write_bytes(b"from the mirror")
    app = make(STATE)
    app.mirror = mirror
    assert app.info("/docs/b.txt")["size"] == 15
    app.mv("/docs", "/papers")
    assert app.info("/papers/b.txt")["size"] == 15
    with app.open("/papers/b.txt", "ab") as opened:
        opened.write(b"!")
    assert app.cat("/papers/b.txt") == b"from the mirror!"
    assert (mirror / "docs" / "b.txt").read_bytes() == b"from the mirror"
    with pytest.raises(InfraError, match="mirror has no such file"):
        app.cat("/z.txt")


def test_a_copy_leads_nowhere_else(make, tmp_path):
    (tmp_path / "secret").write_text("secret")
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "z.txt").symlink_to(tmp_path / "secret")
    (mirror / "docs").symlink_to(tmp_path)
    app = make({"files": folder("", file("z.txt"), folder("docs", file("secret")))})
    app.mirror = mirror
    for path in ("/z.txt", "/docs/secret"):
        assert app.info(path)["size"] == 0
        with pytest.raises(InfraError, match="no such file"):
            app.cat(path)


def test_a_copy_that_is_too_large_is_not_read(make, tmp_path):
    with (tmp_path / "z.txt").open("wb") as sparse:
        sparse.truncate(MAX_BYTES + 1)
    app = make(STATE)
    app.mirror = tmp_path
    with pytest.raises(InfraError, match="larger than"):
        app.cat("/z.txt")


# -- documents -------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    return Files("Files", Clock(), files=tmp_path / "trial")


def test_text_is_read_by_lines(files):
    put(files, "/z.txt", b"one  \r\n\n\n\ntwo\nthree\n")
    assert files.read_document("/z.txt", 2) == (
        "one\n\n\n[Document truncated. Showing 2 of 5 lines]"
    )
    for lines in (None, 5, 20, 0, -1):
        assert files.read_document("/z.txt", lines) == "one\n\ntwo\nthree\n"
    put(files, "/long.md", b"x\n" * 30)
    assert files.read_document("long.md").endswith("Showing 20 of 31 lines]")
    put(files, "/z.png", b"\x89PNG")
    put(files, "/none.txt", b"")
    for path, message in [
        ("/none.txt", "empty"),
        ("/z.png", "no text"),
        ("/y", "no file"),
        ("/", "not a file"),
    ]:
        with pytest.raises(ToolError, match=message):
            files.read_document(path)


class Converter:
    """Stands for the package ``markitdown``, which is large."""

    def __init__(self, *, enable_plugins):
        assert not enable_plugins

    def convert_stream(self, stream, file_extension):
        if stream.read() == b"damaged":
            raise ZeroDivisionError
        self.title, self.markdown = "Menu", f"a {file_extension}  \nsoup"
        return self


def test_documents_are_read_by_a_package(files, monkeypatch):
    put(files, "/menu.DOCX", b"soup")
    monkeypatch.setattr(documents.importlib, "import_module", _missing)
    with pytest.raises(InfraError, match=r"menu\.DOCX: .* pip install 'markitdown"):
        files.read_document("/menu.DOCX")
    package = type("markitdown", (), {"MarkItDown": Converter})
    monkeypatch.setattr(documents.importlib, "import_module", {"markitdown": package}.get)
    assert files.read_document("/menu.DOCX") == "# Menu\n\na .docx\nsoup"
    put(files, "/menu.pdf", b"damaged")
    with pytest.raises(ToolError, match="cannot be read: ZeroDivisionError"):
        files.read_document("/menu.pdf")


def test_documents_do_not_explode(files, monkeypatch):
    package = type("markitdown", (), {"MarkItDown": Converter})
    monkeypatch.setattr(documents.importlib, "import_module", {"markitdown": package}.get)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sheet.xml", bytes(MAX_BYTES + 1))
    put(files, "/bomb.xlsx", packed.getvalue())
    assert files.info("/bomb.xlsx")["size"] < MAX_BYTES / 100
    with pytest.raises(ToolError, match="when it is unpacked"):
        files.read_document("/bomb.xlsx")


def _missing(name):
    raise ImportError(name)


# -- untrusted ---------------------------------------------------------------------------------------

OUTSIDE = [
    *("..", "/..", "../secret", "/../secret", "a/../../secret", "docs/../..", "~/../../.."),
    "/docs/../../../../etc/passwd",
]
IMPOSSIBLE = ["a\0b", "x" * 256, "/".join("x" * 65), "\ud800", "é" * 128]


@pytest.mark.parametrize("path", OUTSIDE + IMPOSSIBLE)
def test_no_tool_leaves_the_file_system(make, path, tmp_path):
    (tmp_path / "secret").write_text("secret")
    app = make(STATE)
    before = app.get_state()
    for tool in tools_of(app):
        names = [parameter.name for parameter in tool.parameters if "path" in parameter.name]
        for name in names:
            # The other path, of a move, is one that would do.
            arguments = dict.fromkeys(names, "/z.txt") | {name: path}
            for more in ({"mode": "w"}, {"recursive": True}, {}):
                if set(more) <= {parameter.name for parameter in tool.parameters}:
                    with pytest.raises(ToolError, match=r"outside|cannot be the name|at most 64"):
                        tool.call(**tool.bind(arguments | more))
    for call in (app.read_bytes, lambda path: app.write_bytes(path, b"")):
        with pytest.raises(ToolError):
            call(path)
    assert app.get_state() == before
    assert (tmp_path / "secret").read_text() == "secret"


def test_absolute_paths_are_below_the_root(make, tmp_path):
    (tmp_path / "secret").write_text("secret")
    app = make(STATE)
    assert not app.exists(str(tmp_path / "secret"))
    app.mkdir(str(tmp_path))
    put(app, str(tmp_path / "secret"), b"mine")
    assert (tmp_path / "secret").read_text() == "secret"
    assert app.cat(str(tmp_path / "secret")) == b"mine"
    app.mkdir("~/x")
    assert app.ls("~") == ["/home/userhome/x"]


@pytest.mark.parametrize(
    ("child", "message"),
    [
        (file(".."), r"files: /docs: '\.\.' cannot be the name"),
        (file("../../x"), "cannot be the name"),
        (folder("/etc", file("passwd")), "'/etc' cannot be the name"),
        (file("/etc/passwd"), "cannot be the name"),
        (file("a\0"), "cannot be the name"),
        (file("x" * 300), "cannot be the name"),
        (file(""), "'' cannot be the name"),
        (file("."), "cannot be the name"),
        ({"name": "l", "type": "symlink", "target": "/etc"}, "/docs/l should be .* not 'symlink'"),
        ({"name": "l", "type": "other", "destination": "/etc"}, "not 'other'"),
        ({"name": "l"}, "not None"),
        ({"type": "file"}, "/docs: a file needs a name"),
        ("b.txt", "a file needs a name, got 'b.txt'"),
        ({"name": "d", "type": "directory", "children": {"e": 1}}, "/docs/d: children"),
        (folder("a", folder("b", {"name": 3, "type": "file"})), "/docs/a/b: a file needs a name"),
    ],
)
def test_a_scenario_cannot_name_what_is_elsewhere(make, child, message, tmp_path):
    with pytest.raises(TraceError, match=message):
        make({"files": folder("", folder("docs", child))})
    left = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert left <= {"trial"}
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_a_scenario_may_say_a_thing_twice_but_not_two_things(make):
    app = make({"files": folder("", folder("a", file("b")), folder("a", file("c")), file("x"))})
    assert app.ls("/a") == ["/a/b", "/a/c"]
    with pytest.raises(TraceError, match="/a is both file and directory"):
        make({"files": folder("", folder("a"), file("a"))})


@pytest.mark.parametrize("files", [[], "x", 3, {"children": "x"}, {"children": 3}])
def test_what_is_no_list_of_files_is_refused(make, files):
    if files:
        with pytest.raises(TraceError, match="files: /: children should be a list"):
            make({"files": files})
    else:
        assert make({"files": files}).ls() == []


def test_a_scenario_cannot_be_too_deep_or_too_many(make, monkeypatch):
    deep = file("f")
    for _ in range(100_000):
        deep = folder("d", deep)
    with pytest.raises(TraceError, match="at most 64 names"):
        make({"files": folder("", deep)})
    while deep.get("children"):  # or else collecting it overflows the stack of C
        deep = deep["children"].pop()
    monkeypatch.setattr(file_system, "MAX_ENTRIES", 20)
    with pytest.raises(TraceError, match="more than 20"):
        make({"files": folder("", *(file(str(n)) for n in range(21)))})
    app = make({"files": folder("", *(file(str(n)) for n in range(19)))})
    with pytest.raises(ToolError, match="20 files at most"):
        app.mkdir("/a/b")
    app.mkdir("/a")
    for call in (lambda: app.mkdir("/b"), lambda: app.open("/c", "w")):
        with pytest.raises(ToolError, match="20 files at most"):
            call()
    assert len(app.ls()) == 20


def test_an_agent_cannot_go_too_deep(make):
    app = make()
    deepest = "/".join("d" * 64)
    app.mkdir(deepest)
    app.mkdir("/x")
    with pytest.raises(ToolError, match="nested too deeply"):
        app.mv("/d", "/x")
    assert app.tree().count("\n") == 66


def test_an_agent_cannot_fill_the_disk(make, monkeypatch):
    monkeypatch.setattr(file_system, "MAX_BYTES", 1000)
    app = make()
    put(app, "/a", b"x" * 600)
    put(app, "/a", b"x" * 900)
    opened = app.open("/b", "wb", **({"block_size": 10} if isinstance(app, Files) else {}))
    opened.seek(2**40)
    opened.write(b"!")
    with pytest.raises(ToolError, match="/b: a file holds at most 1000 bytes"):
        opened.close()
    with app.open("/b", "r+b") as again, pytest.raises(ToolError, match="at most 1000"):
        again.truncate(2**40)
    with pytest.raises(ToolError, match="no room"):
        app.write_bytes("/b", b"x" * 101)
    app.write_bytes("/b", b"x" * 100)
    app.rm("/a")
    app.write_bytes("/b", b"x" * 1000)
    assert app.info("/b")["size"] == 1000


# A link can come into the real folder only from outside of the world, e.g. by an agent that runs on
# the same machine: it must not help.


@pytest.fixture
def real(files, tmp_path):
    files.load_state({"files": folder("", folder("docs"))})
    assert files.ls() == ["/docs"]
    (root,) = (tmp_path / "trial").iterdir()
    (tmp_path / "secret").write_text("secret")
    return files, root


def test_links_are_not_followed(real, tmp_path):
    app, root = real
    (root / "file").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    (root / "docs" / "up").symlink_to(root.parent)
    for path in ("/file", "/folder", "/loop", "/docs/up"):
        assert app.info(path)["type"] == "other"
        for call in (
            app.cat,
            app.open,
            app.read_document,
            app.makedirs,
            app.mkdir,
            lambda path: app.open(path, "w"),
            lambda path: app.write_bytes(path, b"x"),
            lambda path: app.mkdir(f"{path}/new"),
        ):
            with pytest.raises(ToolError):
                call(path)
        assert app.ls(path) == [path]
    assert not app.exists("/folder/secret")
    for path in ("/folder/secret", "/folder/new", "/docs/up/new"):
        for call in (app.cat, app.rm, lambda path: app.open(path, "w"), app.mkdir):
            with pytest.raises(ToolError):
                call(path)
        with pytest.raises(ToolError):
            app.mv("/docs", path)
    app.mv("/folder", "/docs/moved")
    assert (root / "docs" / "moved").is_symlink()
    app.rm("/", recursive=True)
    assert app.ls() == []
    assert (tmp_path / "secret").read_text() == "secret"
    assert root.is_dir()


def test_pipes_and_devices_are_not_opened(real):
    app, root = real
    os.mkfifo(root / "pipe")
    for call in (app.cat, app.read_document, lambda path: app.open(path, "w")):
        with pytest.raises(ToolError, match="/pipe is not a file"):
            call("/pipe")
    put(app, "/f", b"x")
    with pytest.raises(ToolError, match="/pipe is not a file"):
        app.mv("/f", "/pipe")
    app.rm("/pipe")
    assert app.ls() == ["/docs", "/f"]


def test_a_new_state_removes_links_and_not_what_they_lead_to(real, tmp_path):
    app, root = real
    (root / "docs" / "up").symlink_to(tmp_path)
    app.load_state(STATE)
    assert app.get_state() == STATE
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_folder_of_its_own_goes_with_the_app(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    app = Files("../../evil", Clock())
    app.load_state(STATE)
    assert app.get_state() == STATE
    assert list(tmp_path.iterdir()) == []
    assert app.ls() == ["/docs", "/z.txt"]
    (root,) = tmp_path.iterdir()
    assert sorted(path.name for path in root.rglob("*")) == ["a", "b.txt", "docs", "z.txt"]
    del app
    gc.collect()
    assert not root.exists()


def test_two_apps_have_two_folders(tmp_path):
    apps = [Files("Files", Clock(), files=tmp_path / "trial") for _ in range(2)]
    put(apps[0], "/x", b"")
    assert [app.ls() for app in apps] == [["/x"], []]


# -- like each other -------------------------------------------------------------------------------

paths = st.lists(st.sampled_from(["a", "b", "c.txt", "..", "."]), max_size=4).map("/".join)
absolute = st.tuples(st.sampled_from(["", "/", "./", "~/"]), paths).map("".join)


@given(absolute)
def test_a_path_is_what_the_system_says(text):
    names = text.replace("~/", "home/userhome/").strip("/").split("/")
    ways = [os.path.normpath("/".join(names[:n]) or ".") for n in range(1, len(names) + 1)]
    if any(way.startswith("..") for way in ways):
        with pytest.raises(ToolError, match="outside"):
            parse(text)
    else:
        assert show(parse(text)) == os.path.normpath("/" + ways[-1])
        assert parse(show(parse(text))) == parse(text)


class BothFileSystems(RuleBasedStateMachine):
    """Does the same in memory and in a folder."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.real = Files("Files", self.clock)
        self.root = self.real.store.folder
        self.virtual = VirtualFileSystem("Files", self.clock)

    def teardown(self):
        shutil.rmtree(self.root)

    def both(self, call):
        self.clock.now += 1
        outcomes = []
        for app in (self.real, self.virtual):
            try:
                outcomes.append(call(app))
            except (ToolError, InfraError) as error:
                outcomes.append((type(error), str(error)))
        assert outcomes[0] == outcomes[1]

    @rule(
        children=st.recursive(
            st.sampled_from(["a", "b", "c.txt"]).map(file),
            lambda inner: st.builds(
                lambda name, kids: folder(name, *kids),
                st.sampled_from(["a", "b"]),
                st.lists(inner, max_size=3),
            ),
            max_leaves=6,
        )
    )
    def load(self, children):
        outcomes = []
        for app in (self.real, self.virtual):
            try:
                outcomes.append(app.load_state({"files": folder("", children)}))
            except TraceError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]

    @rule(
        path=absolute,
        content=st.binary(max_size=5),
        mode=st.sampled_from(["wb", "ab", "r+b", "xb"]),
    )
    def write(self, path, content, mode):
        def call(app):
            with app.open(path, mode) as opened:
                return opened.write(content)

        self.both(call)

    @rule(path=absolute)
    def cat(self, path):
        self.both(lambda app: app.cat(path))

    @rule(path=absolute, parents=st.booleans())
    def mkdir(self, path, parents):
        self.both(lambda app: app._mkdir(path, parents))

    @rule(path=absolute, exist_ok=st.booleans())
    def makedirs(self, path, exist_ok):
        self.both(lambda app: app._makedirs(path, exist_ok))

    @rule(old=absolute, new=absolute)
    def mv(self, old, new):
        self.both(lambda app: app.mv(old, new))

    @rule(path=absolute, recursive=st.booleans())
    def rm(self, path, recursive):
        self.both(lambda app: app.rm(path, recursive))

    @rule(path=absolute)
    def rmdir(self, path):
        self.both(lambda app: app._rmdir(path))

    @rule(path=absolute)
    def look(self, path):
        for call in ("ls", "tree", "exists", "info"):
            self.both(lambda app, call=call: getattr(app, call)(path))
        self.both(lambda app: app.ls(path, detail=True))

    @invariant()
    def same_state(self):
        assert self.real.get_state() == self.virtual.get_state()
        assert self.real._elsewhere == self.virtual._elsewhere
        on_disk = {"/" + str(path.relative_to(self.root)) for path in self.root.rglob("*")}
        assert on_disk == {show(path) for path in self.virtual._walk(()) if path}
        assert all(self.virtual.exists("/" + "/".join(path)) for path in self.virtual._elsewhere)


TestBothFileSystems = BothFileSystems.TestCase
TestBothFileSystems.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
