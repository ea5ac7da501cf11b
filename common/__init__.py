"""What every CallStash process shares."""

__version__ = "0.1.0"
