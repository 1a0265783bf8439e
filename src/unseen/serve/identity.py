"""Who is asking: by token, by a browser's cookie, or, where only this machine can ask, by their word."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection

from starlette.requests import HTTPConnection

from unseen.core.errors import InputError
from unseen.serve.errors import Unauthorized
from unseen.serve.store import Store

COOKIE, HEADER = "unseen_client", "x-unseen-client"
SHORTEST_TOKEN = 16
ANYBODY = "local"
"""Programs of this machine that do not say who they are."""
_NAME = re.compile(r"[A-Za-z0-9_-]{22,86}")


class Identity:
    """Tells clients apart. They are kept by fingerprint: neither tokens nor cookies are ever stored.

    Args:
        tokens: whoever asks must have one of these; each is a client. None: anybody who can connect may ask.
        store: remembers which browser showed which token.

    Raises:
        InputError: a token that can be guessed.
    """

    def __init__(self, tokens: Collection[str], store: Store) -> None:
        for token in tokens:
            if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
                raise InputError(f"a token of {len(token)} characters: expected {SHORTEST_TOKEN} or more, plain ones")
        self.clients = {fingerprint("token", token) for token in tokens}
        self.store = store

    @property
    def open(self) -> bool:
        """Whether anybody may ask."""
        return not self.clients

    def client(self, request: HTTPConnection) -> str:
        """Who is asking.

        Raises:
            Unauthorized: nobody who may.
        """
        given = request.headers.get("authorization")
        if given is not None and not self.open:
            return self.bearer(given)
        cookie = request.cookies.get(COOKIE, "")
        if _NAME.fullmatch(cookie):
            if self.open:
                return fingerprint("cookie", cookie)
            if (client := self.store.session(fingerprint("cookie", cookie))) in self.clients:
                return str(client)
        if not self.open:
            raise Unauthorized("expected a token: Authorization: Bearer TOKEN")
        said = request.headers.get(HEADER)
        if said is None:
            return ANYBODY
        if not _NAME.fullmatch(said):
            raise Unauthorized(f"{HEADER} is no name: expected 22 to 86 letters, digits, - and _, chosen at random")
        return fingerprint("said", said)

    def bearer(self, header: str | None) -> str:
        """Who has the token of an Authorization header.

        Raises:
            Unauthorized: nobody.
        """
        scheme, _, token = (header or "").partition(" ")
        client = fingerprint("token", token.strip())
        if scheme.lower() != "bearer" or client not in self.clients:
            raise Unauthorized("wrong token: expected Authorization: Bearer TOKEN")
        return client

    def new_cookie(self, client: str | None = None) -> str:
        """A cookie for a browser; with tokens, it stands for a client."""
        cookie = secrets.token_urlsafe(32)
        if client is not None:
            self.store.add_session(fingerprint("cookie", cookie), client)
        return cookie


def fingerprint(kind: str, secret: str) -> str:
    """A secret's hash: equal ones tell nothing about how far unequal ones agree."""
    return hashlib.sha256(f"{kind}:{secret}".encode(errors="surrogatepass")).hexdigest()
