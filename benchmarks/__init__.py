"""What the package costs, as ratios within one run; figures and commands are in RESULTS.md."""
