import uuid

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Task",
            fields=[
                ("message_id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("queue_name", models.TextField(default="default")),
                ("actor_name", models.TextField()),
                ("arguments", models.JSONField(default=list)),
                ("state", models.TextField(default="queued")),
                ("uid", models.TextField(default="")),
                ("logs", models.JSONField(default=list)),
                ("mtime", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
    ]
