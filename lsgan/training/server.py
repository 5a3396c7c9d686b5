"""A web server for pages that only this computer may read."""
import http
import http.server
import re
import sys
from collections.abc import Callable
from typing import Any

from lsgan.console import one_line
from lsgan.errors import InputError

_HOST = '127.0.0.1'
_NAMES = re.compile(r'(127\.0\.0\.1|localhost)(:\d+)?', re.I)


class Server(http.server.ThreadingHTTPServer):
    """A web server on 127.0.0.1.

    Requests for other host names are refused. Otherwise, a web page elsewhere could give its own host name the address
    127.0.0.1 and then read the answers (DNS rebinding). Any port in a request is accepted, because ssh may forward it.

    Args:
        port: port to listen on; 0 for any free port.

    Raises:
        InputError: if the port cannot be used.
    """

    allow_reuse_port = False

    def __init__(self, port: int):
        try:
            super().__init__((_HOST, port), _Handler)
        except OSError as error:
            raise InputError(f'--port {port}: {error.strerror}; choose another port, or leave the flag out to get a free '
                             'one') from None

    @property
    def address(self) -> str:
        """The address of the server's first page."""
        return f'http://{_HOST}:{self.server_port}/'

    def serve(self, answer: Callable[[str, str], tuple[str, bytes] | None]) -> None:
        """Answer requests until an exception, such as `KeyboardInterrupt`, ends this.

        Args:
            answer: takes the path and the query of a request; returns the content type and the content, or None if there is
                nothing at this path. It raises `InputError` if the query cannot be fulfilled. Several threads call it at
                once.
        """
        self.answer = answer
        self.serve_forever()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore browsers that no longer wait for an answer."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = 'HTTP/1.1'
    timeout = 60        # seconds without a request, after which the connection is closed

    def do_GET(self):
        if not _NAMES.fullmatch(self.headers.get('Host', '')):
            return self.send_error(http.HTTPStatus.FORBIDDEN, 'use the address that visualize.py has printed')
        path, _, query = self.path.partition('?')
        try:
            found = self.server.answer(path, query)
        except InputError as error:
            return self.send_error(http.HTTPStatus.BAD_REQUEST, str(error))
        if found is None:
            return self.send_error(http.HTTPStatus.NOT_FOUND, f'{path}: there is no such page')
        self._send(http.HTTPStatus.OK, *found)

    def send_error(self, code, message=None, explain=None):
        """Answer with a line of text."""
        self.close_connection = True        # what follows may be the body of the request
        self._send(code, 'text/plain; charset=utf-8', f'{one_line(message or http.HTTPStatus(code).phrase)}\n'.encode())

    def _send(self, code, kind, content):
        self.send_response(code)
        for name, value in {'Content-Type': kind, 'Content-Length': len(content), 'Cache-Control': 'no-store',
                            'Cross-Origin-Resource-Policy': 'same-origin', 'X-Content-Type-Options': 'nosniff',
                            **({'Connection': 'close'} if self.close_connection else {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Print nothing."""
