"""The paper's own grader, kept for parity with its numbers and fenced off: it executes model output."""
