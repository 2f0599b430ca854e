"""What a customer is about to buy, and what it costs. Money is in whole cents."""

from dataclasses import dataclass, field


@dataclass
class Line:
    article: str
    unit_cents: int
    count: int = 1


@dataclass
class Basket:
    customer: str
    lines: list[Line] = field(default_factory=list)
    voucher_percent: int = 0

    def add(self, article: str, unit_cents: int, count: int = 1) -> None:
        """Put an article into the basket; the same article again raises its count."""
        for line in self.lines:
            if line.article == article:
                line.count = count
                return
        self.lines.append(Line(article, unit_cents, count))

    def remove(self, article: str) -> None:
        """Take all of an article out of the basket."""
        for line in self.lines:
            if line.article == article:
                self.lines.remove(line)

    def goods_cents(self) -> int:
        return sum(line.unit_cents * line.count for line in self.lines)

    def discount_cents(self) -> int:
        """Ten per cent from 100.00 up, and the voucher on what is left."""
        goods = self.goods_cents()
        quantity_discount = goods // 10 if goods > 10_000 else 0
        return quantity_discount + goods * self.voucher_percent // 100

    def postage_cents(self) -> int:
        """Free from 50.00 after discounts, else 4.90."""
        return 0 if self.goods_cents() >= 5_000 else 490

    def total_cents(self) -> int:
        return self.goods_cents() - self.discount_cents() + self.postage_cents()
