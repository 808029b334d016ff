"""Where the legacy service of the scenarios is."""

from gateway.host import Address

LEGACY_PLACE = Address("legacy", 4000)
