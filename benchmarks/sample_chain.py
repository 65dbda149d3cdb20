"""An invented chain of shops, "Alder & Finch", and fourteen months of its business.

Nine stores in three subsidiaries: sales tax in US dollars, VAT in euros (two time zones) and VAT in
yen (no minor units). All of it is clean; `make_sample_export.py` writes it down and adds the dirt.
"""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

START, DAYS = datetime(2025, 9, 15), 426  # the last day is 14 November 2026
SALES, RETURNS, EXCHANGES, HELD, ORDERS, CUSTOMERS = 2016, 150, 60, 35, 30, 605


@dataclass(frozen=True)
class Store:
    """A till's place: where it stands, what it charges, how busy it is."""

    sbs: int
    code: str
    no: int
    zone: str
    tax: str
    share: int
    names: str


STORES = [
    Store(1, "001", 1, "America/New_York", "0.08875", 20, "en"),
    Store(1, "002", 2, "America/Chicago", "0.1025", 12, "en"),
    Store(1, "003", 3, "America/Denver", "0.0915", 7, "en"),
    Store(1, "004", 4, "America/Los_Angeles", "0.0975", 13, "en"),
    Store(2, "044", 1, "Europe/Rome", "0.22", 14, "it"),
    Store(2, "045", 2, "Europe/Paris", "0.20", 11, "fr"),
    Store(2, "B135", 3, "Europe/Lisbon", "0.23", 8, "pt"),
    Store(3, "001", 1, "Asia/Tokyo", "0.10", 9, "ja"),
    Store(3, "002", 2, "Asia/Tokyo", "0.10", 6, "ja"),
]


@dataclass(frozen=True)
class Subsidiary:
    """How a subsidiary counts money: its smallest coin, and its prices as a multiple of US ones."""

    currency: str
    vat: bool
    unit: Decimal
    factor: int
    tenders: tuple[str, ...]
    carrier: str
    shipping: Decimal


SUBSIDIARIES = {
    1: Subsidiary("US DOLLARS", False, Decimal("0.01"), 1,
                  ("Credit Card", "Credit Card", "Debit Card", "Cash", "Split", "Gift Card"),
                  "UPS Ground", Decimal("9.95")),
    2: Subsidiary("EURO", True, Decimal("0.01"), 1,
                  ("Carta", "Carta", "Contanti", "Bancomat", "Split"),
                  "DHL Standard", Decimal("6.90")),
    3: Subsidiary("YEN", True, Decimal(1), 150,
                  ("クレジットカード", "現金", "PayPay", "Suica"), "ヤマト運輸", Decimal(800)),
}  # fmt: skip

# First names / last names; Japanese ones with the Latin form that the e-mail address uses.
NAMES = {
    "en": "Ann Grace Maya Olivia Zoe Ruth Hannah Priya Mei Leah Tom Daniel Omar Luis José Kofi Ben "
    "Noah Caleb Ivan/Meyer Parker O'Brien Nguyen Álvarez Okafor Schmidt Rivera Patel Kim Foster "
    "Brooks Haddad Larsen Cole Bennett Chen Walsh Ortiz Reed",
    "it": "Giulia Chiara Elena Sara Marta Luca Marco Paolo Andrea Nicolò/Rossi Bianchi Ferrari "
    "Conti Galli Greco Marino De_Luca D'Amico Fontana",
    "fr": "Camille Léa Manon Chloé Inès Hugo Louis Étienne Théo Jean-Luc/Martin Dubois Lefèvre "
    "Moreau Girard Roux Petit Garnier L'Hôte Benali",
    "pt": "Inês Beatriz Sofia Matilde João Tiago Rui Gonçalo/Silva Santos Ferreira Costa Carvalho "
    "Araújo Conceição Lopes",
    "ja": "陽菜=hina 結衣=yui 美咲=misaki 葵=aoi 翔太=shota 蓮=ren 大輔=daisuke 健=ken/佐藤=sato "
    "鈴木=suzuki 高橋=takahashi 田中=tanaka 伊藤=ito 渡辺=watanabe 山本=yamamoto 中村=nakamura",
}
# Reserved names (RFC 2606) that no mail server answers to.
MAIL_HOSTS = ("mail.example", "post.example", "inbox.example", "webmail.example")

