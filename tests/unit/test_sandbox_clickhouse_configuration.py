"""What the engine of the embedded ClickHouse is told at its start."""

from xml.etree import ElementTree as ET

from sandbox.clickhouse import configuration


def test_the_files_are_well_formed_whatever_the_directory_is_called(tmp_path):
    directory = tmp_path / "R&D <1>"
    directory.mkdir()
    config = ET.parse(configuration.write(directory)).getroot()  # noqa: S314  # our own
    assert config.findtext("users_config") == str(directory / "users.xml")
    users = ET.parse(directory / "users.xml").getroot()  # noqa: S314  # our own
    grants = [query.text or "" for query in users.iter("query")]
    assert "GRANT SELECT ON *.*" in grants
    assert "GRANT TABLE ENGINE ON MergeTree" in grants
    closed = ("READ", "WRITE", "SOURCES", "ALL", "BACKUP", "DICTIONARY", "SHUTDOWN", "File")
    assert not [grant for grant in grants if set(grant.split()) & set(closed)]
