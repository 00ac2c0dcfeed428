"""Give the jobs that are there the subject that new ones have: the study's key in place of its slug."""

from django.db import migrations


def name_study(apps, schema_editor):
    Job = apps.get_model("jobs", "Job")
    for study in apps.get_model("survey", "Study").objects.only("pk", "slug", "created_at"):
        # An older job of the same slug belongs to a study that was deleted, or had the slug before.
        own = Job.objects.filter(parameters__study=study.slug, created_at__gte=study.created_at, subject=None)
        own.update(subject=f"study/{study.pk}/")


class Migration(migrations.Migration):

    dependencies = [
        ("jobs", "0002_job_subject"),
        ("survey", "0004_counts_kept_and_deleted_studies"),
    ]

    operations = [migrations.RunPython(name_study, migrations.RunPython.noop, elidable=True)]
