"""Password input from a terminal or from standard input (R7)."""

import getpass
import sys

from subscription.password_policy import password_problems
from subscription.refusals import Problem, RefusalCode

# Passwords have at most 40 characters, so longer input is refused without reading all of it.
_MAX_INPUT_BYTES = 1000


def prompt_for_password(question: str = "Administrator's password: ") -> tuple[str, tuple[Problem, ...]]:
    """Read a password twice without echo; return it with the problems found (R7)."""
    password = getpass.getpass(question)
    problems = password_problems(password)
    if not problems and getpass.getpass("The same password again: ") != password:
        problems = (Problem.of(RefusalCode.PASSWORDS_DIFFER, "password"),)
    return password, problems


def read_password_from_stdin() -> tuple[str, tuple[Problem, ...]]:
    """Read a password from standard input, without the final newline; return it with its problems (R7)."""
    # The rules refuse the replacement characters. A decoding error would print bytes of the password.
    text = sys.stdin.buffer.read(_MAX_INPUT_BYTES).decode("utf-8", errors="replace")
    password = text.removesuffix("\n").removesuffix("\r")
    return password, password_problems(password)
