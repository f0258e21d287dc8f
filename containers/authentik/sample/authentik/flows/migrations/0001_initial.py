from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Flow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.TextField(unique=True)),
                ("name", models.TextField()),
                ("title", models.TextField()),
                ("designation", models.TextField()),
                ("stages", models.JSONField(default=list)),
            ],
        ),
    ]
