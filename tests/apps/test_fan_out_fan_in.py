"""The fan-out, fan-in app."""

from pathlib import Path

from tests.apps.serving import serve, start, steps


def test_all_files_are_copied_and_counted(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for number in range(20):
        (site / f"page{number}").write_text("x" * number)
    with serve("fan_out_fan_in", tmp_path, BACKUP_FOLDER=str(tmp_path / "backup")) as host:
        start(host, "E2_BackupSiteContent", "backup", str(site))
        assert host.wait_for("backup") == sum(range(20))
        assert steps(host, "backup").count("TaskCompleted E2_CopyFileToBlob") == 20
        copied = {path.name: path.read_text() for path in (tmp_path / "backup").iterdir()}
        assert copied == {f"site_page{number}": "x" * number for number in range(20)}
        start(host, "E2_BackupSiteContent", "nothing")
        wrong = host.wait_for("nothing", "Failed")
        assert wrong == ("Orchestrator function 'E2_BackupSiteContent' failed: A directory path is required as input")
