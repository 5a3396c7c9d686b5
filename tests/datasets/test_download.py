import hashlib
import http.server
import io
import os
import random
import re
import resource
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lsgan.datasets.download import fetch
from lsgan.errors import InputError

CONTENT = random.Random(0).randbytes(200_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


class Handler(http.server.BaseHTTPRequestHandler):
    """A request handler whose behaviour is the first part of the requested path."""

    def do_GET(self):
        (_, kind, _), asked = self.path.split('/'), self.headers['Range']
        self.server.asked.append((kind, asked))
        start = int(re.fullmatch(r'bytes=(\d+)-', asked)[1]) if asked and kind not in ('plain', 'unsized', 'chunked') else 0
        content = b'<html>Sign in</html>' if kind == 'page' else bytes(len(CONTENT)) if kind == 'other' else CONTENT
        if kind == 'hanging':
            self.server.over.wait(10)
        elif kind == 'strange':
            self.wfile.write(b'SSH-2.0\r\n\r\n')
        elif kind == 'slow-404':
            self.server.wait()
            self.send_error(404)
        elif kind.isdigit():
            self.send_error(int(kind))
        elif start >= len(content):
            self.send_error(416)
        elif kind == 'chunked':
            self.answer(200, [('Transfer-Encoding', 'chunked')])
            self.wfile.write(b'%x\r\n%b\r\n0\r\n\r\n' % (len(content), content))
        elif kind == 'unsized':
            self.answer(200, [])
            self.wfile.write(content)
        else:
            self.answer(206 if start else 200, [('Content-Length', str(len(content) - start))])
            self.wfile.write(content[start:max(start, HALF)])
            if kind == 'slow':
                self.server.wait()
            if kind == 'stalling':
                self.server.over.wait(10)
            elif kind != 'breaking':
                self.wfile.write(content[max(start, HALF):])

    def answer(self, status, headers):
        self.protocol_version = 'HTTP/1.1' if ('Transfer-Encoding', 'chunked') in headers else 'HTTP/1.0'
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):     # the client may close the connection early
        pass


@pytest.fixture
def server(monkeypatch):
    """A web server.

    `asked` lists the kind and the range of each request. A slow response calls `wait` before its second half.
    """
    monkeypatch.setenv('no_proxy', '*')
    with Server(('127.0.0.1', 0), Handler) as server:
        server.asked, server.over, server.wait = [], threading.Event(), lambda: None
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def get(server, tmp_path):
    """A function that fetches the file from mirrors of the given kinds into the folder `cache`."""
    def get(*kinds, stream=None, folder=tmp_path / 'cache', end='/'):
        url = f'http://127.0.0.1:{server.server_port}'
        mirrors = [kind if {':', '/'} & set(kind) else f'{url}/{kind}{end}' for kind in kinds]
        timeout = 0.4 if {'hanging', 'stalling'} & set(kinds) else 20
        return fetch('data.gz', mirrors, SHA256, folder, timeout, stream or io.StringIO())
    return get


@pytest.fixture
def part(tmp_path):
    """Path of the partial file. Its folder exists."""
    (tmp_path / 'cache').mkdir()
    return tmp_path / 'cache' / 'data.gz.part'


def assert_whole(path):
    assert path.name == 'data.gz' and path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ['data.gz']


