"""Run seeds: `scripts/simulate --seeds 100`. A failing one is shrunk and printed so it replays."""

import argparse
import logging
import sys
import time

import trio

from tests.simulation.bugs import PLANTS
from tests.simulation.plan import Plan, literal, parse, shrink
from tests.simulation.world import Outcome, simulate

VIOLATIONS_SHOWN = 20


class _VirtualTime(logging.Formatter):
    """Stamps with the time of the world; real times would differ from run to run."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return f"{trio.current_time():10.4f}" if trio.lowlevel.in_trio_run() else f"{'':10}"


def main(arguments: list[str]) -> int:
    """Return 0 when every seed held, 1 when one did not."""
    options = _parser().parse_args(arguments)
    if options.log:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(_VirtualTime("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.basicConfig(level=options.log.upper(), handlers=[handler])
    failed, began, virtual_seconds, messages = 0, time.monotonic(), 0.0, 0
    for seed in range(options.seed, options.seed + options.seeds):
        outcome = simulate(
            seed,
            options.plan,
            planted=PLANTS[options.plant]() if options.plant else None,
            transcript=options.transcript,
            aloud=options.log is not None,
        )
        virtual_seconds += outcome.virtual_seconds
        messages += outcome.messages
        if options.transcript:
            print("\n".join(outcome.transcript))
        if outcome.violations:
            failed += 1
            _report(outcome, options.plant, shrinking=options.plan is None)
        elif options.seeds == 1:
            print(f"seed {seed} held: digest {outcome.digest}")
        elif sys.stderr.isatty():
            print(f"\r{seed} ", end="", file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    print(
        f"{options.seeds} seeds, {failed} failed; {virtual_seconds / 3600:.1f} hours and"
        f" {messages} messages in {seconds:.1f} s"
    )
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many, one after the other")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--plan", type=parse, help="the faults, as printed, in place of drawn ones")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="a bug to put into the daemon")
    parser.add_argument("--transcript", action="store_true", help="print every stanza")
    parser.add_argument("--log", help="show what the daemon logs, from this level on")
    return parser


def _report(outcome: Outcome, plant: str | None, *, shrinking: bool) -> None:
    """Print what is wrong, and the least that shows it."""
    print(f"seed {outcome.seed} FAILED: digest {outcome.digest}")
    for violation in outcome.violations[:VIOLATIONS_SHOWN]:
        print(f"  {violation}")
    if len(outcome.violations) > VIOLATIONS_SHOWN:
        print(f"  and {len(outcome.violations) - VIOLATIONS_SHOWN} more")
    plan = outcome.plan
    if shrinking:

        def again(one: Plan) -> Outcome:
            return simulate(outcome.seed, one, planted=PLANTS[plant]() if plant else None)

        plan = shrink(plan, lambda one: bool(again(one).violations))
        smaller = again(plan)
        print(f"with {len(plan)} of {len(outcome.plan)} faults: digest {smaller.digest}")
        for violation in smaller.violations[:VIOLATIONS_SHOWN]:
            print(f"  {violation}")
    extra = f" --plant {plant}" if plant else ""
    print(f'replay: scripts/simulate --seed {outcome.seed}{extra} --plan "{literal(plan)}"')


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
