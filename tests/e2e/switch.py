"""A network that can be cut: a TCP proxy before the server, which cuts every browser off alike."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from types import TracebackType

__all__ = ["Switch"]

# Closing answers with a reset: the browser learns at once that nobody is there.
RESET = struct.pack("ii", 1, 0)


class Switch:
    """Pass connections on to a port of this machine, while on."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # cut
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._pairs.add((near, far))
            threading.Thread(target=self._pass_on, args=[near, far], daemon=True).start()

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        """Carry bytes both ways until one side ends."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(near, selectors.EVENT_READ, far)
            waiting.register(far, selectors.EVENT_READ, near)
            try:
                while True:
                    for key, _ in waiting.select():
                        if not (data := key.fileobj.recv(65536)):
                            return
                        key.data.sendall(data)
            except OSError:
                return
            finally:
                with self._lock:
                    self._pairs.discard((near, far))
                near.close()
                far.close()

    def cut(self) -> None:
        with contextlib.suppress(OSError):  # cut before
            # Shut down first: a thread that waits in accept() holds the socket open.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for near, _ in self._pairs:
                with contextlib.suppress(OSError):  # gone by itself
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    near.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        self._listener = self._listen(self.port)

    def __enter__(self) -> Switch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
