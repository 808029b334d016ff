"""The emulated service's own network."""

from gateway.networks.emu import EmuNetwork, Settings
from legacy_emu.fronts import websocket
from tests.scenarios.casts import Cast
from tests.scenarios.places import LEGACY_PLACE

CASTS = (
    Cast(
        name="emu",
        network=EmuNetwork,
        settings=Settings(host=LEGACY_PLACE.host, port=LEGACY_PLACE.port, tls="off"),
        serve=websocket.serve,
    ),
)
