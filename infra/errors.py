"""What is wrong with the input of a synthesis, told before any stack exists."""


class ConfigurationError(Exception):
    """The settings or the files that a synthesis needs are wrong; the message has one problem a line."""