def wait_for(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize('end', ['', '/'])
@pytest.mark.parametrize('kind', ['plain', 'ranges', 'unsized', 'chunked'])
def test_downloads_to_new_folder(get, tmp_path, kind, end):
    path = get(kind, folder=tmp_path / 'a' / 'b', end=end)
    assert path == tmp_path / 'a' / 'b' / 'data.gz'
    assert_whole(path)


def test_existing_file_is_not_downloaded(get, server, part):
    part.with_name('data.gz').write_bytes(CONTENT)
    stream = io.StringIO()
    assert_whole(get('plain', stream=stream))
    assert not server.asked and not stream.getvalue()


def test_other_file_of_same_name_is_refused_and_kept(get, server, part):
    path = part.with_name('data.gz')
    path.write_bytes(b'mine')
    with pytest.raises(InputError, match=f'{path}: .*SHA-256.*Delete') as error:
        get('plain')
    assert '\n' not in str(error.value)
    assert path.read_bytes() == b'mine' and not server.asked


BAD = {'404': 'HTTP 404 Not Found', '500': 'HTTP 500', 'page': 'SHA-256', 'other': 'SHA-256', 'hanging': 'timed out',
       'stalling': 'timed out', 'breaking': 'broke after 100,000 of 200,000', 'strange': 'SSH-2.0', 'nobody': 'refused',
       'nonsense:': 'url type', '/srv/mirror': 'url type'}


@pytest.fixture
def mirror():
    """A function from a kind to its mirror. The mirror of the kind `nobody` is a port on which nobody listens."""
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        yield lambda kind: f'http://127.0.0.1:{unused.getsockname()[1]}' if kind == 'nobody' else kind


@pytest.mark.parametrize('kind', BAD)
def test_next_mirror_is_tried_after_failure(get, server, mirror, kind):
    assert_whole(get(mirror(kind), '500', 'ranges'))
    assert server.asked[-1] == ('ranges', 'bytes=100000-' if kind in ('stalling', 'breaking') else None)


@pytest.mark.parametrize('kind', BAD)
def test_all_mirrors_fail_in_one_line(get, mirror, tmp_path, kind):
    with pytest.raises(InputError) as error:
        get('404', mirror(kind))
    message = str(error.value)
    assert BAD['404'] in message and BAD[kind] in message
    assert message.startswith('data.gz: ') and f'put the file into {tmp_path / "cache"} yourself' in message
    assert '\n' not in message
    assert os.listdir(tmp_path / 'cache') == (['data.gz.part'] if kind in ('stalling', 'breaking') else [])


def test_empty_list_of_mirrors_is_an_error(get):
    with pytest.raises(InputError, match='data.gz: no mirror'):
        get()


@pytest.mark.parametrize('kind', ['breaking', 'stalling'])
def test_partial_download_is_continued(get, server, part, kind):
    with pytest.raises(InputError):
        get(kind)
    assert part.read_bytes() == CONTENT[:HALF]
    assert_whole(get('ranges'))
    assert server.asked == [(kind, None), ('ranges', f'bytes={HALF}-')]


@pytest.mark.parametrize('kind', ['plain', 'unsized', 'chunked'])
def test_server_may_ignore_range(get, server, part, kind):
    part.write_bytes(CONTENT[:HALF])
    assert_whole(get(kind))
    assert server.asked == [(kind, f'bytes={HALF}-')]


@pytest.mark.parametrize('there', [b'<html>', bytes(HALF), bytes(len(CONTENT)), CONTENT + b'more'])
@pytest.mark.parametrize('kind', ['ranges', 'plain'])
def test_wrong_partial_file_is_replaced(get, part, kind, there):
    part.write_bytes(there)
    assert_whole(get(kind))


def test_complete_partial_file_is_not_downloaded_again(get, server, part):
    part.write_bytes(CONTENT)
    assert_whole(get('ranges'))
    assert server.asked == [('ranges', f'bytes={len(CONTENT)}-')]


def test_interrupted_download_is_continued(get, server, part):
    def interrupt():
        wait_for(lambda: part.stat().st_size == HALF)
        os.kill(os.getpid(), signal.SIGINT)
        server.over.wait(10)

    server.wait = interrupt
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            get('slow')
    finally:
        signal.signal(signal.SIGINT, before)
    assert os.listdir(part.parent) == ['data.gz.part'] and part.read_bytes() == CONTENT[:HALF]
    assert_whole(get('ranges'))
    assert server.asked[-1] == ('ranges', f'bytes={HALF}-')


@pytest.mark.parametrize('kind, requests', [('slow', 1), ('slow-404', 2)])
def test_second_process_waits_for_first_and_takes_over(get, server, kind, requests):
    """Threads stand in for processes here, because file locks work between them in the same way."""
    stream = io.StringIO()
    server.wait = lambda: wait_for(lambda: 'waiting' in stream.getvalue())
    with ThreadPoolExecutor() as threads:
        first = threads.submit(get, kind)
        wait_for(lambda: server.asked)
        assert_whole(get('ranges', stream=stream))
        if kind == 'slow':
            assert_whole(first.result())
        else:
            with pytest.raises(InputError):
                first.result()
    assert len(server.asked) == requests


def test_unusable_folder_is_named(get, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError) as error:
        get('plain', folder=tmp_path / 'file' / 'cache')
    assert error.value.filename and str(error.value.filename).startswith(str(tmp_path / 'file'))


def test_full_disk_error_names_file(get, part):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, limits[1]))
    try:
        with pytest.raises(OSError) as error:
            get('404', 'plain', 'plain')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert error.value.filename == str(part) and error.value.strerror
    assert_whole(get('ranges'))


def test_progress_in_file_and_terminal(get, tmp_path):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream, terminal = io.StringIO(), Terminal()
    get('404', 'plain', stream=stream)
    assert stream.getvalue() == f'Downloading data.gz to {tmp_path / "cache"}\n'
    (tmp_path / 'cache' / 'data.gz').unlink()
    get('breaking', 'ranges', stream=terminal)
    assert 'data.gz: 100%' in terminal.getvalue() and '200k/200k' in terminal.getvalue()
