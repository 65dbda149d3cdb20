"""The accounts of the compose file: what deploy/clickhouse/accounts.sh tells ClickHouse."""

from __future__ import annotations

import subprocess
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[2] / "deploy" / "clickhouse"
ACCOUNTS = {
    "PIPELINE_DATABASE": "shop",
    "PIPELINE_LANDING_DATABASE": "shop_landing",
    "PIPELINE_SYNC_USER": "sync",
    "PIPELINE_DOCS_USER": "docs",
}
PASSWORDS = {"SYNC": r"it's a \ $(secret) `one`", "DOCS": "other"}


def told(tmp_path: Path) -> str:
    """The statements that reach ClickHouse, and none of them on its command line."""
    client = tmp_path / "clickhouse"
    client.write_text('#!/bin/bash\necho "$*" > "$OUT.arguments"\ncat > "$OUT"\n')
    client.chmod(0o755)
    out = tmp_path / "statements"
    files = {}
    for account, password in PASSWORDS.items():
        (tmp_path / account).write_text(f"{password}\n")
        files[f"PIPELINE_{account}_PASSWORD_FILE"] = str(tmp_path / account)
    subprocess.run(
        ["/bin/bash", DIRECTORY / "accounts.sh"],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "OUT": str(out),
            "ACCOUNTS_SQL": str(DIRECTORY / "accounts.sql"),
            **ACCOUNTS,
            **files,
        },
        check=True,
    )
    assert "secret" not in Path(f"{out}.arguments").read_text()
    return out.read_text()


def test_each_account_gets_its_role_and_password(tmp_path: Path) -> None:
    statements = told(tmp_path).splitlines()
    assert r"alter user `sync` identified by 'it\'s a \\ $(secret) `one`';" in statements
    assert "grant retail_pro_sync to `sync`;" in statements
    assert "grant retail_pro_docs to `docs`;" in statements


def test_the_rights_are_on_the_databases_of_this_installation(tmp_path: Path) -> None:
    text = told(tmp_path)
    grants = text[text.index("create role") : text.index("create user")]
    assert "on `shop`.* to retail_pro_sync;" in grants
    assert "on `shop_landing`.* to retail_pro_sync;" in grants
    assert "grant select on `shop`.int_build_scope to retail_pro_docs;" in grants
    assert " retail." not in grants
    assert " retail_pro." not in grants
