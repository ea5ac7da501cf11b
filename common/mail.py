"""What the web UI and the notifier share about mail: how the password of the server is sealed."""


def context(host: str, security: str, username: str) -> bytes:
    """Return what a sealed password is bound to, so that it can't be sent to another server."""
    return f"mail_server\0{host}\0{security}\0{username}".encode()
