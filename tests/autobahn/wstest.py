"""Autobahn's wstest, for which names below .localhost are this machine, as browsers have it."""
import socket
import sys

plain = socket.gethostbyname
socket.gethostbyname = lambda name: "127.0.0.1" if name.endswith(".localhost") else plain(name)

from autobahntestsuite.wstest import run  # noqa: E402

sys.exit(run())
