"""A build is not disturbed by what arrives while it works, and the next one takes it."""

from pathlib import Path

import pytest

from tests.conftest import ClickHouseServer, own_database
from tests.integration.arriving import Arriving, while_it_arrives
from tests.integration.incremental import Models, create_landing

ALL = ("build", "--exclude-resource-type", "unit_test")
CHANGES = (*ALL, "--selector", "changes")

pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")


def due(models: Models) -> list[str]:
    """The sales that have a message."""
    sql = (
        "select entity_id from {db}.segment_track_events where event = 'Order Completed' order by 1"
    )
    return [entity_id for (entity_id,) in models.rows(sql)]


@pytest.mark.timeout(300)
def test_rows_and_loads_arrive_while_all_data_tests_run(
    clickhouse_server: ClickHouseServer, tmp_path: Path
) -> None:
    client = clickhouse_server.connect()
    landing = own_database(client, "landing")
    create_landing(client, landing)
    name = own_database(client, "models_0")
    models = Models(client, name, landing, clickhouse_server.environment, tmp_path)
    arriving = Arriving(clickhouse_server.connect(), landing)
    arriving.begin()
    with while_it_arrives(arriving.commit_load, arriving.insert_row):
        models.build(*ALL)
        of_the_first = due(models)
        models.build(*CHANGES)
    assert 0 < len(of_the_first) < len(due(models)) < len(arriving.due)
    models.build("run", "--selector", "changes")
    assert due(models) == sorted(arriving.due)
