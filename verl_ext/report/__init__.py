"""One self-contained HTML page about a set of runs: what was run, what it shows, and what it cannot show."""
