"""Mail through somebody's own server. The name is resolved and checked like every address, and connected to as it was checked."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from dataclasses import dataclass
from email.message import EmailMessage

from chatai.lib import egress
from tools.values import ToolError

PORTS = frozenset({25, 465, 587})
SECONDS = 15.0  # of each step; the dispatcher ends the whole


@dataclass(frozen=True, slots=True)
class Server:
    host: str
    port: int
    security: str  # starttls | tls | none
    username: str = ""
    password: str = ""


async def deliver(server: Server, message: EmailMessage) -> None:
    """Raises ToolError, without the password."""
    try:
        address = (await egress.addresses(server.host, server.port, PORTS))[0]
    except egress.EgressError as error:
        raise ToolError(f"The mail server cannot be used: {error.message}", "refused") from None
    try:
        await asyncio.to_thread(_deliver, server, address, message)
    except smtplib.SMTPAuthenticationError:
        raise ToolError("The mail server does not accept the account's password.", "not_connected") from None
    except smtplib.SMTPRecipientsRefused:
        raise ToolError("The mail server does not take mail for this recipient.", "refused") from None
    except smtplib.SMTPNotSupportedError:
        raise ToolError("The mail server does not offer what was set up (STARTTLS or a password).", "refused") from None
    except smtplib.SMTPException as error:
        raise ToolError(f"The mail server did not take the mail ({type(error).__name__}).", "unavailable") from None
    except TimeoutError:
        raise ToolError("The mail server did not answer in time.", "timeout") from None
    except OSError as error:
        raise ToolError(f"The mail server could not be reached ({type(error).__name__}).", "unavailable") from None


class _Checked(smtplib.SMTP):
    """Connects to an address that was checked, while the name stays the one that certificates are for."""

    def __init__(self, server: Server, address: str) -> None:
        self.server, self.address = server, address
        self.tls = ssl.create_default_context()
        super().__init__(server.host, server.port, timeout=SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((self.address, port), timeout)
        return self.tls.wrap_socket(plain, server_hostname=host) if self.server.security == "tls" else plain


def _deliver(server: Server, address: str, message: EmailMessage) -> None:
    with _Checked(server, address) as connection:
        if server.security == "starttls":
            connection.starttls(context=connection.tls)
        if server.username:
            connection.login(server.username, server.password)
        connection.send_message(message)
