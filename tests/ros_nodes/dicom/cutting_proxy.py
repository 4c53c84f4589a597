"""A TCP proxy that cuts its first connections off after so many bytes: a network cable that is pulled in the middle of a slice."""

import contextlib
import socket
import threading


class CuttingProxy:
    """Passes 127.0.0.1:port on to `to`; connection n is cut after cuts[n] bytes towards `to`, later ones are not."""

    def __init__(self, to: int, cuts: list[int]) -> None:
        self._to, self._cuts = to, list(cuts)
        self.cut = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                left = self._cuts.pop(0) if self._cuts else None
                threading.Thread(target=self._pass, args=(client, left), daemon=True).start()

    def _pass(self, client: socket.socket, left: int | None) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._pump, args=(server, client, None), daemon=True)
            back.start()
            if self._pump(client, server, left):
                self.cut += 1
                for end in (server, client):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket, left: int | None) -> bool:
        """Whether it was cut."""
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if left is not None and len(data) >= left:
                    target.sendall(data[:left])
                    return True
                left = None if left is None else left - len(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        return False
