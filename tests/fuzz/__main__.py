"""The command: `python -m tests.fuzz --trials N [--seed S] [--jobs J] [--only NAME] [--replay SEED]`."""

import argparse
import sys
from collections import Counter
from itertools import count, islice
from time import perf_counter

from .options import ESTIMATORS
from .pool import outcomes
from .trial import Finding, Outcome, Trial

SHOWN = 3
"""Findings of a kind that are printed in full."""


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz all public estimators.")
    parser.add_argument("--trials", type=int, default=1000, help="how many trials to run")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first trial; the others follow it")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes run trials")
    parser.add_argument("--only", choices=ESTIMATORS, help="draw this estimator alone")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run one trial, and show what it draws and finds")
    options = parser.parse_args()
    if options.replay is not None:
        return replay(options.replay, options.only)
    return run(options)


def replay(seed: int, only: str | None) -> int:
    """Run one trial and show all of it."""
    trial = Trial(seed, only)
    print(trial, flush=True)
    outcome = trial.run()
    print(f"fitted: {outcome.fitted}; errors: {outcome.errors or 'none'}; {outcome.seconds:.2f} s")
    for finding, error in zip(outcome.findings, trial.tracebacks, strict=True):
        print(f"\nFINDING {finding.where}: {finding.invariant}: {finding.text}\n{error}")
    return 1 if outcome.findings else 0


def run(options: argparse.Namespace) -> int:
    """Run many trials, print findings as they come, and sum up."""
    start, done, kinds = perf_counter(), [], Counter()
    for outcome in outcomes(islice(count(options.seed), options.trials), options.jobs, options.only):
        done.append(outcome)
        for finding in outcome.findings:
            kinds[finding.kind] += 1
            if kinds[finding.kind] <= SHOWN:
                show(finding)
        if len(done) % 500 == 0:
            print(f"... {len(done)} trials, {perf_counter() - start:.0f} s", flush=True)
    sum_up(done, perf_counter() - start)
    return 1 if kinds else 0


def show(finding: Finding) -> None:
    """Print a finding."""
    print(
        f"FINDING {finding.name}, {finding.where}: {finding.invariant}\n  {finding.text[:400]}\n  {finding.replay}",
        flush=True,
    )


def sum_up(done: list[Outcome], seconds: float) -> None:
    """Print what the trials came to."""
    errors = Counter(kind for outcome in done for kind in outcome.errors)
    print(f"\n{len(errors)} kinds of errors, all calls together:")
    for kind, number in errors.most_common(60):
        print(f"{number:6d}  {kind}")
    findings: dict[str, list[Finding]] = {}
    for finding in (finding for outcome in done for finding in outcome.findings):
        findings.setdefault(finding.kind, []).append(finding)
    print(f"\n{len(findings)} kinds of findings:")
    for kind, own in sorted(findings.items(), key=lambda item: -len(item[1])):
        names = sorted({finding.name for finding in own})
        print(f"{len(own):6d}  {kind}\n        seeds {sorted({f.seed for f in own})[:6]}, {', '.join(names)}")
    print("\nseconds by estimator:")
    for name in sorted({o.name for o in done}):
        own = [outcome for outcome in done if outcome.name == name]
        mean, fitted = sum(o.seconds for o in own) / len(own), sum(o.fitted for o in own)
        print(f"{mean:8.3f}  {name}, {len(own)} trials, {fitted} fitted")
    slowest = sorted(done, key=lambda outcome: -outcome.seconds)[:3]
    print(
        f"\n{len(done)} trials in {seconds:.0f} s ({sum(o.seconds for o in done) / max(1, len(done)):.3f} s each; "
        f"slowest {', '.join(f'{o.seconds:.1f} s (seed {o.seed})' for o in slowest)}): "
        f"{sum(o.fitted for o in done)} fits succeeded, {sum(not o.fitted for o in done)} ended in errors, "
        f"{sum(bool(o.findings) for o in done)} trials have findings."
    )


if __name__ == "__main__":
    sys.exit(main())
