"""The emulated service's own network."""

from scripts.demo_casts import Cast

CAST = Cast(
    network="emu",
    protocol="JSON over WebSocket",
    front="websocket",
    shown={"juliet": "Juliet Capulet", "echo": "The Echo"},
)
