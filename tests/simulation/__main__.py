"""Simulations from the command line: ``python -m tests.simulation --seeds 0:10000``."""

import argparse
import importlib.util
import sys
import time
from collections import Counter


def main() -> int:
    """Play what the arguments name; 1 if anything broke."""
    if importlib.util.find_spec("everact") is None:
        import tests.conftest  # noqa: F401  (makes a bare checkout importable)
    from tests.simulation import running
    from tests.simulation.chance import Chance
    from tests.simulation.corpus import ENTRIES, HOSTILE
    from tests.simulation.store import Fate
    from tests.simulation.world import Plan

    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", default="0:1000", help="a range A:B of seeds")
    parser.add_argument("--seed", type=int, help="one seed, with its trace")
    parser.add_argument("--entry", help="one entry of the corpus, with its trace")
    parser.add_argument("--crash", type=int, help="the commit at which it crashes")
    parser.add_argument("--fate", default=Fate.CRASH_BEFORE.name, help="how")
    parser.add_argument("--turn", type=int, help="turn at which recovery crashes")
    parser.add_argument("--crashes", action="store_true", help="crash everywhere")
    parser.add_argument("--hostile", action="store_true", help="hostile code beside it")
    given = parser.parse_args()
    if given.seed is not None:
        entries, plan = running.plan_of(given.seed)
        if given.hostile:
            entries = [*entries, HOSTILE[given.seed % len(HOSTILE)]]
        return _one(Chance(given.seed), entries, plan)
    if given.entry is not None:
        entry = next(e for e in (*ENTRIES, *HOSTILE) if e.name == given.entry)
        plan = Plan()
        if given.crash is not None:
            plan.fates[given.crash] = Fate[given.fate]
        if given.turn is not None:
            plan.crash_turns[1] = given.turn
        return _one(Chance(0, calm=True), [entry], plan)
    if given.crashes:
        return _crashes()
    first, _, last = given.seeds.partition(":")
    return _many(range(int(first), int(last)))


def _one(chance: object, entries: object, plan: object) -> int:
    from tests.simulation import running

    print(f"{[e.name for e in entries]} {plan}")  # type: ignore[attr-defined]
    try:
        world = running.play(chance, entries, plan, tracing=True)  # type: ignore[arg-type]
    except running.Failed as failed:
        _show(failed.__dict__["world"])
        cause = failed.__cause__
        while cause is not None and cause.__cause__ is not None:
            cause = cause.__cause__
        import traceback

        traceback.print_exception(cause)
        print(f"FAILED: {failed}")
        return 1
    _show(world)
    print(f"fine: {world.commits} commits, {world.crashes} crashes")
    return 0


def _show(world: object) -> None:
    for moment, life, what, *rest in world.traced:  # type: ignore[attr-defined]
        print(f"{moment:10.4f} {life} {what:12} {' '.join(map(str, rest))[:300]}")


def _crashes() -> int:
    from tests.simulation import running
    from tests.simulation.corpus import ENTRIES, HOSTILE

    failures = 0
    for entry in (*ENTRIES, *HOSTILE):
        begun, played = time.perf_counter(), 0
        try:
            for _ in running.every_crash(entry):
                played += 1
        except running.Failed as failed:
            failures += 1
            print(f"{entry.name}: {failed}\n")
        took = time.perf_counter() - begun
        print(f"{entry.name}: {played} crashes, {took:.1f} s")
    return min(1, failures)


def _many(seeds: range) -> int:
    from tests.simulation import running

    begun, broken = time.perf_counter(), []
    fates: Counter[str] = Counter()
    crashes = 0
    for seed in seeds:
        try:
            world = running.simulate(seed)
        except running.Failed as failed:
            broken.append(seed)
            print(f"seed {seed}: {failed}\n", flush=True)
        else:
            crashes += world.crashes
            fates.update(fate.name for fate in world.fired)
    took = time.perf_counter() - begun
    each = took / max(1, len(seeds)) * 1000
    print(f"{len(seeds)} seeds in {took:.1f} s ({each:.1f} ms each), {crashes} crashes")
    print("faults fired:", dict(sorted(fates.items())))
    print("broken:", broken or "none")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
