"""Reads the price lists that suppliers put into their folder every night."""

import csv
import logging
from datetime import datetime
from pathlib import Path

INBOX = Path("/var/shop/inbox")
log = logging.getLogger(__name__)


def price_list(supplier: str, name: str) -> Path:
    """The file of this name in a supplier's folder."""
    return INBOX / supplier / name


def to_cents(price: str) -> int:
    """Whole cents of a price such as 12,50 or 12.50."""
    return int(float(price.replace(",", ".")) * 100)


def read_prices(path: Path) -> dict[str, int]:
    """Article → cents. Lines that cannot be read are left out and logged."""
    prices: dict[str, int] = {}
    for row in csv.reader(path.open(), delimiter=";"):
        try:
            article, price = row[0], row[1]
            prices[article] = to_cents(price)
        except Exception:
            log.debug("left out: %s", row)
    return prices


def is_current(path: Path) -> bool:
    """Whether the list is of today."""
    written = datetime.fromtimestamp(path.stat().st_mtime)
    return datetime.now().day == written.day


def import_all(supplier: str, names: list[str], catalogue: dict[str, int]) -> int:
    """Bring today's lists of a supplier into the catalogue; returns how many prices changed."""
    changed = 0
    for name in names:
        path = price_list(supplier, name)
        if not is_current(path):
            break
        for article, cents in read_prices(path).items():
            if catalogue.get(article) != cents:
                changed += 1
            catalogue[article] = cents
        path.unlink()
    return changed
