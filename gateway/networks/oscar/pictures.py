"""Pictures that were fetched, kept by their hashes for all users of a service."""

import hashlib
from collections import OrderedDict

from gateway.networks.base import Avatar


class Pictures:
    """At most so many bytes of pictures; those that were not asked for longest go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[bytes, Avatar] = OrderedDict()

    def get(self, digest: bytes) -> Avatar | None:
        found = self._kept.get(digest)
        if found is not None:
            self._kept.move_to_end(digest)
        return found

    def keep(self, digest: bytes, picture: Avatar) -> None:
        """Keep a picture, if it is the one of this hash and has room."""
        is_right = hashlib.md5(picture.data, usedforsecurity=False).digest() == digest
        if not is_right or digest in self._kept or len(picture.data) > self._max_bytes:
            return
        self._kept[digest] = picture
        self._bytes += len(picture.data)
        while self._bytes > self._max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped.data)
