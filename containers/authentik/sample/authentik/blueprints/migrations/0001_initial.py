import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    # brings 0010 of authentik_rbac before authentik_core's turn, which comes by the alphabet
    dependencies = [
        ("authentik_rbac", "0010_remove_role_group_alter_role_name"),
    ]

    operations = [
        migrations.CreateModel(
            name="BlueprintInstance",
            fields=[
                ("instance_uuid", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("name", models.TextField()),
                ("path", models.TextField(unique=True)),
                ("metadata", models.JSONField(default=dict)),
                ("status", models.TextField(default="unknown")),
                ("enabled", models.BooleanField(default=True)),
                ("last_applied", models.DateTimeField(auto_now=True)),
                ("last_applied_hash", models.TextField(default="")),
            ],
        ),
    ]
