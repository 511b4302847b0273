"""What the demo's models say: Markdown of every kind, found by the words of the question."""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    """An answer and the words of a question that call for it."""

    words: frozenset[str]
    text: str


OPENINGS = (
    "",
    "Good question.\n\n",
    "Here is how I would look at it.\n\n",
    "In short: it depends on what you measure, but the picture is clear.\n\n",
)

CLOSING = "\n\nThat is the whole of it; ask on where it is not clear."

_GREETING = """\
Hello! I run on a small cluster of machines that talk to each other over loopback. \
Ask me to **explain** something, to **compare** two things in a table, to write some *code*, \
or to tell a story."""

_EXPLAIN = """\
## How one model runs on several machines

A large language model is a stack of **layers**. Every token passes through all of them, in order, \
so the stack can be cut into pieces and each piece can live on another machine.

### What the coordinator does

1. It reads the model file and decides how many layers each device can hold.
2. It sends the weights to the *RPC backends* once, when the model is loaded.
3. For each token it sends the activations to the first backend, takes the result, \
and hands it on to the next.

### What this costs

- **Memory** adds up: two machines with 24 GB hold a model that neither could hold alone.
- **Speed** does not: the layers run one after the other, so a token is as fast as the sum of \
the parts plus one trip over the network per machine.
- **Reliability** is that of the weakest machine. If one backend goes, the whole model goes.

> Splitting a model is for models that do not fit. For those that do, spread the *requests* instead.

### A rule of thumb

If the model fits on one machine with its context, keep it there. Above that, split it over as few \
machines as possible, and prefer the ones with the fastest link between them."""

_COMPARE = """\
## Task distribution and model sharding

Both use several machines, for different reasons.

| | Task distribution | Model sharding |
| --- | --- | --- |
| What is spread | the requests | the layers of one model |
| Good for | many questions at once | one model that is too big |
| Speed of one answer | that of one node | a little slower than one node |
| Answers at the same time | grows with every node | stays the same |
| A machine dies | others take over | the model has to be loaded again |
| Needs | the model on each node | a fast network, equal versions |

**Which one?** Ask how large the model is:

- up to about 13 B parameters, most nodes hold it: *distribute*;
- above that, only the cluster as a whole does: *shard*.

A mixed cluster does both and lets the size of the model decide, request by request."""

_CODE = """\
Here is a small function that picks the node with the most room, with its reasons kept readable:

```python
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    name: str
    in_flight: int
    tokens_per_s: float
    has_model: bool


def best(nodes: list[Node]) -> Node | None:
    \"\"\"The node that will answer first, or None when no node has the model.\"\"\"
    able = [node for node in nodes if node.has_model]
    if not able:
        return None
    return min(able, key=lambda node: (node.in_flight + 1) / node.tokens_per_s)
```

How it decides:

- a node without the model is never asked, loading one costs *seconds*;
- a busy fast node may still beat an idle slow one, which is why the two are divided;
- ties go to the first in the list, so the order of the list is a preference.

Try it with two nodes:

```python
rig = Node("gpu-rig", in_flight=1, tokens_per_s=72.0, has_model=True)
attic = Node("attic", in_flight=0, tokens_per_s=11.0, has_model=True)
assert best([rig, attic]) is rig
```

The comparison is `2 / 72` against `1 / 11`: the rig wins although it is busy."""

_STEPS = """\
To add a machine to the cluster:

1. **Check the versions.** Coordinator and backend must speak the same protocol; a difference in \
the first two numbers is refused.
2. **Start the backend** on the new machine, bound to the address of your private network:

   ```bash
   ggml-rpc-server --host 10.0.0.12 --port 50052
   ```

3. **Look at it from here.** It should show as *idle*, with its memory.
4. **Let the coordinator plan again.** It reads the model once more and spreads the layers over \
all backends, the new one among them.
5. **Ask something** and compare the speed with the one before.

Things that go wrong most often:

- the firewall drops the port, so nothing answers at all;
- another coordinator holds the backend, so it accepts the connection and stays silent;
- the machine sleeps when nobody types on it.

There is no password on that port. Keep it inside a network you trust, or put a tunnel around it."""

