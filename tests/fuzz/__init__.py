"""A fuzzer over all public estimators, their options and the tables that users have.

Run it with `python -m tests.fuzz --trials 20000 --jobs 2`. Each trial is drawn from one seed: an estimator, its
options, a table with targets and weights, and rows that come later. What is drawn is fitted and asked everything it
can be asked. A call must end in a result that holds what the package promises, or in an error that somebody wrote
for a user; where nothing that was drawn excuses an error, only a result will do. `checks` and `watch` say what is
looked at. Options come from the estimators' own parameter constraints, and these from the package's dictionaries:
a new entry, and a new parameter, are fuzzed without a word here.

The run prints how many trials there were, what the errors were and how long it took, and ends with exit status 1
where there is a finding. A finding prints the line that replays it, `python -m tests.fuzz --replay SEED`, which shows
what was drawn and the tracebacks. `--only NAME` draws one estimator alone; its seeds are then other trials, and are
replayed with the same `--only`. `--seed S` moves the first seed: other seeds are other trials. A seed means the same
trial as long as the options and the fuzzer stay as they are. `tests/test_fuzz.py` runs a fixed list of seeds.
"""
