"""Password input from a terminal or from standard input (R7)."""

import getpass
import sys

from subscription.password_policy import password_problems
from subscription.refusals import Problem, RefusalCode

# No password may be longer than 40 characters, so what is longer is refused without being read to its end.
_LONGEST_INPUT = 1000


def from_terminal(question: str = "Administrator's password: ") -> tuple[str, tuple[Problem, ...]]:
    """What is typed, twice and hidden, and all that is wrong with it (R7)."""
    password = getpass.getpass(question)
    problems = password_problems(password)
    if not problems and getpass.getpass("The same password again: ") != password:
        problems = (Problem.of(RefusalCode.PASSWORDS_DIFFER, "password"),)
    return password, problems


def from_standard_input() -> tuple[str, tuple[Problem, ...]]:
    """What is piped in, without the newline at its end, and all that is wrong with it (R7)."""
    # What is not UTF-8 is refused by the rules; an error while decoding would show the bytes.
    typed = sys.stdin.buffer.read(_LONGEST_INPUT).decode("utf-8", errors="replace")
    password = typed.removesuffix("\n").removesuffix("\r")
    return password, password_problems(password)
