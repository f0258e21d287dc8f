from django.db import migrations, models


def read_roles_of_users(apps, schema_editor):
    """Reads what 0056 of authentik_core makes: out of order it fails, as upstream's does."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT role_id FROM authentik_core_user_roles LIMIT 1")


class Migration(migrations.Migration):

    dependencies = [
        ("authentik_rbac", "0009_remove_initialpermissions_mode"),
    ]

    operations = [
        migrations.RunPython(read_roles_of_users, migrations.RunPython.noop),
        migrations.RemoveField(
            model_name="role",
            name="group",
        ),
        migrations.AlterField(
            model_name="role",
            name="name",
            field=models.TextField(unique=True),
        ),
    ]
