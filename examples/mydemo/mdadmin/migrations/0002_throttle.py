"""The throttle's cache table, so that `migrate` is all that a new database needs."""

from django.core.management import call_command
from django.db import migrations


def make_table(apps, schema_editor):
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("mdadmin", "0001_accounts")]
    operations = [migrations.RunPython(make_table, migrations.RunPython.noop)]
