"""Jobs of events notify nobody: the commits of all who write would wait for each other."""

from django.db import migrations

NAME = "procrastinate_jobs_notify_queue_job_inserted_v1"

TRIGGER = f"""
    DROP TRIGGER {NAME} ON procrastinate_jobs;
    CREATE TRIGGER {NAME} AFTER INSERT ON procrastinate_jobs
    FOR EACH ROW WHEN (new.status = 'todo'%s) EXECUTE FUNCTION procrastinate_notify_queue_job_inserted_v1()
"""


class Migration(migrations.Migration):
    dependencies = [
        ("profiles", "0021_deliveries_by_trigger"),
        ("procrastinate", "0041_post_retry_failed_job"),
    ]

    operations = [
        migrations.RunSQL(TRIGGER % " AND new.queue_name <> 'reactions'", TRIGGER % ""),
    ]
