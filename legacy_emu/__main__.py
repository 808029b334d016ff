"""`python -m legacy_emu`."""

from legacy_emu.cli import main

main()
