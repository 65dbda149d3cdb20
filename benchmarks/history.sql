-- Retail Pro rows of an invented chain, of any size. A query begins with a line "-- name:"; the
-- comment under it says what it is for. Row number k and the seed decide everything about row k, so
-- that `first` goes on where an earlier call stopped.

-- name: make_receipts
-- Receipts and their lines, before they are text. Most customers buy seldom and a few often, most
-- articles sell seldom and a few often. A quarter of the receipts has no customer, one in twelve is a
-- return, every other of which names its sale, one in thirty an exchange; one in two hundred is held.
-- One in a hundred came a second time, with a higher version. Five seconds lie between two receipts,
-- which an export of the night brings; one that is added to a history comes now.
create or replace table {database:Identifier}.generated_receipts
engine = MergeTree
order by k
as select
    number as k,
    -- A hash of the row for each thing to be drawn.
    arrayMap(draw -> cityHash64({seed:UInt64}, number, draw), range(24)) as draws,
    toDateTime64('2008-01-01 08:00:00', 3, 'UTC') + toIntervalSecond(number * 5) as created_at,
    if(
        {is_history:Bool}, toDateTime64(toStartOfDay(created_at), 3, 'UTC') + toIntervalHour(26),
        now64(3, 'UTC')
    ) as loaded_at,
    if({is_history:Bool} and draws[24] % 100 = 0, [1, 2], [1]) as versions,
    concat(toString(600000000 + number), leftPad(toString(draws[1] % 1000000000), 9, '0')) as sid,
    draws[2] % 12 = 0 as is_return,
    not is_return and draws[2] % 30 = 1 as is_exchange,
    draws[3] % 4 = 0 as is_guest,
    draws[23] % 200 = 0 as is_held,
    if(is_return and number > 0 and draws[22] % 2 = 0, number - 1 - draws[22] % number, null) as sale,
    if(
        sale is null, '',
        concat(
            toString(600000000 + sale),
            leftPad(toString(cityHash64({seed:UInt64}, sale, 0) % 1000000000), 9, '0')
        )
    ) as sale_sid,
    toUInt64({customers:UInt64} * pow((draws[4] % 1000000) / 1000000, 1.5)) as customer,
    1 + toUInt8(4 * pow((draws[5] % 1000) / 1000, 2)) + is_exchange as line_count,
    arrayMap(
        line -> (
            toUInt64(20000 * pow((draws[6 + line] % 1000000) / 1000000, 3)),
            if(draws[12 + line] % 10 = 0, 2, 1),
            is_return or is_exchange and line = 0
        ),
        range(line_count)
    ) as articles,
    -- Article, quantity, price of one piece in cents, whether it came back.
    arrayMap(
        article -> (article.1, article.2, 500 + article.1 * 7919 % 20000, article.3),
        articles
    ) as priced,
    arrayFilter(line -> not line.4, priced) as sold,
    arrayFilter(line -> line.4, priced) as returned,
    arraySum(line -> line.3 * line.2, sold) as sale_subtotal,
    arraySum(line -> line.3 * line.2, returned) as return_subtotal,
    intDiv(sale_subtotal * 8, 100) as sale_tax,
    intDiv(return_subtotal * 8, 100) as return_tax
from numbers({first:UInt64}, {documents:UInt64})

-- name: insert_documents
-- Headers of the receipts.
insert into {database:Identifier}.document
(
    SID, DOC_NO, BT_CUID, HAS_SALE, HAS_RETURN, SOLD_QTY, RETURN_QTY, SALE_TOTAL_AMT, SALE_SUBTOTAL,
    SALE_TOTAL_TAX_AMT, TOTAL_DISCOUNT_AMT, SHIPPING_AMT, CURRENCY_NAME, TENDER_NAME, STORE_CODE,
    STORE_NO, SBS_NO, CREATED_DATETIME, STATUS, IS_HELD, RECEIPT_TYPE, RETURN_SUBTOTAL,
    RETURN_TOTAL_TAX_AMT, USE_VAT, REF_SALE_SID, ROW_VERSION, _file, _line, _loaded_at
)
select
    sid,
    if(is_held, '', toString(k + 1)),
    if(is_guest, '', concat(toString(300000000 + customer), '000000000')),
    if(empty(sold), '0', '1'),
    if(empty(returned), '0', '1'),
    toString(arraySum(line -> line.2, sold)),
    toString(arraySum(line -> line.2, returned)),
    toString(toDecimal64(sale_subtotal + sale_tax, 2) / 100),
    toString(toDecimal64(sale_subtotal, 2) / 100),
    toString(toDecimal64(sale_tax, 2) / 100),
    '0',
    '0',
    'US DOLLARS',
    ['Cash', 'Credit Card', 'Debit Card', 'Split'][draws[20] % 4 + 1],
    ['001', '002', '003', '004'][draws[21] % 4 + 1],
    toString(draws[21] % 4 + 1),
    '1',
    formatDateTime(created_at, '%Y-%m-%dT%H:%i:%S.000Z', 'UTC'),
    if(is_held, '3', '4'),
    if(is_held, '1', '0'),
    if(is_return, '1', '0'),
    toString(toDecimal64(return_subtotal, 2) / 100),
    toString(toDecimal64(return_tax, 2) / 100),
    '0',
    sale_sid,
    toString(version),
    'generated',
    k,
    loaded_at + toIntervalDay(version - 1)
