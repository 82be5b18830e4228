# SPDX-License-Identifier: MIT
"""figures.py - figures with their spread and target: a line of JSON each, a table at the end."""

import json
import statistics


class Sample:
    """Values of one figure over the runs."""

    def __init__(self):
        self.values = []

    def add(self, value):
        self.values.append(value)

    def quartiles(self):
        if len(self.values) < 2:
            return [self.values[0]] * 3
        return statistics.quantiles(self.values, n=4, method="inclusive")

    @property
    def low(self):
        return self.quartiles()[0]

    @property
    def median(self):
        return self.quartiles()[1]

    @property
    def high(self):
        return self.quartiles()[2]


class Report:
    def __init__(self):
        self.figures = []

    def add(self, name, value, unit, target=None, met=None, sample=None):
        """target: text such as "<= 1.15"; met: whether it is reached, None without a target."""
        figure = {"name": name, "value": round(value, 4), "unit": unit, "target": target, "met": met}
        if sample:
            q1, median, q3 = sample.quartiles()
            figure.update(min=round(min(sample.values), 4), q1=round(q1, 4),
                          median=round(median, 4), q3=round(q3, 4),
                          max=round(max(sample.values), 4), n=len(sample.values))
        self.figures.append(figure)
        print(json.dumps(figure), flush=True)

    def limit(self, name, value, unit, at_most=None, at_least=None, sample=None):
        if at_most is not None:
            self.add(name, value, unit, f"<= {at_most}", value <= at_most, sample)
        else:
            self.add(name, value, unit, f">= {at_least}", value >= at_least, sample)

    def note(self, name, text):
        self.figures.append({"name": name, "note": text})
        print(json.dumps({"name": name, "value": None, "unit": None, "target": None, "met": None,
                          "note": text}), flush=True)

    def table(self):
        print(f"\n{'figure':<46} {'value':>10} {'unit':<10} {'target':<10} {'met':<4} "
              f"{'min':>9} {'q1':>9} {'median':>9} {'q3':>9} {'max':>9} {'n':>3}")
        for f in self.figures:
            if "note" in f:
                print(f"{f['name']:<46} {f['note']}")
                continue
            met = {True: "yes", False: "NO", None: ""}[f["met"]]
            spread = " ".join(f"{f[k]:>9.3f}" for k in ("min", "q1", "median", "q3", "max")
                              ) + f" {f['n']:>3}" if "n" in f else ""
            print(f"{f['name']:<46} {f['value']:>10.3f} {f['unit']:<10} {f['target'] or '':<10} "
                  f"{met:<4} {spread}".rstrip())
