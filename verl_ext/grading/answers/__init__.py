"""From a response to an answer, and from two answers to a decision: text, numbers, types. Free of sympy and mpmath."""
