"""What is measured: the gateway, and what it is compared with. `SUBJECTS` is the table."""

from collections.abc import Callable, Mapping

from scripts.measure.subjects.balcony import Balcony
from scripts.measure.subjects.base import Place, Subject
from scripts.measure.subjects.biboumi import Biboumi
from scripts.measure.subjects.yardstick import Yardstick

SUBJECTS: Mapping[str, Callable[[Place], Subject]] = {
    "emu": lambda place: Balcony(place, "emu"),
    "aim": lambda place: Balcony(place, "aim"),
    "yardstick": Yardstick,
    "biboumi": Biboumi,
}
GATEWAYS = ("emu", "aim")  # Balcony's networks
YARDSTICKS = ("biboumi", "yardstick")  # what they are compared with, if it is there
