"""profiles.yml: a setting with a control character ends dbt with the name of the variable."""

import re
from typing import Any

import jinja2
import pytest
import yaml

from tests.processes import PROJECT

TYPE = yaml.safe_load((PROJECT / "profiles.yml").read_text())["retail_pro_segment"]["outputs"]


class MissingError(Exception):
    """What dbt raises for a variable that is not set and has no default."""


def rendered_type(environment: dict[str, str], target: str = "embedded") -> str:
    """The adapter's type as dbt renders it."""

    def env_var(name: str, default: str | None = None) -> str:
        if name not in environment and default is None:
            raise MissingError(f"Env var required but not provided: '{name}'")
        return environment.get(name, default or "")

    context: dict[str, Any] = {"env_var": env_var, "modules": {"re": re}}
    return jinja2.Environment().from_string(TYPE[target]["type"]).render(context)  # noqa: S701


@pytest.mark.parametrize("target", TYPE)
def test_good_settings_give_the_adapter(target: str) -> None:
    assert rendered_type({"CLICKHOUSE_DATABASE": "retail", "CLICKHOUSE_USER": "é"}, target) == (
        "clickhouse"
    )


@pytest.mark.parametrize("character", ["\r", "\n", "\x1b", "\x00", "\x7f", "\x9b"])
@pytest.mark.parametrize(
    "name", ["CLICKHOUSE_DATABASE", "CLICKHOUSE_PASSWORD", "SEGMENT_NAMESPACE"]
)
def test_a_control_character_is_refused_by_name(name: str, character: str) -> None:
    with pytest.raises(MissingError, match=f"{name} without a control character"):
        rendered_type({name: f"retail{character}"})


def test_every_setting_of_dbt_is_looked_at() -> None:
    read = {
        name
        for directory in ("macros", "dbt_project")
        for path in (PROJECT / directory).rglob("*")
        if path.is_file()
        for name in re.findall(r"env_var\(['\"](\w+)['\"]", path.read_text())
    }
    read |= set(re.findall(r"env_var\(['\"](\w+)['\"]", (PROJECT / "profiles.yml").read_text()))
    read.discard("RETAIL_PRO_EXPORT_DIR")  # Whether it is set is all that dbt asks.
    assert {"CLICKHOUSE_PASSWORD", "RETAIL_PRO_SOURCE"} <= read
    assert read <= set(re.findall(r"\w+", TYPE["embedded"]["type"]))