# Description, department-class-subclass, vendor, US list price, kind of size.
PRODUCTS = [line.split("|") for line in """\
Trail Runner 2|SHOMRUN|CALDERA|129|shoe
Trail Runner 2 W|SHOWRUN|CALDERA|129|shoe
Court Classic|SHOUCAS|NORVEK|85|shoe
Alpine Boot GTX|SHOUHIK|CALDERA|219|shoe
Beach Slide|SHOUSAN|NORVEK|35|shoe
Merino Crew Tee|APPMTOP|ALDER|59|letter
Merino Tank|APPWTOP|ALDER|49|letter
Oxford Shirt|APPMSHI|FINCH|79.5|letter
Linen Shirt|APPWSHI|FINCH|84.5|letter
Fleece Half Zip|APPUMID|ALDER|98|letter
Down Jacket|APPUOUT|HALDE|289|letter
Rain Shell|APPUOUT|HALDE|179|letter
Run Short 5in|APPMBOT|CALDERA|45|letter
High Rise Tight|APPWBOT|CALDERA|88|letter
Selvedge Jean|APPMBOT|FINCH|148|waist
Wide Leg Trouser|APPWBOT|FINCH|118|waist
Wrap Dress|APPWDRE|FINCH|138|letter
Kids Puffer|APPKOUT|HALDE|95|letter
Wool Beanie|ACCUHAT|ALDER|29|none
Running Cap|ACCUHAT|CALDERA|27.5|none
Crew Sock 3-Pack|ACCUSOC|ALDER|24|letter
Leather Belt|ACCUBEL|FINCH|55|waist
Canvas Tote|ACCUBAG|FINCH|39|none
Day Pack 22L|ACCUBAG|HALDE|110|none
Steel Bottle 750|EQUUHYD|NORVEK|32|none
Yoga Mat 5mm|EQUUYOG|NORVEK|68|none
Foam Roller|EQUUREC|NORVEK|36|none
Trail Bar Almond|FOOUBAR|KERNEL|3|food
Denim by the Metre|FABUDEN|FINCH|42|metre""".splitlines()]  # fmt: skip
SIZES = {
    "shoe": [str(size) for size in range(38, 46)], "letter": ["XS", "S", "M", "L", "XL"],
    "waist": ["28", "30", "32", "34", "36"], "none": ["NOSIZ", "", "N/A", "NOSIZ"],
    "food": [""], "metre": [""],
}  # fmt: skip
COLOURS = (
    "BLACK", "NAVY", "SAND", "MOSS", "RUST", "WHITE", "GREY", "CORAL", "OLIVE", "SKY", "TEAL",
    "CREAM", "COCOA", "ROSE", ".",
)  # fmt: skip


# Customer records that stand for many people: subsidiary, first name, last name, e-mail, SID.
SHARED = [
    (1, "SYSADMIN", "", "", ""),
    (1, "Visitor", "", "tourist@alderfinch.example", ""),
    (2, "TOURIST", "", "", ""),
    (2, "Casa", "Chiado", "", "590482117000133990"),
    (3, "Tourist.", "", "", ""),
]


@dataclass
class Customer:
    """A customer row before it is written; `weight` is how often they come."""

    sid: str
    store: Store
    first: str
    last: str
    email: str
    created: datetime
    weight: float
    documents: list[Document] = field(default_factory=list)


@dataclass
class Line:
    """A document line. `price` is per unit after the line discount, `tax` per unit at 5 places."""

    product: list[str]
    alu: str
    size: str
    colour: str
    item_sid: str
    qty: Decimal
    list_price: Decimal
    price: Decimal
    tax: Decimal = Decimal(0)
    item_type: int = 1
    kit_flag: int = 0
    sale_sid: str = ""


@dataclass
class Document:
    """A receipt. `discount` is the document discount in percent."""

    sid: str
    store: Store
    created: datetime
    customer: Customer | None
    lines: list[Line]
    receipt_type: int = 0
    discount: int = 0
    shipping: Decimal = Decimal(0)
    held: bool = False
    sale_sid: str = ""


def coins(amount: Decimal, sbs: int) -> Decimal:
    """Round to the smallest coin of a subsidiary."""
    return amount.quantize(SUBSIDIARIES[sbs].unit, ROUND_HALF_UP)


def ascii_only(name: str) -> str:
    """Fold a name to what stands before the @."""
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "".join(char for char in folded.lower() if char.isalnum())


