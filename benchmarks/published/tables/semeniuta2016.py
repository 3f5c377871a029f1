"""Penn Treebank, characters: dropout of what is new in a state, at a smaller size."""

from benchmarks.published.declared import Table
from benchmarks.published.tables.krueger2016 import characters

TABLE = Table(
    "semeniuta2016",
    "Penn Treebank, characters: dropout of updates",
    "Semeniuta, Severyn & Barth 2016, arXiv:1603.05118; the figure is the one that "
    "Krueger et al. 2016, arXiv:1606.01305, quote",
    "The LSTM of [Krueger et al.](#penn-treebank-characters-zoneout) with "
    "`update_dropout=0.25`, at the same smaller size. The LSTM without it is there.",
    (characters("dropout of updates, 0.25", 1.321, update_dropout=0.25),),
)
