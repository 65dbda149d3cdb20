"""One build of dbt, and what it says when it fails."""
