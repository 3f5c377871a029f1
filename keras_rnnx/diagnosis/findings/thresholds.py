"""From where on a measure is a finding, and why from there.

A finding has to be worth a change of the model, so that each of these leaves out what
models that train well show too.
"""

# --- gradients ---

# Shorter sequences are no task for a memory: whatever is wrong there, it is not that.
FEW_STEPS = 8

# A gradient that reaches half of the steps trains: what it reaches grows as the layer
# learns. An untrained GRU reaches 14 steps back, and learns tasks of 30.
REACHED = 0.5

# A gradient that grows by 100 over the length of the data moves the weights by what
# happened first, whatever comes later. Well-trained networks stay within about 10.
GROWTH = 100.0

# Where half of the updates are clipped, clipping has become the learning rate.
OFTEN_CLIPPED = 0.5

# --- memory ---

# An untrained GRU forgets within about 20 steps. So a layer counts as forgetful where a
# tenth of the data is longer than all that it remembers.
FORGOTTEN_WITHIN = 0.1

# The mean of the gates that keep the state, below which their biases throw it away. A
# GRU starts at 0.5, an LSTM at 0.73. What they throw away is lost within a quarter of
# the data, or is not missed.
THROWN = 0.3
LOST_WITHIN = 0.25

# A model whose loss is a seventh of that for the targets of others explains three
# quarters of what there is to explain, of a regression: nothing keeps it from learning.
LEARNED_WELL = 1 / 7

# The model has learned something where the targets of other sequences raise its loss by
# a tenth. Before that it can't be told what it uses.
LEARNED = 1.1

# A hundredth of what was learned is lost by chance, with some ten sequences.
PAST_USED = 0.01

# --- states ---

# A few dead rectifiers are usual, and networks learn around them; a layer that has lost
# a quarter has a quarter of its weights for nothing.
DEAD = 0.25

# Trained LSTMs have gates that are open or shut for good, but not nearly all of them
# (Karpathy, Johnson & Li 2015, arXiv:1506.02078). Beyond 0.9 a gate decides nothing.
STUCK = 0.9

# Where tanh is saturated at three of four values, its slope lets a fiftieth of their
# gradient through.
SATURATED = 0.75

# A gate that is shut for a fifth of its values, and open for another, is no memory that
# is long on purpose, whatever it does for the state.
BOTH_ENDS = 0.2

# --- outputs ---

# An untrained model whose classes are equally frequent is far below this, and so is one
# whose bias has come to the rates.
OF_RATES = 1 / 3

# --- updates ---

# Updates of a thousandth of the weights are usual. From a third on, a few undo what the
# layer was. Below a millionth, float32 rounds most of them away, and 100,000 in one
# direction change a weight by a tenth. Where they don't get smaller with the gradient,
# as for Adam, a hundred thousandth is too little: 100,000 change a weight by its size.
LARGE_UPDATE = 0.3
SMALL_UPDATE = 1e-6
SMALL_UPDATE_PER_WEIGHT = 1e-5
USUAL_UPDATE = 1e-3

# --- cost ---

# A layer that takes less of a forward pass is not what to speed up.
WORTH_SPEEDING = 0.2

# Times of a gradient differ by less where nothing has changed.
FASTER = 1.25
