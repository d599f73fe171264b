"""Render an invoice as a printable HTML page."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from adapters.language import Language, written_day, written_month
from subscription.adjustment import AdjustmentReason
from subscription.catalogue import PriceBook
from subscription.invoice import Invoice, InvoiceKind
from subscription.ledger import ChargedRate, LineKind

_LABELS: Mapping[Language, Mapping[str, str]] = {
    Language.EN: {
        InvoiceKind.INVOICE: "Invoice",
        InvoiceKind.CREDIT_NOTE: "Credit note",
        LineKind.SERVICE_FEE: "Service fee",
        LineKind.DISCOUNT_REPAYMENT: "Repayment of the annual discount",
        LineKind.EARLY_TERMINATION_FEE: "Early-termination fee",
        "ADJUSTMENT": "Adjustment",
        AdjustmentReason.WRONG_CHARGE: "wrong charge",
        AdjustmentReason.SERVICE_OUTAGE: "service outage",
        AdjustmentReason.GOODWILL: "goodwill",
        AdjustmentReason.REVERSAL: "reversal",
        "product": "NAVER WORKS on NAVER Cloud Platform",
        "number": "Number",
        "month": "Month of use",
        "issued_on": "Issued on",
        "customer": "Billing account",
        "supplier": "Supplier",
        "registration_number": "Business registration number",
        "subscription": "Subscription",
        "item": "Item",
        "period": "Period",
        "plan": "Plan",
        "members": "Members",
        "amount": "Amount (KRW)",
        "subtotal": "Subtotal",
        "supply_amount": "Supply amount",
        "vat": "VAT",
        "total": "Total",
        "for": "for",
        "corrected": "Corrected invoices",
        "supply_before": "Supply amount before",
        "supply_after": "Supply amount after",
        "vat_change": "Change of VAT",
        "currency": "All amounts are in Korean won.",
    },
    Language.KO: {
        InvoiceKind.INVOICE: "이용요금 청구서",
        InvoiceKind.CREDIT_NOTE: "이용요금 감액 청구서",
        LineKind.SERVICE_FEE: "서비스 이용요금",
        LineKind.DISCOUNT_REPAYMENT: "약정 할인 반환금",
        LineKind.EARLY_TERMINATION_FEE: "중도 해지 위약금",
        "ADJUSTMENT": "요금 조정",
        AdjustmentReason.WRONG_CHARGE: "요금 오류",
        AdjustmentReason.SERVICE_OUTAGE: "서비스 장애",
        AdjustmentReason.GOODWILL: "고객 보상",
        AdjustmentReason.REVERSAL: "조정 취소",
        "product": "네이버 클라우드 플랫폼 NAVER WORKS",
        "number": "청구서 번호",
        "month": "이용월",
        "issued_on": "발행일",
        "customer": "청구 계정",
        "supplier": "공급자",
        "registration_number": "사업자등록번호",
        "subscription": "구독",
        "item": "항목",
        "period": "이용 기간",
        "plan": "요금제",
        "members": "구성원",
        "amount": "금액 (원)",
        "subtotal": "소계",
        "supply_amount": "공급가액",
        "vat": "부가가치세",
        "total": "합계",
        "for": "대상",
        "corrected": "정정 대상 청구서",
        "supply_before": "정정 전 공급가액",
        "supply_after": "정정 후 공급가액",
        "vat_change": "부가가치세 증감",
        "currency": "모든 금액의 단위는 원(KRW)입니다.",
    },
}

_PAGES = Environment(loader=PackageLoader("adapters"), autoescape=True, undefined=StrictUndefined)


def invoice_page(invoice: Invoice, language: Language, book: PriceBook) -> str:
    """Render a self-contained HTML document, laid out for printing on A4.

    Each plan has the title that was valid on the first day charged. Published catalogue versions never
    change, so the page is reproducible.
    """

    def day(day: date) -> str:
        return written_day(day, language)

    def title(rate: ChargedRate) -> str:
        return book.plan_terms(rate.plan, rate.first_day).title

    page: Any = _PAGES.get_template("invoice.html")
    html: str = page.render(
        invoice=invoice,
        words=_LABELS[language],
        language=language.value,
        day=day,
        month=written_month(invoice.month, language),
        title=title,
    )
    return html
