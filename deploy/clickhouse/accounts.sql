-- The rights of the pipeline's accounts: what a sync and the operations need, and what the docs site
-- needs. Run it as a user who may grant; running it again changes nothing:
--
--     clickhouse client --queries-file accounts.sql
--
-- Then give the roles to users: grant retail_pro_sync to ...; grant retail_pro_docs to ...
-- retail and retail_pro are the defaults of CLICKHOUSE_DATABASE and RETAIL_PRO_DATABASE: put yours
-- in their place (accounts.sh does). On a cluster add `on cluster NAME` to each statement.

create role if not exists retail_pro_sync;
create role if not exists retail_pro_docs;

-- Models, outbox, ledger, markers: dbt makes, fills, exchanges and drops them.
grant create database, create table, create view, drop table, drop view, truncate, alter table,
    alter view, select, insert, show
    on retail.* to retail_pro_sync;

-- Landing tables: LoadExport makes them, adds columns and rows, and removes rows of a load that was
-- cut off. With a pipeline of your own that fills them, `select, show` is enough.
grant create database, create table, alter add column, alter update, alter delete, select, insert,
    show
    on retail_pro.* to retail_pro_sync;

-- The docs site shows names, types, comments and SQL, no rows. dbt reads these to write the SQL that
-- it shows.
grant show on retail.* to retail_pro_docs;
grant show on retail_pro.* to retail_pro_docs;
grant select on retail.segment_build_progress to retail_pro_docs;
grant select on retail.int_build_scope to retail_pro_docs;
grant select on retail.tracking_plan_events to retail_pro_docs;
grant select on retail.tracking_plan_fields to retail_pro_docs;
