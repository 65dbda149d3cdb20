"""Every model, column, macro and source of the dbt project is described, with a YAML beside it.

Needs no database: ``dbt parse`` writes the manifest. That the described columns are those that
a model really has is a test of ``dbt build`` (tests/dbt/integrity/columns_are_described.sql).
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import PROJECT, clean_environment

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    target = tmp_path_factory.mktemp("target")
    dbt = [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "--log-path", str(target)]
    parsed = subprocess.run(
        [*dbt, "parse", "--target-path", str(target), "--show-all-deprecations"],
        cwd=PROJECT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert parsed.returncode == 0, parsed.stdout + parsed.stderr
    assert "eprecat" not in parsed.stdout, parsed.stdout
    assert "[WARNING]" not in parsed.stdout, parsed.stdout
    content: Manifest = json.loads((target / "manifest.json").read_text())
    return content


def own(nodes: dict[str, Any], resource_type: str) -> list[dict[str, Any]]:
    return [
        node
        for node in nodes.values()
        if node["resource_type"] == resource_type and node["package_name"] == "retail_pro_segment"
    ]


def test_models_are_described_beside_their_sql(manifest: Manifest) -> None:
    models = own(manifest["nodes"], "model")
    assert models
    for model in models:
        path = Path(model["original_file_path"])
        assert model["patch_path"], f"{path} has no YAML: write {path.with_suffix('.yml')}"
        assert model["patch_path"].endswith(str(path.with_suffix(".yml"))), model["patch_path"]
        assert "Grain:" in model["description"], f"{path}: the description names no grain"


def test_columns_are_described(manifest: Manifest) -> None:
    described = [*own(manifest["nodes"], "model"), *own(manifest["nodes"], "seed")]
    described += own(manifest["sources"], "source")
    for node in described:
        assert node["columns"], f"{node['unique_id']} describes no column"
        empty = [c["name"] for c in node["columns"].values() if not c["description"].strip()]
        assert not empty, f"{node['unique_id']}: columns without a description: {empty}"


def test_base_models_say_what_the_data_dictionary_says(manifest: Manifest) -> None:
    def texts(node: dict[str, Any]) -> dict[str, str]:
        columns = node["columns"].values()
        return {c["name"]: c["description"].strip() for c in columns if c["name"][0] != "_"}

    tables = {source["name"]: source for source in own(manifest["sources"], "source")}
    for table in ("customer", "document", "document_item"):
        base = manifest["nodes"][f"model.retail_pro_segment.base_retail_pro__{table}s"]
        assert texts(base) == texts(tables[table])


def test_macros_and_their_arguments_are_described(manifest: Manifest) -> None:
    macros = own(manifest["macros"], "macro")
    assert macros
    for macro in macros:
        if macro["original_file_path"].startswith("tests"):
            continue
        assert macro["description"].strip(), f"{macro['name']} has no entry in _*__macros.yml"
        for argument in macro["arguments"]:
            assert argument["description"].strip(), f"{macro['name']}({argument['name']})"


def test_logic_is_proved_by_unit_tests(manifest: Manifest) -> None:
    """All but base models, which ask the database for columns; dbt cannot unit-test that."""
    tested = {test["model"] for test in manifest["unit_tests"].values()}
    models = {m["name"] for m in own(manifest["nodes"], "model") if "base" not in m["fqn"]}
    assert models - tested == set()


def test_segment_is_declared_as_exposures(manifest: Manifest) -> None:
    reads = {
        parent.split(".")[-1]
        for exposure in manifest["exposures"].values()
        for parent in exposure["depends_on"]["nodes"]
    }
    assert {"segment_identify_outbox", "segment_track_outbox"} <= reads
