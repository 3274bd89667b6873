"""What the steps learn about platforms as a whole."""

from app import db


def report(platform: str, error: str) -> None:
    """Record that the platform refuses our credential or account.

    The next probe of the platform that succeeds ends this.
    """
    db.call("SELECT report_platform_v1(%s, %s)", (platform, error))
