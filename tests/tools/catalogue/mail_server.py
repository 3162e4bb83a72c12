"""A mail server that takes everything, or says no where it is told to."""

from __future__ import annotations

import socketserver
import threading
from types import TracebackType
from typing import Self


class MailServer:
    """`said` is what clients sent, line by line; `refuses` answers a command with a line of its own."""

    def __init__(self, refuses: dict[str, str] | None = None) -> None:
        self.said: list[str] = []
        self.refuses = refuses or {}
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"mail": self}))
        self.server.daemon_threads = True
        self.port = int(self.server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(socketserver.StreamRequestHandler):
    mail: MailServer

    def handle(self) -> None:
        self.tell("220 ready")
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            self.mail.said.append(line)
            command = line.split()[0].upper()
            if refusal := self.mail.refuses.get(command):
                self.tell(refusal)
            elif command == "EHLO":
                self.tell("250-mail.example.com", "250 AUTH PLAIN")
            elif command == "AUTH":
                self.tell("235 welcome")
            elif command == "DATA":
                self.tell("354 go on")
                while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    self.mail.said.append(line)
                self.tell("250 taken")
            elif command == "QUIT":
                self.tell("221 bye")
                return
            else:
                self.tell("250 ok")

    def tell(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
