"""`tidewheel.django.atomic` on PostgreSQL: Django's own connection, with its own kinds of cursors, rows and transactions."""

from __future__ import annotations

import subprocess
import sys

from psycopg.conninfo import conninfo_to_dict

CODE = """
import sys
import django
from django.conf import settings
settings.configure(USE_TZ=True, DATABASES={{"default": {{
    "ENGINE": "django.db.backends.postgresql", "NAME": "{dbname}", "USER": "{user}", "HOST": "{host}", "PORT": "{port}",
    "OPTIONS": {options},
}}}})
django.setup()
from django.db import connection, transaction
from tidewheel import Tidewheel
from tidewheel.django import atomic
from tidewheel.testing import run_pending

app = Tidewheel("{url}")

@app.task(name="count")
def count() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM account")
        found = cursor.fetchone()[0]
    connection.close()
    return found

def add(name):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO account VALUES (%s)", [name])

with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE account (name varchar(20) PRIMARY KEY)")
with atomic(app):
    add("ada")
    result = count.delay()
    several = count.starmap([(), ()])
    keyed = count.using(key="k", countdown=60).delay()
assert run_pending(app) == 3
assert [r.get(5) for r in (result, *several)] == [1, 1, 1]
assert keyed.state == "scheduled"
for outer in (False, True):
    try:
        with transaction.atomic():
            with atomic(app):
                add("eve")
                count.delay()
                if not outer:
                    raise KeyError
            raise KeyError
    except KeyError:
        pass
with transaction.atomic():
    try:
        with atomic(app):
            count.delay()
            add("ada")  # she is there already
    except django.db.IntegrityError:
        pass
    add("bob")
assert run_pending(app) == 0
with connection.cursor() as cursor:
    cursor.execute("SELECT name FROM account ORDER BY name")
    assert cursor.fetchall() == [("ada",), ("bob",)]
app.close()
print("done")
"""


def run(url: str, options: str) -> None:
    parts = conninfo_to_dict(url)
    code = CODE.format(url=url, options=options, **{k: parts[k] for k in ("dbname", "user", "host", "port")})
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout == "done\n", ran.stderr


def test_rows_and_jobs_are_one_commit(url: str) -> None:
    run(url, "{}")


def test_with_cursors_that_bind_on_the_server(url: str) -> None:
    run(url, '{"server_side_binding": True, "isolation_level": 4}')  # repeatable read
