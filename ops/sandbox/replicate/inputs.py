"""Reads the files that a model gets as inputs: uploaded ones, data URIs and addresses."""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes

import urllib3

from ops.sandbox.box import Box
from ops.sandbox.replicate.models import PredictionFailed

FETCH_SECONDS = 20.0


class Inputs:
    """Reads inputs; what cannot be read makes the prediction fail."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._http = urllib3.PoolManager(num_pools=16, maxsize=4)

    def read(self, name: str, address: str) -> bytes:
        """Return the content of an input; raises PredictionFailed."""
        if address.startswith("data:"):
            return _data_uri(name, address)
        own = f"{self._box.urls['replicate']}/v1/files/"
        if address.startswith(own):
            file_id = address.removeprefix(own).partition("/")[0].partition("?")[0]
            # Of a file that has expired or was deleted only the address is left.
            is_known = self._box.store.get("file", file_id) is not None
            data = self._box.store.read_blob(f"file-{file_id}") if is_known else None
            if data is None:
                raise PredictionFailed(f"{name}: 404 Client Error: Not Found for url: {address}")
            return data
        return self._download(name, address)

    def _download(self, name: str, address: str) -> bytes:
        if not address.startswith(("http://", "https://")):
            raise PredictionFailed(f"{name} is not a valid URL: {address[:200]}")
        try:
            answer = self._http.request(
                "GET", address, timeout=FETCH_SECONDS, retries=urllib3.Retry(2, backoff_factor=0.2)
            )
        except urllib3.exceptions.HTTPError as error:
            message = f"{name}: could not download {address}: {type(error).__name__}"
            raise PredictionFailed(message) from error
        if answer.status != 200:
            message = f"{name}: {answer.status} Client Error for url: {address}"
            raise PredictionFailed(message)
        return answer.data


def _data_uri(name: str, address: str) -> bytes:
    head, comma, data = address.partition(",")
    try:
        if not comma:
            raise ValueError("no comma")
        raw = unquote_to_bytes(data)
        return base64.b64decode(raw) if head.endswith(";base64") else raw
    except ValueError as error:
        raise PredictionFailed(f"{name} is not a valid data URI") from error
