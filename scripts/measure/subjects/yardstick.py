"""The yardstick: the least that a Trio component can do (`scripts/measure/yardstick.py`)."""

from scripts.measure.names import CONTACTS
from scripts.measure.process import module_command
from scripts.measure.subjects.base import Subject


class Yardstick(Subject):
    name = "yardstick"
    online_marker = b"<show>chat</show>"

    def prepare(self) -> None:
        """Nothing is needed."""

    def peer_module(self) -> str:
        return "lines"

    def command(self, legacy_port: int) -> list[str]:
        ports = (str(self.place.port), str(legacy_port))
        return module_command("scripts.measure.yardstick", *ports, str(CONTACTS))
