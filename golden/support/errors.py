"""The one exception that a user is meant to see."""


class PotvitError(Exception):
    """A problem the user can cure; its message is one line that says what is wrong and how.

    Command lines print it as ``error: <message>`` on standard error and exit with status 2.
    """
