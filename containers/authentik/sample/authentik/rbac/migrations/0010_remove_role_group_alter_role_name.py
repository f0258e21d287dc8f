from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("authentik_rbac", "0009_remove_initialpermissions_mode"),
    ]

    operations = [
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
