"""Answers as tables, for people."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from starter.client import Availability
from starter.read_model import Listed
from subscription.domain_proof import DomainProof
from subscription.effects import Answer, ErasureCertificate, TimelineEntry
from subscription.explain import Explanation
from subscription.forecast import Coming, Quote
from subscription.ledger import LedgerLine
from subscription.simulation import Document
from subscription.status import Status
