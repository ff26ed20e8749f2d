"""The documented limits are those of the code, and each outer limit is above the inner one."""

from pathlib import Path

from course_grading.sandbox import host, limits


def test_readme_states_the_limits():
    readme = Path(host.__file__).with_name("README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if line.startswith("| ")]
    job = limits.Limits()
    for label, *values in (
        ("CPU time", f"{job.cpu_seconds} s", f"`SIGKILL` {job.cpu_grace_seconds} s later"),
        ("elapsed time", f"{job.wall_seconds} s", f"{limits.SUBMISSION_TIME_LIMIT:.0f} s"),
        ("memory", f"{job.memory >> 30} GiB"),
        ("output", f"{job.output >> 20} MiB"),
        ("file size", f"{job.file_size >> 20} MiB, {job.processes}, {job.open_files}"),
        ("`/scratch`", f"{limits.WRITABLE_FOLDER_SIZE >> 20} MiB each"),
    ):
        (row,) = (row for row in rows if row.startswith(f"| {label}"))
        assert all(value in row for value in values), row
    assert f"{limits.GRADING_TIME_LIMIT / 60:.0f} minutes" in readme


def test_outer_limits_are_above_inner_ones():
    job = limits.Limits()
    assert job.cpu_seconds < job.wall_seconds < limits.SUBMISSION_TIME_LIMIT
    assert limits.SUBMISSION_TIME_LIMIT < limits.GRADING_TIME_LIMIT
