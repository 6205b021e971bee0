"""The answers themselves as one page that opens offline: step, problem, answers, and two runs side by side."""
