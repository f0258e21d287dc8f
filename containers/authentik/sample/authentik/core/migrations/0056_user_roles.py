from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("authentik_rbac", "0009_remove_initialpermissions_mode"),
    ]

    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField()),
                ("roles", models.ManyToManyField(blank=True, to="authentik_rbac.role")),
            ],
        ),
    ]