class Chain:
    """The chain and its history; everything random comes from one seeded source."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - invented data, not a secret
        self.serial = 133_000
        self.item_sids: dict[tuple[int, str], str] = {}
        self.mailboxes: Counter[str] = Counter()
        self.days = [START + timedelta(days=day) for day in range(DAYS)]
        self.day_weights = [
            (2.0 if day.month == 12 else 1.3 if day.month in (6, 7, 11) else 1.0)
            * (1.6 if day.weekday() == 5 else 1.0)
            for day in self.days
        ]
        self.customers = [self.new_customer() for _ in range(CUSTOMERS)]
        self.customers += [self.shared_customer(*shared) for shared in SHARED]
        self.documents = self.history()

    def sid(self, when: datetime) -> str:
        """Return a new 18-digit SID that grows by time, as Retail Pro's do."""
        self.serial += self.rng.randrange(1, 60)
        seconds = int((when.replace(tzinfo=None) - START).total_seconds())
        return f"{600_000_000 + seconds}{self.serial:09d}"

    def opening_time(self, store: Store) -> datetime:
        """Pick a moment when a store is open: more in December and on Saturdays."""
        day = self.rng.choices(self.days, self.day_weights)[0]
        seconds = self.rng.randrange(10 * 3600, 20 * 3600)
        return (day + timedelta(seconds=seconds)).replace(tzinfo=ZoneInfo(store.zone))

    def new_customer(self) -> Customer:
        """Make a customer of a random store; a few come very often, most seldom."""
        rng = self.rng
        store = rng.choices(STORES, [store.share for store in STORES])[0]
        firsts, lasts = (part.split() for part in NAMES[store.names].split("/"))
        first, last = rng.choice(firsts), rng.choice(lasts)
        mailbox = ".".join(ascii_only(name.split("=")[-1]) for name in (first, last))
        self.mailboxes[mailbox] += 1
        number = self.mailboxes[mailbox] if self.mailboxes[mailbox] > 1 else ""
        email = f"{mailbox}{number}@{rng.choice(MAIL_HOSTS)}" if rng.random() < 0.78 else ""
        created = self.opening_time(store)
        if rng.random() < 0.7:
            created -= timedelta(days=rng.randrange(430, 2400))
        first, last = (name.split("=")[0].replace("_", " ") for name in (first, last))
        weight = min(rng.paretovariate(1.1), 45.0)
        return Customer(self.sid(created), store, first, last, email, created, weight)

    def shared_customer(self, sbs: int, first: str, last: str, email: str, sid: str) -> Customer:
        """Make a record that the tills of a subsidiary use for people they do not know."""
        store = [store for store in STORES if store.sbs == sbs][-1]
        created = self.opening_time(store) - timedelta(days=2500)
        return Customer(sid or self.sid(created), store, first, last, email, created, 0)

    def history(self) -> list[Document]:
        """Return all documents in the order in which they were begun."""
        sales = [self.sale() for _ in range(SALES)]
        whole = [sale for sale in sales if any(returnable(line) for line in sale.lines)
                 and sale.created.replace(tzinfo=None) < self.days[-2]]  # fmt: skip
        origins = self.rng.sample(whole, RETURNS + EXCHANGES)
        back = [self.come_back(sale, i >= RETURNS) for i, sale in enumerate(origins)]
        held = [self.sale() for _ in range(HELD)]
        for document in held:
            document.held = True
        orders = [self.order() for _ in range(ORDERS)]
        return sorted([*sales, *back, *held, *orders], key=lambda doc: (doc.created, doc.sid))

    def sale(self) -> Document:
        """Make a sale to a customer, a tourist or nobody known."""
        rng = self.rng
        store = rng.choices(STORES, [store.share for store in STORES])[0]
        created = self.opening_time(store)
        customer = self.buyer(store, created)
        count = rng.choices((1, 2, 3, 4, 5, 7), (26, 28, 21, 13, 8, 4))[0]
        document = Document(self.sid(created), store, created, customer, [])
        if rng.random() < 0.09:
            document.discount = rng.choice((5, 10, 10, 15, 20))
        if customer and rng.random() < 0.05:
            document.shipping = SUBSIDIARIES[store.sbs].shipping
        for _ in range(count):
            document.lines.append(self.line(document))
        if rng.random() < 0.005:
            gift = self.line(document)
            gift.price = Decimal(0)
            document.lines.append(tax_line(gift, document))
        if rng.random() < 0.008:
            document.lines += self.kit(document)
        if not document.discount and rng.random() < 0.012:
            document.lines.append(self.gift_card(document))
        return document

    def buyer(self, store: Store, when: datetime) -> Customer | None:
        """Pick who buys: one in four stays unknown, one in thirty goes on a shared record."""
        chance = self.rng.random()
        here = [who for who in self.customers if who.store.sbs == store.sbs]
        if chance < 0.23:
            return None
        if chance < 0.265:
            return self.rng.choice([who for who in here if not who.weight])
        customer = self.rng.choices(here, [who.weight for who in here])[0]
        return customer if customer.created < when else None

    def line(self, document: Document, item_type: int = 1) -> Line:
        """Make a line: mostly one piece, one in five reduced."""
        rng, store = self.rng, document.store
        number = rng.choices(range(len(PRODUCTS)), [10] * (len(PRODUCTS) - 1) + [1])[0]
        product = PRODUCTS[number]
        size = rng.randrange(len(SIZES[product[4]]))
        colour = rng.randrange(len(COLOURS))
        alu = f"0{71_234_000_000 + number * 10_000 + size * 100 + colour}"
        qty = Decimal(rng.choices((1, 2, 3), (88, 9, 3))[0])
        if product[4] == "metre":
            qty = Decimal(rng.randrange(3, 18)) / 4
        list_price = coins(Decimal(product[3]) * SUBSIDIARIES[store.sbs].factor, store.sbs)
        reduced = rng.choice((10, 20, 30, 50)) if rng.random() < 0.2 else 0
        price = coins(list_price * (100 - reduced) / 100, store.sbs)
        key = (store.sbs, alu)
        if key not in self.item_sids:
            self.item_sids[key] = self.sid(START - timedelta(days=rng.randrange(100, 900)))
        line = Line(product, alu, SIZES[product[4]][size], COLOURS[colour], self.item_sids[key],
                    qty, list_price, price, item_type=item_type)  # fmt: skip
        return tax_line(line, document)

    def kit(self, document: Document) -> list[Line]:
        """Make a gift set: the set carries the price, its parts (KIT_FLAG 5) repeat it."""
        parts = [self.line(document), self.line(document)]
        for part in parts:
            part.qty, part.kit_flag = Decimal(1), 5
        price = sum((part.price for part in parts), Decimal(0))
        product = ["Gift Set", "ACCUSET", "ALDER", "", ""]
        item_sid = self.sid(START)
        parent = Line(product, "SET-2026", "", "", item_sid, Decimal(1), price, price)
        return [tax_line(parent, document), *parts]

    def gift_card(self, document: Document) -> Line:
        """Make a central gift card line (KIT_FLAG 10); it carries no tax."""
        value = Decimal(self.rng.choice((25, 50, 100)))
        price = value * SUBSIDIARIES[document.store.sbs].factor
        product = [f"GIFT CARD {price}", "GFTCRD", "ALDER", "", ""]
        return Line(product, f"GC{price}", "", "", "", Decimal(1), price, price, kit_flag=10)

    def come_back(self, sale: Document, exchange: bool) -> Document:
        """Make a return of one line of a sale, one in five without a link, or an exchange."""
        rng = self.rng
        days_left = (self.days[-1] - sale.created.replace(tzinfo=None)).days
        created = sale.created + timedelta(days=rng.randrange(1, min(45, days_left) + 1))
        created = created.replace(hour=rng.randrange(10, 20), minute=rng.randrange(60))
        document = Document(self.sid(created), sale.store, created, sale.customer, [])
        sold = rng.choice([line for line in sale.lines if returnable(line)])
        paid = coins(sold.price * (100 - sale.discount) / 100, sale.store.sbs)
        origin = sale.sid if rng.random() < 0.8 else ""
        back = Line(sold.product, sold.alu, sold.size, sold.colour, sold.item_sid, Decimal(1),
                    sold.list_price, paid, item_type=2, sale_sid=origin)  # fmt: skip
        document.lines.append(tax_line(back, document))
        if exchange:
            document.lines.append(self.line(document))
        else:
            document.receipt_type = 1
            document.sale_sid = origin if rng.random() < 0.7 else ""
        return document

    def order(self) -> Document:
        """Make a customer order with a deposit: lines of type 3, no sale yet."""
        store = self.rng.choice(STORES)
        created = self.opening_time(store)
        known = [who for who in self.customers if who.store is store and who.weight]
        customer = self.rng.choice([who for who in known if who.created < created])
        document = Document(self.sid(created), store, created, customer, [], receipt_type=2)
        document.lines.append(self.line(document, item_type=3))
        return document


