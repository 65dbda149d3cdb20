-- Retail Pro rows of an invented chain, of any size. A query begins with a line "-- name:"; the
-- comment under it says what it is for. Row number k and the seed decide everything about row k, so
-- that `first` goes on where an earlier call stopped.

-- name: make_receipts
-- Receipts and their lines, before they are text. Most customers buy seldom and a few often, most
-- articles sell seldom and a few often; a quarter of the receipts has no customer, one in twelve is a
-- return. One minute lies between two receipts.
create or replace table {database:Identifier}.generated_receipts
engine = MergeTree
order by k
as select
    number as k,
    -- A hash of the row for each thing to be drawn.
    arrayMap(draw -> cityHash64({seed:UInt64}, number, draw), range(24)) as draws,
    toDateTime('2008-01-01 08:00:00', 'UTC') + toIntervalMinute(number) as created_at,
    concat(toString(600000000 + number), leftPad(toString(draws[1] % 1000000000), 9, '0')) as sid,
    draws[2] % 12 = 0 as is_return,
    draws[3] % 4 = 0 as is_guest,
    toUInt64({customers:UInt64} * pow((draws[4] % 1000000) / 1000000, 1.5)) as customer,
    1 + toUInt8(4 * pow((draws[5] % 1000) / 1000, 2)) as line_count,
    arrayMap(
        line -> (
            toUInt64(20000 * pow((draws[6 + line] % 1000000) / 1000000, 3)),
            if(draws[12 + line] % 10 = 0, 2, 1)
        ),
        range(line_count)
    ) as articles,
    -- Article, quantity, price and tax of one piece in cents.
    arrayMap(
        article -> (article.1, article.2, 500 + article.1 * 7919 % 20000),
        articles
    ) as priced,
    arraySum(line -> line.3 * line.2, priced) as subtotal,
    intDiv(subtotal * 8, 100) as tax
from numbers({first:UInt64}, {documents:UInt64})

-- name: insert_documents
-- Headers of the receipts.
insert into {database:Identifier}.document
(
    SID, DOC_NO, BT_CUID, HAS_SALE, HAS_RETURN, SOLD_QTY, RETURN_QTY, SALE_TOTAL_AMT, SALE_SUBTOTAL,
    SALE_TOTAL_TAX_AMT, TOTAL_DISCOUNT_AMT, SHIPPING_AMT, CURRENCY_NAME, TENDER_NAME, STORE_CODE,
    STORE_NO, SBS_NO, CREATED_DATETIME, STATUS, IS_HELD, RECEIPT_TYPE, RETURN_SUBTOTAL,
    RETURN_TOTAL_TAX_AMT, USE_VAT, ROW_VERSION, _file, _line, _loaded_at
)
select
    sid,
    toString(k + 1),
    if(is_guest, '', concat(toString(300000000 + customer), '000000000')),
    if(is_return, '0', '1'),
    if(is_return, '1', '0'),
    if(is_return, '0', toString(arraySum(line -> line.2, priced))),
    if(is_return, toString(arraySum(line -> line.2, priced)), '0'),
    if(is_return, '0', toString(toDecimal64(subtotal + tax, 2) / 100)),
    if(is_return, '0', toString(toDecimal64(subtotal, 2) / 100)),
    if(is_return, '0', toString(toDecimal64(tax, 2) / 100)),
    '0',
    '0',
    'US DOLLARS',
    ['Cash', 'Credit Card', 'Debit Card', 'Split'][draws[20] % 4 + 1],
    ['001', '002', '003', '004'][draws[21] % 4 + 1],
    toString(draws[21] % 4 + 1),
    '1',
    formatDateTime(created_at, '%Y-%m-%dT%H:%i:%S.000Z', 'UTC'),
    '4',
    '0',
    if(is_return, '1', '0'),
    if(is_return, toString(toDecimal64(subtotal, 2) / 100), '0'),
    if(is_return, toString(toDecimal64(tax, 2) / 100), '0'),
    '0',
    '1',
    'generated',
    k,
    now64(3, 'UTC')
from {database:Identifier}.generated_receipts

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
    if(is_return, '2', '1'),
    '0',
    '1',
    'generated',
    k,
    now64(3, 'UTC')
from {database:Identifier}.generated_receipts
array join priced as line, arrayEnumerate(priced) as position

-- name: insert_customers
-- Customers number `first` to `first + documents`, for the receipts to belong to.
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
    if(
        cityHash64({seed:UInt64}, number, 3) % 10 < 7,
        concat('customer', toString(number), '@mail.example'), ''
    ),
    '0',
    toString(cityHash64({seed:UInt64}, number, 4) % 2),
    toString(cityHash64({seed:UInt64}, number, 5) % 5000),
    '0',
    '2019-12-01T10:00:00.000Z',
    '1',
    '0',
    '2020-01-01T10:00:00.000Z',
    '1',
    'generated',
    number,
    now64(3, 'UTC')
from numbers({first:UInt64}, {documents:UInt64})

-- name: drop_receipts
-- The receipts are in the landing tables now.
drop table if exists {database:Identifier}.generated_receipts