from {database:Identifier}.generated_receipts
array join versions as version

-- name: insert_document_items
-- Lines of the receipts.
insert into {database:Identifier}.document_item
(
    SID, DOC_SID, ITEM_POS, ALU, DESCRIPTION1, DCS_CODE, VEND_CODE, QTY, PRICE, ORIG_PRICE, DISC_AMT,
    TAX_AMT, ITEM_SIZE, ATTRIBUTE, INVN_SBS_ITEM_SID, ITEM_TYPE, KIT_FLAG, ROW_VERSION, _file, _line,
    _loaded_at
)
select
    concat(toString(700000000 + k), toString(position), substring(sid, 10, 8)),
    sid,
    toString(position),
    leftPad(toString(71234000000 + line.1), 12, '0'),
    concat('Article ', toString(line.1)),
    ['APPWDRE', 'APPMBOT', 'ACCBAGS'][line.1 % 3 + 1],
    ['FINCH', 'CALDERA'][line.1 % 2 + 1],
    toString(line.2),
    toString(toDecimal64(line.3, 2) / 100),
    toString(toDecimal64(line.3, 2) / 100),
    '0',
    toString(toDecimal64(line.3 * 8, 4) / 10000),
    ['S', 'M', 'L', 'XL'][line.1 % 4 + 1],
    ['BLACK', 'MOSS', 'SAND'][line.1 % 3 + 1],
    concat('53243520000', toString(1000000 + line.1)),
    if(line.4, '2', '1'),
    '0',
    toString(version),
    'generated',
    k,
    loaded_at + toIntervalDay(version - 1)
from (
    select
        k, sid, loaded_at, versions,
        arrayJoin(arrayEnumerate(priced)) as position,
        priced[position] as line
    from {database:Identifier}.generated_receipts
)
array join versions as version

-- name: insert_customers
-- Customers number `first` to `first + customers`, for the receipts to belong to. Seven in ten left an
-- e-mail address; of fifty one has that of the customer before, as couples do, and of a thousand one
-- has the shop's.
insert into {database:Identifier}.customer
(
    SID, CUST_ID, FIRST_NAME, LAST_NAME, EMAIL, MARKETING_FLAG, LTY_OPT_IN, LTY_BALANCE, YTD_SALE,
    CREATED_DATETIME, ACTIVE, CUST_TYPE, MODIFIED_DATETIME, ROW_VERSION, _file, _line, _loaded_at
)
select
    concat(toString(300000000 + number), '000000000'),
    leftPad(toString(number), 9, '0'),
    ['Ann', 'Luis', 'Mei', 'Jonas', 'Amara'][cityHash64({seed:UInt64}, number, 1) % 5 + 1],
    ['Meyer', 'Santos', 'Tanaka', 'Okafor', 'Rossi'][cityHash64({seed:UInt64}, number, 2) % 5 + 1],
    multiIf(
        cityHash64({seed:UInt64}, number, 3) % 10 >= 7, '',
        cityHash64({seed:UInt64}, number, 6) % 1000 = 0, 'till@mail.example',
        concat(
            'customer',
            toString(number - (number > 0 and cityHash64({seed:UInt64}, number, 6) % 50 = 1)),
            '@mail.example'
        )
    ),
    '0',
    toString(cityHash64({seed:UInt64}, number, 4) % 2),
    toString(cityHash64({seed:UInt64}, number, 5) % 5000),
    '0',
    '2007-12-01T10:00:00.000Z',
    '1',
    '0',
    '2007-12-31T10:00:00.000Z',
    '1',
    'generated',
    number,
    if({is_history:Bool}, toDateTime64('2008-01-01 02:00:00', 3, 'UTC'), now64(3, 'UTC'))
from numbers({first:UInt64}, {customers:UInt64})

-- name: drop_receipts
-- The receipts are in the landing tables now.
drop table if exists {database:Identifier}.generated_receipts
