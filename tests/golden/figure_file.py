"""Files of golden results, as golden.h reads them: what all programs that make them share."""
import json
import os

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))


def figure(value):
    return float(f"{value:.7g}")


def layout(figures):
    """JSON with a line for every member, and for every position."""
    text = json.dumps(figures, ensure_ascii=False)
    text = text.replace(', "', ',\n"').replace("[[", "[\n[").replace("], [", "],\n[").replace("]]", "]\n]") + "\n"
    assert json.loads(text) == figures
    return text


def read(name):
    with open(os.path.join(HERE, "figures", name + ".json"), encoding="utf-8") as file:
        return json.load(file)


def write(name, figures):
    with open(os.path.join(HERE, "figures", name + ".json"), "w", encoding="utf-8") as file:
        file.write(layout(figures))


def write_logits(name, model, made_by, tokens, stride, logits):
    """A row of logits for every token. The file holds

    tokens     what was evaluated, from an empty context
    stride     of "last": logits of the tokens 0, stride, 2 stride ... behind the last of `tokens`
    probes     five tokens
    positions  behind every one of `tokens`: the logits of the probes, and the logarithm of the sum of all exponentials
    """
    logits = numpy.asarray(logits, numpy.float64)
    count, vocabulary = logits.shape
    assert count == len(tokens)
    probes = [(2 * i + 1) * vocabulary // 10 for i in range(5)]
    most = logits.max(1)
    sums = most + numpy.log(numpy.exp(logits - most[:, None]).sum(1))
    write(name, {
        "model": model,
        "made_by": made_by,
        "tokens": tokens,
        "stride": stride,
        "last": [figure(x) for x in logits[-1, ::stride]],
        "probes": probes,
        "positions": [[figure(x) for x in (*row[probes], total)] for row, total in zip(logits, sums)],
    })
    print(f"{name}: logits of deviation {logits.std(ddof=1):.2f}")
