"""The table of networks: a name, and where to load it. A network is a folder and one line here."""

from importlib import import_module
from importlib.metadata import entry_points

from gateway.errors import ConfigurationError
from gateway.networks.base import Network

# name -> "module:class", loaded only when a configuration asks for it
NETWORKS = {
    "aim": "gateway.networks.oscar:Aim",
    "emu": "gateway.networks.emu:EmuNetwork",
    "icq": "gateway.networks.oscar:Icq",
}

ENTRY_POINT_GROUP = "balcony.networks"


def network_names() -> list[str]:
    """Return the names of all networks, built in and installed, sorted."""
    return sorted({*NETWORKS, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def load_network(name: str) -> type[Network]:
    """Load the class of network `name`. Raises `ConfigurationError` when there is none."""
    if where := NETWORKS.get(name):
        module, _, attribute = where.partition(":")
        found: type[Network] = getattr(import_module(module), attribute)
        return found
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == name:
            loaded: type[Network] = point.load()
            return loaded
    raise ConfigurationError(f"unknown network {name!r}; there are: {', '.join(network_names())}")
