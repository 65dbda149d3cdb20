-- As a setting, because unit tests put a query in the table's place.
select * except (built_at, is_gone)
from {{ ref('int_order_states') }}
settings final = 1