def returnable(line: Line) -> bool:
    """Whether a line can come back whole: no gift card, no kit, nothing cut to measure."""
    return line.kit_flag == 0 and line.alu != "SET-2026" and line.qty == int(line.qty)


def tax_line(line: Line, document: Document) -> Line:
    """Set the unit tax of a line on the price that is left after the document discount."""
    store = document.store
    rate = Decimal("0.08") if store.sbs == 3 and line.product[4] == "food" else Decimal(store.tax)
    base = line.price * (100 - document.discount) / 100
    tax = base * rate / (1 + rate) if SUBSIDIARIES[store.sbs].vat else base * rate
    line.tax = tax.quantize(Decimal("0.00001"), ROUND_HALF_UP)
    return line


def money(document: Document, item_type: int) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal]:
    """Return quantity, subtotal after discount, discount, tax and total of one kind of line."""
    sbs = document.store.sbs
    lines = [line for line in document.lines if line.item_type == item_type and line.kit_flag != 5]
    gross = coins(sum((line.price * line.qty for line in lines), Decimal(0)), sbs)
    discount = coins(gross * document.discount / 100, sbs)
    tax = coins(sum((line.tax * line.qty for line in lines), Decimal(0)), sbs)
    total = gross - discount + (0 if SUBSIDIARIES[sbs].vat else tax)
    quantity = sum((line.qty for line in lines), Decimal(0))
    return quantity, gross - discount, discount, tax, total
