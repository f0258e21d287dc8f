import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("authentik_core", "0056_user_roles"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="username",
            field=models.TextField(unique=True),
        ),
        migrations.AddField(
            model_name="user",
            name="email",
            field=models.TextField(default=""),
        ),
        migrations.AddField(
            model_name="user",
            name="password",
            field=models.TextField(default=""),
        ),
        migrations.AddField(
            model_name="user",
            name="is_superuser",
            field=models.BooleanField(default=False),
        ),
        migrations.CreateModel(
            name="Token",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("identifier", models.TextField(unique=True)),
                ("key", models.TextField(unique=True)),
                (
                    "user",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="authentik_core.user"),
                ),
            ],
        ),
    ]