_STORY = """\
The old workstation in the attic had not been switched on for a year when the message came. \
It was short: *need a hand, anything with memory will do.*

It woke its disks one by one. Dust moved. Somewhere below, in the room with the good chairs, \
a machine with two bright cards was answering forty questions at once and had begun to sweat.

"I am slow," said the attic.

"You are awake," said the rig. "That is more than the others can say tonight."

So they divided the work. The rig took the questions that were in a hurry; the attic took the long \
ones, those that nobody waits for with a hand on the key. By four in the morning the queue was \
empty, and the house was warm in a way that had nothing to do with the heating.

Nobody noticed, of course. In the morning someone looked at the screen, saw a row that said \
**attic · 11 tok/s · 312 requests · 0 errors**, and wondered for a moment why it made them smile."""

_IDEAS = """\
Some ideas, from the quick to the bold:

- **Tonight**
  - measure the time to the first token on every node, cold and warm;
  - give the slowest node the smallest model and see whether it earns its place.
- **This week**
  - put the same context length everywhere, so that no request makes a node load its model again;
  - write down which machine may be switched off at night.
- **Later**
  - move the large model to the two machines with the fastest link;
  - keep one backend free as a stand-by, and try what happens when you pull a cable.

If I had to choose one: *the context length*. It costs nothing and it is the most common reason \
for a node that is "sometimes slow"."""

_LATENCY = """\
## Where the time of an answer goes

The time until you see the first word has four parts:

1. **waiting** for a free place on the node,
2. **loading** the model when it is not in memory,
3. **reading** your prompt,
4. and the first step of writing.

| Part | Typical | Grows with |
| --- | --- | --- |
| waiting | 0 s | other people's requests |
| loading | 2 to 40 s | the size of the model, the speed of the disk |
| reading | 0.1 to 5 s | the length of the prompt |
| writing | 10 to 100 tokens/s | the speed of the memory |

After that every token takes about the same time: `1 / tokens per second`. A node with 50 tok/s \
writes a page of 400 tokens in `8 s`.

So to make answers *begin* sooner, keep the model loaded and the prompt short. To make them *end* \
sooner, take a faster node or a smaller model. More nodes help only when several people ask."""

GENERAL = (_EXPLAIN, _LATENCY, _IDEAS, _COMPARE)

GREETING = Topic(frozenset({"hello", "hi", "hey", "greet", "greeting"}), _GREETING)
TOPICS = (
    Topic(frozenset({"code", "function", "python", "program", "script", "implement"}), _CODE),
    Topic(
        frozenset({"compare", "comparison", "table", "difference", "versus", "vs", "better"}),
        _COMPARE,
    ),
    Topic(frozenset({"steps", "add", "install", "set", "setup", "join", "start"}), _STEPS),
    Topic(frozenset({"story", "tale", "poem", "once", "imagine", "fiction"}), _STORY),
    Topic(frozenset({"ideas", "list", "suggest", "brainstorm", "improve", "tips"}), _IDEAS),
    Topic(frozenset({"slow", "fast", "latency", "speed", "time", "wait", "seconds"}), _LATENCY),
    Topic(frozenset({"explain", "how", "why", "what", "describe", "sharding", "split"}), _EXPLAIN),
)

ESSAY_WORDS = frozenset({"essay", "everything", "long", "book", "detail", "details"})

THOUGHTS = (
    "The person asks: “{question}”. ",
    "Let me see what matters here. ",
    "I should say first what it is, then what it costs, and end with something to try. ",
    "A table may help if there are two sides to it. ",
    "I will keep it short and say where it does not hold.",
)
