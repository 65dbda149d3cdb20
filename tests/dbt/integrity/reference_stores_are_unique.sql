-- A store listed twice, by number or by code in any case, would double its documents.
select
    sbs_no,
    'store_no' as listed_by,
    store_no as listed
from {{ ref('stores') }}
group by sbs_no, store_no
having count() > 1
union all
select
    sbs_no,
    'store_code' as listed_by,
    upper(store_code) as listed
from {{ ref('stores') }}
group by sbs_no, upper(store_code)
having count() > 1
