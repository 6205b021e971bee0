"""Notice a server that gives one answer again and again: to each sample of a problem, whatever its seed."""

from collections.abc import Sequence

SURE_REPEATS = 15
"""Answers that repeat an earlier one of their problem, and none that differs: from here on it is no chance..."""
SURE_CHARS, SURE_TEMPERATURE = 60, 0.3
"""...where they are as long as this, and drawn at this temperature or a higher one."""


class EqualAnswers:
    """Watches answers until two to the same problem differ."""

    def __init__(self, temperature: float) -> None:
        self._first: dict[int, str] = {}
        self._is_watching = temperature > 0
        self._temperature = temperature
        self._num_long = 0
        self.num_repeats = 0
        """Answers that are the same as another to their problem; 0 as soon as two differ."""

    def see(self, problem: int, texts: Sequence[str]) -> None:
        """Take note of answers to ``problem``, its place among the problems."""
        for text in texts if self._is_watching else ():
            if problem not in self._first:
                self._first[problem] = text
                continue
            if text != self._first[problem]:
                self._is_watching = False
                self.num_repeats = 0
                self._first.clear()
                return
            self.num_repeats += 1
            self._num_long += len(text) >= SURE_CHARS

    @property
    def is_sure(self) -> bool:
        """Whether no sampling at this temperature could have given these."""
        return self._is_watching and self._num_long >= SURE_REPEATS and self._temperature >= SURE_TEMPERATURE
