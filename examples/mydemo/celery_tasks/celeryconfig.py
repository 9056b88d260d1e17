"""The configuration, in plain Python. Times are in seconds; the environment can change each value, as the demo's check does."""

import os
from pathlib import Path

DATA = Path(os.environ.get("MYDEMO_DATA", Path(__file__).resolve().parent.parent / "data"))

# Where the jobs are kept. A file, and no server to install; with another URL the same code runs on another broker.
BROKER_URL = os.environ.get("TIDEWHEEL_URL", f"sqlite:///{DATA / 'tidewheel.db'}")

# The mail server is down, hangs, or says "not now": again after about 5 s, 15 s, 45 s … one hour.
MAIL_RETRY_DELAY = float(os.environ.get("MYDEMO_RETRY_DELAY", 5))

# It does not know us yet ("greylisting", 451): it wants to see us again, but not before some minutes. 5, 10, 20 … minutes, 21 hours in all.
MAIL_GREYLIST_DELAY = float(os.environ.get("MYDEMO_GREYLIST_DELAY", 300))

# It refuses our password: nothing that a mail could wait out, so look again now and then until somebody has mended it.
MAIL_LOGIN_DELAY = float(os.environ.get("MYDEMO_LOGIN_DELAY", 600))
