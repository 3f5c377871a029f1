"""The tables, by name."""

from __future__ import annotations

from benchmarks.published.declared import Table
from benchmarks.published.tables import (
    bai2018,
    chung2014,
    greff2015,
    krueger2016,
    le2015,
    pascanu2013,
    records,
    semeniuta2016,
    tallec2018,
    zaremba2014,
)

TABLES: dict[str, Table] = {
    module.TABLE.name: module.TABLE
    for module in (
        pascanu2013,
        chung2014,
        zaremba2014,
        le2015,
        greff2015,
        krueger2016,
        semeniuta2016,
        bai2018,
        tallec2018,
        records,
    )
}
